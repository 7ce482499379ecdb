"""How azd reads `azure.yaml` and packages a function app.

Read in azd's source of August 2026: `cli/azd/pkg/ext/models.go` (paths and kinds of hooks),
`pkg/tools/language/project_discovery.go` (the search for packages to install), `python_executor.go` (what
happens before a hook in Python) and `pkg/project/project_utils.go` (the zip).
https://github.com/Azure/azure-dev
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathspec import GitIgnoreSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Searched for from the script's folder upward; in a folder, the first one counts.
PROJECT_FILES = ("pyproject.toml", "requirements.txt", "package.json")
KINDS = {".sh": "sh", ".ps1": "pwsh", ".py": "python", ".js": "js", ".ts": "ts", ".cs": "dotnet"}
#: Left out of the zip whatever `.funcignore` says.
NEVER_PACKED = (".azure/", ".funcignore", "local.settings.json")


@dataclass(frozen=True)
class Hook:
    """One hook as azd runs it."""

    kind: str
    command: str
    script: Path | None
    continues_on_error: bool

    @property
    def can_end_the_command_before_it_runs(self) -> bool:
        """Tell whether azd prepares the hook before it runs it.

        `continueOnError` does not cover a failure of that preparation.
        """
        return self.kind not in {"sh", "pwsh"}


def read_hook(hook: Mapping[str, Any], root: Path, *, windows: bool = False) -> Hook:
    """Resolve a hook of `azure.yaml` to a script file or a command."""
    if windows and "windows" in hook:
        hook = hook["windows"]
    run, folder = hook["run"], root / hook.get("dir", "")
    # With `dir`, azd looks in both places, and then joins `dir` and `run` wherever it found the file.
    is_script = (folder / run).is_file() or (root / run).is_file()
    kind = (
        hook.get("kind")
        or hook.get("shell")
        or (KINDS.get("." + run.rpartition(".")[2]) if is_script else "")
    )
    return Hook(
        kind=kind or ("pwsh" if windows else "sh"),
        command=run,
        script=folder / run if is_script else None,
        continues_on_error=hook.get("continueOnError", False),
    )


def packages_file(script: Path, root: Path) -> Path | None:
    """Return the package list that azd installs before a Python hook."""
    for folder in script.parents:
        found = next((folder / name for name in PROJECT_FILES if (folder / name).is_file()), None)
        if found or folder == root:
            return found
    return None


def environment_folder(folder: Path) -> str:
    """Return the name of the virtual environment that azd creates."""
    return f"{folder.name}_env"


def packed(paths: Iterable[str], funcignore: str) -> list[str]:
    """Return which paths of a project are in the zip that azd uploads."""
    ignored = GitIgnoreSpec.from_lines([*NEVER_PACKED, *funcignore.splitlines()])
    return sorted(path for path in paths if not ignored.match_file(path))
