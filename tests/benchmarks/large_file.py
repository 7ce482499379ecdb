"""Memory and time of a large file compared with a budget and a bare loop."""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from azure.storage.blob import ContainerClient

from shared.storage_names import API_VERSION, ATTACHMENTS
from tests.benchmarks.figures import Figure
from tests.benchmarks.receiver import receiver
from tests.benchmarks.uploads import CONNECTION, MEGABYTE, SMALL, path_of
from tests.local_stack.azurite import Azurite
from tests.local_stack.certificates import LocalAuthority
from tests.storage import provision

ROOT = Path(__file__).parents[2]
BUDGET_MB = 16
ROUNDS = 3


def large_file() -> list[Figure]:
    """Measure memory at 50 and 150 MB, and throughput at 150 MB."""
    with TemporaryDirectory() as directory, Azurite() as azurite:
        authority = LocalAuthority.create(Path(directory))
        _upload(azurite.connection_string)
        environment = os.environ | {
            "REQUESTS_CA_BUNDLE": str(authority.bundle),
            CONNECTION: azurite.connection_string,
        }
        with receiver(authority) as address:
            fifty = _run("ours", address, 50, environment)["growth"]
            rounds = [
                {way: _run(way, address, 150, environment) for way in ("ours", "bare")} for _ in range(ROUNDS)
            ]
    return [_memory(50, fifty), _memory(150, max(each["ours"]["growth"] for each in rounds)), _speed(rounds)]


def _memory(size: int, growth: int) -> Figure:
    how = (
        f"growth of the peak over a file of {SMALL} MB, both in one fresh process: {growth / MEGABYTE:.1f} MB"
    )
    return Figure(
        f"memory for a file of {size} MB", f"{BUDGET_MB} MB", growth / MEGABYTE / BUDGET_MB, 1.0, how
    )


def _speed(rounds: list[dict[str, Any]]) -> Figure:
    best = {way: min(each[way]["seconds"] for each in rounds) for way in ("ours", "bare")}
    how = f"150 MB from Azurite to an upload session over loopback TLS, best of {ROUNDS} alternating rounds: "
    how += ", ".join(f"{way} {150 / seconds:.0f} MB/s" for way, seconds in best.items())
    return Figure(
        "throughput of a large file",
        "a bare read-and-PUT loop",
        best["bare"] / best["ours"],
        0.8,
        how,
        at_most=False,
    )


def _upload(connection_string: str) -> None:
    provision(connection_string)
    with ContainerClient.from_connection_string(
        connection_string, ATTACHMENTS, api_version=API_VERSION
    ) as files:
        for size in (SMALL, 50, 150):
            files.upload_blob(path_of(size), os.urandom(MEGABYTE) * size, overwrite=True)


def _run(way: str, address: str, size: int, environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.uploads", way, address, str(size)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
