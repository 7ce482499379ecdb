"""Workflows: actions pinned by commit, the least permissions, no secret, and the compiler in CI."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project

#: Commits read from public workflows that pin the same release; a new one is looked up, never guessed.
PINNED = {
    "actions/checkout": "08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0",
    "actions/setup-node": "2028fbc5c25fe9cf00d9f06a71cc4710d4507903 # v6.0.0",
    "actions/setup-python": "e797f83bcb11b83ae66e0230d6156d7c80228e7c # v6.0.0",
    "Azure/setup-azd": "c495e71ba59e44bfaaac10a32c8ee90d191ca4a3 # v2.2.1",
}
#: What a job may ask for; only the deployment may prove who it is.
ALLOWED = {"ci.yml": {"contents"}, "models.yml": {"contents"}, "deploy.yml": {"contents", "id-token"}}

#: What the deployment's variables come from, where it is not a variable of the same name.
ELSEWHERE = {"AZURE_ENV_NAME": "${{ inputs.environment }}", "AZURE_PRINCIPAL_TYPE": "ServicePrincipal"}
#: For the sign-in; the template has no use for them.
SIGN_IN = frozenset({"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID"})
#: azd fills it in by itself.
FILLED_IN = frozenset({"AZURE_PRINCIPAL_ID"})


def actions_are_pinned(project: Project) -> Iterator[str]:
    """Every action is one of the table, at the commit of the table, with the version beside it."""
    for path, text in _workflows(project):
        for action, pin in re.findall(r"uses: (\S+)@(.+)$", text, re.MULTILINE):
            if PINNED.get(action) != pin:
                yield f"{path}: {action}@{pin} is not in the table of pins"


def permissions_are_minimal(project: Project) -> Iterator[str]:
    """A workflow has no permission; each job lists its own, none of them to write content."""
    for path, text in _workflows(project):
        document = yaml.safe_load(text)
        if document.get("permissions") != {}:
            yield f"{path}: permissions at the top are not empty"
        for name, job in document["jobs"].items():
            given = job.get("permissions", {})
            if set(given) - ALLOWED.get(path.split("/")[-1], set()) or given.get("contents") != "read":
                yield f"{path}: the job {name} has the permissions {given}"


def jobs_end(project: Project) -> Iterator[str]:
    """Each job has a time limit."""
    for path, text in _workflows(project):
        for name, job in yaml.safe_load(text)["jobs"].items():
            if "timeout-minutes" not in job:
                yield f"{path}: the job {name} has no time limit"


def nothing_is_secret(project: Project) -> Iterator[str]:
    """No workflow reads a secret, and no checkout leaves its token behind."""
    for path, text in _workflows(project):
        if "secrets." in text:
            yield f"{path}: reads a secret"
        if text.count("actions/checkout@") != text.count("persist-credentials: false"):
            yield f"{path}: a checkout keeps its token"


def inputs_are_not_pasted_into_scripts(project: Project) -> Iterator[str]:
    """A script sees what people typed only as an environment variable."""
    for path, text in _workflows(project):
        for job in yaml.safe_load(text)["jobs"].values():
            for step in job["steps"]:
                if "${{" in step.get("run", ""):
                    yield f"{path}: {step['run']}"


def ci_compiles_and_tests(project: Project) -> Iterator[str]:
    """CI runs the check, the tests and the real compiler; the deployment uses OIDC."""
    ci = _commands(project, "ci.yml")
    for command in ("make check", "make test", "az bicep build", "az bicep lint"):
        if not any(line.startswith(command) for line in ci):
            yield f".github/workflows/ci.yml: {command} is not run"
    if not any("--federated-credential-provider github" in line for line in _commands(project, "deploy.yml")):
        yield ".github/workflows/deploy.yml: does not sign in by OIDC"


def deployment_passes_every_variable(project: Project) -> Iterator[str]:
    """The deployment hands over every variable of the parameter file: one left out would fall back."""
    given = json.loads(project.files["infra/main.parameters.json"])["parameters"]
    text = " ".join(str(entry["value"]) for entry in given.values())
    named = set(re.findall(r"\$\{(\w+)", text)) - FILLED_IN | SIGN_IN
    wanted = {name: ELSEWHERE.get(name, f"${{{{ vars.{name} }}}}") for name in named}
    jobs = yaml.safe_load(project.files[".github/workflows/deploy.yml"])["jobs"]
    found = {name: value for job in jobs.values() for name, value in job.get("env", {}).items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            yield f".github/workflows/deploy.yml: {name} is {found.get(name)}, not {wanted.get(name)}"


def _workflows(project: Project) -> Iterator[tuple[str, str]]:
    for path, text in project.files.items():
        if path.startswith(".github/workflows/"):
            yield path, text


def _commands(project: Project, name: str) -> list[str]:
    document: dict[str, Any] = yaml.safe_load(project.files.get(f".github/workflows/{name}", "jobs: {}"))
    return [step.get("run", "") for job in document["jobs"].values() for step in job["steps"]]


RULES = (
    actions_are_pinned,
    permissions_are_minimal,
    jobs_end,
    nothing_is_secret,
    inputs_are_not_pasted_into_scripts,
    ci_compiles_and_tests,
    deployment_passes_every_variable,
)
