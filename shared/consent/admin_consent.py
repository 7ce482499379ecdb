"""Verify an admin's consent to the app's own permissions.

Such a consent ends without a sign-in that could be checked. The callback proves nothing: `admin_consent=True`
can also come after a decline, and `tenant` can be forged. The only proof is a token for the app itself.

https://learn.microsoft.com/entra/identity-platform/v2-admin-consent
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.consent.grant import check_granted
from shared.errors import InvalidInputError, ProblemError, TransientError
from shared.settings.scopes import missing_scopes, scopes_for
from shared.settings.sender import check_listed
from shared.settings.tenant import Consent, same_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.consent.directory_wait import DirectoryRetries
    from shared.consent.flow import ConsentFlow
    from shared.consent.services import ConsentServices
    from shared.settings.tenant import PendingConsent, RequestedSender, TenantSettings


def verify_admin_consent(
    flow: ConsentFlow,
    callback: Mapping[str, str],
    pending: PendingConsent,
    settings: TenantSettings,
    retries: DirectoryRetries,
    ports: ConsentServices,
) -> Consent:
    """Return the consent that an admin gave for the app itself.

    `callback` has the parameters of the callback.

    Raises:
        ConsentRequiredError: `permission_not_granted`, `consent_not_confirmed`.
        InvalidInputError: `consent_reply_invalid`.
        ConflictError: `application_sender_not_allowed`.
    """
    if callback.get("admin_consent", "").casefold() != "true":
        raise InvalidInputError("consent_reply_invalid")
    # The operator may have shortened the list while the admin was at Microsoft.
    check_listed(pending.requested, ports.config.application_senders)
    requested = scopes_for(pending.requested)
    granted = _confirm_roles(flow, requested, retries, ports)
    now = ports.system.now()
    return Consent(
        version=pending.version,
        flow_id=flow.flow_id,
        account=None,
        # The requested ones, because Exchange can grant permissions that no token names. Whether the app has
        # them shows when mail is sent.
        scopes=frozenset(requested),
        secret_name=None,
        started_by=flow.admin_name,
        consented_by="",
        consented_at=now,
        refreshed_at=now,
        stored_at=now,
        granted=granted,
        mailbox_id=_mailbox_id(pending.requested, flow, settings),
    )


def _mailbox_id(requested: RequestedSender, flow: ConsentFlow, settings: TenantSettings) -> str | None:
    """Return the object id of the mailbox, if it is known.

    Graph finds a mailbox by its id or sign-in name, not by its address. The id stays the same if the mailbox
    is renamed. An id that Graph refused was deleted from the settings, so it is not used again.
    """
    owner = flow.known_owner(requested.from_address, settings)
    if owner:
        return owner.object_id
    if settings.sender is None or settings.consent is None:
        return None
    if not same_address(settings.sender.from_address, requested.from_address):
        return None
    return settings.consent.mailbox_id


def _confirm_roles(
    flow: ConsentFlow, requested: tuple[str, ...], retries: DirectoryRetries, ports: ConsentServices
) -> frozenset[str] | None:
    """Return the roles in the app's token; None if the token can't be read.

    While roles are missing, another token is requested, because Entra may not know the consent yet. A token
    without any role is accepted in the end, because permissions that Exchange grants are in no token. If
    Entra issues no token at all, the consent is not proven.
    """
    while True:
        try:
            granted = ports.authorizer.app_only(flow.tenant_id).scopes
        except TransientError as error:
            if not retries.pause_before_retry(error.retry_after):
                raise
            continue
        except ProblemError as error:
            retries.wait_for_app(error)
            continue
        if granted is None or not missing_scopes(requested, granted) or not retries.pause_before_retry():
            break
    if granted:
        check_granted(requested, granted)
    return granted
