"""Turn Microsoft's callback into a consent, or ask for a confirmation.

The parameters of the callback came through the browser, so they can be forged. Everything is checked before
the code is redeemed. The secrets of the flow are removed before that too, so the code is redeemed only once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.consent.admin_consent import verify_admin_consent
from shared.consent.completion import close_flow, complete_flow
from shared.consent.cookie import check_cookie
from shared.consent.directory_wait import DirectoryRetries
from shared.consent.errors import ConsentDeclinedError, ConsentExpiredError
from shared.consent.flow import ConsentFlow, FlowSecret, FlowStatus, matches_hash
from shared.consent.grant import redeem_grant
from shared.consent.other_account import Confirmation, ask_for_confirmation, repeat_confirmation
from shared.consent.revoke import delete_unconfirmed_tokens
from shared.errors import ConsentRequiredError, InvalidInputError, NotFoundError, ProblemError
from shared.settings.state import pending_consent
from shared.settings.tenant import Authorization

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.consent.services import ConsentServices
    from shared.settings.tenant import Consent

_DECLINED = {
    Authorization.DELEGATED: frozenset({"access_denied"}),
    Authorization.APPLICATION: frozenset({"access_denied", "consent_required", "permission_denied"}),
}
#: https://learn.microsoft.com/entra/identity-platform/reference-error-codes and RFC 6749 section 4.1.2.1.
_DOCUMENTED_ERRORS = frozenset(
    {
        "consent_required",
        "interaction_required",
        "invalid_client",
        "invalid_request",
        "invalid_resource",
        "invalid_scope",
        "login_required",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_response_type",
    }
)


@dataclass(frozen=True, slots=True)
class CallbackParams:
    """The parameters of a callback.

    `authorization` is the kind of consent for which Microsoft calls the URL.
    """

    authorization: Authorization
    values: Mapping[str, str] = field(repr=False)


def handle_callback(
    flow: ConsentFlow | None, callback: CallbackParams, cookies: Sequence[str], ports: ConsentServices
) -> ConsentFlow | Confirmation:
    """Handle a callback; return the ended flow or what must be confirmed.

    `flow` is the flow that the state in the callback names. A callback with a wrong state, or from another
    browser, changes nothing. If the callback was handled already, for example because the page is loaded
    again, the flow is returned unchanged.

    Raises:
        NotFoundError: `consent_not_found`.
        InvalidInputError: `consent_reply_invalid`, `consent_link_used`, and what `check_cookie` raises.
        ConflictError: `consent_superseded`, for a confirmation that is shown again.
    """
    if flow is None:
        raise NotFoundError("consent_not_found")
    secret = ports.flows.secret(flow.flow_id)
    if secret is None:
        return flow
    if not matches_hash(callback.values.get("state"), secret.state_hash):
        raise InvalidInputError("consent_reply_invalid")
    expired = flow.status_at(ports.system.now()) is FlowStatus.EXPIRED
    if not expired:
        # Not checked after the expiry: the cookie may have expired too, so that a missing cookie does not
        # show that this is another browser.
        check_cookie(cookies, secret.cookie_hash)
        if secret.consent:
            return repeat_confirmation(flow, secret, callback.values.get("code", ""), ports)
    if not ports.flows.consume_secret(secret):
        raise InvalidInputError("consent_link_used")
    if expired:
        delete_unconfirmed_tokens(secret, ports)
        return close_flow(flow, ConsentExpiredError(flow.expired_code), ports)
    return _complete_or_confirm(flow, secret, callback, ports)


def _complete_or_confirm(
    flow: ConsentFlow, secret: FlowSecret, callback: CallbackParams, ports: ConsentServices
) -> ConsentFlow | Confirmation:
    try:
        consent = _validate_grant(flow, secret, callback, ports)
    except ProblemError as error:
        return close_flow(flow, error, ports)
    if consent.account and not flow.is_started_by(consent.account):
        return ask_for_confirmation(flow, secret, consent, callback.values.get("code", ""), ports)
    return complete_flow(flow, consent, ports)


def _validate_grant(
    flow: ConsentFlow, secret: FlowSecret, callback: CallbackParams, ports: ConsentServices
) -> Consent:
    """Return the consent that a callback grants, with its tokens stored.

    Raises:
        ConsentRequiredError: `consent_declined`, `consent_failed`, and what `redeem_grant` raises.
        InvalidInputError: `consent_reply_invalid`, `consent_wrong_tenant`.
        ConflictError: `consent_superseded`, `application_sender_not_allowed`.
    """
    settings = ports.settings.load(flow.tenant_id)
    _check_error(callback)
    pending = pending_consent(settings, flow.flow_id)
    if callback.authorization is not pending.requested.authorization:
        raise InvalidInputError("consent_reply_invalid")
    with DirectoryRetries(flow, ports) as retries:
        if callback.authorization is Authorization.APPLICATION:
            return verify_admin_consent(flow, callback.values, pending, settings, retries, ports)
        return redeem_grant(flow, secret, callback.values, pending, settings, retries, ports)


def _check_error(callback: CallbackParams) -> None:
    """Refuse a callback that has an error.

    This is checked first, because a decline can also have the parameters of a success. The value can be
    forged, so the problem repeats it only if Microsoft documents it.

    Raises:
        ConsentDeclinedError: `consent_declined`.
        ConsentRequiredError: `consent_failed`.
    """
    error = callback.values.get("error")
    if error in _DECLINED[callback.authorization]:
        raise ConsentDeclinedError("consent_declined")
    if error:
        documented = error if error in _DOCUMENTED_ERRORS else "an error that is not documented"
        raise ConsentRequiredError("consent_failed", error=documented)
