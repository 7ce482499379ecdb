"""Names that the code and the template share: queues, tables, containers, functions, clouds."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING

from shared.config import CLOUDS
from shared.storage_names import CONTAINERS, MAIL_OUTBOX, QUEUES, TABLES
from tests.infra.project import MAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project

#: By the names that Bicep's `environment().name` gives.
SITE_SUFFIXES = {
    "AzureCloud": "azurewebsites.net",
    "AzureUSGovernment": "azurewebsites.us",
    "AzureChinaCloud": "chinacloudsites.cn",
}

STORAGE = "infra/modules/storage.bicep"


def queues_tables_and_containers_are_the_codes(project: Project) -> Iterator[str]:
    """The template makes the queues, tables and containers of `shared/storage_names.py`, no others."""
    for variable, wanted in (("queueNames", QUEUES), ("tableNames", TABLES), ("containerNames", CONTAINERS)):
        declared = project.templates[STORAGE].named(variable)
        found = declared.body.strings() if declared and declared.body else set()
        for name in sorted(found ^ set(wanted)):
            yield f"{STORAGE}: {name} is {'not in the code' if name in found else 'missing'}"


def schedulers_write_to_the_outbox(project: Project) -> Iterator[str]:
    """What schedulers may write to is the first queue, which must be the outbox."""
    queues = project.templates[STORAGE].named("queueNames")
    first = queues.body.parts[0].text if queues and queues.body and queues.body.parts else None
    if first != MAIL_OUTBOX:
        yield f"{STORAGE}: outboxQueueName is {first}, not {MAIL_OUTBOX}"


def each_queue_has_a_poison_queue(project: Project) -> Iterator[str]:
    """The host sets failed messages aside in `<queue>-poison`; it must not have to make it."""
    queues = project.templates[STORAGE].named("queueNames")
    names = queues.body.strings() if queues and queues.body else set()
    for name in sorted(name for name in names if not name.endswith("-poison")):
        if f"{name}-poison" not in names:
            yield f"{STORAGE}: {name}-poison is missing"


def always_ready_function_exists(project: Project) -> Iterator[str]:
    """The always-ready instances wait for a function that the code has."""
    functions = function_names(project, "/triggers.py")
    template = project.template("function")
    for item in template.of("resource", "Microsoft.Web/sites"):
        for text in sorted(item.body.strings() if item.body else ()):
            if text.startswith("function:") and text.removeprefix("function:") not in functions:
                yield f"{template.path}: {text} is not among the functions"


def clouds_are_the_codes(project: Project) -> Iterator[str]:
    """Sign-in host and token audience of each cloud are those of `shared/config.py`."""
    found = json.loads(project.files["infra/clouds.json"])
    wanted = {
        name: {"authorityHost": cloud.authority_host, "tokenExchangeAudience": cloud.token_exchange_audience}
        for name, cloud in CLOUDS.items()
    }
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            yield f"infra/clouds.json: {name} is not what shared/config.py says"
    parameter = project.main.named("microsoftCloud")
    allowed = "".join(parameter.decorators) if parameter else ""
    if not all(f"'{name}'" in allowed for name in CLOUDS):
        yield "infra/main.bicep: microsoftCloud does not allow every cloud"


def every_azure_has_a_host_name(project: Project) -> Iterator[str]:
    """The site's host name is known in each Azure."""
    variable = project.main.named("siteSuffixes")
    found = (
        {key: value.text for key, value in variable.body.properties.items()}
        if variable and variable.body
        else {}
    )
    if found != SITE_SUFFIXES:
        yield f"{MAIN}: siteSuffixes is {found}"


def abbreviations_are_used(project: Project) -> Iterator[str]:
    """The table of prefixes has what the template uses and nothing else."""
    table = set(json.loads(project.files["infra/abbreviations.json"]))
    used = set(re.findall(r"abbreviations\.(\w+)\}", project.files[MAIN]))
    for name in sorted(table ^ used):
        yield f"infra/abbreviations.json: {name} is {'not used' if name in table else 'missing'}"


def function_names(project: Project, *modules: str) -> set[str]:
    """The decorated functions of every module whose path ends so."""
    names = set()
    for path, text in project.files.items():
        if path.startswith("shared/") and path.endswith(modules):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list:
                    names.add(node.name)
    return names


RULES = (
    queues_tables_and_containers_are_the_codes,
    schedulers_write_to_the_outbox,
    each_queue_has_a_poison_queue,
    always_ready_function_exists,
    clouds_are_the_codes,
    every_azure_has_a_host_name,
    abbreviations_are_used,
)
