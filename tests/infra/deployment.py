"""One command, no secret, and a second run that changes nothing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import yaml

from tests.infra.project import MAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project

PARAMETERS = "infra/main.parameters.json"
AZURE_YAML = "azure.yaml"
FUNCTION = "infra/modules/function.bicep"
#: The one parameter besides name and region that azd has to ask for.
ASKED = {"environmentName", "location", "frontendOrigins"}


def parameter_file_fits(project: Project) -> Iterator[str]:
    """The parameter file names only parameters that exist, and each one without default."""
    given = json.loads(project.files[PARAMETERS])["parameters"].keys()
    declared = {item.name: item for item in project.main.of("parameter")}
    for name in sorted(given - declared.keys()):
        yield f"{PARAMETERS}: {name} is no parameter"
    for name in sorted(name for name, item in declared.items() if not item.body and name not in given):
        yield f"{PARAMETERS}: {name} is missing"


def parameters_are_described(project: Project) -> Iterator[str]:
    """Every parameter of the main template says what it is for; the runbook refers to that."""
    for item in project.main.of("parameter"):
        if not any(decorator.startswith("description(") for decorator in item.decorators):
            yield f"{MAIN}:{item.line} {item.name} has no description"


def only_three_things_are_asked(project: Project) -> Iterator[str]:
    """A first deployment needs a name, a region and the frontend's origin; the rest has a default."""
    asked = {item.name for item in project.main.of("parameter") if not item.body}
    for name in sorted(asked ^ ASKED):
        yield f"{MAIN}: {name} {'has no default' if name in asked else 'must be asked for'}"


def defaults_agree(project: Project) -> Iterator[str]:
    """A default in the parameter file is the one of the template."""
    given = json.loads(project.files[PARAMETERS])["parameters"]
    for name, entry in given.items():
        found = re.fullmatch(r"\$\{\w+=(.*)\}", str(entry["value"]))
        declared = project.main.named(name)
        default = declared.body.text if declared and declared.body else None
        if found and found[1] != default:
            yield f"{PARAMETERS}: {name} is {found[1]} by default, in the template {default}"


def nothing_needs_a_secret(project: Project) -> Iterator[str]:
    """No parameter is a secret, no key is listed, no connection string with a key is built."""
    for path, template in project.templates.items():
        for item in template.of("parameter"):
            if "secure()" in item.decorators:
                yield f"{path}:{item.line} {item.name} is a secret"
        for word in ("listKeys", "listAccountSas", "AccountKey=", "SharedAccessSignature", "list("):
            if word in project.files[path]:
                yield f"{path}: {word} hands out a key"


def second_run_changes_nothing(project: Project) -> Iterator[str]:
    """No value depends on the time or on chance."""
    for path in project.templates:
        for word in ("utcNow", "newGuid", "dateTimeAdd"):
            if f"{word}(" in project.files[path]:
                yield f"{path}: {word}() differs at every run"


def roles_come_before_the_site(project: Project) -> Iterator[str]:
    """The app starts only when its roles exist; without them it cannot read its own package."""
    call = project.main.named("function")
    depends = call.at("dependsOn") if call else None
    if depends is None or "roles" not in {part.text for part in depends.parts}:
        yield f"{MAIN}: the module function does not wait for roles"


def main_has_modules_only(project: Project) -> Iterator[str]:
    """The subscription-level file makes the group and leaves everything else to modules in it."""
    resources = [item.target for item in project.main.of("resource")]
    if resources != ["Microsoft.Resources/resourceGroups"]:
        yield f"{MAIN}: {', '.join(resources)} belong into modules"
    if "targetScope = 'subscription'" not in project.files[MAIN]:
        yield f"{MAIN}: not at subscription scope"
    for call in project.main.of("module"):
        scope = call.at("scope")
        if scope is None or scope.text != "group":
            yield f"{MAIN}:{call.line} {call.name} is not in the group"


def azd_finds_the_site(project: Project) -> Iterator[str]:
    """The site's tag is the service's name, and what azd runs is there."""
    document = yaml.safe_load(project.files[AZURE_YAML])
    for item in project.template("function").of("resource", "Microsoft.Web/sites"):
        tags = item.at("tags")
        for service in document["services"]:
            if tags is None or f"'azd-service-name': '{service}'" not in tags.text:
                yield f"{FUNCTION}:{item.line} the tag azd-service-name is not {service}"
    for name, hook in document.get("hooks", {}).items():
        if hook["run"] not in project.files:
            yield f"{AZURE_YAML}: {name} runs {hook['run']}, which does not exist"
    if document["services"]["api"]["host"] != "function":
        yield f"{AZURE_YAML}: the service is not a function app"


def everything_is_tagged(project: Project) -> Iterator[str]:
    """Whatever takes tags has the environment's."""
    tagless = ("Microsoft.Authorization/", "Microsoft.Consumption/", "Microsoft.Graph/")
    for path, template in project.templates.items():
        for item in template.of("resource"):
            child = item.existing or item.at("parent") is not None or item.at("scope") is not None
            if child or item.target.startswith(tagless):
                continue
            if item.at("tags") is None:
                yield f"{path}:{item.line} {item.name} has no tags"
    tags = project.main.named("tags")
    if tags is None or tags.body is None or "azd-env-name" not in tags.body.properties:
        yield f"{MAIN}: the tag azd-env-name is missing"


def hook_reads_outputs(project: Project) -> Iterator[str]:
    """Every value that the hook prints is an output of the template."""
    outputs = {item.name for item in project.main.of("output")}
    hook = project.files["infra/hooks/next_steps.py"]
    for name in sorted(set(re.findall(r"\$([A-Z_]+)", hook)) - outputs):
        yield f"infra/hooks/next_steps.py: {name} is no output"


def budget_has_a_fixed_start(project: Project) -> Iterator[str]:
    """A budget's first day can never change, so it is a parameter."""
    for item in project.template("budget").of("resource", "Microsoft.Consumption/budgets"):
        start = item.at("properties.timePeriod.startDate")
        if start is None or start.text != "startDate":
            yield f"infra/modules/budget.bicep:{item.line} the start is not the parameter"


RULES = (
    parameter_file_fits,
    parameters_are_described,
    only_three_things_are_asked,
    defaults_agree,
    nothing_needs_a_secret,
    second_run_changes_nothing,
    roles_come_before_the_site,
    main_has_modules_only,
    azd_finds_the_site,
    everything_is_tagged,
    hook_reads_outputs,
    budget_has_a_fixed_start,
)
