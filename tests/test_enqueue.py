"""Queueing a mail from the command line."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.enqueue import main
from shared.sending.deliver import deliver
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO, FakeServices

if TYPE_CHECKING:
    from tests.local_stack.azurite import Azurite

FABRIKAM = "6f1c0000-0000-4000-8000-0000000fab00"


@dataclass
class Ports:
    """The command's dependencies, with queue and container of the services."""

    app: FakeServices
    allowed_tenants: frozenset[str] = frozenset()
    public_base_url: str = ""

    @property
    def outbox(self) -> Any:
        return self.app.outbox

    @property
    def files(self) -> Any:
        return self.app.files


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


@pytest.fixture
def ports(services: FakeServices) -> Ports:
    return Ports(services)


def place(content: bytes, name: str) -> str:
    return f"{CONTOSO}/{hashlib.sha256(content).hexdigest()}/{name}"


def a_pdf(folder: Path, name: str = "sales.pdf", content: bytes = b"%PDF") -> dict[str, str]:
    (folder / name).write_bytes(content)
    return {"name": name, "contentType": "application/pdf", "file": name}


def a_mail_file(folder: Path, **changes: Any) -> str:
    path = folder / "mail.json"
    path.write_bytes(a_message(messageId="sales:1", **changes))
    return str(path)


def test_a_mail_and_its_files_are_queued_and_arrive(
    services: FakeServices, ports: Ports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "<p>Größe</p>".encode()
    (tmp_path / "body.html").write_bytes(text)
    body = {"contentType": "html", "file": "body.html"}
    mail = a_mail_file(tmp_path, body=body, attachments=[a_pdf(tmp_path)])

    assert main([mail], ports) == 0

    assert capsys.readouterr().out.splitlines()[0] == "queued sales:1"
    assert services.files.blobs == {place(text, "body.html"): text, place(b"%PDF", "sales.pdf"): b"%PDF"}
    deliver(services.outbox.messages[0][0], "q-1", services)
    assert json.loads(services.transport.sent[0][2])["message"]["body"]["content"] == "<p>Größe</p>"


def test_an_invalid_mail_is_reported_by_field_and_nothing_is_stored(
    services: FakeServices, ports: Ports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mail = a_mail_file(tmp_path, subject=None, attachments=[{"name": "a", "file": "a.pdf"}])

    assert main([mail], ports) == 1

    assert capsys.readouterr().err.splitlines() == [
        "subject: is missing",
        "attachments.0.contentType: is missing",
        f"attachments.0.file: the file {tmp_path / 'a.pdf'} cannot be read: No such file or directory",
    ]
    assert not services.files.blobs
    assert not services.outbox.messages


@pytest.mark.parametrize("name", ["Q3 #1 100%.pdf", "a:b?.pdf", "Übersicht\n.pdf", "x" * 240 + ".pdf", " .a"])
def test_a_file_of_any_name_gets_a_path_that_the_app_takes(
    services: FakeServices, ports: Ports, tmp_path: Path, name: str
) -> None:
    attachment = a_pdf(tmp_path, name) | {"name": "a.pdf"}

    assert main([a_mail_file(tmp_path, attachments=[attachment])], ports) == 0
    deliver(services.outbox.messages[0][0], "q-1", services)
    assert len(services.transport.sent) == 1


def test_two_reports_never_share_a_path(services: FakeServices, ports: Ports, tmp_path: Path) -> None:
    for number, (message_id, content) in enumerate([("sales:1", b"EMEA"), ("sales-1", b"APAC")]):
        attachment = a_pdf(tmp_path, content=content)
        mail = tmp_path / f"mail-{number}.json"
        mail.write_bytes(a_message(messageId=message_id, attachments=[attachment]))
        assert main([str(mail)], ports) == 0

    for text, _ in services.outbox.messages:
        deliver(text, "q", services)
    sent = [json.loads(body)["message"]["attachments"][0] for *_, body in services.transport.sent]
    assert [base64.b64decode(file["contentBytes"]) for file in sent] == [b"EMEA", b"APAC"]


def test_a_tenant_in_upper_case_is_served_where_there_are_two(
    services: FakeServices, ports: Ports, tmp_path: Path
) -> None:
    services.configure(allowed_tenant_ids=frozenset({CONTOSO, FABRIKAM}))
    mail = a_mail_file(tmp_path, tenantId=CONTOSO.upper(), attachments=[a_pdf(tmp_path)])

    assert main([mail], ports) == 0
    deliver(services.outbox.messages[0][0], "q-1", services)

    assert len(services.transport.sent) == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"attachments": [{"name": "a", "contentType": "a/b", "blob": "other/a.pdf"}]},
            f"attachments.0.blob: must begin with {CONTOSO}/",
        ),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt: is over"),
    ],
)
def test_a_mail_the_app_would_refuse_is_refused_before_any_upload(
    services: FakeServices,
    ports: Ports,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    told: str,
) -> None:
    ports.allowed_tenants = frozenset({CONTOSO, FABRIKAM})

    assert main([a_mail_file(tmp_path, **changes)], ports) == 1
    assert told in capsys.readouterr().err
    assert not services.outbox.messages


def test_a_file_missing_in_the_container_is_reported_before_any_upload(
    services: FakeServices, ports: Ports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = {"name": "a", "contentType": "a/b", "blob": "2026/a.pdf"}

    assert main([a_mail_file(tmp_path, attachments=[a_pdf(tmp_path), missing])], ports) == 1
    assert "2026/a.pdf" in capsys.readouterr().err
    assert not services.files.blobs


def test_a_text_of_the_container_is_read_as_the_app_reads_it(
    services: FakeServices, ports: Ports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    services.files.blobs["2026/body.html"] = b"\xff"

    assert main([a_mail_file(tmp_path, body={"contentType": "html", "blob": "2026/body.html"})], ports) == 1
    assert capsys.readouterr().err == "body.blob: the file is not text in UTF-8\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe", "body.file: the file is not text in UTF-8"),
        (bytes(3_800_001), "body.file: has 3,800,001 bytes; a text has at most 3,800,000"),
    ],
)
def test_a_text_that_no_mail_can_have_is_reported(
    ports: Ports, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, told: str
) -> None:
    (tmp_path / "body.html").write_bytes(content)

    assert main([a_mail_file(tmp_path, body={"contentType": "html", "file": "body.html"})], ports) == 1
    assert capsys.readouterr().err == f"{told}\n"


def test_files_that_no_mail_can_carry_are_reported(
    ports: Ports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attachment = a_pdf(tmp_path)
    with (tmp_path / "sales.pdf").open("wb") as file:
        file.truncate(151 * 1024 * 1024)

    assert main([a_mail_file(tmp_path, attachments=[attachment])], ports) == 1
    assert "file_too_large" in capsys.readouterr().err


def test_a_file_and_a_blob_together_are_a_mistake(
    ports: Ports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = a_pdf(tmp_path) | {"blob": "2026/a.pdf"}

    assert main([a_mail_file(tmp_path, attachments=[both])], ports) == 1
    assert capsys.readouterr().err == "attachments.0.file: give either file or blob\n"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://mailer.contoso.com", "GET https://mailer.contoso.com/api/deliveries/sales%3A1 with"),
        ("", "GET /api/deliveries/sales%3A1 with an admin's token, at the address of"),
    ],
)
def test_the_command_prints_where_to_follow_the_mail(
    ports: Ports, tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, told: str
) -> None:
    ports.public_base_url = url

    assert main([a_mail_file(tmp_path)], ports) == 0
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("content", ["[]", "{", "\udcff"])
def test_a_file_that_is_no_mail_is_reported_in_one_line(
    ports: Ports, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = tmp_path / "mail.json"
    path.write_text(content, "utf-8", errors="surrogateescape")

    assert main([str(path)], ports) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_file_that_is_missing_is_reported_by_name(
    ports: Ports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [{"name": "a.pdf", "contentType": "application/pdf", "file": "nowhere.pdf"}]

    assert main([a_mail_file(tmp_path, attachments=files)], ports) == 1
    assert "nowhere.pdf" in capsys.readouterr().err


def test_without_a_file_the_command_prints_its_usage(
    ports: Ports, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([], ports)

    assert ended.value.code == 2
    assert "usage: python -m shared.enqueue [-h] mail" in capsys.readouterr().err


@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize("name", ["shared.enqueue", "shared.sending.enqueue"])
def test_the_command_runs_on_the_settings_of_the_environment(
    name: str, azurite: Azurite, tmp_path: Path
) -> None:
    mail = a_mail_file(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", name, mail],
        cwd=Path(__file__).parents[1],
        env={"PATH": os.environ["PATH"], "AzureWebJobsStorage": azurite.connection_string},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("queued sales:1\nits status: GET /api/deliveries/sales%3A1 ")


def test_a_mail_that_an_editor_wrote_with_a_byte_order_mark_is_queued(
    ports: Ports, services: FakeServices, tmp_path: Path
) -> None:
    (tmp_path / "mail.json").write_bytes(b"\xef\xbb\xbf" + a_message(messageId="m-1"))

    assert main([str(tmp_path / "mail.json")], ports) == 0
    assert len(services.outbox.messages) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}".encode("utf-16"), "is text in UTF-16, not JSON in UTF-8"),
        (b"PK\x03\x04", "is a zip archive, not JSON in UTF-8"),
        (b"", "is empty"),
        (b'{"a": }', "is not valid JSON (line 1, column 7)"),
    ],
)
def test_invalid_json_is_reported_in_words(
    ports: Ports, tmp_path: Path, content: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mail.json").write_bytes(content)

    assert main([str(tmp_path / "mail.json")], ports) == 1
    assert capsys.readouterr().err == f"{tmp_path / 'mail.json'}: {said}\n"


def test_the_earlier_name_of_the_command_runs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["enqueue", "--help"])
    monkeypatch.delitem(sys.modules, "shared.enqueue")

    with pytest.raises(SystemExit) as ended:
        runpy.run_module("shared.sending.enqueue", run_name="__main__")

    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out
