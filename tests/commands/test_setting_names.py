"""Documents name only existing settings, and every setting is named."""

from __future__ import annotations

import re

import pytest

from tests.commands.sources import SHELL, Script, scripts, scripts_in
from tests.deployment.pins import ROOT, tracked_files
from tests.infra.project import Project
from tests.infra.settings import HOST_SETTINGS, settings_in_code

PROJECT = Project.from_disk()
#: Settings of ours have two words at least.
NAME = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
DEPLOYED_WITH = frozenset(re.findall(r"\$\{(\w+)", PROJECT.files["infra/main.parameters.json"]))
#: Names of other programs, and of a sample's reader.
OF_OTHERS = {
    "ACCESS_TOKEN": "whoever calls the API has it",
    "AZURE_CLIENT_CERTIFICATE_PATH": "azure-identity reads it",
    "AZURE_CLIENT_ID": "azure-identity and azd read it",
    "AZURE_TENANT_ID": "azure-identity and azd read it",
    "MAIL_INBOX_URL": "the local stack prints it",
    "PS_INTERNET_HEADERS": "a property set of MAPI",
}


def known() -> set[str]:
    samples = {
        name for path in tracked_files() if path.startswith("docs/samples/") for name in names_in(path)
    }
    outputs = PROJECT.interface.outputs.keys()
    return settings_in_code(PROJECT) | HOST_SETTINGS | DEPLOYED_WITH | outputs | samples | OF_OTHERS.keys()


def names_in(path: str) -> set[str]:
    return set(NAME.findall((ROOT / path).read_text("utf-8")))


def unknown(found: list[Script]) -> list[str]:
    return [
        f"{script.file}:{script.line}: {name}"
        for script in found
        if script.file.endswith(".md") and script.language in SHELL
        for name in NAME.findall(script.text)
        if name not in known()
    ]


def test_every_setting_that_a_document_names_exists() -> None:
    assert unknown(list(scripts())) == []


@pytest.mark.parametrize(
    "text", ["Set `ON_UNKNOWN_OUTCOMES`.", "```sh\nazd env set ON_UNKNOWN_OUTCOMES hold\n```"]
)
def test_a_planted_name_is_found(text: str) -> None:
    (found,) = unknown(list(scripts_in("x.md", text)))

    assert found.endswith("ON_UNKNOWN_OUTCOMES")


def test_every_setting_is_named_in_a_document() -> None:
    documents = {name for path in tracked_files() if path.endswith(".md") for name in names_in(path)}
    ours = {name for name in settings_in_code(PROJECT) | HOST_SETTINGS if NAME.fullmatch(name)}

    # azd and the workflow set these two themselves.
    assert (ours | DEPLOYED_WITH) - documents == {"AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE"}
