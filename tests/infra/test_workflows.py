"""Workflows: pinned actions, least permissions, no secret, one CI file."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.infra.changes import file
from tests.infra.gate import PINNED_BICEP
from tests.infra.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project

CI_RUN = ".ci/run"
CI = ".github/workflows/ci.yml"
DEPLOY = ".github/workflows/deploy.yml"
PARAMETERS = "infra/main.parameters.json"

#: Commits read from public workflows that pin the same release; a new one is looked up, never guessed.
PINNED = {
    "actions/checkout": "08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0",
    "actions/setup-node": "2028fbc5c25fe9cf00d9f06a71cc4710d4507903 # v6.0.0",
    "actions/setup-python": "e797f83bcb11b83ae66e0230d6156d7c80228e7c # v6.0.0",
    "Azure/setup-azd": "c495e71ba59e44bfaaac10a32c8ee90d191ca4a3 # v2.2.1",
}
#: The one job that may prove to Azure who it is.
SIGNS_IN = (DEPLOY, "deploy")

#: Values of the deployment's variables that are not a GitHub variable of the same name.
ELSEWHERE = {"AZURE_ENV_NAME": "${{ inputs.environment }}", "AZURE_PRINCIPAL_TYPE": "ServicePrincipal"}
#: For the sign-in; the template does not use them.
SIGN_IN = frozenset({"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID"})
#: azd sets it itself.
SET_BY_AZD = frozenset({"AZURE_PRINCIPAL_ID"})


def workflows(project: Project) -> dict[str, str]:
    return {path: text for path, text in project.files.items() if path.startswith(".github/workflows/")}


def jobs(project: Project) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every job with its workflow's path and its name."""
    for path, text in workflows(project).items():
        for name, job in yaml.safe_load(text)["jobs"].items():
            yield path, name, job


def deployment(project: Project) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(project.files[DEPLOY])["jobs"]
    return found


def commands(job: dict[str, Any]) -> list[str]:
    """The shell lines of a job."""
    return [line.strip() for step in job["steps"] for line in step.get("run", "").splitlines()]


@pytest.mark.fails_when(
    file(CI, "@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0", "@v5"),
    file(DEPLOY, "Azure/setup-azd@c495", "Azure/setup-azd@d495"),
)
def test_actions_are_pinned_by_commit(project: Project) -> None:
    pins = re.compile(r"uses: (\S+)@(.+)$", re.MULTILINE)
    used = [use for text in workflows(project).values() for use in pins.findall(text)]

    assert {(action, pin) for action, pin in used if PINNED.get(action) != pin} == set()


@pytest.mark.fails_when(
    file(CI, "permissions: {}", "permissions: write-all"),
    file(CI, "contents: read", "contents: write"),
    file(CI, "contents: read", "contents: read\n      id-token: write"),
    file(DEPLOY, "contents: read", "contents: read\n      id-token: write"),
)
def test_jobs_have_the_least_permissions(project: Project) -> None:
    for text in workflows(project).values():
        assert yaml.safe_load(text)["permissions"] == {}
    for path, name, job in jobs(project):
        sign_in = {"id-token": "write"} if (path, name) == SIGNS_IN else {}
        assert job["permissions"] == {"contents": "read"} | sign_in


@pytest.mark.fails_when(file(CI, "    timeout-minutes: 30\n", ""))
def test_every_job_has_a_time_limit(project: Project) -> None:
    assert [name for _, name, job in jobs(project) if "timeout-minutes" not in job] == []


@pytest.mark.fails_when(
    file(DEPLOY, "${{ vars.AZURE_CLIENT_ID }}", "${{ secrets.AZURE_CLIENT_ID }}"),
    file(CI, "persist-credentials: false", "fetch-depth: 0"),
)
def test_workflows_read_no_secret_and_store_no_token(project: Project) -> None:
    for text in workflows(project).values():
        assert "secrets." not in text
        assert text.count("actions/checkout@") == text.count("persist-credentials: false")


@pytest.mark.fails_when(
    file(DEPLOY, "azd provision --no-prompt", "azd provision -e ${{ inputs.environment }}")
)
def test_inputs_reach_scripts_as_variables_only(project: Project) -> None:
    """Text from an input would otherwise become part of the script."""
    lines = [line for _, _, job in jobs(project) for line in commands(job)]

    assert [line for line in lines if "${{" in line] == []


@pytest.mark.fails_when(
    file(CI, ", core-tools]", "]"),
    file(CI_RUN, 'STEPS="check', 'STEPS="check more'),
    file(CI, 'bash .ci/run "$STEP"', "make check"),
    file(CI, "STEP: ${{ matrix.step }}", "STEP: check"),
)
def test_the_workflow_runs_the_steps_of_ci_run_and_no_others(project: Project) -> None:
    (steps,) = re.findall(r'^STEPS="(.+)"$', project.files[CI_RUN], re.MULTILINE)
    ((_, _, job),) = [found for found in jobs(project) if found[0] == CI]

    assert job["strategy"]["matrix"]["step"] == steps.split()
    assert (commands(job)[-1], job["steps"][-1]["env"]) == (
        'bash .ci/run "$STEP"',
        {"STEP": "${{ matrix.step }}"},
    )


@pytest.mark.fails_when(
    file(CI, "  schedule:\n", "  workflow_dispatch:\n"), file(CI_RUN, "    make audit\n", "    true\n")
)
def test_vulnerabilities_are_checked_at_every_change_and_weekly(project: Project) -> None:
    # YAML reads the key `on` as true.
    triggers = yaml.safe_load(project.files[CI])[True]

    assert {"push", "pull_request", "schedule"} <= triggers.keys()
    assert re.search(r"^ +make audit$", project.files[CI_RUN], re.MULTILINE)


@pytest.mark.fails_when(
    file(CI, f"--version v{PINNED_BICEP}", "--version v0.36.1"),
    file(CI, f"az bicep install --version v{PINNED_BICEP}", "true"),
    file(DEPLOY, f"az bicep install --version v{PINNED_BICEP}", "az bicep install"),
    file(DEPLOY, 'echo "$HOME/.azure/bin" >> "$GITHUB_PATH"', "true"),
)
def test_every_job_that_checks_installs_the_pinned_compiler_first(project: Project) -> None:
    install = [f"az bicep install --version v{PINNED_BICEP}", 'echo "$HOME/.azure/bin" >> "$GITHUB_PATH"']
    for _, _, job in jobs(project):
        lines = commands(job)
        checks = [index for index, line in enumerate(lines) if line.startswith("bash .ci/run")]
        assert not checks or lines[checks[0] - 2 : checks[0]] == install


@pytest.mark.fails_when(
    file(DEPLOY, "    needs: check\n", ""), file(DEPLOY, "bash .ci/run check", "echo checked")
)
def test_the_deployment_waits_for_a_check_that_cannot_sign_in(project: Project) -> None:
    """A test above checks that only the job `deploy` signs in."""
    assert deployment(project)["deploy"].get("needs") == "check"
    assert "bash .ci/run check" in commands(deployment(project)["check"])


@pytest.mark.fails_when(
    file(DEPLOY, "azd provision", "make check && azd provision"),
    file(DEPLOY, "azd provision", "pip install pytest && azd provision"),
    file(DEPLOY, "azd provision", ".venv/bin/python -m tests && azd provision"),
)
def test_the_job_that_signs_in_has_no_development_packages(project: Project) -> None:
    words = r"(?<![\w-])(make(?! package\b)|pip|npm|npx|uv|\.ci/run|\.venv|requirements)(?![\w-])"

    assert [line for line in commands(deployment(project)["deploy"]) if re.search(words, line)] == []


@pytest.mark.fails_when(file(DEPLOY, "--federated-credential-provider github", "--client-secret x"))
def test_the_deployment_signs_in_without_a_secret(project: Project) -> None:
    first, *_ = commands(deployment(project)["deploy"])

    assert first.startswith("azd auth login")
    assert "--federated-credential-provider github" in first


@pytest.mark.fails_when(
    file(DEPLOY, "      PRIVATE_NETWORK: ${{ vars.PRIVATE_NETWORK }}\n", ""),
    file(DEPLOY, "vars.ALLOWED_IP_ADDRESSES", "vars.ALLOWED_ADDRESSES"),
    file(PARAMETERS, "${CUSTOM_BASE_URL}", "${BASE_URL}"),
)
def test_the_deployment_passes_every_variable(project: Project) -> None:
    """An omitted variable would silently get its default."""
    given = json.loads(project.files[PARAMETERS])["parameters"]
    text = " ".join(str(entry["value"]) for entry in given.values())
    named = set(re.findall(r"\$\{(\w+)", text)) - SET_BY_AZD | SIGN_IN

    assert deployment(project)["deploy"]["env"] == {
        name: ELSEWHERE.get(name, f"${{{{ vars.{name} }}}}") for name in named
    }


@pytest.mark.fails_when(
    file(DEPLOY, "run: python -m infra.deploy_code\n", "run: azd deploy --no-prompt\n"),
    file(DEPLOY, "if: ${{ !inputs.prebuilt }}", "if: ${{ inputs.prebuilt }}"),
    file(DEPLOY, "python -m infra.deploy_code --from-package", "azd deploy api --from-package"),
    file("azure.yaml", "remoteBuild: true", "remoteBuild: yes"),
)
def test_a_deployment_of_code_is_repeated_while_roles_spread(project: Project) -> None:
    steps = deployment(project)["deploy"]["steps"]
    deploying = [step for step in steps if "infra.deploy_code" in step.get("run", "")]
    assert len(deploying) == 2
    remote, prebuilt = deploying

    assert (remote["if"], remote["run"]) == ("${{ !inputs.prebuilt }}", "python -m infra.deploy_code")
    assert prebuilt["if"] == "${{ inputs.prebuilt }}"
    assert prebuilt["run"].splitlines() == [
        "make package",
        "sed -i 's/remoteBuild: true/remoteBuild: false/' azure.yaml",
        "python -m infra.deploy_code --from-package dist/inforiver-mailer.zip",
    ]
    assert project.files["azure.yaml"].count("remoteBuild: true") == 1


@pytest.mark.fails_when(
    file(DEPLOY, "infra.hooks.smoke --strict", "infra.hooks.smoke"),
    file(DEPLOY, '          python -m infra.hooks.smoke --strict "$url"\n', ""),
    file(DEPLOY, "- name: Check the running version\n", "- continue-on-error: true\n"),
    file(DEPLOY, "- name: Check the running version\n", "- if: false\n"),
)
def test_the_deployment_fails_unless_the_new_version_responds(project: Project) -> None:
    last = deployment(project)["deploy"]["steps"][-1]

    assert last.keys() == {"name", "run"}
    assert last["run"].splitlines() == [
        "url=$(azd env get-value PUBLIC_BASE_URL)",
        'python -m infra.hooks.smoke --strict "$url"',
    ]


def test_a_step_that_does_not_exist_fails_and_names_the_steps() -> None:
    command = ["bash", CI_RUN, "chek"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=20)

    assert done.returncode == 2
    assert "check" in done.stderr
