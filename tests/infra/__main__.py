"""Say what is checked, then what was found; exit 1 if anything was."""

from __future__ import annotations

import sys
import time

from tests.infra.gate import MODULES, check
from tests.infra.project import Project


def main() -> int:
    """Check the repository."""
    started = time.monotonic()
    project = Project.from_disk()
    findings = check(project)
    for module in MODULES:
        print(f"{(module.__doc__ or '').splitlines()[0]} ({len(module.RULES)} rules)")
    for finding in findings:
        print(f"  {finding}")
    seconds = time.monotonic() - started
    print(f"infra: {len(findings)} findings in {len(project.files)} files, {seconds:.1f} s. Not a compiler.")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
