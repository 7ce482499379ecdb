"""The layers of `shared/` by imports, and who may use SDKs.

One rule says which module reads the environment.
"""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "shared").rglob("*.py"))
MAX_LINES = 250

#: The layers, the highest first. A module imports from its own package and from lower layers, imports that
#: only type checkers read included. Packages of one layer do not import each other.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"api", "triggers", "enqueue", "operate"}),
    frozenset({"scheduler_bootstrap"}),
    frozenset({"bootstrap"}),
    frozenset({"lazy_config"}),
    frozenset({"adapters"}),
    frozenset({"sending", "consent"}),
    frozenset({"deliveries"}),
    frozenset({"mail"}),
    frozenset({"settings"}),
)
#: Beside the layers: a consent has to do with no mail.
FORBIDDEN = {("consent", "deliveries"), ("consent", "mail"), ("api", "adapters"), ("triggers", "adapters")}
#: Who may import `azure.functions`.
FRAMEWORK = {"api/framework.py", "api/routes.py", "triggers.py"}
#: Who may read the environment.
ENVIRONMENT = {"config.py"}
SDKS = (
    "azure.core",
    "azure.data",
    "azure.identity",
    "azure.keyvault",
    "azure.storage",
    "jwt",
    "msal",
    "requests",
)
BANNED_NAMES = {
    "base",
    "common",
    "constants",
    "handler",
    "handlers",
    "helpers",
    "manager",
    "misc",
    "service",
    "utils",
}


def imports_of(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each import of a module and whether it is for type checkers."""
    tree = ast.parse(text)
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", id(node) in for_types) for alias in node.names)


def layer_of(part: str) -> int:
    """Return the number of a layer, 0 for the highest.

    Files outside the list are in the lowest one.
    """
    return next((number for number, layer in enumerate(LAYERS) if part in layer), len(LAYERS))


def broken_rules(path: str, text: str) -> Iterator[str]:
    """Yield the forbidden imports of a module; `path` is below `shared/`."""
    own = Path(path).parts[0].removesuffix(".py")
    for name, for_types in imports_of(text):
        if name.startswith("shared."):
            other = name.split(".")[1]
            upward = layer_of(other) < layer_of(own)
            beside = other != own and layer_of(other) == layer_of(own) < len(LAYERS)
            if upward or beside or (own, other) in FORBIDDEN:
                yield f"{name}: `{own}` may not import `{other}`"
        if for_types:
            continue
        if name.startswith("azure.functions") and path not in FRAMEWORK:
            yield f"{name}: only the edges know the Functions framework"
        if name.startswith(SDKS) and own != "adapters":
            yield f"{name}: only adapters know an SDK"
        if name == "os" and path not in ENVIRONMENT:
            yield f"{name}: only config reads the environment"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_layer_may(module: Path) -> None:
    path = module.relative_to(ROOT / "shared").as_posix()

    assert list(broken_rules(path, module.read_text("utf-8"))) == []


def test_no_modules_import_each_other_in_a_cycle() -> None:
    """Imports that only type checkers read count too."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in MODULES}
    graph = {
        name: {
            each if each in modules else each.rpartition(".")[0]
            for each, _ in imports_of(path.read_text("utf-8"))
        }
        for name, path in modules.items()
    }

    # Raises CycleError, with the modules of a cycle.
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_at_most_250_lines(module: Path) -> None:
    assert len(module.read_text("utf-8").splitlines()) <= MAX_LINES


def test_there_is_one_http_client() -> None:
    """Proxies, authorities and timeouts are configured in one place.

    Azure's SDKs have a client of their own; `complete_head` adds a rule to it.
    """
    clients = {"aiohttp", "http.client", "httpx", "socket", "urllib.request", "urllib3"}
    opening = {
        str(module.relative_to(ROOT))
        for module in MODULES
        for name, for_types in imports_of(module.read_text("utf-8"))
        if not for_types
        and (name in clients or any(name.startswith(f"{client}.") for client in clients - {"urllib3"}))
    }
    sessions = {str(m.relative_to(ROOT)) for m in MODULES if "requests.Session" in m.read_text("utf-8")}

    assert opening <= {
        "shared/adapters/http.py",
        "shared/adapters/http_connection.py",
        "shared/adapters/complete_head.py",
    }
    assert sessions == {"shared/adapters/http.py", "shared/adapters/http_environment.py"}


def test_a_module_is_named_after_what_it_is_about() -> None:
    assert [module for module in MODULES if module.stem in BANNED_NAMES] == []


def test_only_the_edges_catch_every_exception() -> None:
    catching = {
        str(module.relative_to(ROOT))
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
        )
    }

    # A caller must not get a blank error, one tenant must not stop the maintenance of the others, an error
    # while tokens are stored must not cost the mail that they were issued for, and Azure would delete a mail
    # that stays in the poison queue.
    assert catching == {
        "shared/api/framework.py",
        "shared/consent/maintenance.py",
        "shared/consent/token_cache.py",
        "shared/sending/poison.py",
    }


FOR_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "


@pytest.mark.parametrize(
    ("path", "text", "broken"),
    [
        ("sending/claim.py", "import os", True),
        ("sending/claim.py", "from azure.storage.blob import BlobClient", True),
        ("sending/claim.py", "def f():\n    import requests", True),
        ("sending/claim.py", f"{FOR_TYPES}import requests", False),
        ("sending/claim.py", "import azure.functions as func", True),
        ("sending/claim.py", "from shared.errors import MailerError", False),
        ("sending/claim.py", "from shared.deliveries.delivery import Delivery", False),
        ("sending/claim.py", "from shared.adapters.graph import GraphMailTransport", True),
        ("sending/claim.py", f"{FOR_TYPES}from shared.adapters.graph import GraphMailTransport", True),
        ("sending/claim.py", "from shared.consent.flow import ConsentFlow", True),
        ("consent/start.py", f"{FOR_TYPES}from shared.deliveries.delivery import Delivery", True),
        ("api/settings.py", "from shared import adapters", True),
        ("api/settings.py", "from shared.bootstrap import Services", False),
        ("errors.py", "from shared.settings.tenant import TenantSettings", True),
        ("errors.py", "from shared.problems import Problem", False),
    ],
)
def test_the_rules_find_what_breaks_them(path: str, text: str, *, broken: bool) -> None:
    assert bool(list(broken_rules(path, text))) is broken
