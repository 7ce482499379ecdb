"""App settings: the template sets what `shared/config.py` reads, and nothing that nobody reads."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.project import Project

FUNCTION = "infra/modules/function.bicep"
SAMPLE = "local.settings.sample.json"

#: Read by the Functions host, not by our code.
HOST_SETTINGS = frozenset(
    {
        "AzureWebJobsStorage__credential",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        "PYTHON_THREADPOOL_THREAD_COUNT",
    }
)
#: A connection string carries the account key: for the laptop alone.
LAPTOP_ONLY = frozenset({"AzureWebJobsStorage"})
#: Azurite knows no identity, and an empty address beside a connection string confuses the host.
AZURE_ONLY_PREFIX = "AzureWebJobsStorage__"
#: Of these, `shared/config.py` wants exactly one.
CREDENTIALS = ("ENTRA_CLIENT_SECRET", "ENTRA_CLIENT_CERTIFICATE_PATH", "ENTRA_MANAGED_IDENTITY_CLIENT_ID")

_READERS = frozenset({"text", "items", "origins", "one_of", "number", "url"})


def settings_in_code(project: Project) -> set[str]:
    """The names that `shared/config.py` reads: first arguments of its typed reads, and tuples of names."""
    return {
        str(item.value)
        for node in ast.walk(ast.parse(project.files["shared/config.py"]))
        for item in _names_in(node)
        if isinstance(item, ast.Constant)
    }


def _names_in(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Call(func=ast.Attribute(attr=reader), args=[name, *_]) if reader in _READERS:
            return [name]
        case ast.Assign(targets=[ast.Name(id="names")], value=ast.Tuple(elts=names)):
            return names
        case _:
            return []


def defaults_in_code(project: Project) -> dict[str, str | None]:
    """The default of each setting that is read by name alone or with a literal; None: it is needed."""
    defaults: dict[str, str | None] = {}
    for node in ast.walk(ast.parse(project.files["shared/config.py"])):
        match node:
            case ast.Call(func=ast.Attribute(attr=reader), args=[ast.Constant(value=str(name))]) if (
                reader in _READERS
            ):
                defaults[name] = None
            case (
                ast.Call(
                    func=ast.Attribute(attr="text" | "number"),
                    args=[ast.Constant(value=str(name)), default, *_],
                )
                | ast.Call(
                    func=ast.Attribute(attr="one_of"), args=[ast.Constant(value=str(name)), _, default]
                )
            ):
                if isinstance(default, ast.Constant):
                    defaults[name] = str(default.value)
    return defaults


def settings_in_template(project: Project) -> set[str]:
    """The names that `function.bicep` sets, in any of its variables."""
    return {
        key
        for variable in project.templates[FUNCTION].of("variable")
        for key in (variable.body.properties if variable.body else {})
    }


def template_sets_what_the_code_reads(project: Project) -> Iterator[str]:
    """Every setting of `shared/config.py` is set by the template, and the reverse."""
    wanted = (settings_in_code(project) - LAPTOP_ONLY) | HOST_SETTINGS
    found = settings_in_template(project)
    for name in sorted(wanted ^ found):
        yield f"{FUNCTION}: {name} is {'read by nobody' if name in found else 'not set'}"


def all_settings_reach_the_site(project: Project) -> Iterator[str]:
    """The one set of app settings is made of the host's, the app's and the credential."""
    template = project.templates[FUNCTION]
    for item in template.of("resource", "Microsoft.Web/sites/config"):
        name, properties = item.at("name"), item.at("properties")
        if name and name.text == "appsettings" and properties:
            if properties.text == "union(hostSettings, appSettings, credential)":
                return
            yield f"{FUNCTION}:{item.line} the settings are {properties.text}"
            return
    yield f"{FUNCTION}: no app settings"


def connections_have_credential_and_client(project: Project) -> Iterator[str]:
    """Each connection by identity has its kind, its client id and an address; else triggers never wake."""
    found = settings_in_template(project)
    for connection in sorted({name.split("__")[0] for name in found if "__" in name}):
        for part in ("credential", "clientId", "blobServiceUri", "queueServiceUri", "tableServiceUri"):
            if f"{connection}__{part}" not in found:
                yield f"{FUNCTION}: {connection}__{part} is missing"


def one_credential_is_set(project: Project) -> Iterator[str]:
    """Exactly one credential is set, and without parameters it is the managed identity."""
    variable = project.templates[FUNCTION].named("credential")
    wanted = (
        "!empty(clientSecretName) ? secretReference : "
        "!empty(clientCertificatePath) ? certificateReference : identityReference"
    )
    if variable is None or variable.body is None or variable.body.text != wanted:
        yield f"{FUNCTION}: the credential is not chosen as {wanted}"
    for name in ("clientSecretName", "clientCertificatePath"):
        parameter = project.main.named(name)
        if parameter is None or parameter.body is None or parameter.body.text:
            yield f"infra/main.bicep: {name} must be empty by default"


def values_come_from_where_they_belong(project: Project) -> Iterator[str]:
    """The settings that would fail late have the right source."""
    wanted = {
        "API_AUDIENCE": "entraClientId",
        "AzureWebJobsStorage__clientId": "identityClientId",
        "AzureWebJobsStorage__credential": "managedidentity",
        "ENTRA_MANAGED_IDENTITY_CLIENT_ID": "identityClientId",
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "ClientId=${identityClientId};Authorization=AAD",
        "ENTRA_CLIENT_SECRET": (
            "@Microsoft.KeyVault(VaultName=${keyVaultName};SecretName=${clientSecretName})"
        ),
    }
    found = {
        key: value.text
        for variable in project.templates[FUNCTION].of("variable")
        for key, value in (variable.body.properties if variable.body else {}).items()
    }
    for name, source in wanted.items():
        if found.get(name) != source:
            yield f"{FUNCTION}: {name} comes from {found.get(name)}, not {source}"


def every_mail_in_flight_has_a_thread(project: Project) -> Iterator[str]:
    """The worker has a thread for each mail that the host hands it, and some for the API."""
    queues = json.loads(project.files["host.json"])["extensions"]["queues"]
    in_flight = queues["batchSize"] + queues["newBatchThreshold"]
    threads = [
        value.text
        for variable in project.templates[FUNCTION].of("variable")
        for key, value in (variable.body.properties if variable.body else {}).items()
        if key == "PYTHON_THREADPOOL_THREAD_COUNT"
    ]
    if [int(text.strip("'")) > in_flight for text in threads] != [True]:
        yield f"{FUNCTION}: {in_flight} mails in flight, but PYTHON_THREADPOOL_THREAD_COUNT is {threads}"


def sample_lists_every_setting(project: Project) -> Iterator[str]:
    """The sample for a laptop lists what the code reads, and nothing that nobody reads."""
    values = json.loads(project.files[SAMPLE])["Values"]
    host = {"FUNCTIONS_WORKER_RUNTIME"}
    wanted = {name for name in settings_in_code(project) if not name.startswith(AZURE_ONLY_PREFIX)} | host
    for name in sorted(wanted ^ values.keys()):
        yield f"{SAMPLE}: {name} is {'read by nobody' if name in values else 'missing'}"
    if sum(bool(values.get(name)) for name in CREDENTIALS) != 1:
        yield f"{SAMPLE}: exactly one of {', '.join(CREDENTIALS)} may have a value"


RULES = (
    template_sets_what_the_code_reads,
    all_settings_reach_the_site,
    connections_have_credential_and_client,
    one_credential_is_set,
    values_come_from_where_they_belong,
    every_mail_in_flight_has_a_thread,
    sample_lists_every_setting,
)
