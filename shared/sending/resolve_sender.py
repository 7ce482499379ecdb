"""Find the sender of a mail, or the reason why the mail is not sent now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import ConfigurationError
from shared.sending.backoff_and_deadline import expired_error
from shared.settings.sender import apply_sender_list, refusal_of, sender_of
from shared.settings.served_tenants import log_unserved_tenant
from shared.settings.tenant import Status

if TYPE_CHECKING:
    from shared.mail.message import MailRequest
    from shared.sending.ports import SendingServices
    from shared.settings.sender import Sender


def resolve_sender(request: MailRequest, ports: SendingServices) -> Sender:
    """Return the sender of a mail.

    The mail of a tenant that is not served waits until the operator adds the tenant.

    Raises:
        ConfigurationError: `tenant_not_served`, and what `sender_of` raises.
        ConsentRequiredError: what `sender_of` raises.
        SenderRefusedError: Microsoft 365 refuses the sender, and this mail is not the probe.
        ExpiredError: the same, and the mail's `expiresAt` has passed.
    """
    settings = ports.settings.load(request.tenant_id)
    if request.tenant_id not in ports.allowed_tenants:
        log_unserved_tenant(request.tenant_id)
        raise ConfigurationError("tenant_not_served")
    senders = ports.application_senders
    if settings.consent is not None and settings.consent.account is None:
        settings = apply_sender_list(settings, senders, ports.settings, ports.system)
    if settings.status is Status.SENDER_REFUSED:
        refusal = refusal_of(settings, request.message_id)
        if refusal is not None:
            # Such a mail waits without a time limit of the app, so only its own `expiresAt` can end the wait.
            check_expiry(request, ports)
            raise refusal
    return sender_of(settings, senders)


def check_expiry(request: MailRequest, ports: SendingServices) -> None:
    """Raise ExpiredError once the `expiresAt` of a mail has passed."""
    if request.expires_at is not None and request.expires_at <= ports.system.now():
        raise expired_error(request.expires_at)
