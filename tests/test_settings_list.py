"""docs/configuration.md and the sample list exactly the code's settings.

tests/infra/test_settings.py compares the template.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.infra.project import Project
from tests.infra.settings import (
    AZURE_ONLY_PREFIX,
    defaults_in_code,
    settings_in_code,
)

ROOT = Path(__file__).parents[1]
PROJECT = Project.from_disk()
DOCUMENT = ROOT / "docs" / "configuration.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| *(.*?) *\| .+? \| (.+?) \|$", re.MULTILINE)


def rows() -> dict[str, tuple[str, str, str]]:
    """The tables of settings: name → needed, default, meaning."""
    found = ROW.findall(DOCUMENT.read_text(encoding="utf-8"))
    return {name: (needed, default, meaning) for name, needed, default, meaning in found}


def test_the_documented_table_lists_the_settings_that_the_code_reads() -> None:
    assert rows().keys() == settings_in_code(PROJECT)


def test_a_setting_is_called_needed_exactly_if_the_code_has_no_default() -> None:
    without = {name for name, default in defaults_in_code(PROJECT).items() if default is None}

    needed = {name for name, (response, _, _) in rows().items() if response == "yes"}

    # Without SMTP_PROVIDER the app runs, but does nothing.
    assert needed == {name for name in without if not name.startswith(AZURE_ONLY_PREFIX)} | {"SMTP_PROVIDER"}


def test_a_default_in_the_table_is_the_one_of_the_code() -> None:
    defaults = {name: default for name, default in defaults_in_code(PROJECT).items() if default}

    assert {name: rows()[name][1] for name in defaults} == {name: f"`{defaults[name]}`" for name in defaults}
    assert len(defaults) >= 5


def test_the_sample_starts_with_the_emulator() -> None:
    values = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]

    assert values["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"
