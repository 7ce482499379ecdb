"""Hold a consent that an account other than the admin's gave.

A person who opens the start link may consent for a From address and a requester that no page of Microsoft's
shows. So the tokens are stored in the vault under the flow's version, which no settings name, until the
person who signed in has read the app's own page and pressed Continue. The form needs the browser's cookie and
a token that only the response to that browser contains, so neither a planted cookie nor a known `state`
completes it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.consent.completion import close, complete
from shared.consent.cookie import check_cookie
from shared.consent.errors import ConsentDeclinedError, ConsentExpiredError
from shared.consent.flow import ConsentFlow, FlowSecret, FlowStage, FlowStatus, hash_of, matches
from shared.consent.revoke import delete_consent_tokens, delete_flow_secrets, delete_unconfirmed_tokens
from shared.errors import ConflictError, InvalidInputError, NotFoundError, ProblemError
from shared.settings.state import pending_consent
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.consent.services import ConsentServices, MaintenanceServices
    from shared.settings.tenant import Consent

#: A vault that hangs takes half a minute per consent; the timer runs every five minutes.
ABANDONED_TIME_LIMIT = timedelta(minutes=4)
CONTINUE = "continue"
REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What to show the person, and the form's token, which works once."""

    flow_id: str
    token: str = field(repr=False)
    requester: str
    account: str
    from_address: str
    scopes: frozenset[str]
    expires_at: datetime


def hold(
    flow: ConsentFlow, secret: FlowSecret, consent: Consent, code: str, ports: ConsentServices
) -> ConsentFlow | Confirmation:
    """Wait for the person's decision, unless the flow was superseded.

    The settings are read after the secrets are written: if a Reset comes between, one of the two finds the
    tokens and deletes them.
    """
    token = ports.system.random_token()
    held = FlowSecret(
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
        if not ports.flows.replace_secret(held):
            raise ConflictError("consent_superseded")
        return _confirmation(waiting, consent, token, ports)
    except ProblemError as error:
        delete_flow_secrets(flow.flow_id, ports)
        delete_consent_tokens(flow.tenant_id, consent, ports)
        return close(waiting, error, ports)


def show_again(flow: ConsentFlow, secret: FlowSecret, code: str, ports: ConsentServices) -> Confirmation:
    """Show the page again to a browser that reloads it.

    The reload posts Microsoft's callback again.

    Raises:
        InvalidInputError: `consent_reply_invalid`, `consent_link_used`.
        ConflictError: `consent_superseded`.
    """
    if secret.consent is None or not matches(code, secret.code_hash):
        raise InvalidInputError("consent_reply_invalid")
    token = ports.system.random_token()
    if not ports.flows.replace_secret(replace(secret, form_hash=hash_of(token))):
        raise InvalidInputError("consent_link_used")
    return _confirmation(flow, secret.consent, token, ports)


def decide(
    flow: ConsentFlow | None, form: Mapping[str, str], cookies: Sequence[str], ports: ConsentServices
) -> ConsentFlow:
    """Complete or end a held consent as the form says; return the flow.

    For a form that was posted before, such as by a second click, the flow is returned unchanged.

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
    held, decision = secret.consent, form.get("decision")
    if held is None or decision not in {CONTINUE, REFUSE} or not matches(form.get("token"), secret.form_hash):
        raise InvalidInputError("consent_form_invalid")
    if not ports.flows.consume_secret(secret):
        raise InvalidInputError("consent_form_invalid")
    if expired:
        return _give_up(flow, held, ConsentExpiredError(flow.expired_code), ports)
    if decision == REFUSE:
        return _give_up(flow, held, ConsentDeclinedError("consent_refused", account=held.consented_by), ports)
    return complete(flow, replace(held, consented_at=ports.system.now()), ports)


def delete_abandoned(ports: MaintenanceServices) -> None:
    """Delete the tokens of consents without a decision in time.

    A failure for one does not stop the others.

    The secrets are removed first: only the one who removes them, the person or the timer, decides. What does
    not fit in the time limit is done in the next run.
    """
    deadline = ports.system.steady() + ABANDONED_TIME_LIMIT
    for secret in ports.flows.unconfirmed(ports.system.now()):
        if ports.system.steady() >= deadline:
            return
        problem = "consent_not_continued"
        try:
            if secret.consent and secret.consent.account:
                # Another installation's consents can be in the same table.
                ports.settings.load(secret.consent.account.tenant_id)
            if ports.flows.consume_secret(secret):
                delete_unconfirmed_tokens(secret, ports)
        except ProblemError as error:
            problem = error.code
        log_event(Event.CONSENT_NOT_COMPLETED, level=logging.WARNING, flow_id=secret.flow_id, problem=problem)


def _give_up(flow: ConsentFlow, consent: Consent, error: ProblemError, ports: ConsentServices) -> ConsentFlow:
    delete_consent_tokens(flow.tenant_id, consent, ports)
    return close(flow, error, ports)


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
