"""Every state of both pages, with the API responses that produce it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from playwright.sync_api import Page, Route

from shared.api.backlog_view import BacklogView
from shared.api.consent_models import examination_view, flow_view
from shared.api.delivery_models import DeliveryListView, summary
from shared.api.pages.error import error_page
from shared.api.pages.other_account import other_account_page
from shared.api.pages.result import result_page
from shared.api.pages.start import start_page
from shared.api.problem_details import UnforeseenError, problem_response
from shared.api.settings_page_state import view
from shared.consent.flow import ConsentFlow, FlowStage, FlowStatus
from shared.consent.other_account import Confirmation
from shared.deliveries.delivery import Delivery
from shared.deliveries.forecast import NO_FORECAST, Forecast
from shared.deliveries.recipient_summary import RecipientSummary
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConfigurationError, ProblemError, TransientError
from shared.problems import public_problem
from shared.sending.diagnostics import Check, CheckName, Outcome
from shared.settings.sending_switch import SendingPause
from shared.settings.tenant import (
    ActiveProblem,
    Authorization,
    PendingConsent,
    RequestedSender,
    Status,
    TenantSettings,
)
from tests.builders import a_consent, some_settings
from tests.fakes import CONTOSO, NOON
from tests.local_stack.stack import LocalStack

NONCE = "the-nonce"
LATER = NOON + timedelta(days=365)
REFUSED = ActiveProblem(
    "send_as_denied", NOON, {"account": "ada@contoso.com", "address": "board@contoso.com"}, "correlation-2"
)
LOST = ActiveProblem("consent_lost", NOON, {"account": "ada@contoso.com", "error": "x"}, "correlation-1")
FLOW = ConsentFlow("flow-1", CONTOSO, "ada-id", "ada@contoso.com", LATER)
SECTIONS = ("opening", "incomplete", "no-cookies", "failed")


def consent_pages() -> dict[str, str]:
    """Write the pages of the consent window, by the name of their state."""
    pages: dict[str, str] = {}
    for status in FlowStatus:
        stages = list(FlowStage) if status is FlowStatus.PENDING else [FlowStage.AT_MICROSOFT]
        for stage in stages:
            flow = replace(FLOW, status=status, stage=stage)
            pages[f"{status}, {stage}"] = result_page(flow, None, NONCE).body.decode()
    for code in ("consent_declined", "consent_lost", "consent_cookie_missing"):
        pages[f"ended with {code}"] = result_page(None, public_problem(code), NONCE).body.decode()
    confirmation = Confirmation(
        flow_id="flow-1",
        token="token",
        requester="ada@contoso.com",
        account="reports@contoso.com",
        from_address="finance@contoso.com",
        scopes=frozenset({"Mail.Send", "Mail.ReadWrite", "Mail.Send.Shared"}),
        expires_at=LATER,
    )
    pages["another account"] = other_account_page(confirmation, "https://app", NONCE).body.decode()
    for error in (
        UnforeseenError(),
        TransientError("storage_unavailable", service="tables"),
    ):
        pages[f"error {error.code}"] = error_page(error, "trace-1", NONCE).body.decode()
    start = start_page(NONCE).body.decode()
    for section in SECTIONS:
        pages[f"start, {section}"] = start.replace("else open();", f'else show("{section}");')
    return pages


@dataclass(frozen=True)
class SettingsState:
    """An API response for the settings page, and the actions of a person."""

    settings: TenantSettings
    pause: SendingPause | None = None
    deliveries: tuple[Delivery, ...] = ()
    problems: dict[str, ProblemError] = field(default_factory=dict)
    stage: FlowStage = FlowStage.LINK_NOT_OPENED
    then: Callable[[Page], None] | None = None
    application: bool = False
    forecasts: dict[str, Forecast] = field(default_factory=dict)
    backlog: BacklogView | None = None


def settings_states() -> dict[str, SettingsState]:
    """List the states of the settings page by name."""
    empty, enabled = TenantSettings(CONTOSO), some_settings()
    large = RequestedSender("ada@contoso.com", large_file_attachments=True)
    pending = replace(empty, pending=PendingConsent("flow-1", 1, large, LATER))
    by_app = replace(
        some_settings(sender=RequestedSender("reports@contoso.com", authorization=Authorization.APPLICATION)),
        consent=a_consent(account=None),
    )
    found = {
        "not configured": SettingsState(empty),
        "not configured, application offered": SettingsState(empty, application=True, then=_more),
        "a wrong address": SettingsState(empty, then=_wrong_address),
        "enabled": SettingsState(enabled),
        "enabled with large files": SettingsState(some_settings(sender=large)),
        "an address that is not saved": SettingsState(enabled, then=_other_address),
        "the app's own permission": SettingsState(by_app, application=True, then=_more),
        "reconnect needed": SettingsState(some_settings(status=Status.RECONNECT_NEEDED, problem=LOST)),
        "operator error": SettingsState(some_settings(status=Status.OPERATOR_ERROR, problem=LOST)),
        "sender refused": SettingsState(some_settings(status=Status.SENDER_REFUSED, problem=REFUSED)),
        "paused": SettingsState(enabled, pause=SendingPause(NOON, "maintenance")),
        "deliveries": SettingsState(enabled, deliveries=tuple(_deliveries())),
        "mails that wait for the rate limit": WAITING,
        "asked which mails to retry": SettingsState(
            enabled, then=lambda page: page.get_by_role("button", name="Retry many").click()
        ),
        "checks": SettingsState(
            enabled, then=lambda page: page.get_by_role("button", name="Check now").click()
        ),
        "asked to reset": SettingsState(enabled, then=lambda page: page.locator("#reset").click()),
        "asked for a test mail": SettingsState(enabled, then=_wrong_recipient),
        "refused": SettingsState(
            enabled, problems={"/smtp": ConfigurationError("storage_denied", service="tables")}
        ),
        "an action refused": SettingsState(
            enabled,
            problems={"/check": TransientError("storage_unavailable", service="tables")},
            then=lambda page: page.get_by_role("button", name="Check now").click(),
        ),
    }
    for stage in FlowStage:
        found[f"pending, {stage}"] = SettingsState(pending, stage=stage)
    return found


def _deliveries() -> Iterator[Delivery]:
    for status in DeliveryStatus:
        yield Delivery(
            tenant_id=CONTOSO,
            message_id=f"sales:{status}",
            status=status,
            queued_at=NOON,
            updated_at=NOON,
            trying_since=NOON,
            recipients=RecipientSummary(to=2, cc=1, bcc=0, domains=("contoso.com",)),
            from_address="ada@contoso.com",
            attempt=2,
            next_attempt_at=LATER if status is DeliveryStatus.DEFERRED else None,
            problem=None if status is DeliveryStatus.ACCEPTED else LOST,
            conflict_at=NOON if status is DeliveryStatus.ACCEPTED else None,
            warnings=(LOST,) if status is DeliveryStatus.ACCEPTED else (),
        )


WAITING = SettingsState(
    some_settings(),
    deliveries=tuple(
        Delivery(
            tenant_id=CONTOSO,
            message_id=f"sales:{name}",
            status=DeliveryStatus.DEFERRED,
            queued_at=NOON,
            updated_at=NOON,
            trying_since=NOON,
            from_address="ada@contoso.com",
            next_attempt_at=NOON + timedelta(minutes=10),
            problem=ActiveProblem("mailbox_paused", NOON, {"address": "ada@contoso.com"}),
        )
        for name in ("next", "second", "last", "late", "too-late", "unknown")
    ),
    forecasts={
        "sales:next": Forecast(NOON + timedelta(minutes=1), 0),
        "sales:second": Forecast(NOON + timedelta(minutes=2), 1),
        "sales:last": Forecast(NOON + timedelta(minutes=4), 112),
        "sales:late": Forecast(NOON + timedelta(hours=20), 900, NOON + timedelta(minutes=30)),
        "sales:too-late": Forecast(ends_before=NOON + timedelta(minutes=30)),
    },
    backlog=BacklogView(mails=1200, empty_at=NOON + timedelta(minutes=40)),
)


def _more(page: Page) -> None:
    page.get_by_text("More options").click()


def _wrong_address(page: Page) -> None:
    page.get_by_label("From Email Address").fill("reports@")
    page.get_by_label("From Email Address").press("Enter")


def _other_address(page: Page) -> None:
    page.get_by_label("From Email Address").fill("finance@contoso.com")
    page.get_by_label("Enable large file attachments").check()


def _wrong_recipient(page: Page) -> None:
    page.get_by_role("button", name="Send test mail").click()
    page.locator("#test-to").fill("nobody")
    page.get_by_role("button", name="Send", exact=True).click()


def open_state(page: Page, state: SettingsState, stack: LocalStack) -> None:
    """Open the settings page over an API that returns a state."""
    page.route(f"{stack.api_url}/api/**", lambda route: _respond(route, state))
    page.goto(f"{stack.frontend_origin}/settings")
    page.wait_for_selector("body[data-ready]")
    if state.stage is not FlowStage.LINK_NOT_OPENED:
        # The page asks for the stage once a second.
        page.wait_for_function(
            "text => !document.getElementById('pending-stage').textContent.includes(text)",
            arg="Sign in to Microsoft",
        )
    if state.then:
        state.then(page)


def _respond(route: Route, state: SettingsState) -> None:
    path = route.request.url.partition("/api")[2].partition("?")[0]
    headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/json"}
    for ending, error in state.problems.items():
        if path.endswith(ending):
            reply = problem_response(error, "trace-1")
            route.fulfill(status=reply.status, body=reply.body, headers={**headers, **reply.headers})
            return
    route.fulfill(status=200, body=_body(path, state), headers=headers)


def _body(path: str, state: SettingsState) -> str:
    found: Any
    if path.endswith("/check"):
        checks = [
            Check(name, outcome, "What was seen.", None if outcome is Outcome.OK else LOST.problem)
            for name, outcome in zip(CheckName, [*Outcome, Outcome.OK], strict=False)
        ]
        found = examination_view(checks, NOON)
    elif path.startswith("/consent/"):
        found = flow_view(replace(FLOW, stage=state.stage))
    elif path.startswith("/deliveries"):
        found = DeliveryListView(
            deliveries=tuple(
                summary(each, state.forecasts.get(each.message_id, NO_FORECAST)) for each in state.deliveries
            ),
            continuation_token=None,
        )
    else:
        offered = state.application
        found = view(
            state.settings, 3, state.pause, NOON, application_available=offered, backlog=state.backlog
        )
    text: str = found.model_dump_json(by_alias=True)
    return json.dumps(json.loads(text))
