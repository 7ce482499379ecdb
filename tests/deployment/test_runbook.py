"""What `docs/operations/` has an operator type and expect, compared with the files that it speaks of."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from infra.build_package import OUTPUT
from infra.hooks.smoke import HELP
from tests.deployment.pins import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

INDEX = ROOT / "docs/operations.md"
PAGES = {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "docs/operations").glob("*.md"))}
TEXTS = {INDEX: INDEX.read_text("utf-8")} | {
    ROOT / f"docs/operations/{name}.md": text for name, text in PAGES.items()
}
PARAMETERS = json.loads((ROOT / "infra/main.parameters.json").read_text("utf-8"))["parameters"]
VAULT = (ROOT / "infra/modules/vault.bicep").read_text("utf-8")
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text("utf-8"))


def section(page: str, heading: str) -> str:
    """Return a section of a page with its subsections."""
    level, _, _ = heading.partition(" ")
    found = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", PAGES[page], re.MULTILINE | re.DOTALL
    )
    assert found, heading
    return found[1]


def anchors(text: str) -> set[str]:
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def variables_in_commands() -> Iterator[str]:
    for text in TEXTS.values():
        code = re.findall(r"^ *```(?:sh|bash)\n(.*?)```|(`[^`\n]+`)", text, re.MULTILINE | re.DOTALL)
        for block, inline in code:
            yield from re.findall(r"\$\{?([A-Z][A-Z_]+)\b", block or inline)


def links() -> Iterator[tuple[str, str, str]]:
    """Yield each link to a file of this repository: the page, the file, the anchor."""
    for path, text in TEXTS.items():
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
            file, _, anchor = target.partition("#")
            found = (path.parent / file).resolve() if file else path
            yield path.relative_to(ROOT).as_posix(), found.relative_to(ROOT).as_posix(), anchor


def test_every_link_of_the_pages_has_its_file_and_its_heading() -> None:
    broken = [
        link
        for link in links()
        if not (ROOT / link[1]).exists()
        or (link[2] and link[2] not in anchors((ROOT / link[1]).read_text("utf-8")))
    ]

    assert broken == []


def test_the_index_names_every_page() -> None:
    linked = {file for page, file, _ in links() if page == "docs/operations.md"}

    assert [name for name in PAGES if f"docs/operations/{name}.md" not in linked] == []


def test_every_name_in_capitals_in_a_command_is_one_of_the_azd_environment() -> None:
    outputs = re.findall(r"^output (\w+) ", (ROOT / "infra/main.bicep").read_text("utf-8"), re.MULTILINE)
    inputs = re.findall(r"\$\{(\w+)", json.dumps(PARAMETERS))
    given_by_azd = WORKFLOW["jobs"]["deploy"]["env"].keys()

    assert set(variables_in_commands()) <= {*outputs, *inputs, *given_by_azd, "PATH", "PWD"}


def test_what_azd_down_forgets_is_noted_before_it() -> None:
    text = PAGES["remove"]

    assert text.index('registration=$(az ad app show --id "$ENTRA_CLIENT_ID"') < text.index("   azd down\n")
    assert text.index("vnet-integration remove") < text.index("   azd down\n")


def test_the_registration_is_deleted_permanently_or_its_name_is_taken_for_30_days() -> None:
    text = PAGES["remove"]

    assert "az ad app delete --id $ENTRA_CLIENT_ID" in text
    assert (
        '--method DELETE --uri "https://graph.microsoft.com/v1.0/directory/deletedItems/$registration"'
        in text
    )
    assert "| day 8 to 30 |" in text
    assert "| from day 31 | free | free |" in text


def test_the_days_of_the_vault_are_those_of_the_template() -> None:
    (days,) = re.findall(r"softDeleteRetentionInDays: (\d+)", VAULT)
    text = section("remove", "## Install again under the same name")
    (row,) = re.findall(rf"^\| day 1 to {days} \|.*$", text, re.MULTILINE)

    assert "azd env set RECOVER_VAULT true" in row
    assert "azd env set RECOVER_VAULT false" in row
    assert "${RECOVER_VAULT=false}" in PARAMETERS["recoverVault"]["value"]
    assert "createMode: recover ? 'recover' : 'default'" in VAULT


def test_azd_down_is_explained_for_the_private_network() -> None:
    text = PAGES["remove"]

    for part in ("private endpoints", "DNS zones", "subnet", "peering", "delete lock"):
        assert part in text


@pytest.mark.parametrize(
    "subject",
    [
        "repo:<owner>@<owner id>/<repository>@<repository id>:environment:<environment>",
        "repo:<owner>/<repository>:environment:<environment>",
    ],
)
def test_the_subject_of_the_federated_credential_is_shown_in_both_forms(subject: str) -> None:
    """The workflow runs in an environment, so the subject ends with it."""
    assert f"`{subject}`" in section("second-operator", "## From GitHub")
    assert WORKFLOW["jobs"]["deploy"]["environment"] == "${{ inputs.environment }}"


def test_the_first_line_that_tells_the_python_of_a_remote_build_is_quoted_with_its_source() -> None:
    text = section("first-deployment", "## Without the remote build")

    assert "--platform python --platform-version 3.11.8" in text
    assert "https://github.com/Azure/azure-dev/issues/8538" in text


def test_the_package_is_deployed_as_the_runbook_says() -> None:
    text = section("first-deployment", "## Without the remote build")
    package = OUTPUT.relative_to(ROOT).as_posix()

    assert f"azd deploy api --from-package {package}" in text
    assert "`remoteBuild: false`" in text
    assert "remoteBuild: true" in (ROOT / "azure.yaml").read_text("utf-8")


def test_every_outcome_of_the_call_after_a_deployment_is_explained() -> None:
    (heading,) = re.findall(r'"(.+)"', HELP)
    text = section("first-deployment", f"## {heading}")

    for says in ("HTTP 503", "answers, not", "no answer", "an answer without a version", "PUBLIC_BASE_URL"):
        assert says in text
