"""docs/scheduler.md: valid message, right figures, complete tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from shared.deliveries.status import DeliveryStatus
from shared.mail.message import parse_mail_request
from shared.sending.deliver import deliver
from shared.storage_names import ATTACHMENTS, MAIL_OUTBOX
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "scheduler.md").read_text("utf-8")
CSHARP = (DOCS / "samples" / "csharp" / "Program.cs").read_text("utf-8")

PRINTED_TENANT = "6f1c0000-0000-4000-8000-00000000c0de"


def example(language: str, place: int = 0) -> str:
    """Return an example in a language."""
    return str(re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[place])


def test_the_printed_message_is_valid() -> None:
    request = parse_mail_request(example("json").encode())

    assert request.message_id == "sales-weekly:2026-11-23T06:00Z:emea"


def test_the_message_is_sent_as_it_is_printed() -> None:
    services = enabled_services()
    services.files.blobs["2026/11/23/sales.pdf"] = b"%PDF"
    services.configure(allowed_tenant_ids=frozenset({CONTOSO}))
    deliver(example("json").replace(PRINTED_TENANT, CONTOSO).encode(), "q-1", services)

    sent = json.loads(services.transport.sent[0][2])["message"]
    assert [file["name"] for file in sent["attachments"]] == ["sales.pdf", "chart.png"]


def test_the_printed_csharp_message_is_valid() -> None:
    text = re.search(r"var message = new\n(\{.*?\n\});", CSHARP, re.DOTALL)
    assert text
    as_json = re.sub(r"^ *//.*\n", "", text[1], flags=re.MULTILINE)
    as_json = re.sub(r"new\[\] \{(.*?)\}(,?)\n", r"[\1]\2\n", as_json)
    values = {
        "messageId,": 'messageId = "m-1",',
        "tenantId,": f'tenantId = "{CONTOSO}",',
        "[ recipient ]": '["cfo@contoso.com"]',
        "Path.GetFileName(report)": '"report.pdf"',
        "blob = path": 'blob = "report.pdf"',
        'DateTimeOffset.UtcNow.AddDays(1).ToString("O")': '"2026-11-24T06:00:00.0000000+00:00"',
    }
    for code, value in values.items():
        assert code in as_json
        as_json = as_json.replace(code, value)
    as_json = re.sub(r"\bnew \{", "{", as_json)
    as_json = re.sub(r"(\w+) = ", r'"\1": ', as_json)
    as_json = re.sub(r",(\s*\})", r"\1", as_json)

    assert parse_mail_request(as_json.encode()).attachments[0].blob == "report.pdf"


def test_every_program_is_on_the_page_and_none_is_missing() -> None:
    linked = set(re.findall(r"\]\((samples/[^)]+)\)", PAGE))
    programs = {
        str(path.relative_to(DOCS))
        for path in (DOCS / "samples").rglob("*")
        if path.suffix in {".py", ".mjs", ".sh", ".cs"} and "node_modules" not in path.parts
    }

    assert linked == programs


def test_the_commands_of_the_local_stack_exist() -> None:
    known = {"environment", "token", "fault"}

    assert set(re.findall(r"tests\.local_stack (\w+)", PAGE)) == known


@pytest.mark.parametrize(("ensure_ascii", "told"), [(False, "33,002"), (True, "47,002")])
def test_the_sizes_of_a_text_are_those_of_the_page(ensure_ascii: bool, told: str) -> None:  # noqa: FBT001
    """Each paragraph has 2 quotes, 2 two-byte and 2 three-byte characters."""
    html = '<p class="a">äö€… 123</p>' * 1000
    written = json.dumps(html, ensure_ascii=ensure_ascii)

    assert len(html.encode()) == 31_000
    assert f"{len(written.encode()):,}" == told
    assert told in PAGE


@pytest.mark.parametrize(("named", "told"), [(True, 41), (False, 18)])
def test_the_size_of_500_recipients_is_documented(named: bool, told: int) -> None:  # noqa: FBT001
    people: list[object] = [f"firstname.lastname{n:03}@contoso.com" for n in range(500)]
    if named:
        people = [{"address": p, "name": f"Firstname Lastname {n:03}"} for n, p in enumerate(people)]
    message = a_message(to=people)

    parse_mail_request(message)
    assert abs(len(message) / 1000 - told) < 1.5
    assert f"about {told} KB" in PAGE


@pytest.mark.parametrize("status", DeliveryStatus)
def test_every_state_is_explained(status: DeliveryStatus) -> None:
    assert re.search(rf"^\| .*`{status}`", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", [MAIL_OUTBOX, ATTACHMENTS])
def test_queue_and_container_are_called_what_they_are(name: str) -> None:
    assert f"`{name}`" in PAGE
