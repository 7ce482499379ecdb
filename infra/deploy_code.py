"""Deploy the code with azd; retry until the assigned roles are effective.

    python -m infra.deploy_code [arguments of azd deploy api]

Azure applies a role within seconds or minutes. Until then the build service, which uploads the package with
the app's identity, gets 403 from the storage account: https://github.com/Azure/azure-dev/issues/8026.
Any other failure ends at once with the exit code of azd.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from infra.hooks.reporting import report

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Seconds before each further attempt.
PAUSES = (60.0, 90.0, 120.0)

#: The status code alone, not as a part of a number or of a time; and the names that Azure gives the refusal.
REFUSED = re.compile(
    r"(?<![\w.:-])403(?![\w:])|AuthorizationPermissionMismatch|AuthorizationFailure"
    r"|InaccessibleStorageException|not authorized to perform this operation"
)

NOT_FOUND = 127


def attempt(azd: str, arguments: Sequence[str]) -> tuple[int, bool]:
    """Run azd once and show its output.

    Returns:
        The exit code of azd, and whether Azure responded with 403.
    """
    command = [azd, "deploy", "api", "--no-prompt", *arguments]
    refused = False
    with subprocess.Popen(  # noqa: S603 - azd with the arguments of whoever deploys
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
    ) as process:
        for line in process.stdout or ():
            refused = refused or REFUSED.search(line) is not None
            report(line)
    return process.returncode, refused


def deploy(arguments: Sequence[str], pauses: Sequence[float] = PAUSES) -> int:
    """Deploy; repeat after each pause while Azure responds with 403.

    Returns:
        The exit code of the last attempt.
    """
    azd = shutil.which("azd")
    if azd is None:
        report("azd was not found on the PATH.\n")
        return NOT_FOUND
    code, refused = attempt(azd, arguments)
    for pause in pauses:
        if code == 0 or not refused:
            break
        report(f"Azure responded with 403: a role is not effective yet. Retrying in {pause:.0f} s.\n")
        time.sleep(pause)
        code, refused = attempt(azd, arguments)
    return code


if __name__ == "__main__":
    sys.exit(deploy(sys.argv[1:]))
