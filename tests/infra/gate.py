"""The steps of `make infra` with Microsoft's compiler and their findings.

`--mode validate` of `bicep snapshot` 0.49.2 ends with a KeyNotFoundException as soon as a prediction has a
resource of Microsoft Graph (https://github.com/Azure/bicep/issues/18822), and it does not compare outputs; so
the last step predicts again and compares everything.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
from typing import TYPE_CHECKING

from tests.infra.bicep import BicepError
from tests.infra.project import MAIN, ROOT, SNAPSHOTS, Project, as_text, snapshots_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.infra.bicep import Bicep, Diagnostic

#: The compiler that the workflows install; another one may format, lint or predict differently.
PINNED_BICEP = "0.49.2"

SUMS = f"{SNAPSHOTS}/SHA256SUMS"
#: Predictions depend on no other files; hooks and the parameter file of azd are not among them.
HASHED = (".bicep", ".bicepparam", ".json", ".kql")
NOT_HASHED = frozenset({"infra/main.parameters.json"})


def check_format(bicep: Bicep, root: Path = ROOT) -> Iterator[str]:
    """`bicep format`: every file has the official format."""
    for path in _bicep_files(root):
        text = path.read_text(encoding="utf-8")
        formatted = bicep.format(path)
        if text != formatted:
            line = next(n for n, pair in enumerate(_pairs(text, formatted), 1) if len(set(pair)) > 1)
            yield f"{path.relative_to(root)}:{line} is not formatted: run `bicep format`"


def check_build(bicep: Bicep, root: Path = ROOT) -> Iterator[str]:
    """`bicep build`: the template compiles without a message."""
    yield from _messages(bicep, root, from_linter=False)


def check_lint(bicep: Bicep, root: Path = ROOT) -> Iterator[str]:
    """`bicep lint`: no rule of `bicepconfig.json` complains."""
    yield from _messages(bicep, root, from_linter=True)


def check_snapshots(bicep: Bicep, root: Path = ROOT) -> Iterator[str]:
    """`bicep snapshot`: predictions equal the committed ones, no diagnostics."""
    try:
        for path, made in snapshots_of(bicep, root):
            if made.get("diagnostics"):
                yield f"{path}: {made['diagnostics']}"
            committed = (root / path).read_text(encoding="utf-8") if (root / path).exists() else ""
            yield from _differences(path, committed, as_text(made))
    except BicepError as error:
        yield str(error).replace(f"{root}/", "")


STEPS = (check_format, check_build, check_lint, check_snapshots)


def checksums(project: Project) -> str:
    """Return `sha256sum` lines for predictions and the files they come from."""
    return "".join(
        f"{hashlib.sha256(text.encode()).hexdigest()}  {path}\n"
        for path, text in sorted(project.files.items())
        if path.startswith("infra/") and path.endswith(HASHED) and path not in NOT_HASHED
    )


def stale_files(project: Project) -> list[str]:
    """Return the files that changed, came or went since `make snapshots` ran."""
    recorded = _by_path(project.files.get(SUMS, ""))
    current = _by_path(checksums(project))
    return sorted(path for path in recorded | current if recorded.get(path) != current.get(path))


def update(bicep: Bicep, root: Path = ROOT) -> None:
    """Write the predictions and the checksums.

    Raises:
        BicepError: a file does not compile, or rejects its parameters.
    """
    for path, made in snapshots_of(bicep, root):
        (root / path).write_text(as_text(made), encoding="utf-8")
    (root / SUMS).write_text(checksums(Project.from_disk(root)), encoding="utf-8")


def _bicep_files(root: Path) -> list[Path]:
    return sorted([*root.glob("infra/**/*.bicep"), *root.glob("infra/**/*.bicepparam")])


def _messages(bicep: Bicep, root: Path, *, from_linter: bool) -> Iterator[str]:
    for item in bicep.diagnose(root / MAIN):
        if _is_lint(item) == from_linter:
            yield str(item).replace(f"{root}/", "")


def _is_lint(item: Diagnostic) -> bool:
    return not item.code.startswith("BCP")


def _pairs(text: str, formatted: str) -> Iterator[tuple[str, str]]:
    yield from itertools.zip_longest(
        text.splitlines(keepends=True), formatted.splitlines(keepends=True), fillvalue=""
    )


def _differences(path: str, committed: str, predicted: str) -> Iterator[str]:
    lines = difflib.unified_diff(
        committed.splitlines(), predicted.splitlines(), "committed", "predicted", n=1, lineterm=""
    )
    shown = [line.strip() for line in lines][2:12]
    if shown:
        yield (
            f"{path} is not what the template gives; run `make snapshots` and review:\n    "
            + "\n    ".join(shown)
        )


def _by_path(sums: str) -> dict[str, str]:
    return {path: digest for digest, _, path in (line.partition("  ") for line in sums.splitlines())}
