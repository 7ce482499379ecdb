"""The OpenAPI document passes a common linter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.interop import HERE
from tests.interop.conftest import run

if TYPE_CHECKING:
    from pathlib import Path

QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


def test_redocly_finds_nothing(npm: Path, documents: Path) -> None:
    config = ("--config", HERE / "redocly.yaml", "--format", "json")

    run(npm / "redocly", "lint", documents / "openapi.json", *config, environment=QUIET)
