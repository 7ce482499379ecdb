"""Queueing a mail from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.sending.deliver import deliver
from shared.sending.enqueue import main
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO, FakeServices

if TYPE_CHECKING:
    from tests.local_stack.azurite import Azurite

FOLDER = f"{CONTOSO}/sales-1"


@pytest.fixture
def services() -> FakeServices:
    return enabled_services()


def a_mail_file(folder: Path, **changes: Any) -> str:
    path = folder / "mail.json"
    path.write_bytes(a_message(messageId="sales:1", **changes))
    return str(path)


def test_a_mail_and_its_files_are_queued_and_arrive(
    services: FakeServices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sales.pdf").write_bytes(b"%PDF")
    (tmp_path / "body.html").write_text("<p>Größe</p>", "utf-8")
    mail = a_mail_file(
        tmp_path,
        body={"contentType": "html", "file": "body.html"},
        attachments=[{"name": "sales.pdf", "contentType": "application/pdf", "file": "sales.pdf"}],
    )

    assert main([mail], services) == 0

    assert capsys.readouterr().out == "queued sales:1\n"
    assert services.files.blobs == {
        f"{FOLDER}/0/body.html": "<p>Größe</p>".encode(),
        f"{FOLDER}/1/sales.pdf": b"%PDF",
    }
    deliver(services.outbox.messages[0][0], "q-1", services)
    assert json.loads(services.transport.sent[0][2])["message"]["body"]["content"] == "<p>Größe</p>"


def test_a_mail_that_breaks_the_contract_is_told_field_by_field_and_nothing_is_put_anywhere(
    services: FakeServices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mail = a_mail_file(tmp_path, subject=None, attachments=[{"name": "a", "file": "a.pdf"}])

    assert main([mail], services) == 1

    assert capsys.readouterr().err.splitlines() == [
        "subject: is missing",
        "attachments.0.contentType: is missing",
    ]
    assert not services.files.blobs
    assert not services.outbox.messages


@pytest.mark.parametrize("content", ["[]", "{", "\udcff"])
def test_a_file_that_is_no_mail_is_told_in_one_line(
    services: FakeServices, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = tmp_path / "mail.json"
    path.write_text(content, "utf-8", errors="surrogateescape")

    assert main([str(path)], services) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_file_that_is_missing_is_told_by_name(
    services: FakeServices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [{"name": "a.pdf", "contentType": "application/pdf", "file": "nowhere.pdf"}]

    assert main([a_mail_file(tmp_path, attachments=files)], services) == 1
    assert "nowhere.pdf" in capsys.readouterr().err


def test_without_a_file_the_command_says_how_it_is_used(
    services: FakeServices, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([], services)

    assert ended.value.code == 2
    assert "usage: python -m shared.sending.enqueue [-h] mail" in capsys.readouterr().err


@pytest.mark.usefixtures("storage")
def test_the_command_runs_on_the_settings_of_the_environment(azurite: Azurite, tmp_path: Path) -> None:
    mail = a_mail_file(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "shared.sending.enqueue", mail],
        cwd=Path(__file__).parents[2],
        env={"PATH": os.environ["PATH"], "AzureWebJobsStorage": azurite.connection_string},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "queued sales:1\n", "")
