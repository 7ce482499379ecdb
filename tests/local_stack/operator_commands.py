"""The operator's commands, run in a process of their own."""

import os
import subprocess
import sys

from tests.local_stack.host_process import REPOSITORY
from tests.local_stack.microsoft365.contoso import CLIENT_ID

#: `wait` can take as long as a claim.
PATIENCE_SECONDS = 900


def operate(connection_string: str, *arguments: str) -> str:
    """Run `python -m shared.operate` on a running stack; return its output.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "shared.operate", *arguments],
        cwd=REPOSITORY,
        env={
            "PATH": os.environ["PATH"],
            "AzureWebJobsStorage": connection_string,
            "ENTRA_CLIENT_ID": CLIENT_ID,
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    return done.stdout
