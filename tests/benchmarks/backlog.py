"""The throughput of a thousand queued mails compared with the limit.

Graph responds in 200 ms and allows four requests at once.
"""

import time

from tests.benchmarks.figures import Figure
from tests.faults.campaign import Campaign
from tests.local_stack.clients import wait_for

COUNT = 1000
LATENCY = 0.2
IN_FLIGHT = 4


def backlog() -> Figure:
    """Measure from the first mail that arrives to the last, with one host."""
    with Campaign(look_up=False, hosts=1, gated=False) as campaign:
        system = campaign.stack.microsoft365
        system.behaviour.latency = LATENCY
        for number in range(COUNT):
            campaign.queue(f"m-{number}")
        wait_for(lambda: len(system.mails()) == COUNT or None, "all mails", 300)
        mails = system.mails()
        first, last = mails[0].at, mails[-1].at
        time.sleep(LATENCY)
    allowed = IN_FLIGHT / LATENCY
    rate = (COUNT - 1) / (last - first).total_seconds()
    return Figure(
        "mails a second from the queue",
        f"what {IN_FLIGHT} requests of {LATENCY * 1000:.0f} ms at once allow",
        rate / allowed,
        0.9,
        f"{COUNT} mails, one host, real queue and tables: {rate:.1f} of {allowed:.0f} a second",
        at_most=False,
    )
