"""Turn a callback into a consent, or one that needs a confirmation.

Everything is checked before the code is redeemed, and it is redeemed once: the flow's secrets are removed
first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.consent.completion import close, complete
from shared.consent.cookie import check_cookie
from shared.consent.errors import ConsentExpiredError
from shared.consent.flow import ConsentFlow, FlowSecret, FlowStatus, matches
from shared.consent.grant import redeem_grant
from shared.consent.other_account import Confirmation, hold, is_other_account, show_again
from shared.consent.revoke import delete_held
from shared.errors import InvalidInputError, NotFoundError, ProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.consent.callback_params import CallbackParams
    from shared.consent.services import ConsentServices


def handle_callback(
    flow: ConsentFlow | None, answer: CallbackParams, cookies: Sequence[str], ports: ConsentServices
) -> ConsentFlow | Confirmation:
    """Handle a callback; return the ended flow or what must be confirmed.

    `flow` is the one that the callback's state names. A callback with a wrong state, or from
    another browser, changes nothing. For one that was already handled, such as a reloaded page, the flow is
    returned unchanged.

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
    if not matches(answer.reply.get("state"), secret.state_hash):
        raise InvalidInputError("consent_reply_invalid")
    expired = flow.status_at(ports.system.now()) is FlowStatus.EXPIRED
    if not expired:
        # After expiry the cookie may be gone too, so a missing cookie does not mean another browser.
        check_cookie(cookies, secret.cookie_hash)
        if secret.consent:
            return show_again(flow, secret, answer.reply.get("code", ""), ports)
    if not ports.flows.consume_secret(secret):
        raise InvalidInputError("consent_link_used")
    if expired:
        delete_held(secret, ports)
        return close(flow, ConsentExpiredError(flow.expired_code), ports)
    return _take(flow, secret, answer, ports)


def _take(
    flow: ConsentFlow, secret: FlowSecret, answer: CallbackParams, ports: ConsentServices
) -> ConsentFlow | Confirmation:
    try:
        consent = redeem_grant(flow, secret, answer, ports.settings.load(flow.tenant_id), ports)
    except ProblemError as error:
        return close(flow, error, ports)
    if is_other_account(flow, consent):
        return hold(flow, secret, consent, answer.reply.get("code", ""), ports)
    return complete(flow, consent, ports)
