"""The first code deployment, which Azure refuses until roles have spread."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from infra.deploy_code import NOT_FOUND, REFUSED, deploy
from tests.deployment.pins import ROOT

if TYPE_CHECKING:
    from pathlib import Path

#: As azd prints it (https://github.com/Azure/azure-dev/issues/8026).
FIRST_DEPLOYMENT = """\
InaccessibleStorageException: Failed to access storage account for deployment: BlobUploadFailedException:
Failed to upload blob to storage account: Response status code does not indicate success: 403
(This request is not authorized to perform this operation using this permission.)
"""


class Azd:
    """A fake azd on the PATH that counts calls and exits as configured."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def returns(self, *outcomes: tuple[int, str]) -> None:
        for number, (code, text) in enumerate(outcomes, 1):
            (self.folder / f"{number}.txt").write_text(text, "utf-8")
            (self.folder / f"{number}.code").write_text(str(code), "utf-8")
        script = self.folder / "azd"
        script.write_text(
            f"""#!/bin/sh
echo "$@" >> {self.folder}/calls
n=$(wc -l < {self.folder}/calls)
cat {self.folder}/$n.txt >&2
exit $(cat {self.folder}/$n.code)
""",
            "utf-8",
        )
        script.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text("utf-8").splitlines()


@pytest.fixture
def azd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Azd:
    return Azd(tmp_path, monkeypatch)


def test_a_deployment_that_succeeds_runs_once(azd: Azd, capsys: pytest.CaptureFixture[str]) -> None:
    azd.returns((0, "Done: Deploying service api\n"))

    assert deploy([]) == 0
    assert azd.calls == ["deploy api --no-prompt"]
    assert capsys.readouterr().out == "Done: Deploying service api\n"


def test_a_refused_deployment_is_repeated_until_the_roles_have_spread(
    azd: Azd, capsys: pytest.CaptureFixture[str]
) -> None:
    azd.returns((1, FIRST_DEPLOYMENT), (1, FIRST_DEPLOYMENT), (0, "Done\n"))

    assert deploy([], pauses=(0, 0, 0)) == 0
    assert len(azd.calls) == 3
    assert capsys.readouterr().out.count("Azure responded with 403: a role is not effective yet.") == 2


def test_a_deployment_that_is_still_refused_ends_with_the_code_of_azd(azd: Azd) -> None:
    azd.returns(*[(3, FIRST_DEPLOYMENT)] * 3)

    assert deploy([], pauses=(0, 0)) == 3
    assert len(azd.calls) == 3


def test_another_failure_is_not_repeated(azd: Azd) -> None:
    azd.returns((1, "ERROR: No matching distribution found for azure-functions==2.3.0\n"))

    assert deploy([], pauses=(0, 0)) == 1
    assert len(azd.calls) == 1


def test_another_failure_after_a_refusal_is_not_repeated(azd: Azd) -> None:
    azd.returns((1, FIRST_DEPLOYMENT), (2, "ERROR: deployment failed\n"))

    assert deploy([], pauses=(0, 0)) == 2
    assert len(azd.calls) == 2


def test_a_success_that_mentions_403_is_a_success(azd: Azd) -> None:
    azd.returns((0, "retried after 403\n"))

    assert deploy([], pauses=(0, 0)) == 0
    assert len(azd.calls) == 1


def test_each_attempt_gets_the_arguments(azd: Azd) -> None:
    azd.returns((1, FIRST_DEPLOYMENT), (0, ""))

    deploy(["--from-package", "dist/inforiver-mailer.zip"], pauses=(0,))

    assert azd.calls == ["deploy api --no-prompt --from-package dist/inforiver-mailer.zip"] * 2


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_character_that_the_console_lacks_interrupts_nothing(azd: Azd, encoding: str) -> None:
    azd.returns((7, "\u2713 Done \ufffd\n"))
    command = [sys.executable, "-m", "infra.deploy_code"]
    done = subprocess.run(
        command, capture_output=True, cwd=ROOT, env=os.environ | {"PYTHONIOENCODING": encoding}, check=False
    )

    assert (done.returncode, done.stderr) == (7, b"")
    assert b" Done " in done.stdout


def test_a_deployment_ends_with_azds_code_though_nobody_reads_its_output(azd: Azd) -> None:
    azd.returns((7, "line\n" * 50_000))
    command = f"{{ {sys.executable} -m infra.deploy_code; echo $? >&2; }} | head -1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, cwd=ROOT, text=True, check=False)

    assert (done.stdout, done.stderr) == ("line\n", "7\n")


def test_without_azd_the_exit_code_is_the_shells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert deploy([]) == NOT_FOUND


@pytest.mark.parametrize(
    "line",
    [
        FIRST_DEPLOYMENT,
        "ERROR: deployment failed: 403 Forbidden",
        "RESPONSE 403: 403 Forbidden",
        "POST https://x.scm.azurewebsites.net/api/publish: status 403",
        "ERROR CODE: AuthorizationPermissionMismatch",
        "HTTP/1.1 403",
        "(403)",
    ],
)
def test_a_refusal_is_recognised(line: str) -> None:
    assert REFUSED.search(line)


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-29T20:15:18.403Z Uploading",
        "20:40:403",
        "Uploaded 4030 bytes",
        "deployment 8e403f3c-1403-4f2a-9403-403acb1d2e3f",
        "ERROR: 404 Not Found",
        "azure-core==1.403.0",
    ],
)
def test_a_number_that_is_no_status_is_no_refusal(line: str) -> None:
    assert REFUSED.search(line) is None
