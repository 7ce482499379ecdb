"""Compute the monthly cost from unit prices.

The prices below are examples. Look up those of your region in
https://azure.microsoft.com/pricing/calculator and pass them as options. `python infra/cost.py` prints the
tables of docs/cost.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import asdict, dataclass, fields, replace

SECONDS_A_MONTH = 30 * 24 * 3600
#: Five places, every 15 minutes; see infra/modules/availability.bicep.
AVAILABILITY_CALLS_A_MONTH = 5 * SECONDS_A_MONTH // 900
BYTES_A_GB = 1e9


@dataclass(frozen=True)
class Prices:
    """Unit prices in one currency; the defaults are only examples.

    Attributes:
        availability_call: the meter *Standard Web Test Execution*; eastus2 on 2026-07-28, as a public
            repository quotes the Azure Retail Prices API.
    """

    gb_second: float = 0.000026
    executions_million: float = 0.40
    always_ready_gb_second: float = 0.000004
    free_gb_seconds: float = 100_000
    free_executions: float = 250_000
    storage_calls_10_000: float = 0.004
    blob_writes_10_000: float = 0.065
    stored_gb: float = 0.023
    vault_calls_10_000: float = 0.03
    log_gb: float = 2.76
    free_log_gb: float = 5
    alert_rule: float = 1.00
    availability_call: float = 0.0005
    egress_gb: float = 0.08
    free_egress_gb: float = 100


@dataclass(frozen=True)
class Traffic:
    """The load of one month.

    Attributes:
        seconds_a_mail: how long an instance is busy with one mail.
        mails_at_once: how many share an instance: eight are in flight, of one mailbox four are at Graph.
        attachment_mb: mean size of a mail's files that lie in Blob Storage.
        log_bytes_a_mail: requests, traces and dependencies of one mail, as measured
            (docs/decisions/telemetry.md).
        queue_log_bytes_a_mail: the storage log's row of its queued message; assumed.
        idle_log_bytes_a_day: what an instance logs that has no mail, timers included, as measured.
    """

    mails: int
    seconds_a_mail: float = 1.0
    memory_gb: float = 2.0
    mails_at_once: int = 4
    attachment_mb: float = 0.2
    attachment_days: int = 30
    log_bytes_a_mail: int = 6_200
    queue_log_bytes_a_mail: int = 1_000
    idle_log_bytes_a_day: int = 5_200_000
    storage_calls_a_mail: int = 12
    always_ready_instances: int = 0
    alert_rules: int = 19
    availability_calls: int = 0


@dataclass(frozen=True)
class Cost:
    """The cost of one month, by item."""

    executing: float
    always_ready: float
    storage: float
    vault: float
    logs: float
    alerts: float
    availability: float
    egress: float

    @property
    def total(self) -> float:
        """The sum."""
        return float(sum(asdict(self).values()))


def cost_of(traffic: Traffic, prices: Prices) -> Cost:
    """Price one month."""
    files_gb = traffic.mails * traffic.attachment_mb / 1000
    return Cost(
        executing=_executing(traffic, prices),
        always_ready=traffic.always_ready_instances
        * traffic.memory_gb
        * SECONDS_A_MONTH
        * prices.always_ready_gb_second,
        storage=traffic.mails * traffic.storage_calls_a_mail / 1e4 * prices.storage_calls_10_000
        + traffic.mails / 1e4 * prices.blob_writes_10_000
        + files_gb * traffic.attachment_days / 30 * prices.stored_gb,
        # Tokens are kept in memory: about one read an hour for each instance, not one a mail.
        vault=0.1 * prices.vault_calls_10_000,
        logs=_billable(_logged(traffic) / BYTES_A_GB, prices.free_log_gb) * prices.log_gb,
        alerts=traffic.alert_rules * prices.alert_rule,
        availability=traffic.availability_calls * prices.availability_call,
        # Files leave Azure in base64, a third longer than they are.
        egress=_billable(files_gb * 4 / 3, prices.free_egress_gb) * prices.egress_gb,
    )


def _executing(traffic: Traffic, prices: Prices) -> float:
    """Price the time that instances work, and their executions.

    An instance sends up to four mails at once and costs the same for one. With always-ready instances there
    is no free grant: https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan#billing.
    """
    gb_seconds = traffic.mails * traffic.seconds_a_mail / traffic.mails_at_once * traffic.memory_gb
    free = traffic.always_ready_instances == 0
    paid_seconds = _billable(gb_seconds, prices.free_gb_seconds if free else 0)
    paid_calls = _billable(traffic.mails, prices.free_executions if free else 0)
    return paid_seconds * prices.gb_second + paid_calls / 1e6 * prices.executions_million


def _logged(traffic: Traffic) -> float:
    """Return the bytes logged in a month, with at least one instance."""
    a_mail = traffic.log_bytes_a_mail + traffic.queue_log_bytes_a_mail
    return traffic.mails * a_mail + 30 * traffic.idle_log_bytes_a_day * max(1, traffic.always_ready_instances)


def _billable(used: float, free: float) -> float:
    return max(0.0, used - free)


@dataclass(frozen=True)
class ExchangeLimits:
    """The daily limits of Exchange Online.

    docs/cost.md names the source of each number.

    Attributes:
        messages_a_mailbox_a_minute: documented for SMTP submission; taken as a planning figure for Graph too.
    """

    recipients_a_mailbox: int = 10_000
    messages_a_mailbox_a_minute: int = 30
    uploads_a_mailbox_gb: float = 0.150 * 12 * 24

    def mailboxes(self, traffic: Traffic, recipients_a_mail: float, large_file_gb: float = 0) -> int:
        """Return how many mailboxes are needed if every day is the same."""
        mails_a_day = traffic.mails / 30
        needed = (
            mails_a_day * recipients_a_mail / self.recipients_a_mailbox,
            mails_a_day / (self.messages_a_mailbox_a_minute * 60 * 24),
            mails_a_day * large_file_gb / self.uploads_a_mailbox_gb,
        )
        return max(1, math.ceil(max(needed)))


def external_recipients_a_day(licences: int) -> int:
    """Return the tenant's limit of external recipients in 24 hours (TERRL).

    500 x licences^0.7 + 9,500, counted in pairs of message and external recipient. A mail to three external
    recipients counts as three, and so does a second mail to the same three.
    """
    return round(500 * math.pow(licences, 0.7) + 9_500)


@dataclass(frozen=True)
class PacedBacklog:
    """A simulated backlog of one mailbox at 30 mails a minute (docs/cost.md).

    Attributes:
        row_reads, row_writes: calls for the mailbox's schedule, for each mail.
        busy_seconds: how long instances work, or wait for its time, for each mail; both are paid for.
    """

    instances: int
    row_reads: float
    row_writes: float
    busy_seconds: float


#: Of 1,000 mails, with the pace set; 40 instances twice, the second time with the pace learned.
BACKLOGS = (
    PacedBacklog(1, 0.97, 0.28, 1.99),
    PacedBacklog(8, 1.41, 0.73, 3.59),
    PacedBacklog(40, 1.69, 0.96, 4.73),
    PacedBacklog(40, 2.28, 2.21, 5.28),
)


def backlog_table(prices: Prices, mails: int = 1000) -> str:
    """Price a backlog for each number of instances, as Markdown.

    The free grant is not subtracted.
    """
    lines = ["| instances | calls for the row | their price | GB-s | their price |", "|---:|" + "---:|" * 4]
    for backlog in BACKLOGS:
        calls = mails * (backlog.row_reads + backlog.row_writes)
        gb_seconds = mails * backlog.busy_seconds * Traffic(mails).memory_gb
        prices_of_both = calls / 1e4 * prices.storage_calls_10_000, gb_seconds * prices.gb_second
        lines.append(
            f"| {backlog.instances} | {calls:,.0f} | {prices_of_both[0]:.4f} | {gb_seconds:,.0f} |"
            f" {prices_of_both[1]:.2f} |"
        )
    return "\n".join(lines)


def table(prices: Prices, **changes: float) -> str:
    """Return the costs of three loads as a Markdown table."""
    months = [
        cost_of(replace(Traffic(mails), **changes), prices)  # type: ignore[arg-type]  # Counts and factors alike.
        for mails in (1_000, 100_000, 10_000_000)
    ]
    lines = ["| | 1,000 mails | 100,000 mails | 10 million mails |", "|---|---:|---:|---:|"]
    for item in fields(Cost):
        amounts = " | ".join(f"{getattr(month, item.name):,.2f}" for month in months)
        lines.append(f"| {item.name.replace('_', ' ')} | {amounts} |")
    lines.append(f"| **a month** | {' | '.join(f'**{month.total:,.2f}**' for month in months)} |")
    return "\n".join(lines)


def main() -> None:
    """Read prices from the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for price in fields(Prices):
        parser.add_argument(f"--{price.name.replace('_', '-')}", type=float, default=price.default)
    prices = Prices(**vars(parser.parse_args()))
    sys.stdout.write(f"{table(prices)}\n\n{backlog_table(prices)}\n")


if __name__ == "__main__":
    main()
