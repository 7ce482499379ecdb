"""docs/delivery.md: every member of a delivery, from the API model.

`python -m tests.delivery_document` writes it; a test compares.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.api.delivery_models import DeliveryView, delivery_view
from shared.deliveries.delivery import Delivery
from shared.deliveries.forecast import NO_FORECAST, Forecast
from shared.deliveries.recipient_summary import RecipientSummary
from shared.deliveries.status import FINAL, DeliveryStatus
from shared.problems import FieldError, catalogue
from shared.settings.tenant import ActiveProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = Path(__file__).parent.parent / "docs" / "delivery.md"
QUEUED = datetime(2026, 11, 23, 6, 0, 2, tzinfo=UTC)
LATER = QUEUED + timedelta(seconds=3)
_HEAD = """\
# The delivery of a mail

The response of `GET /api/deliveries/{messageId}` and, without `errors`, `history` and `outcome`, each
entry of `GET /api/deliveries`. The list is `{"deliveries": […], "continuationToken": …}`; its
parameters are `status`, `since`, `until`, `limit` (50; up to 200) and `continuationToken`. Times are
ISO 8601 in UTC. A delivery never contains a mail's subject, text or recipients, except an address that
Exchange refused. `code` of a problem is one of [errors.md](errors.md); what to do about each status is
in [scheduler.md](scheduler.md#delivery-statuses). `python -m tests.delivery_document` generates this
page from the model of the API.
"""
#: The problem that a mail in this status typically has, with the parameters of its detail.
_PROBLEMS: dict[DeliveryStatus, tuple[str, dict[str, str]]] = {
    DeliveryStatus.DEFERRED: ("mailbox_paused", {"address": "reports@contoso.com"}),
    DeliveryStatus.WAITING_FOR_CONSENT: ("not_configured", {}),
    DeliveryStatus.WAITING_FOR_OPERATOR: ("tenant_not_served", {}),
    DeliveryStatus.WAITING_FOR_MICROSOFT365: ("mailbox_full", {"address": "reports@contoso.com"}),
    DeliveryStatus.REJECTED: ("attachment_not_found", {"blob": "2026/11/23/sales.pdf"}),
    DeliveryStatus.INVALID: ("invalid_message", {}),
    DeliveryStatus.UNKNOWN: ("outcome_unknown", {"address": "reports@contoso.com"}),
    DeliveryStatus.EXPIRED: ("expired", {"moment": "2026-11-24T06:00:00Z"}),
}
_CHANGES: dict[DeliveryStatus, dict[str, Any]] = {
    DeliveryStatus.DEFERRED: {"next_attempt_at": LATER + timedelta(seconds=224), "attempt": 2},
    DeliveryStatus.INVALID: {
        "fields": (FieldError("subject", "is missing"),),
        "from_address": None,
        "recipients": RecipientSummary(),
    },
}

_FORECASTS = {DeliveryStatus.DEFERRED: Forecast(LATER + timedelta(seconds=224), 112)}


def example(status: DeliveryStatus) -> Delivery:
    """Build a delivery that reached a status in the usual way."""
    mail = Delivery(
        tenant_id="6f1c0000-0000-4000-8000-00000000c0de",
        message_id="sales-weekly:2026-11-23T06:00Z:emea",
        status=DeliveryStatus.SENDING,
        queued_at=QUEUED,
        updated_at=QUEUED,
        trying_since=QUEUED,
        recipients=RecipientSummary(to=2, domains=("contoso.com",)),
        from_address="reports@contoso.com",
        correlation_id="run 4711",
        outcome_queue="mail-outcomes",
    ).transition(DeliveryStatus.SENDING, QUEUED)
    if status is DeliveryStatus.SENDING:
        return mail
    found = _PROBLEMS.get(status)
    problem = ActiveProblem(found[0], LATER, found[1]) if found else None
    accepted = status is DeliveryStatus.ACCEPTED
    request_id = "0b1ec700-0000-4000-8000-000000000001" if accepted else None
    if status is DeliveryStatus.INVALID:
        # The app never began to send it.
        mail = replace(mail, history=())
    ended = mail.transition(status, LATER, problem=problem, request_id=request_id, **_CHANGES.get(status, {}))
    return replace(ended, unreported_outcomes=())


def document() -> str:
    """Write the document."""
    schema = DeliveryView.model_json_schema(by_alias=True, mode="serialization")
    parts = [_HEAD, "## Members\n", *_table(schema), ""]
    for name, title in _TITLES.items():
        shape = schema["$defs"][name]
        parts += [f"\n### {title}\n", *_table(shape), ""]
    parts.append("\n## An example of each status\n")
    for status in DeliveryStatus:
        forecast = _FORECASTS.get(status, NO_FORECAST)
        shown = delivery_view(example(status), forecast).model_dump(mode="json", by_alias=True)
        final = "final" if status in FINAL else "not final"
        parts += [f"### {status} ({final})\n", "```json", json.dumps(shown, indent=2), "```\n"]
    return "\n".join(parts).rstrip() + "\n"


_TITLES = {
    "AudienceView": "recipients",
    "FieldView": "One of errors",
    "StepView": "One of history",
    "OutcomeView": "outcome",
    "ProblemView": "problem",
    "StandingProblemView": "conflict, and one of warnings",
}


def _table(shape: dict[str, Any]) -> Iterator[str]:
    yield "| member | type | |"
    yield "| --- | --- | --- |"
    for name, member in shape["properties"].items():
        told = member.get("description") or _PROBLEM_MEMBERS[name]
        yield f"| `{name}` | {_type(member)} | {told} |"


#: Members of a problem (RFC 9457).
_PROBLEM_MEMBERS = {
    "type": "A URI that names the kind of problem (RFC 9457).",
    "title": "The problem in a few words.",
    "detail": "What happened, and what to do.",
    "code": "The stable code, one of errors.md.",
    "whoActs": "Who must act to resolve it.",
    "since": "Time since when the problem exists.",
    "correlationId": "Microsoft's id of the failed call, for Microsoft support.",
}


def _type(member: dict[str, Any]) -> str:
    """Name a member's type, as JSON has it."""
    if "anyOf" in member:
        return " or ".join(_type(each) for each in member["anyOf"])
    if "$ref" in member:
        name = member["$ref"].rpartition("/")[2]
        return {"DeliveryStatus": "status", "Actor": "actor"}.get(name, "object")
    if member.get("type") == "array":
        return f"list of {_type(member['items'])}"
    return {"date-time": "time"}.get(member.get("format", ""), str(member["type"]))


def unknown_codes() -> set[str]:
    """Return the codes of examples that the app does not have."""
    return {code for code, _ in _PROBLEMS.values()} - catalogue().keys()


if __name__ == "__main__":
    DOCUMENT.write_text(document(), "utf-8")
