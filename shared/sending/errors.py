"""Define the errors of sending that are handled by their class.

    TransientError
    ├── ThrottledError              Graph refuses the mail because the mailbox sends too fast
    │   └── SendingLimitError       … because the mailbox has used up its messages of an hour or a day
    ├── MailboxPausedError          the app makes no request, because the mailbox has to wait
    │   └── LaterSlotError          … until the slot of the mail
    ├── DraftLostError              the draft does not exist any more
    ├── UploadInterruptedError      the file needs a new upload, or its next chunk
    ├── GraphTimeoutError           Graph did not finish a request in time
    ├── UnexpectedResponseError     Graph refuses for a reason that the app does not know
    ├── AccessDeniedError           … with 403
    ├── MailboxNotFoundError        … with 404 or 410
    └── NothingSentError
        └── ConsentReplacedError    the consent was replaced since the attempt began

An HTTP status alone does not prove that a permission or the mailbox is missing. If a code of Graph in the
response says so, the error is a SenderRefusedError instead, with the problem code of AccessDeniedError or
MailboxNotFoundError.

Three more errors end an attempt that is not recorded as a failure: MailKnownError, ClaimLostError and
SendingPausedError.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final

from shared.errors import NothingSentError, TransientError

if TYPE_CHECKING:
    from shared.deliveries.slot import Slot
    from shared.settings.sending_switch import SendingPause


class SendingError(TransientError):
    """A transient error with the code of its class; never raised itself."""

    fixed_code: ClassVar[str]

    def __init__(
        self, *, retry_after: timedelta | None = None, request_id: str | None = None, **params: object
    ) -> None:
        super().__init__(self.fixed_code, retry_after=retry_after, request_id=request_id, **params)


class ThrottledError(SendingError):
    """Graph refused the mail because the mailbox sends too fast.

    The schedule of the mailbox decides when the mail is retried.
    """

    fixed_code = "mailbox_throttled"


class SendingLimitError(ThrottledError):
    """The mailbox has used up its messages of an hour or a day."""

    fixed_code = "sending_limit_reached"


class MailboxPausedError(SendingError):
    """The mailbox has to wait, so Graph was not called."""

    fixed_code = "mailbox_paused"


class LaterSlotError(MailboxPausedError):
    """The mail is to be sent later, at its slot.

    The mail has no slot if Graph refused it while the app is still learning the pace of the mailbox, or if
    its deadline is before the next slot.
    """

    def __init__(self, slot: Slot | None, wait: timedelta, address: str) -> None:
        super().__init__(retry_after=wait, address=address)
        self.slot = slot
        self.wait = wait


class ConsentReplacedError(NothingSentError):
    """The consent was replaced meanwhile; the next attempt uses the new one."""

    def __init__(self) -> None:
        super().__init__("consent_replaced", retry_after=timedelta(0))


class DraftLostError(SendingError):
    """A draft is not in the mailbox: it was removed, or is being sent."""

    fixed_code = "draft_lost"


class UploadInterruptedError(SendingError):
    """An upload session has ended, or expects other bytes."""

    fixed_code = "upload_interrupted"


class GraphTimeoutError(SendingError):
    """Graph did not finish a request in time that sends no mail."""

    fixed_code = "graph_timeout"


class UnexpectedResponseError(SendingError):
    """Graph refused a request for an unknown reason."""

    fixed_code = "unexpected_answer"


class AccessDeniedError(SendingError):
    """Graph answered 403 with a code that the app does not know."""

    fixed_code = "access_denied"


class MailboxNotFoundError(SendingError):
    """Graph answered 404 or 410 with a code that the app does not know."""

    fixed_code = "mailbox_not_found"


class MailKnownError(Exception):
    """The mail was assumed to be new, but the delivery log has its row."""


class ClaimLostError(Exception):
    """Another worker claimed the mail before it was sent to Graph."""


class SendingPausedError(Exception):
    """Sending was paused before the mail was sent to Graph."""

    def __init__(self, pause: SendingPause) -> None:
        super().__init__("Sending is paused.")
        self.pause = pause


#: The class for each problem code, for an adapter that maps Graph's codes to problem codes.
ERROR_BY_CODE: Final[dict[str, type[SendingError]]] = {
    kind.fixed_code: kind
    for kind in (
        ThrottledError,
        SendingLimitError,
        MailboxPausedError,
        DraftLostError,
        UploadInterruptedError,
        GraphTimeoutError,
        UnexpectedResponseError,
        AccessDeniedError,
        MailboxNotFoundError,
    )
}

#: The problem codes, as stored in a delivery, of refusals because the mailbox sends too fast.
THROTTLED_CODES: Final = frozenset({ThrottledError.fixed_code, SendingLimitError.fixed_code})
