"""The files that infrastructure tests read, as text that can be replaced."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.infra.prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.bicep import Bicep

ROOT = Path(__file__).parents[2]

PATTERNS = (
    "infra/**/*.bicep",
    "infra/**/*.bicepparam",
    "infra/**/*.json",
    "infra/**/*.kql",
    "infra/hooks/*.py",
    "infra/snapshots/SHA256SUMS",
    ".python-version",
    "azure.yaml",
    "host.json",
    "local.settings.sample.json",
    ".ci/run",
    ".github/workflows/*.yml",
    "docs/operations/*.md",
    "shared/**/*.py",
)

MAIN = "infra/main.bicep"
CONFIG = "infra/bicepconfig.json"
SNAPSHOTS = "infra/snapshots"
WORKBOOK = "infra/workbook.json"
INTERFACE = f"{SNAPSHOTS}/interface.json"


@dataclass(frozen=True)
class Interface:
    """The parameters of the main template and the types of its outputs.

    A parameter has `type`, `metadata` with its description, and where they apply `defaultValue` (an
    expression in brackets if it is computed), `allowedValues`, `minValue`, `maxLength` and so on.
    """

    parameters: dict[str, dict[str, Any]]
    outputs: dict[str, str]


@dataclass(frozen=True)
class Project:
    """Text by path from the repository's root."""

    files: Mapping[str, str] = field(repr=False)

    @classmethod
    def from_disk(cls, root: Path = ROOT) -> Project:
        """Read the files that match the patterns."""
        paths = sorted({path for pattern in PATTERNS for path in root.glob(pattern)})
        return cls({str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths})

    def with_change(self, path: str, old: str, new: str) -> Project:
        """Copy the project with the first occurrence of a text replaced.

        Raises:
            ValueError: the text does not occur, so the change would prove nothing.
        """
        if old not in self.files[path]:
            raise ValueError(f"{path} does not contain {old!r}")
        return self.with_file(path, self.files[path].replace(old, new, 1))

    def with_file(self, path: str, text: str) -> Project:
        """Copy the project with one file's text set."""
        return Project({**self.files, path: text})

    def with_parameters(self, deployment: str, **values: str) -> Project:
        """Copy the project with parameters of a set changed, in Bicep syntax."""
        path = f"{SNAPSHOTS}/{deployment}.bicepparam"
        kept = [
            line
            for line in self.files[path].splitlines()
            if not line.startswith(tuple(f"param {name} =" for name in values))
        ]
        added = [f"param {name} = {value}" for name, value in values.items()]
        return self.with_file(path, "\n".join([*kept, *added]) + "\n")

    @property
    def parameter_sets(self) -> list[str]:
        """The names of the parameter sets that have a prediction."""
        return [Path(path).stem for path in self.files if path.endswith(".bicepparam")]

    @cached_property
    def predictions(self) -> dict[str, Prediction]:
        """The committed prediction of every parameter set, by its name."""
        return {
            name: Prediction.from_json(name, self.files[snapshot_path(name)]) for name in self.parameter_sets
        }

    @cached_property
    def alert_rules(self) -> dict[str, dict[str, Any]]:
        """The properties of every alert rule that can be made, by its name."""
        rules = self.predictions["private-network"].all("Microsoft.Insights/scheduledQueryRules")
        return {rule["name"]: rule["properties"] for rule in rules}

    @cached_property
    def workbook_queries(self) -> dict[str, str]:
        """The queries of the workbook's tiles, by the tile's name."""
        items = json.loads(self.files[WORKBOOK])["items"]
        return {
            item["name"]: item["content"]["query"].strip() for item in items if "query" in item["content"]
        }

    @cached_property
    def interface(self) -> Interface:
        """The parameters and outputs of the template, as they were compiled."""
        return Interface(**json.loads(self.files[INTERFACE]))

    def predicted_again(self, bicep: Bicep, *names: str) -> Project:
        """Copy the project with snapshots predicted from its Bicep files.

        Raises:
            BicepError: a file does not compile, or rejects its parameters.
        """
        with self._on_disk() as root:
            again = {path: as_text(made) for path, made in snapshots_of(bicep, root, *names)}
        return Project({**self.files, **again})

    def compiled(self, bicep: Bicep) -> dict[str, Any]:
        """Compile the main template with its modules to Resource Manager's JSON.

        Raises:
            BicepError: a file does not compile.
        """
        with self._on_disk() as root:
            return bicep.compile(root / MAIN)

    @contextmanager
    def _on_disk(self) -> Iterator[Path]:
        """Write `infra/` to a temporary folder with the linter switched off.

        A fault can leave a parameter unused.
        """
        config = json.loads(self.files[CONFIG])
        config["analyzers"]["core"]["enabled"] = False
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for path, text in self.files.items():
                if path.startswith("infra/"):
                    (root / path).parent.mkdir(parents=True, exist_ok=True)
                    (root / path).write_text(text, encoding="utf-8")
            (root / CONFIG).write_text(json.dumps(config), encoding="utf-8")
            yield root


def snapshots_of(bicep: Bicep, root: Path, *names: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and content of the files that `make snapshots` writes.

    Raises:
        BicepError: a file does not compile, or rejects its parameters.
    """
    found = [path.stem for path in sorted((root / SNAPSHOTS).glob("*.bicepparam"))]
    for name in names or (*found, Path(INTERFACE).stem):
        if name == Path(INTERFACE).stem:
            compiled = bicep.compile(root / MAIN)
            outputs = {output: declared["type"] for output, declared in compiled["outputs"].items()}
            yield INTERFACE, {"parameters": compiled["parameters"], "outputs": outputs}
        else:
            yield snapshot_path(name), bicep.predict(root / SNAPSHOTS / f"{name}.bicepparam")


def snapshot_path(name: str) -> str:
    """Return where the prediction of a parameter set is committed."""
    return f"{SNAPSHOTS}/{name}.snapshot.json"


def as_text(snapshot: Mapping[str, Any]) -> str:
    """Return a prediction as it is committed."""
    return json.dumps(snapshot, indent=2, ensure_ascii=False) + "\n"
