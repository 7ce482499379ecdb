"""Declare the ports of sending; `adapters/` implements them.

Every method may raise TransientError (the service is unavailable) and ConfigurationError (it refuses the app,
or a setting is missing); only further errors are named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shared.deliveries.retry import RetryServices

if TYPE_CHECKING:
    from shared.deliveries.ports import TextStore
    from shared.errors import ConfigurationError
    from shared.mail.ports import AttachmentFiles
    from shared.sending.rate_limit.throttle import Throttle
    from shared.sending.storage_outage import ClaimMemory
    from shared.settings.operator_log import OperatorLog
    from shared.settings.ports import AccessTokens
    from shared.settings.sender import Sender
    from shared.settings.sending_switch import SendingSwitch


@dataclass(frozen=True, slots=True)
class FoundMail:
    """A message in the sender's mailbox.

    A draft was not sent, or is still in the process of being sent.
    """

    mail_id: str
    is_draft: bool


class MailTransport(Protocol):
    """Sends mail to Microsoft 365.

    Every method may raise RejectedError (Graph will never accept it) and ConsentRequiredError (Graph refuses
    the token); a draft that does not exist any more is a DraftLostError.
    """

    def send_mail(self, token: str, sender: Sender, body: bytes) -> str:
        """Send a mail in one request, and return Graph's request id.

        Raises:
            OutcomeUnknownError: it was sent, and no response arrived.
        """

    def create_draft(self, token: str, sender: Sender, message: bytes) -> str:
        """Create a draft and return its id, which it keeps when sent."""

    def attach(self, token: str, sender: Sender, draft_id: str, file: bytes) -> None:
        """Attach a small file to a draft."""

    def list_attachments(self, token: str, sender: Sender, draft_id: str) -> tuple[str, ...]:
        """Return the names of a draft's files, including inline ones."""

    def open_upload(self, token: str, sender: Sender, draft_id: str, item: bytes) -> str:
        """Open an upload session for a large file; return the chunks' URL."""

    def put_chunk(self, sender: Sender, url: str, chunk: bytes, first: int, total: int) -> int | None:
        """Upload the bytes from `first`; return where the next chunk begins.

        None after the last chunk.

        Raises:
            UploadInterruptedError: the session is over or expects other bytes.
        """

    def send_draft(self, token: str, sender: Sender, draft_id: str) -> str:
        """Send a draft, and return Graph's request id.

        Raises:
            OutcomeUnknownError: it was sent, and no response arrived.
        """

    def find(self, token: str, sender: Sender, key: str) -> tuple[FoundMail, ...]:
        """Return every message in the mailbox that has this key."""

    def find_draft(self, token: str, sender: Sender, draft_id: str) -> tuple[FoundMail, ...]:
        """Return the message created as this draft, sent or not.

        The result is empty where it is not found.
        """

    def remove(self, token: str, sender: Sender, draft_id: str) -> None:
        """Remove a draft; one that does not exist is no error."""


class SendingServices(RetryServices, Protocol):
    """The ports of sending; reading one may raise ConfigurationError.

    The rows, the stored requests and the queue need only the storage settings, so a mail can be stored while
    every other setting is wrong.
    """

    @property
    def switch(self) -> SendingSwitch:
        """Whether sending is paused for the whole installation."""

    @property
    def operator_log(self) -> OperatorLog:
        """The log of operators' commands."""

    @property
    def drafts(self) -> TextStore:
        """The state of drafts."""

    @property
    def files(self) -> AttachmentFiles:
        """The schedulers' files."""

    @property
    def tokens(self) -> AccessTokens:
        """Access tokens."""

    @property
    def transport(self) -> MailTransport:
        """Microsoft Graph."""

    @property
    def throttle(self) -> Throttle:
        """Limits when each mail may be sent."""

    @property
    def claims(self) -> ClaimMemory:
        """What this process knows of claims."""

    @property
    def message_limit_mb(self) -> int:
        """The message size limit of a mailbox, encoded, in megabytes."""

    @property
    def resends_unknown(self) -> bool:
        """Whether a mail with unknown outcome is sent again without look-up."""

    @property
    def installation(self) -> str | None:
        """The client id that tags this installation's claims.

        None while a setting is wrong.
        """

    @property
    def setting_problems(self) -> tuple[ConfigurationError, ...]:
        """What is wrong with the settings, with the name of each."""

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants that this installation serves."""

    @property
    def application_senders(self) -> tuple[str, ...]:
        """The addresses that may send with the app's own permission."""

    @property
    def home_tenant(self) -> str:
        """The operator's own tenant, for messages without a usable tenant."""
