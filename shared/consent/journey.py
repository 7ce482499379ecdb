"""The consent over HTTP: the start link, Microsoft's answer, the page at the end, the status."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from shared.consent.agreement import Answer
from shared.consent.arrival import arrive
from shared.consent.contract import CheckBody, examination_view, flow_view
from shared.consent.departure import depart
from shared.consent.doctor import examine
from shared.consent.flow import FLOW_ID, FlowStatus, flow_of_state
from shared.consent.result_page import result_page
from shared.contract import parse
from shared.deliveries.delivery import DeliveryStatus
from shared.deliveries.waiting import release_waiting
from shared.errors import NotFoundError, ProblemError
from shared.problems import outline
from shared.settings.tenant import Authorization
from shared.telemetry import Event, log_event
from shared.web.exchange import empty_reply, json_reply

if TYPE_CHECKING:
    from shared.consent.dependencies import Consenting, Examining
    from shared.consent.flow import ConsentFlow
    from shared.web.caller import Caller
    from shared.web.exchange import Reply, Request

#: Browsers refuse the prefix without Secure and with a Domain (RFC 6265bis section 4.1.3.2).
COOKIE = "__Host-consent"

#: The problems that the result page explains where no flow is known; anything else is not repeated.
_SHOWN = frozenset(
    {
        "consent_expired",
        "consent_interrupted",
        "consent_link_used",
        "consent_not_found",
        "consent_reply_invalid",
        "consent_superseded",
        "consent_wrong_browser",
    }
)


def start(request: Request, ports: Consenting) -> Reply:
    """Bind the flow to this browser and lead it to Microsoft."""
    try:
        departure = depart(find_flow(request.route["flow_id"], ports), request.query.get("ticket", ""), ports)
    except ProblemError as error:
        log_event(Event.REQUEST_FAILED, path=request.path, problem=error.code, trace_id=request.trace_id)
        return _to_result(ports, problem=_told(error))
    # Microsoft answers by a POST from its own site, on which only SameSite=None travels.
    cookie = f"{COOKIE}={departure.cookie}; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=600"
    headers = {"Location": departure.address, "Set-Cookie": cookie, "Referrer-Policy": "no-referrer"}
    return empty_reply(302, **headers)


def finish(request: Request, ports: Consenting) -> Reply:
    """Take Microsoft's answer to a sign-in, which a form posts."""
    return _finish(request, Answer(Authorization.DELEGATED, request.form()), ports)


def finish_admin_consent(request: Request, ports: Consenting) -> Reply:
    """Take Microsoft's answer to an admin's consent for the app itself, which comes in the address."""
    return _finish(request, Answer(Authorization.APPLICATION, request.query), ports)


def _finish(request: Request, answer: Answer, ports: Consenting) -> Reply:
    """Answer 303, so that a reload asks for the page and not for the answer again."""
    try:
        known = find_flow(flow_of_state(answer.reply.get("state", "")), ports)
        flow = arrive(known, answer, request.cookie(COOKIE), ports)
    except ProblemError as error:
        log_event(Event.REQUEST_FAILED, path=request.path, problem=error.code, trace_id=request.trace_id)
        return _to_result(ports, problem=_told(error))
    if flow.status is FlowStatus.COMPLETED and flow != known:
        # Not for an answer that came before: whoever repeats it proves nothing.
        _release(flow, ports)
    return _to_result(ports, flow=flow.flow_id)


def result(request: Request, ports: Consenting) -> Reply:
    """Tell whoever is in the consent window how it ended, and no fact: nobody is asked who they are."""
    nonce = ports.world.secret()
    flow = find_flow(request.query.get("flow", ""), ports)
    if flow is None:
        code = request.query.get("problem", "")
        return result_page(
            FlowStatus.FAILED, outline(code if code in _SHOWN else "consent_not_found"), "", nonce
        )
    flow = flow.under(ports.settings.load(flow.tenant_id), ports.world.now())
    problem = outline(flow.problem.code) if flow.problem else None
    return result_page(flow.status, problem, flow.flow_id, nonce)


def read_flow(request: Request, caller: Caller, ports: Consenting) -> Reply:
    """Tell the settings page how a consent stands."""
    settings = ports.settings.load(caller.tenant_id)
    flow = find_flow(request.route["flow_id"], ports)
    if flow is None or flow.tenant_id != caller.tenant_id:
        raise NotFoundError("consent_not_found")
    return json_reply(200, flow_view(flow.under(settings, ports.world.now())))


def check(request: Request, caller: Caller, ports: Examining) -> Reply:
    """Have the doctor look; the body may be left out."""
    body = parse(CheckBody, request.body or b"{}", "invalid_request")
    to = caller.name if body.send_test_mail else None
    return json_reply(200, examination_view(examine(caller.tenant_id, to, ports), ports.world.now()))


def find_flow(flow_id: str, ports: Consenting) -> ConsentFlow | None:
    """Return a flow by what a browser calls it, or None."""
    return ports.flows.flow(flow_id) if FLOW_ID.fullmatch(flow_id) else None


def _told(error: ProblemError) -> str:
    """Return the code to explain in the window; what only the operator understands is in the log."""
    return error.code if error.code in _SHOWN else "consent_interrupted"


def _to_result(ports: Consenting, **query: str) -> Reply:
    address = f"{ports.config.public_base_url}/api/consent/result?{urlencode(query)}"
    return empty_reply(303, Location=address)


def _release(flow: ConsentFlow, ports: Consenting) -> None:
    """Let waiting mail go at once; should that fail, the timer does it."""
    try:
        release_waiting(flow.tenant_id, DeliveryStatus.WAITING_FOR_CONSENT, ports)
    except ProblemError as error:
        log_event(Event.REQUEST_FAILED, path="release", problem=error.code, flow_id=flow.flow_id)
