"""The sender's mailbox during one attempt: with a token, and only while Graph wants to be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import ConfigurationError, ConsentRequiredError, TransientError
from shared.settings.health import note_failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.sending.dependencies import Sending
    from shared.settings.sender import Sender


class Mailbox:
    """One sender's mailbox; its token is fetched when it is first needed."""

    def __init__(self, sender: Sender, ports: Sending) -> None:
        self.sender = sender
        self._ports = ports
        self._token: str | None = None

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
            self._token = self._get_token(fresh=False)
        try:
            return self.noting_pauses(lambda: call(self._token or "", self.sender))
        except ConsentRequiredError:
            self._token = self._get_token(fresh=True)
        try:
            return self.noting_pauses(lambda: call(self._token or "", self.sender))
        except ConsentRequiredError as error:
            self._note(error)
            raise

    def check_pause(self) -> None:
        """Raise TransientError `mailbox_paused` while Graph wants the mailbox left alone."""
        self._ports.pauses.check(self.sender, self._ports.world.now())

    def noting_pauses[Answer](self, call: Callable[[], Answer]) -> Answer:
        """Make a call that needs no token, and remember when Graph asks for a pause."""
        try:
            return call()
        except TransientError as error:
            self._ports.pauses.note(self.sender, error, self._ports.world.now())
            raise

    def _get_token(self, *, fresh: bool) -> str:
        try:
            return self._ports.tokens.get(self.sender.tenant_id, self.sender.consent, fresh=fresh)
        except (ConsentRequiredError, ConfigurationError) as error:
            self._note(error)
            raise

    def _note(self, error: ConsentRequiredError | ConfigurationError) -> None:
        note_failure(
            self._ports.settings,
            self.sender.tenant_id,
            self.sender.consent.generation,
            error,
            self._ports.world,
        )
