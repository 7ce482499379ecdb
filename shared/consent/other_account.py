"""Ask for a confirmation if another account than the admin's consented.

Microsoft's pages do not show for which From address, and for which admin, a person consents. So a page of the
app shows both to the person who signed in. Until that person presses Continue, no settings name the tokens,
which are stored in the vault under the version of the flow. The form needs the cookie of the browser and a
token that only the response to this browser contains. So nobody can complete the consent with a cookie that
was set from outside, or with a `state` that became known.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.consent.completion import close_flow, complete_flow
from shared.consent.cookie import check_cookie
from shared.consent.errors import ConsentDeclinedError, ConsentExpiredError
from shared.consent.flow import ConsentFlow, FlowSecret, FlowStage, FlowStatus, hash_of, matches_hash
from shared.consent.revoke import delete_consent_tokens, delete_flow_secrets, delete_unconfirmed_tokens
from shared.errors import ConflictError, InvalidInputError, NotFoundError, ProblemError
from shared.settings.state import pending_consent
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.consent.services import ConsentServices, MaintenanceServices
    from shared.settings.tenant import Consent

#: Each consent takes half a minute if the vault does not respond, and the timer runs every five minutes.
ABANDONED_TIME_LIMIT = timedelta(minutes=4)
CONTINUE = "continue"
REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The content of the page; `token` is that of its form, valid once."""

    flow_id: str
    token: str = field(repr=False)
    requester: str
    account: str
    from_address: str
    scopes: frozenset[str]
    expires_at: datetime


def ask_for_confirmation(
    flow: ConsentFlow, secret: FlowSecret, consent: Consent, code: str, ports: ConsentServices
) -> ConsentFlow | Confirmation:
    """Store a consent until a person confirms it, unless it was superseded.

    The settings are read after the secrets are written. So if a Reset happens at the same time, either the
    Reset finds these secrets, or the Reset is found here, and the tokens are deleted.
    """
    token = ports.system.random_token()
    unconfirmed = FlowSecret(
        flow.flow_id,
        state_hash=secret.state_hash,
        cookie_hash=secret.cookie_hash,
        consent=consent,
        code_hash=hash_of(code),
        form_hash=hash_of(token),
        expires_at=flow.expires_at,
    )
    waiting = replace(flow, stage=FlowStage.OTHER_ACCOUNT)
    try:
        ports.flows.save(waiting)
        if not ports.flows.replace_secret(unconfirmed):
            raise ConflictError("consent_superseded")
        return _confirmation(waiting, consent, token, ports)
    except ProblemError as error:
        delete_flow_secrets(flow.flow_id, ports)
        delete_consent_tokens(flow.tenant_id, consent, ports)
        return close_flow(waiting, error, ports)


def repeat_confirmation(
    flow: ConsentFlow, secret: FlowSecret, code: str, ports: ConsentServices
) -> Confirmation:
    """Return the page's content again, because the browser reloads it.

    The reload posts Microsoft's callback again.

    Raises:
        InvalidInputError: `consent_reply_invalid`, `consent_link_used`.
        ConflictError: `consent_superseded`.
    """
    if secret.consent is None or not matches_hash(code, secret.code_hash):
        raise InvalidInputError("consent_reply_invalid")
    token = ports.system.random_token()
    if not ports.flows.replace_secret(replace(secret, form_hash=hash_of(token))):
        raise InvalidInputError("consent_link_used")
    return _confirmation(flow, secret.consent, token, ports)


def apply_decision(
    flow: ConsentFlow | None, form: Mapping[str, str], cookies: Sequence[str], ports: ConsentServices
) -> ConsentFlow:
    """Complete or refuse a consent, as the form says; return the flow.

    If the form was posted before, for example by a second click, the flow is returned unchanged.

    Raises:
        NotFoundError: `consent_not_found`.
        InvalidInputError: `consent_form_invalid`, and what `check_cookie` raises.
    """
    if flow is None:
        raise NotFoundError("consent_not_found")
    secret = ports.flows.secret(flow.flow_id)
    if secret is None:
        return flow
    expired = flow.status_at(ports.system.now()) is FlowStatus.EXPIRED
    if not expired:
        check_cookie(cookies, secret.cookie_hash)
    unconfirmed = secret.consent
    decision = form.get("decision")
    is_valid = decision in {CONTINUE, REFUSE} and matches_hash(form.get("token"), secret.form_hash)
    if unconfirmed is None or not is_valid:
        raise InvalidInputError("consent_form_invalid")
    if not ports.flows.consume_secret(secret):
        raise InvalidInputError("consent_form_invalid")
    if expired:
        return _delete_and_close(flow, unconfirmed, ConsentExpiredError(flow.expired_code), ports)
    if decision == REFUSE:
        return _delete_and_close(
            flow,
            unconfirmed,
            ConsentDeclinedError("consent_refused", account=unconfirmed.consented_by),
            ports,
        )
    return complete_flow(flow, replace(unconfirmed, consented_at=ports.system.now()), ports)


def delete_abandoned(ports: MaintenanceServices) -> None:
    """Delete the tokens of consents that nobody confirmed in time.

    A failure for one consent does not stop the others. The secrets are removed first. The person and the
    timer can act at the same time, and only the one that removes the secrets continues. What does not fit in
    the time limit is done in the next run.
    """
    deadline = ports.system.steady() + ABANDONED_TIME_LIMIT
    for secret in ports.flows.unconfirmed(ports.system.now()):
        if ports.system.steady() >= deadline:
            return
        problem = "consent_not_continued"
        try:
            if secret.consent and secret.consent.account:
                # The same table can have consents of another installation, for which this raises an error.
                ports.settings.load(secret.consent.account.tenant_id)
            if ports.flows.consume_secret(secret):
                delete_unconfirmed_tokens(secret, ports)
        except ProblemError as error:
            problem = error.code
        log_event(Event.CONSENT_NOT_COMPLETED, level=logging.WARNING, flow_id=secret.flow_id, problem=problem)


def _delete_and_close(
    flow: ConsentFlow, consent: Consent, error: ProblemError, ports: ConsentServices
) -> ConsentFlow:
    delete_consent_tokens(flow.tenant_id, consent, ports)
    return close_flow(flow, error, ports)


def _confirmation(flow: ConsentFlow, consent: Consent, token: str, ports: ConsentServices) -> Confirmation:
    requested = pending_consent(ports.settings.load(flow.tenant_id), flow.flow_id).requested
    return Confirmation(
        flow.flow_id,
        token,
        requester=flow.admin_name,
        account=consent.consented_by,
        from_address=requested.from_address,
        scopes=consent.scopes,
        expires_at=flow.expires_at,
    )
