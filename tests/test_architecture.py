"""The import rules between folders, checked in the source."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "shared").rglob("*.py"))
MAX_LINES = 250
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


@dataclass(frozen=True)
class Rule:
    """What a kind of module may import; `adapters` and `credentials` mean at run time."""

    framework: bool = False
    sdks: bool = False
    environment: bool = False
    adapters: bool = False


RULES = {
    "endpoints": Rule(framework=True),
    "triggers": Rule(framework=True),
    "adapters": Rule(sdks=True, adapters=True),
    "config": Rule(environment=True),
    "bootstrap": Rule(adapters=True),
    "journey": Rule(),
}


def kind_of(module: Path) -> str:
    if module.parent.name == "adapters":
        return "adapters"
    return module.stem if module.stem in RULES else "journey"


def imports_of(module: Path) -> Iterator[str]:
    """Yield what a module imports at run time, anywhere in it; types alone do not count."""
    tree = ast.parse(module.read_text("utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def broken_rules(module: Path) -> Iterator[str]:
    rule = RULES[kind_of(module)]
    for name in imports_of(module):
        if name.startswith("azure.functions") and not rule.framework:
            yield f"{name}: only endpoints and triggers know the Functions framework"
        if name.startswith(SDKS) and not rule.sdks:
            yield f"{name}: only adapters know an SDK"
        if name.startswith("shared.adapters") and not rule.adapters:
            yield f"{name}: only bootstrap knows the adapters"
        if name == "os" and not rule.environment:
            yield f"{name}: only config reads the environment"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_what_its_kind_may(module: Path) -> None:
    assert list(broken_rules(module)) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_fits_on_a_few_screens(module: Path) -> None:
    assert len(module.read_text("utf-8").splitlines()) <= MAX_LINES


def test_there_is_one_http_client() -> None:
    """Proxies, authorities and timeouts have one place; Azure's SDKs bring a client of their own."""
    clients = {"aiohttp", "http.client", "httpx", "socket", "urllib.request", "urllib3"}
    opening = {
        str(module.relative_to(ROOT))
        for module in MODULES
        for name in imports_of(module)
        if name in clients or any(name.startswith(f"{client}.") for client in clients - {"urllib3"})
    }
    sessions = {str(m.relative_to(ROOT)) for m in MODULES if "requests.Session" in m.read_text("utf-8")}

    assert opening <= {"shared/adapters/http.py", "shared/adapters/http_connection.py"}
    assert sessions == {"shared/adapters/http.py", "shared/adapters/http_environment.py"}


def test_a_module_is_named_after_a_noun_of_this_world() -> None:
    assert [module for module in MODULES if module.stem in BANNED_NAMES] == []


def test_only_the_edges_catch_what_nobody_foresaw() -> None:
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

    # A caller must not get a blank error, one tenant must not stop the upkeep of the others, an error while
    # tokens are stored must not cost the mail that they were issued for, and Azure would delete a mail that
    # stays in the poison queue.
    assert catching == {
        "shared/api/framework.py",
        "shared/consent/maintenance.py",
        "shared/consent/token_cache.py",
        "shared/sending/poison.py",
    }


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("import os", True),
        ("from azure.storage.blob import BlobClient", True),
        ("def f():\n    import requests", True),
        ("from shared.adapters.graph import GraphMailTransport", True),
        ("import azure.functions as func", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import requests", False),
        ("from shared.errors import MailerError", False),
    ],
)
def test_the_rules_would_notice(text: str, *, broken: bool, tmp_path: Path) -> None:
    module = tmp_path / "flow.py"
    module.write_text(text)

    assert bool(list(broken_rules(module))) is broken
