"""The settings that `shared/config.py` reads, found in its source."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.infra.project import Project

#: Read by the Functions host, not by our code.
HOST_SETTINGS = frozenset(
    {
        "AzureWebJobsStorage__credential",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        "PYTHON_THREADPOOL_THREAD_COUNT",
        "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT",
        "AzureWebJobsDisableHomepage",
    }
)
#: A connection string carries the account key: for local development only.
LOCAL_ONLY = frozenset({"AzureWebJobsStorage"})
#: Azurite knows no identity, and an empty address beside a connection string confuses the host.
AZURE_ONLY_PREFIX = "AzureWebJobsStorage__"
#: Of these, `shared/config.py` accepts exactly one.
CREDENTIALS = frozenset(
    {"ENTRA_CLIENT_SECRET", "ENTRA_CLIENT_CERTIFICATE_PATH", "ENTRA_MANAGED_IDENTITY_CLIENT_ID"}
)

_READERS = frozenset(
    {"text", "addresses", "origins", "one_of", "number", "url", "host", "word", "guid", "guids", "queues"}
)


def settings_in_code(project: Project) -> set[str]:
    """Return the setting names that `shared/config.py` reads.

    These are the first arguments of its typed reads, and tuples of names.
    """
    return {
        str(item.value)
        for node in ast.walk(ast.parse(project.files["shared/config.py"]))
        for item in _names_in(node)
        if isinstance(item, ast.Constant)
    }


def defaults_in_code(project: Project) -> dict[str, str | None]:
    """Return each setting's literal default; None where it is required."""
    defaults: dict[str, str | None] = {}
    for node in ast.walk(ast.parse(project.files["shared/config.py"])):
        match node:
            case ast.Call(func=ast.Attribute(attr=reader), args=[ast.Constant(value=str(name))]) if (
                reader in _READERS
            ):
                defaults[name] = None
            case (
                ast.Call(
                    func=ast.Attribute(attr="text" | "word" | "guid" | "number"),
                    args=[ast.Constant(value=str(name)), default, *_],
                )
                | ast.Call(
                    func=ast.Attribute(attr="one_of"), args=[ast.Constant(value=str(name)), _, default]
                )
            ):
                if isinstance(default, ast.Constant):
                    defaults[name] = str(default.value)
    return defaults


def _names_in(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Call(func=ast.Attribute(attr=reader), args=[name, *_]) if reader in _READERS:
            return [name]
        case ast.Assign(targets=[ast.Name(id="names")], value=ast.Tuple(elts=names)):
            return names
        case _:
            return []
