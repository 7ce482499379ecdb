"""Define the errors of a send that the app acts on, by class and code.

    TransientError
    ├── ThrottledError              Graph refuses the mail for the mailbox's rate
    │   └── SendingLimitError       … for its messages of an hour or a day
    ├── MailboxPausedError          the app waits, without a request
    │   └── LaterSlotError          … until the mail's slot
    ├── DraftLostError              the draft does not exist any more
    ├── UploadInterruptedError      the file needs a new upload, or its next chunk
    ├── GraphTimeoutError           Graph did not finish a request in time
    ├── UnexpectedResponseError     Graph refuses for a reason that the app does not know
    ├── AccessDeniedError           … with 403
    ├── MailboxNotFoundError        … with 404 or 410
    └── NothingSentError
        └── ConsentReplacedError    the consent was replaced since the attempt began

Only a code of Graph's says for certain that a permission or the mailbox is missing: that is a
SenderRefusedError, with the codes of AccessDeniedError and MailboxNotFoundError.

Three more errors end an attempt without recording a failure: another worker has the mail, or the operator has
paused sending.
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
    """Graph refused the mail for the mailbox's rate.

    The mailbox's schedule sets the time of its retry.
    """

    fixed_code = "mailbox_throttled"


class SendingLimitError(ThrottledError):
    """The mailbox used up its messages of an hour or a day."""

    fixed_code = "sending_limit_reached"


class MailboxPausedError(SendingError):
    """The mail waits for its time; Graph was not called."""

    fixed_code = "mailbox_paused"


class LaterSlotError(MailboxPausedError):
    """The mail is to be sent later, at its slot.

    It has no slot if Graph refused it while the pace is learned, or if its deadline is before the next one.
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
    """A draft is not in the mailbox: removed, or being sent."""

    fixed_code = "draft_lost"


class UploadInterruptedError(SendingError):
    """An upload session is over, or expects other bytes."""

    fixed_code = "upload_interrupted"


class GraphTimeoutError(SendingError):
    """Graph did not finish a request in time; it sends no mail."""

    fixed_code = "graph_timeout"


class UnexpectedResponseError(SendingError):
    """Graph refused a request, not known to be for this mail."""

    fixed_code = "unexpected_answer"


class AccessDeniedError(SendingError):
    """Graph answered 403 with a code that is in no table."""

    fixed_code = "access_denied"


class MailboxNotFoundError(SendingError):
    """Graph answered 404 or 410 with a code that is in no table."""

    fixed_code = "mailbox_not_found"


class MailKnownError(Exception):
    """The delivery log knows the mail already, so its row decides."""


class ClaimLostError(Exception):
    """Another worker claimed the mail before it was sent to Graph."""


class SendingPausedError(Exception):
    """Sending was paused before the mail was sent to Graph."""

    def __init__(self, pause: SendingPause) -> None:
        super().__init__("Sending is paused.")
        self.pause = pause


#: Each class by its code, for an adapter that has a table of codes.
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

#: The codes of a refusal for the mailbox's rate, as a delivery stores them.
THROTTLED_CODES: Final = frozenset({ThrottledError.fixed_code, SendingLimitError.fixed_code})
