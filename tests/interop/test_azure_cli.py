"""The Azure CLI accepts each `az` command in documents and scripts."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.commands.sources import Found, commands, scripts, scripts_in
from tests.deployment.pins import ROOT
from tests.interop import HERE
from tests.interop.conftest import missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PYTHON = ROOT / ".venv-azure-cli" / "bin" / "python"
#: No server has it: the CLI calls no server about a command that it does not know.
NOWHERE = "http://127.0.0.1:9"


def environment(folder: Path) -> Mapping[str, str]:
    return os.environ | {
        "AZURE_CONFIG_DIR": str(folder),
        "AZURE_CORE_COLLECT_TELEMETRY": "no",
        "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
        "HTTPS_PROXY": NOWHERE,
        "HTTP_PROXY": NOWHERE,
    }


def problems(found: Iterable[Found], folder: Path) -> list[str]:
    """Give commands to the CLI's parser and return its errors."""
    if not PYTHON.exists():
        missing("The Azure CLI is missing; `make interop` fetches it.")
    wanted = [command for command in found if command.words[0] == "az"]
    done = subprocess.run(
        [str(PYTHON), str(HERE / "azure_cli_parser.py")],
        input=json.dumps([(command.words[1:], command.complete) for command in wanted]),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=dict(environment(folder)),
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    return [f"{command} -- {said}" for command, said in zip(wanted, results, strict=True) if said]


@pytest.mark.timeout(400)
def test_every_az_command_is_one_that_the_cli_takes(tmp_path: Path) -> None:
    found = [command for command in commands(scripts()) if command.words[0] == "az"]

    assert len([command for command in found if command.complete]) > 25
    assert len(found) > 50
    assert problems(found, tmp_path) == []


PLANTED = """\
```sh
az ad app remove --id 1
az ad app delete --identity 1
az ad app delete
az storage message put --queue-name q --content x --time-to-live soon
az group exists --name rg --output tabel
az group list --query "[?name=='a'"
x=$(az rest --methode GET --uri https://graph.microsoft.com)
az ad app delete --id 1
```

`az storage blob undelete --nmae x`, `az functionap restart`, `az storage blob undelete …`, `az login`,
`az storage`
"""


@pytest.mark.timeout(400)
def test_each_kind_of_planted_fault_is_found(tmp_path: Path) -> None:
    said = problems(commands(scripts_in("x.md", PLANTED)), tmp_path)

    places = [line.partition(": ")[2].partition(" -- ")[0] for line in said]
    assert places == [
        "az ad app remove --id 1",
        "az ad app delete --identity 1",
        "az ad app delete",
        "az storage message put --queue-name q --content x --time-to-live soon",
        "az group exists --name rg --output tabel",
        "az group list --query [?name=='a'",
        "az rest --methode GET --uri https://graph.microsoft.com",
        "az storage blob undelete --nmae x",
        "az functionap restart",
    ]
