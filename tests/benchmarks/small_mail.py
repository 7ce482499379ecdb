"""What a small mail costs in CPU time, compared with a bare loop and with python-o365."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.figures import Figure
from tests.benchmarks.receiver import receiver
from tests.local_stack.certificates import LocalAuthority

ROOT = Path(__file__).parents[2]
#: python-o365 and what it needs, apart from our own packages.
PEERS = ROOT / ".local" / "peers"
PEER = "o365==2.1.10"
COUNT = 500
ROUNDS = 3


def small_mail() -> list[Figure]:
    """Compare CPU time a mail, the best of alternating rounds, each in a fresh process."""
    install_peers()
    with TemporaryDirectory() as directory:
        authority = LocalAuthority.create(Path(directory))
        with receiver(authority) as address:
            rounds = [
                {way: _seconds(way, address, authority) for way in ("ours", "bare", "o365")}
                for _ in range(ROUNDS)
            ]
    best = {way: min(each[way] for each in rounds) for way in rounds[0]}
    how = f"CPU time a mail over loopback TLS, best of {ROUNDS} alternating rounds of {COUNT}: " + ", ".join(
        f"{way} {seconds * 1000:.2f} ms" for way, seconds in best.items()
    )
    what = "a small mail through `deliver`"
    return [
        Figure(what, "python-o365 2.1.10", best["ours"] / best["o365"], 0.5, how),
        Figure(what, "a bare http.client loop", best["ours"] / best["bare"], 3.0, how),
    ]


def install_peers() -> None:
    """Fetch the library we compare with, once, beside our own packages."""
    if not (PEERS / "O365").exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-qq", "--target", str(PEERS), PEER],
            check=True,
            timeout=300,
        )


def _seconds(way: str, address: str, authority: LocalAuthority) -> float:
    environment = os.environ | {
        "REQUESTS_CA_BUNDLE": str(authority.bundle),
        "PYTHONPATH": str(PEERS) if way == "o365" else "",
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
