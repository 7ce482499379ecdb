"""Call Graph for a mailbox, with its token, pauses and concurrency limit."""

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
from shared.sending.rate_limit.upload_limit import PlannedUpload
from shared.system import Moment
from shared.time_limit import SENDING_LIMIT, AttemptTooLongError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.deliveries.slot import Slot
    from shared.sending.ports import SendingServices
    from shared.sending.rate_limit.throttle import MailboxThrottle
    from shared.settings.sender import Sender


class Mailbox:
    """The mailbox of one sender; its token is requested when it is needed.

    Attributes:
        submitted: the mail was handed over to Graph, and Graph has not refused it for certain.
        refusal: an error with which Graph refused the mail, although it may have sent it nevertheless.
        before_hand_over: called directly before the hand-over; if it raises, the mail is not handed over.
        after_refused_token: called after Graph refused the token, before a new one is requested.
        token_error: why there is no token that Graph accepts.
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
        self._deadline: datetime | None = None
        # The time counts from before the claim, so that it is over before the claim ends.
        self._begun = begun or Moment.of(ports.system)

    @property
    def _throttle(self) -> MailboxThrottle:
        return self._ports.throttle.for_sender(self.sender)

    @property
    def owner(self) -> str:
        """The owner of the mailbox, which is the same for every consent."""
        return mailbox_owner(self.sender)

    def call[Answer](
        self, request: Callable[[str, Sender], Answer], before: Callable[[], None] | None = None
    ) -> Answer:
        """Make one call of the transport.

        Graph checks the token before anything else, so a retry with a new token is safe. `before` is called
        directly before the request.

        Raises:
            MailboxPausedError: the mailbox has to wait, so no call was made.
            TransientError: what the call raises.
            TokenRefusedError: Graph refuses a new token too.
            ConditionalAccessError: the same, because of conditional access.
            ConsentRequiredError: Entra issues no token, or none with the claims that Graph asks for.
            ConfigurationError: the operator must act before Entra issues a token.
        """
        return self._call_with_token(
            lambda: self.call_limited(lambda: request(self._token or "", self.sender), before)
        )

    def call_without_pause[Answer](self, request: Callable[[str, Sender], Answer]) -> Answer:
        """Make a call for which no mail waits; its response causes no pause.

        If Graph asks for a pause, the next call of `call` gets the same response, and causes it.

        Raises:
            MailerError, ConfigurationError: as `call` does.
        """

        def limited() -> Answer:
            with self._throttle.request(records_pauses=False):
                return request(self._token or "", self.sender)

        return self._call_with_token(limited)

    def _call_with_token[Answer](self, request: Callable[[], Answer]) -> Answer:
        self.check_pause()
        if self._token is None:
            self._token = self._get_token()
        try:
            return request()
        except TokenRefusedError as error:
            self._token = self._get_token(refused=self._token, claims=error.claims)
        try:
            return request()
        except TokenRefusedError as error:
            self.token_error = error
            if not error.conditional_access:
                raise
            params = {"account": self.sender.account, "error": error.params["error"]}
            self.token_error = ConditionalAccessError(
                "conditional_access", request_id=error.request_id, **params
            )
            raise self.token_error from error

    def submit(self, request: Callable[[str, Sender], str]) -> str:
        """Make the call that hands the mail over.

        Raises:
            AttemptTooLongError: the time for the attempt is over, and the mail was not handed over.
            TransientError: what `call` raises.
        """

        def hand_over(token: str, sender: Sender) -> str:
            self.before_hand_over()
            # If the host was suspended here, another host may have taken over the mail since.
            self.check_time()
            self.submitted = True
            try:
                request_id = request(token, sender)
            except MailerError as error:
                self.submitted = isinstance(error, OutcomeUnknownError)
                self.refusal = error if error.maybe_sent_anyway else None
                raise
            except TokenRefusedError:
                self.submitted = False
                self.after_refused_token()
                raise
            except ConfigurationError:
                # There was no connection, or it was to another server than Graph.
                self.submitted = False
                raise
            self._throttle.record_accepted()
            return request_id

        return self.call(hand_over, self._check_slot)

    def check_time(self) -> None:
        """Raise AttemptTooLongError at the attempt's time limit.

        Both clocks are checked: the wall clock also runs while a host is suspended, and the monotonic clock
        is not affected when the time is set.
        """
        if self._begun.has_passed(SENDING_LIMIT, self._ports.system):
            raise AttemptTooLongError

    def check_pause(self) -> None:
        """Raise MailboxPausedError during a pause for Graph."""
        self._throttle.check_pause()

    def wait_for_slot(self, slot: Slot | None, *, first: bool, deadline: datetime | None) -> None:
        """Wait until the mail is due.

        Raises:
            LaterSlotError: the mail is not due soon.
            MailboxPausedError: no slot can be reserved at this moment.
        """
        self._goes_first, self._deadline = first, deadline
        self._slot = self._throttle.wait_for_slot(slot, first=first, deadline=deadline)

    def wait_for_upload(self, size: int, known: datetime | None, save: Callable[[datetime], None]) -> None:
        """Wait until a large file may be uploaded.

        `known` is a time that was reserved before; `save` stores a new one.

        Raises:
            LaterSlotError: the upload is not due soon; its time is stored.
            MailboxPausedError: no time can be reserved at this moment.
        """
        upload = PlannedUpload(size, known, save, self._slot, self._deadline)
        self._throttle.wait_for_upload(upload)

    def _check_slot(self) -> None:
        """Check the slot again, after a wait for one of the concurrent requests."""
        self.wait_for_slot(self._slot, first=self._goes_first, deadline=self._deadline)

    def call_limited[Answer](
        self, request: Callable[[], Answer], before: Callable[[], None] | None = None
    ) -> Answer:
        """Make a call within the concurrency limit; record pauses."""
        needs_slot = before is not None and self._slot is None
        with self._throttle.request(before, needs_slot=needs_slot):
            return request()

    def _get_token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        get = self._ports.tokens.get
        try:
            return get(self.sender.tenant_id, self.sender.consent, refused=refused, claims=claims)
        except (ConsentRequiredError, ConfigurationError) as error:
            self.token_error = error
            raise


def mailbox_owner(sender: Sender) -> str:
    """Return the owner of a mailbox, which is the same for every consent."""
    return sender.account if sender.mailbox == "me" else sender.mailbox


def _nothing() -> None:
    """Do nothing."""
