"""`python -m tests.infra` checks `infra/`; `update` writes snapshots."""

from __future__ import annotations

import os
import sys

from tests.infra.bicep import Bicep, is_available
from tests.infra.gate import PINNED_BICEP, STEPS, stale_files, update
from tests.infra.project import Project

WITHOUT_BICEP = "infra: bicep is not on the PATH: format, build, lint and snapshot were not checked"


def check() -> int:
    """Print the findings of each step; return the exit code."""
    stale = stale_files(Project.from_disk())
    if stale:
        print(f"infra: the snapshots are older than {', '.join(stale)}: run `make snapshots`")
    if not is_available():
        print(WITHOUT_BICEP)
        return 1 if stale or "GITHUB_ACTIONS" in os.environ else 0
    findings = 0
    with Bicep() as bicep:
        _print_version(bicep.version())
        for step in STEPS:
            found = list(step(bicep))
            findings += len(found)
            print(f"infra: {(step.__doc__ or '').removesuffix('.')}: {len(found) or 'no'} findings")
            print("".join(f"  {finding}\n" for finding in found), end="")
    return 1 if stale or findings else 0


def write() -> int:
    """Write snapshots and checksums; return the exit code."""
    if not is_available():
        print("infra: the snapshots are made by bicep, which is not on the PATH")
        return 1
    with Bicep() as bicep:
        _print_version(bicep.version())
        update(bicep)
    return 0


def _print_version(version: str) -> None:
    if version != PINNED_BICEP:
        print(f"infra: this is bicep {version}; the workflows use {PINNED_BICEP}, whose responses can differ")


if __name__ == "__main__":
    sys.exit(write() if sys.argv[1:] == ["update"] else check())
