"""The CPU time of a small mail compared with two Python libraries."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.figures import Figure
from tests.benchmarks.receiver import receiver
from tests.local_stack.certificates import LocalAuthority

ROOT = Path(__file__).parents[2]
#: The libraries and what they need, apart from our own packages.
PEERS = ROOT / ".local" / "peers"
PACKAGES = ("o365==2.1.10", "Office365-REST-Python-Client==3.3.0")
LIBRARIES = {"o365": "python-o365 2.1.10", "office365": "Office365-REST-Python-Client 3.3.0"}
BUDGET = 0.9
COUNT = 250
ROUNDS = 8


def small_mail() -> list[Figure]:
    """Compare the CPU time of a mail in fresh processes, best of rounds."""
    install_peers()
    with TemporaryDirectory() as directory:
        authority = LocalAuthority.create(Path(directory))
        with receiver(authority) as address:
            rounds = [
                {way: _seconds(way, address, authority) for way in ("ours", *LIBRARIES)}
                for _ in range(ROUNDS)
            ]
    best = {way: min(each[way] for each in rounds) for way in rounds[0]}
    how = f"CPU time a mail over loopback TLS, best of {ROUNDS} alternating rounds of {COUNT}: " + ", ".join(
        f"{way} {seconds * 1000:.2f} ms" for way, seconds in best.items()
    )
    better = min(LIBRARIES, key=lambda way: best[way])
    what = "a small mail through `deliver`"
    compared_with = f"the better of {' and '.join(LIBRARIES.values())}"
    return [Figure(what, compared_with, best["ours"] / best[better], BUDGET, how)]


def install_peers() -> None:
    """Fetch the libraries we compare with, once, beside our own packages."""
    if not (PEERS / "O365").exists() or not (PEERS / "office365").exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-qq", "--upgrade", "--target", str(PEERS), *PACKAGES],
            check=True,
            timeout=300,
        )


def _seconds(way: str, address: str, authority: LocalAuthority) -> float:
    environment = os.environ | {
        "REQUESTS_CA_BUNDLE": str(authority.bundle),
        "PYTHONPATH": str(PEERS) if way in LIBRARIES else "",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.senders", way, address, str(COUNT)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return float(done.stdout.splitlines()[-1])
