"""HTTP operations of a consent: start link, callback, pages, status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode

from shared.api.consent_models import CheckBody, NextPageView, examination_view, flow_view
from shared.api.pages.other_account import other_account_page
from shared.api.pages.result import result_page
from shared.api.pages.start import start_page
from shared.api.request import empty_response, json_response
from shared.consent.callback import CallbackParams, handle_callback
from shared.consent.cookie import NAME, cookie_header, expired_cookie_header
from shared.consent.flow import FLOW_ID, FlowStatus, flow_of_state
from shared.consent.other_account import Confirmation, apply_decision
from shared.consent.services import ConsentServices
from shared.consent.start import open_start_link
from shared.deliveries.release import release_waiting
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, NotFoundError, ProblemError
from shared.problems import public_problem
from shared.schema import parse
from shared.sending.diagnostics import run_checks
from shared.settings.tenant import Authorization
from shared.telemetry import log_failed_step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.api.request import Request, Response
    from shared.caller import Caller
    from shared.consent.flow import ConsentFlow
    from shared.deliveries.ports import DeliveryLog
    from shared.mail_queue import Outbox
    from shared.refusal_counter import RefusalCounter
    from shared.sending.diagnostics import DiagnosticsServices

#: The only problems that the result page explains if no flow is known.
_PUBLIC_CODES = frozenset(
    {
        "application_sender_not_allowed",
        "consent_cookie_ambiguous",
        "consent_cookie_missing",
        "consent_form_invalid",
        "consent_interrupted",
        "consent_link_expired",
        "consent_link_used",
        "consent_not_found",
        "consent_reply_invalid",
        "consent_superseded",
        "consent_unavailable",
        "consent_wrong_browser",
    }
)


class ConsentPorts(ConsentServices, Protocol):
    """The ports of these operations."""

    @property
    def refusals(self) -> RefusalCounter:
        """The counter of refused anonymous calls."""

    @property
    def deliveries(self) -> DeliveryLog:
        """The delivery log, with the mails that wait for a consent."""

    @property
    def outbox(self) -> Outbox:
        """The queue for the mails that a consent releases."""


def show_start(_request: Request, ports: ConsentPorts) -> Response:
    """Show the page that posts the ticket of a start link."""
    return start_page(ports.system.random_token())


def start(request: Request, ports: ConsentPorts) -> Response:
    """Bind the flow to this browser, and return the URL to open next.

    That is a page of Microsoft's, or the result page with a problem.
    """
    ticket = request.form().get("ticket", "")
    try:
        opened = open_start_link(find_flow(request.route["flow_id"], ports), ticket, ports)
    except ProblemError as error:
        ports.refusals.count(request.operation, error.code, request.trace_id)
        return json_response(200, NextPageView(location=_result_address(ports, problem=_public_code(error))))
    cookie = cookie_header(opened.cookie, ports.config.public_base_url)
    return json_response(200, NextPageView(location=opened.address), **{"Set-Cookie": cookie})


def finish(request: Request, ports: ConsentPorts) -> Response:
    """Handle Microsoft's form post after a sign-in."""
    return _finish(request, CallbackParams(Authorization.DELEGATED, request.form()), ports)


def finish_admin_consent(request: Request, ports: ConsentPorts) -> Response:
    """Handle Microsoft's redirect after an admin's consent for the app."""
    return _finish(request, CallbackParams(Authorization.APPLICATION, request.query), ports)


def _finish(request: Request, callback: CallbackParams, ports: ConsentPorts) -> Response:
    """Handle a callback, and redirect with 303.

    After a redirect, reloading the page does not post the callback again. If a person must confirm the
    consent, the page for that is returned without a redirect, because no later request proves as much as this
    one.
    """
    try:
        known = find_flow(flow_of_state(callback.values.get("state", "")), ports)
        handled = handle_callback(known, callback, request.cookies(NAME), ports)
    except ProblemError as error:
        return _refused(request, error, ports)
    if isinstance(handled, Confirmation):
        return other_account_page(handled, ports.config.public_base_url, ports.system.random_token())
    return _ended(known, handled, ports)


def decide(request: Request, ports: ConsentPorts) -> Response:
    """Handle the decision of a person who signed in for another one."""
    try:
        known = find_flow(request.route["flow_id"], ports)
        flow = apply_decision(known, request.form(), request.cookies(NAME), ports)
    except ProblemError as error:
        return _refused(request, error, ports)
    return _ended(known, flow, ports)


def _ended(known: ConsentFlow | None, flow: ConsentFlow, ports: ConsentPorts) -> Response:
    """Redirect to the result; if the consent has just ended, finish it.

    A completed consent releases waiting mail, and the cookie is removed. The cookie of an expired consent is
    kept: it was not compared, so it may belong to another consent.
    """
    if flow == known:
        # This request repeats an earlier one, and does not prove that it comes from the same browser.
        return _to_result(ports, flow=flow.flow_id)
    if flow.status is FlowStatus.COMPLETED:
        _release(flow, ports)
    if flow.status is FlowStatus.EXPIRED:
        return _to_result(ports, flow=flow.flow_id)
    removed = {"Set-Cookie": expired_cookie_header(ports.config.public_base_url)}
    return _to_result(ports, removed, flow=flow.flow_id)


def _refused(request: Request, error: ProblemError, ports: ConsentPorts) -> Response:
    ports.refusals.count(request.operation, error.code, request.trace_id)
    return _to_result(ports, problem=_public_code(error))


def result(request: Request, ports: ConsentPorts) -> Response:
    """Show the result without details, because anybody can open the page."""
    nonce = ports.system.random_token()
    flow = find_flow(request.query.get("flow", ""), ports)
    if flow is None:
        code = request.query.get("problem", "")
        if code not in _PUBLIC_CODES:
            code = "consent_not_found"
        return result_page(None, public_problem(code), nonce)
    flow = flow.resolved_with(ports.settings.load(flow.tenant_id), ports.system.now())
    problem = public_problem(flow.problem.code) if flow.problem else None
    return result_page(flow, problem, nonce)


def read_flow(request: Request, caller: Caller, ports: ConsentPorts) -> Response:
    """Return the state of a consent to the settings page.

    Raises:
        NotFoundError: `consent_not_found`, also for one of another tenant.
    """
    settings = ports.settings.load(caller.tenant_id)
    flow = find_flow(request.route["flow_id"], ports)
    if flow is None or flow.tenant_id != caller.tenant_id:
        raise NotFoundError("consent_not_found")
    return json_response(200, flow_view(flow.resolved_with(settings, ports.system.now())))


def check(request: Request, caller: Caller, ports: DiagnosticsServices) -> Response:
    """Run the diagnostics; the request body is optional."""
    body = parse(CheckBody, request.body or b"{}", "invalid_request")
    to = caller.name if body.send_test_mail else None
    return json_response(200, examination_view(run_checks(caller.tenant_id, to, ports), ports.system.now()))


def find_flow(flow_id: str, ports: ConsentPorts) -> ConsentFlow | None:
    """Return a flow by its id, in upper or lower case, or None.

    The flow of a tenant that is not served any more is not found either.
    """
    stored_id = flow_id.lower()
    if not FLOW_ID.fullmatch(stored_id):
        return None
    flow = ports.flows.flow(stored_id)
    if flow is None or flow.tenant_id not in ports.config.allowed_tenant_ids:
        return None
    return flow


def _public_code(error: ProblemError) -> str:
    """Return the problem code that the consent window explains.

    A problem that the operator must solve is only in the log.
    """
    if error.code in _PUBLIC_CODES:
        return error.code
    return "consent_unavailable" if isinstance(error, ConfigurationError) else "consent_interrupted"


def _to_result(ports: ConsentPorts, headers: Mapping[str, str] | None = None, **query: str) -> Response:
    return empty_response(303, Location=_result_address(ports, **query), **(headers or {}))


def _result_address(ports: ConsentPorts, **query: str) -> str:
    return f"{ports.config.public_base_url}/api/consent/result?{urlencode(query)}"


def _release(flow: ConsentFlow, ports: ConsentPorts) -> None:
    """Release waiting mail now; if that fails, the timer does it."""
    try:
        release_waiting(flow.tenant_id, DeliveryStatus.WAITING_FOR_CONSENT, ports)
        # The first mails show whether the new consent or address works; the others follow them.
        release_waiting(flow.tenant_id, DeliveryStatus.WAITING_FOR_MICROSOFT365, ports, most=1)
    except ProblemError as error:
        log_failed_step("release", error.code, flow_id=flow.flow_id)
