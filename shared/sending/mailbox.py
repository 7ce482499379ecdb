"""The sender's mailbox during one attempt: with a token, and only while Graph wants to be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import (
    ConditionalAccessError,
    ConfigurationError,
    ConsentRequiredError,
    MailerError,
    OutcomeUnknownError,
    ProblemError,
    TokenRefusedError,
)
from shared.sending.upload_limit import PlannedUpload
from shared.system import Moment
from shared.time_limit import SENDING, AttemptTooLongError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.deliveries.slot import Slot
    from shared.sending.ports import SendingServices
    from shared.settings.sender import Sender


class Mailbox:
    """One sender's mailbox; its token is fetched when it is first needed.

    Attributes:
        submitted: the mail was handed over, and it is not known that it was refused.
        refusal: the refusal of the call that handed the mail over, where it may be sent all the same.
        before_hand_over: what is done directly before that; the mail is not handed over where it fails.
        after_refused_token: what is done where Graph has refused the token, before a new one is fetched.
        token_error: why there is no token that Graph takes.
    """

    def __init__(self, sender: Sender, ports: SendingServices, begun: Moment | None = None) -> None:
        self.sender = sender
        self.submitted = False
        self.refusal: MailerError | None = None
        self.before_hand_over: Callable[[], None] = _nothing
        self.after_refused_token: Callable[[], None] = _nothing
        self.token_error: ProblemError | None = None
        self._ports = ports
        self._token: str | None = None
        self._slot: Slot | None = None
        self._goes_first = False
        self._end: datetime | None = None
        # From before the claim, so that this time is over before the claim ends.
        self._begun = begun or Moment.of(ports.system)

    @property
    def owner(self) -> str:
        """Whose mailbox it is, whichever consent opens it."""
        return mailbox_of(self.sender)

    def ask[Answer](
        self, call: Callable[[str, Sender], Answer], ready: Callable[[], None] | None = None
    ) -> Answer:
        """Make one call of the transport.

        Graph refuses a token before it reads anything else, so one more try with a new token is safe.
        `ready`: what is done directly before, when it is the call's turn.

        Raises:
            TransientError: `mailbox_paused` without asking, or what the call raises.
            TokenRefusedError: Graph refuses a new token too.
            ConditionalAccessError: the same, because of conditional access.
            ConsentRequiredError: Entra issues none, also none with the claims that Graph asks for.
            ConfigurationError: the operator has to act before there is one.
        """
        return self._ask(lambda: self.noting_pauses(lambda: call(self._token or "", self.sender), ready))

    def ask_aside[Answer](self, call: Callable[[str, Sender], Answer]) -> Answer:
        """Make one call that no mail waits for: a pause that its answer asks for holds none back.

        Where Graph does want the mailbox left alone, it tells the next call too.

        Raises:
            MailerError, ConfigurationError: as `ask` does.
        """

        def in_turn() -> Answer:
            with self._ports.throttle.turn(self.sender, notes_pauses=False):
                return call(self._token or "", self.sender)

        return self._ask(in_turn)

    def _ask[Answer](self, call: Callable[[], Answer]) -> Answer:
        self.check_pause()
        if self._token is None:
            self._token = self._get_token()
        try:
            return call()
        except TokenRefusedError as error:
            self._token = self._get_token(refused=self._token, claims=error.claims)
        try:
            return call()
        except TokenRefusedError as error:
            self.token_error = error
            if not error.conditional_access:
                raise
            facts = {"account": self.sender.account, "error": error.facts["error"]}
            self.token_error = ConditionalAccessError(
                "conditional_access", request_id=error.request_id, **facts
            )
            raise self.token_error from error

    def submit(self, call: Callable[[str, Sender], str]) -> str:
        """Make the call that hands the mail over.

        Raises:
            TransientError: `attempt_too_long` directly before the call, or what `ask` raises.
        """

        def noted(token: str, sender: Sender) -> str:
            self.before_hand_over()
            # A host that was suspended wakes here, and the mail may have been taken over by another.
            self.check_time()
            self.submitted = True
            try:
                request_id = call(token, sender)
            except MailerError as error:
                self.submitted = isinstance(error, OutcomeUnknownError)
                self.refusal = error if error.maybe_sent else None
                raise
            except TokenRefusedError:
                self.submitted = False
                self.after_refused_token()
                raise
            self._ports.throttle.record_accepted(sender)
            return request_id

        return self.ask(noted, self._keep_slot)

    def check_time(self) -> None:
        """Raise AttemptTooLongError once this attempt has taken what one may take.

        By the calendar, which goes on while a host is suspended, and by the time that has passed, which no
        change of the clock shortens.
        """
        if self._begun.has_passed(SENDING, self._ports.system):
            raise AttemptTooLongError

    def check_pause(self) -> None:
        """Raise MailboxPausedError while Graph wants the mailbox left alone."""
        self._ports.throttle.check(self.sender)

    def wait_for_slot(self, slot: Slot | None, *, first: bool, end: datetime | None) -> None:
        """Wait until the mail is to be sent; `end`: when its time is over.

        Raises:
            LaterSlotError: that is not soon.
            MailboxPausedError: no slot can be had at this moment.
        """
        self._goes_first, self._end = first, end
        self._slot = self._ports.throttle.wait_for_slot(self.sender, slot, first=first, end=end)

    def wait_for_upload(self, size: int, known: datetime | None, keep: Callable[[datetime], None]) -> None:
        """Wait until a large file may be uploaded; `known`: when that is, as was kept before.

        Raises:
            LaterSlotError: that is not soon; the time is kept.
            MailboxPausedError: it cannot be said at this moment.
        """
        upload = PlannedUpload(size, known, keep, self._slot, self._end)
        self._ports.throttle.wait_for_upload(self.sender, upload)

    def _keep_slot(self) -> None:
        """Look once more, because the mail may have waited for its turn since."""
        self.wait_for_slot(self._slot, first=self._goes_first, end=self._end)

    def noting_pauses[Answer](
        self, call: Callable[[], Answer], ready: Callable[[], None] | None = None
    ) -> Answer:
        """Make a call in this mailbox's turn, and let every host know when Graph asks for a pause."""
        wants_slot = ready is not None and self._slot is None
        with self._ports.throttle.turn(self.sender, ready, wants_slot=wants_slot):
            return call()

    def _get_token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        get = self._ports.tokens.get
        try:
            return get(self.sender.tenant_id, self.sender.consent, refused=refused, claims=claims)
        except (ConsentRequiredError, ConfigurationError) as error:
            self.token_error = error
            raise


def mailbox_of(sender: Sender) -> str:
    """Name the mailbox that a sender sends from, whichever consent opens it."""
    return sender.account if sender.mailbox == "me" else sender.mailbox


def _nothing() -> None:
    """Need nothing to be done."""
