"""Anonymous bodies of 100 MB during sending, with limited memory.

The limit is one of writable private memory (RLIMIT_DATA) for each process. Only Linux sets it for a running
process. Core Tools are left out, because .NET reserves more of it than it uses.
"""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from tests.faults.campaign import Scenario
from tests.local_stack.host_process import CORE_TOOLS
from tests.local_stack.loopback import loopback_session
from tests.local_stack.microsoft365 import Effect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.campaign import Campaign

MEBIBYTE = 1024 * 1024
#: A worker with eight mails in flight takes less than half of it.
LIMIT_BYTES = 384 * MEBIBYTE
BODY_BYTES = 100 * MEBIBYTE
POSTS = 8
#: From the host, from the app, or before the whole body was sent.
REFUSALS = frozenset({500, 413, 411})
CUT = 0
MAILS = 8
#: The delay of Graph for each mail, so that some are always in flight.
IN_FLIGHT_SECONDS = 3.0


def memory_scenarios() -> list[Scenario]:
    """Return the scenarios; none if the machine cannot limit a process."""
    reason = unsupported_reason()
    if reason:
        print(f"… memory: left out. {reason}", file=sys.stderr, flush=True)
        return []
    return [Scenario("100 MB bodies under a memory limit", post_large_bodies, small=MAILS, all_accepted=True)]


def unsupported_reason() -> str:
    """Return why memory cannot be limited here; empty if it can."""
    if sys.platform != "linux":
        return "Only Linux limits the memory of a process that runs."
    return "Core Tools reserve more memory than such a limit allows." if CORE_TOOLS else ""


def post_large_bodies(campaign: Campaign) -> None:
    """Post bodies that a host must refuse; check that no process restarts."""
    campaign.stack.microsoft365.faults.add("sendMail", Effect(delay=IN_FLIGHT_SECONDS), times=MAILS)
    processes = _processes(campaign)
    before = _peaks(processes)
    with _memory_limit(processes), ThreadPoolExecutor(POSTS) as pool:
        campaign.wait_until_sending()
        statuses = list(pool.map(lambda number: _post(campaign, chunked=number % 2 == 1), range(POSTS)))
        # The worker processes must run until the last of these mails is recorded.
        campaign.wait_until_final()
    campaign.count_faults(len(statuses))
    unexpected = [status for status in statuses if status not in REFUSALS | {CUT}]
    if unexpected:
        campaign.report_violation(f"responses to bodies of 100 MB: {unexpected}")
    if _processes(campaign) != processes:
        campaign.report_violation("a host or a worker process ended")
    elif any(peak - before[pid] >= BODY_BYTES for pid, peak in _peaks(processes).items()):
        campaign.report_violation("a process kept a body of 100 MB")


def _post(campaign: Campaign, *, chunked: bool) -> int:
    """Post to an address that needs no sign-in, and return the status."""
    body = _chunks() if chunked else _Body()
    url = f"{campaign.stack.api_url}/api/consent/callback"
    with loopback_session(campaign.stack.authority.ca_file) as session:
        try:
            return session.post(url, data=body, timeout=60).status_code  # type: ignore[arg-type]
        except requests.ConnectionError:
            return CUT


class _Body:
    """A body of known length that uses no memory."""

    def __init__(self) -> None:
        self._left = BODY_BYTES

    def __len__(self) -> int:
        return self._left

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        taken = min(size, self._left)
        self._left -= taken
        return bytes(taken)


def _chunks() -> Iterator[bytes]:
    for _ in range(BODY_BYTES // MEBIBYTE):
        yield bytes(MEBIBYTE)


def _processes(campaign: Campaign) -> list[int]:
    """Return the ids of the running hosts and of their workers."""
    hosts = [host.pid for host in campaign.stack.hosts if host.running]
    files = (Path(f"/proc/{pid}/task/{pid}/children") for pid in hosts)
    return hosts + [int(child) for file in files for child in file.read_text().split()]


def _peaks(processes: list[int]) -> dict[int, int]:
    """Return the peak memory of each process in bytes."""
    pattern = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
    texts = {pid: Path(f"/proc/{pid}/status").read_text() for pid in processes}
    return {pid: 1024 * int(pattern.findall(text)[0]) for pid, text in texts.items()}


@contextmanager
def _memory_limit(processes: list[int]) -> Iterator[None]:
    """Limit the memory of some processes for a while."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    for pid in processes:
        resource.prlimit(pid, resource.RLIMIT_DATA, (LIMIT_BYTES, hard))
    try:
        yield
    finally:
        for pid in processes:
            if Path(f"/proc/{pid}").exists():
                resource.prlimit(pid, resource.RLIMIT_DATA, (resource.RLIM_INFINITY, hard))
