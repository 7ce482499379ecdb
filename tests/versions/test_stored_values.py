"""Every released version's stored values are read and preserved.

`stored/<version>.json` holds examples of each release. At the next release the examples of that version are
added; a file that is here is never changed. `with_added_members` puts members into them that no version
knows, as a newer one will.
"""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import pytest

from shared.adapters.serialization import read_document, write_document
from shared.api.delivery_models import delivery_view, summary
from shared.api.settings_page_state import view
from shared.consent.flow import ConsentFlow, FlowSecret
from shared.deliveries.delivery import Delivery
from shared.deliveries.recipient_summary import RecipientSummary
from shared.deliveries.requeue import parse_requeue_message
from shared.deliveries.status import DeliveryStatus
from shared.deliveries.uncertain_send import UncertainSend
from shared.forward_compatible import Stored
from shared.mail.message import parse_mail_request
from shared.sending.draft_state import DraftState
from shared.sending.unrecorded import parse_unrecorded
from shared.settings.operator_log import OperatorAction
from shared.settings.tenant import Status, TenantSettings
from shared.version import VERSION
from tests.fakes import CONTOSO, NOON, FakeServices

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = sorted((Path(__file__).parent / "stored").glob("*.json"))
STORED = {path.stem: json.loads(path.read_text("utf-8")) for path in FILES}
ROWS: dict[str, type[Any]] = {
    "settings": TenantSettings,
    "deliveries": Delivery,
    "flows": ConsentFlow,
    "flow_secrets": FlowSecret,
    "operator_actions": OperatorAction,
}


def examples(kind: str) -> list[Any]:
    return [
        pytest.param(example, id=f"{version}-{name}")
        for version, kinds in STORED.items()
        for name, example in kinds[kind].items()
    ]


def as_stored(document: Any) -> Any:
    return document


def with_added_members(document: Any) -> Any:
    """Add a member to every object, however deep."""
    if isinstance(document, list):
        return [with_added_members(each) for each in document]
    if not isinstance(document, dict):
        return document
    return {**{name: with_added_members(each) for name, each in document.items()}, "inventedLater": "new"}


by_version = pytest.mark.parametrize("change", [as_stored, with_added_members])
every_row = pytest.mark.parametrize(
    ("kind", "example"),
    [pytest.param(kind, *case.values, id=f"{kind}-{case.id}") for kind in ROWS for case in examples(kind)],
)


def comparable(document: Any) -> Any:
    """Sort lists, because a set has no stable order."""
    if isinstance(document, dict):
        return {name: comparable(each) for name, each in document.items()}
    return sorted(document, key=repr) if isinstance(document, list) else document


def test_the_present_version_has_examples() -> None:
    assert VERSION in STORED


@by_version
@every_row
def test_a_row_is_read_and_written_again_as_it_was(
    kind: str, example: Any, change: Callable[[Any], Any]
) -> None:
    document = change(example)
    if "counts" in document:
        # How much of what: whatever stands in it is a number.
        document["counts"].pop("inventedLater", None)
    found = read_document(ROWS[kind], json.dumps(document))

    assert found is not None
    assert comparable(json.loads(write_document(found))) == comparable(document)


def test_a_field_with_another_stored_name_is_read_and_written_by_it() -> None:
    parts = {"doubt": {"since": "2026-11-23T12:00:00Z", "generation": 3}, "audience": {"to": 2}}
    found = read_document(Delivery, json.dumps(STORED["0.1.0"]["deliveries"]["accepted"] | parts))

    assert found is not None
    assert found.uncertain_send == UncertainSend(NOON, consent_version=3)
    assert found.recipients == RecipientSummary(to=2)
    assert json.loads(write_document(found)).items() >= parts.items()


def test_settings_and_flows_are_read_by_their_stored_names() -> None:
    examples_of = STORED["0.1.0"]
    settings = read_document(
        TenantSettings, json.dumps(examples_of["settings"]["enabled"] | {"generations": 7})
    )
    flow = read_document(ConsentFlow, json.dumps(examples_of["flows"]["at_microsoft"] | {"ask_again": True}))
    secret = read_document(FlowSecret, json.dumps(examples_of["flow_secrets"]["bound"]))

    assert settings is not None
    assert settings.consent is not None
    assert (settings.last_version, settings.consent.version) == (7, 1)
    assert flow is not None
    assert flow.force_consent
    assert secret is not None
    assert secret.auth_flow["code_verifier"] == "v"


@by_version
@pytest.mark.parametrize("example", examples("deliveries"))
def test_a_delivery_is_shown(example: Any, change: Callable[[Any], Any]) -> None:
    found = read_document(Delivery, json.dumps(change(example)))

    assert found is not None
    assert found.status is not DeliveryStatus.OTHER_VERSION
    assert delivery_view(found).model_dump_json()


@by_version
@pytest.mark.parametrize("example", examples("settings"))
def test_the_settings_are_shown(example: Any, change: Callable[[Any], Any]) -> None:
    found = read_document(TenantSettings, json.dumps(change(example)))

    assert found is not None
    assert found.status is not Status.OTHER_VERSION
    assert view(found, 0, None, NOON, application_available=True).model_dump_json()


@pytest.mark.parametrize("example", examples("requests"))
def test_a_stored_request_is_read(example: Any) -> None:
    assert parse_mail_request(json.dumps(example).encode()).message_id == example["messageId"]


@by_version
@pytest.mark.parametrize("example", examples("notes"))
def test_a_note_in_the_queue_is_read(example: Any, change: Callable[[Any], Any]) -> None:
    found = parse_requeue_message(json.dumps(change(example), separators=(",", ":")).encode())

    assert found is not None
    assert found.message_id == example["resume"]["messageId"]


@by_version
@pytest.mark.parametrize("example", examples("drafts"))
def test_a_note_on_a_draft_is_read_and_written_again_as_it_was(
    example: Any, change: Callable[[Any], Any]
) -> None:
    services = FakeServices()
    document = change(example)
    services.drafts.save(CONTOSO, "m-1", json.dumps(document).encode())
    draft_state = DraftState(CONTOSO, "m-1", services)
    found = draft_state.load()
    assert found is not None
    draft_state.save(found)

    assert found.content_hash == example["stamp"]
    assert json.loads(services.drafts.kept[CONTOSO, "m-1"]) == document


@pytest.mark.parametrize("example", examples("deliveries"))
def test_an_unknown_status_is_shown_as_such_and_preserved(example: Any) -> None:
    document = example | {"status": "embargoed", "history": [{"at": "2026-11-23T12:00:00Z", "status": "new"}]}
    found = read_document(Delivery, json.dumps(document))

    assert found is not None
    shown = delivery_view(found)
    assert (shown.status, shown.final) == (DeliveryStatus.OTHER_VERSION, False)
    assert shown.history[0].status is DeliveryStatus.OTHER_VERSION
    assert shown.problem is not None
    again = json.loads(write_document(found))
    assert (again["status"], again["history"]) == ("embargoed", document["history"])


@pytest.mark.parametrize("facts", [{}, {"quota": "9"}, {"code": "x", "request_id": "y", "self": "z"}])
def test_an_unknown_problem_has_a_general_text_and_keeps_its_code(facts: dict[str, str]) -> None:
    problem = {"code": "sender_embargoed", "since": "2026-11-23T12:00:00Z", "facts": facts}
    document = STORED["0.1.0"]["deliveries"]["rejected"] | {"problem": problem}
    found = read_document(Delivery, json.dumps(document))

    assert found is not None
    shown = summary(found).problem
    assert shown is not None
    assert (shown.code, shown.who_acts) == ("sender_embargoed", "operator")
    assert "sender_embargoed" in shown.detail
    assert json.loads(write_document(found))["problem"]["code"] == "sender_embargoed"


def test_a_problem_without_the_facts_that_this_version_expects_is_shown() -> None:
    problem = {"code": "consent_lost", "since": "2026-11-23T12:00:00Z", "facts": {"who": "ada"}}
    document = STORED["0.1.0"]["settings"]["reconnect_needed"] | {"problem": problem}
    found = read_document(TenantSettings, json.dumps(document))

    assert found is not None
    shown = view(found, 0, None, NOON, application_available=False).problem
    assert shown is not None
    assert "(not recorded)" in shown.detail


@pytest.mark.parametrize("text", ["", "{", "[]", "7", None, '{"tenant_id": 1}', "[" * 9999])
@pytest.mark.parametrize("kind", ROWS)
def test_what_cannot_be_read_at_all_is_no_exception(kind: str, text: str | None) -> None:
    assert read_document(ROWS[kind], text) is None


@pytest.mark.parametrize(
    "message",
    [
        {
            "accepted": {
                "tenantId": CONTOSO,
                "messageId": "m-1",
                "acceptedAt": "2026-11-23T12:00:00Z",
                "requestId": "r",
                "fromAddress": "ada@contoso.com",
            }
        },
        {"repeated": {"tenantId": CONTOSO, "messageId": "m-1", "unusedClaims": ["c-1"], "mail": None}},
    ],
)
@by_version
def test_a_message_about_what_was_not_recorded_is_read(message: Any, change: Callable[[Any], Any]) -> None:
    found = parse_unrecorded(json.dumps(change(message), separators=(",", ":")).encode())

    assert found is not None
    assert found.message_id == "m-1"


@pytest.mark.parametrize("kind", ROWS)
def test_every_stored_value_keeps_members_that_another_version_added(kind: str) -> None:
    assert {part for part in _parts_within(ROWS[kind]) if not issubclass(part, Stored)} == set()


def _parts_within(kind: Any) -> set[type[Any]]:
    """Return a stored dataclass with every dataclass that it holds."""
    found = {kind}
    for hint in get_type_hints(kind).values():
        for part in (hint, *get_args(hint)):
            if is_dataclass(part):
                found |= _parts_within(part)
    return found
