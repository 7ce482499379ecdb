"""The sender's mailbox during one attempt: with a token, and only while Graph wants to be asked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.errors import (
    ConfigurationError,
    ConsentRequiredError,
    MailerError,
    OutcomeUnknownError,
    ProblemError,
    TransientError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.sending.dependencies import Sending
    from shared.settings.sender import Sender

#: With the longest call on top still below `functionTimeout` in host.json: then the host kills the worker.
_TIME_FOR_ONE_ATTEMPT = timedelta(minutes=6)


class Mailbox:
    """One sender's mailbox; its token is fetched when it is first needed.

    Attributes:
        submitted: the mail was handed over, and it is not known that it was refused.
        token_error: why there is no token that Graph takes.
    """

    def __init__(self, sender: Sender, ports: Sending) -> None:
        self.sender = sender
        self.submitted = False
        self.token_error: ProblemError | None = None
        self._ports = ports
        self._token: str | None = None
        self._until = ports.world.now() + _TIME_FOR_ONE_ATTEMPT

    @property
    def owner(self) -> str:
        """Whose mailbox it is, whichever consent opens it."""
        return self.sender.account if self.sender.mailbox == "me" else self.sender.mailbox

    def ask[Answer](self, call: Callable[[str, Sender], Answer]) -> Answer:
        """Make one call of the transport.

        Graph refuses a token before it reads anything else, so one more try with a new token is safe.

        Raises:
            TransientError: `mailbox_paused` without asking, or what the call raises.
            ConsentRequiredError: Graph refuses a new token too, or there is none to be had.
            ConfigurationError: the operator has to act before there is one.
        """
        self.check_pause()
        if self._token is None:
            self._token = self._get_token()
        try:
            return self.noting_pauses(lambda: call(self._token or "", self.sender))
        except ConsentRequiredError:
            self._token = self._get_token(refused=self._token)
        try:
            return self.noting_pauses(lambda: call(self._token or "", self.sender))
        except ConsentRequiredError as error:
            self.token_error = error
            raise

    def submit(self, call: Callable[[str, Sender], str]) -> str:
        """Make the call that hands the mail over; raises what `ask` raises."""

        def noted(token: str, sender: Sender) -> str:
            self.submitted = True
            try:
                return call(token, sender)
            except MailerError as error:
                self.submitted = isinstance(error, OutcomeUnknownError)
                raise

        return self.ask(noted)

    def check_time(self) -> None:
        """Raise TransientError `attempt_too_long` once this attempt has taken what one may take."""
        if self._ports.world.now() >= self._until:
            raise TransientError("attempt_too_long", retry_after=timedelta(0))

    def check_pause(self) -> None:
        """Raise TransientError `mailbox_paused` while Graph wants the mailbox left alone."""
        self._ports.pauses.check(self.sender, self._ports.world.now())

    def noting_pauses[Answer](self, call: Callable[[], Answer]) -> Answer:
        """Make a call in this mailbox's turn, and remember when Graph asks for a pause."""
        try:
            with self._ports.pauses.turn(self.sender):
                return call()
        except TransientError as error:
            self._ports.pauses.note(self.sender, error, self._ports.world.now())
            raise

    def _get_token(self, *, refused: str | None = None) -> str:
        try:
            return self._ports.tokens.get(self.sender.tenant_id, self.sender.consent, refused=refused)
        except (ConsentRequiredError, ConfigurationError) as error:
            self.token_error = error
            raise
