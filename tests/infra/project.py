"""The files that the gate reads, as text, so that a test can break a copy of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.infra.template import Template, parse

ROOT = Path(__file__).parents[2]

PATTERNS = (
    "infra/**/*.bicep",
    "infra/**/*.json",
    "infra/**/*.kql",
    "infra/hooks/*.py",
    ".python-version",
    "azure.yaml",
    "host.json",
    "local.settings.sample.json",
    ".github/workflows/*.yml",
    "docs/operations.md",
    "shared/**/*.py",
)

MAIN = "infra/main.bicep"


@dataclass(frozen=True)
class Project:
    """Text by path from the repository's root."""

    files: Mapping[str, str]

    @classmethod
    def from_disk(cls, root: Path = ROOT) -> Project:
        """Read what the patterns name."""
        paths = sorted({path for pattern in PATTERNS for path in root.glob(pattern)})
        return cls({str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths})

    def with_change(self, path: str, old: str, new: str) -> Project:
        """Copy the project with the first occurrence of a text replaced.

        Raises:
            ValueError: the text does not occur, so the change would prove nothing.
        """
        if old not in self.files[path]:
            raise ValueError(f"{path} does not contain {old!r}")
        return Project({**self.files, path: self.files[path].replace(old, new, 1)})

    @cached_property
    def templates(self) -> dict[str, Template]:
        """Every Bicep file, parsed."""
        return {path: parse(path, text) for path, text in self.files.items() if path.endswith(".bicep")}

    @property
    def main(self) -> Template:
        """The file that everything else hangs on."""
        return self.templates[MAIN]

    def template(self, name: str) -> Template:
        """One module by its short name."""
        return self.templates[f"infra/modules/{name}.bicep"]
