"""The commands and results in `docs/operations/` match their files."""

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
    """Yield each link to a repository file: the page, the file, the anchor."""
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

    assert text.index('registration=$(az ad app show --id "$ENTRA_CLIENT_ID"') < text.index("   azd down -e ")
    assert text.index("vnet-integration remove") < text.index("   azd down -e ")


def test_the_registration_is_deleted_permanently_to_free_its_name() -> None:
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


def test_the_log_line_with_the_remote_builds_python_is_documented() -> None:
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

    for says in (
        "HTTP 503",
        "is running, expected",
        "no response",
        "the response contains no version",
        "PUBLIC_BASE_URL",
    ):
        assert says in text


#: Pages that explain, and have no task that could be undone.
EXPLAINS = {"alerts", "audit", "core-tools", "data-subject", "events", "not-tried", "outages", "telemetry"}


def blocks(*languages: str) -> Iterator[tuple[str, str]]:
    """Yield each code block of the pages in a language with its page."""
    for path, text in TEXTS.items():
        for language, block in re.findall(r"^ *```(\w+)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
            if language in languages:
                yield path.stem, block


@pytest.mark.parametrize("page", sorted(PAGES.keys() - EXPLAINS))
def test_a_task_states_purpose_actor_expected_result_and_undo(page: str) -> None:
    said = PAGES[page].lower()

    assert [part for part in ("**purpose:**", "**who:**", "it worked", "undo") if part not in said] == []


def test_nothing_of_an_environment_is_exported_into_the_shell() -> None:
    """An exported name overrides the selected environment of azd."""
    exporting = [
        (page, line)
        for page, block in blocks("sh", "bash")
        for line in block.splitlines()
        if re.search(r"\bset -a\b|\bexport\b", line) and not line.startswith("  while IFS=")
    ]

    assert exporting == []
    # The one that exports does it in a subshell.
    assert "with_settings() (\n  while IFS=" in PAGES["pause"]


def test_a_repair_provisions_without_the_state_of_azd() -> None:
    """With the same template and values azd otherwise submits nothing."""
    repairs = [
        section("alerts", "## operator-error"),
        section("alerts", "## vault-forbidden"),
        section("restore", "## Settings, roles and empty resources"),
        section("restore", "## The app registration"),
        section("credentials", "## The managed identity (the default)"),
        section("outages", "## Failure of a zone, a region or an account"),
        section("outages", "## When storage is not available"),
    ]

    for text in repairs:
        plain = re.sub(r"Plain `azd provision` .*", "", text)
        assert "azd provision --no-state" in plain
        assert not re.search(r"azd provision(?! --no-state)", plain)
    assert "azd provision --no-prompt --no-state" in {
        step.get("run") for step in WORKFLOW["jobs"]["deploy"]["steps"]
    }


def test_no_secret_is_typed_on_a_command_line() -> None:
    typed = re.compile(r"--(?:value|password|certificate-password|secret)\b[ =]+[\"']?(?:<|[A-Za-z0-9])")

    assert [(page, block) for page, block in blocks("sh", "bash", "powershell") if typed.search(block)] == []


def test_exchange_objects_are_named_by_environment_and_removed_by_name() -> None:
    found = [block for _, block in blocks("powershell")]

    assert not [block for block in found if '"Inforiver mail"' in block]
    for cmdlet in re.findall(r"^ *(New-ManagementRoleAssignment .*)$", "".join(found), re.MULTILINE):
        assert "-Name " in cmdlet
    for cmdlet in re.findall(
        r"^ *(Remove-(?:Management|Service|Recipient)\w+ .*)$", "".join(found), re.MULTILINE
    ):
        assert "-Identity " in cmdlet
        assert "-Confirm:$false" in cmdlet


def test_no_copied_command_deletes_the_log_permanently() -> None:
    assert [page for page, block in blocks("sh", "bash", "powershell") if "--purge" in block] == []


def test_a_deployment_without_azd_can_be_found_and_has_alert_recipients() -> None:
    (create,) = (
        line
        for _, block in blocks("sh", "bash")
        for line in block.splitlines()
        if line.startswith("az deployment sub create")
    )

    assert "--name mailer " in create
    assert "alertEmails=" in create
    assert "az deployment sub show --name mailer " in section("first-deployment", "## Without azd")


def test_only_the_groups_name_is_composed_from_that_of_the_environment() -> None:
    """In other names some characters of the environment's are replaced."""
    composed = {name for text in TEXTS.values() for name in re.findall(r"(\w+)-\$AZURE_ENV_NAME", text)}

    assert composed == {"rg"}
