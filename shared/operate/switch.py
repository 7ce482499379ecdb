"""Pause and resume sending, and show whether a mail is being sent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from shared.deliveries.delivery import Delivery
from shared.deliveries.lookup import tenants_with_mails
from shared.deliveries.status import PENDING, DeliveryStatus
from shared.operate.record import RecordServices, record_action, say
from shared.settings.sending_switch import MAX_SWITCH_AGE, SendingPause, check_own_pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.deliveries.ports import DeliveryLog
    from shared.settings.sending_switch import PauseStore

#: After this time every process has read the switch. A mail that a process began to send before that has a
#: claim by now.
PAUSE_EFFECTIVE_AFTER = MAX_SWITCH_AGE + timedelta(seconds=5)
_CHECK_INTERVAL = timedelta(seconds=2)
#: More mails than all instances together can send at the same time.


PAUSE = "pause_sending"
RESUME = "resume_sending"


class SwitchServices(RecordServices, Protocol):
    """The ports of these commands."""

    @property
    def pause_store(self) -> PauseStore:
        """The switch."""

    @property
    def deliveries(self) -> DeliveryLog:
        """The delivery log."""


@dataclass(frozen=True, slots=True)
class UnfinishedMails:
    """The mails that are not final.

    Attributes:
        sending: claimed by a worker that may still be working.
        interrupted: claimed by a worker whose claim has expired; Azure redelivers their messages.
        pending: the number of mails in each other status, at most a thousand per tenant.
    """

    sending: tuple[Delivery, ...]
    interrupted: tuple[Delivery, ...]
    pending: Counter[str]


def find_mails(ports: SwitchServices) -> UnfinishedMails:
    """Find the unfinished mails of every tenant.

    After a Reset a tenant has no settings, but mails that are being sent continue.
    """
    now = ports.system.now()
    sending: list[Delivery] = []
    interrupted: list[Delivery] = []
    pending = Counter[str]()
    for tenant_id in tenants_with_mails(ports.deliveries):
        for mail in ports.deliveries.pending(tenant_id, [DeliveryStatus.SENDING]):
            # The list can be older than the mail's own row.
            row = ports.deliveries.find(mail.tenant_id, mail.message_id)
            if row is None or row.status is not DeliveryStatus.SENDING or row.claimed_by is None:
                continue
            if row.is_being_sent(now):
                sending.append(row)
            else:
                interrupted.append(row)
        for status in PENDING - {DeliveryStatus.SENDING}:
            pending[status] += ports.deliveries.count(tenant_id, [status])
    return UnfinishedMails(tuple(sending), tuple(interrupted), pending)


def pause_sending(reason: str | None, ports: SwitchServices) -> None:
    """Pause sending; if it is paused already, the first pause is kept.

    Raises:
        OtherInstallationError: another installation with the same storage account is paused.
    """
    pause = ports.pause_store.save(SendingPause(ports.system.now(), reason, ports.installation))
    check_own_pause(pause, ports.installation)
    record_action(PAUSE, "done", ports)
    say(_described(pause))
    if ports.installation is None:
        say("ENTRA_CLIENT_ID is not set here, so every installation on this storage account is paused.")
    limit = MAX_SWITCH_AGE.seconds
    say(f"Every process stops taking mails within {limit} seconds; mails being sent are completed.")


def resume_sending(ports: SwitchServices) -> None:
    """Resume sending.

    Raises:
        OtherInstallationError: another installation with the same storage account is paused.
    """
    pause = ports.pause_store.load()
    if pause is not None:
        check_own_pause(pause, ports.installation)
    ports.pause_store.remove()
    record_action(RESUME, "done", ports)
    say("Sending is resumed. Waiting mails are released within five minutes.")


def show_status(ports: SwitchServices) -> None:
    """Show whether sending is paused, and the mails by status."""
    pause = _own_pause(ports)
    say(_described(pause) if pause else "Sending is not paused.")
    mails = find_mails(ports)
    say(f"sending: {len(mails.sending)}")
    if mails.interrupted:
        say(f"interrupted: {len(mails.interrupted)} (their workers ended; Azure redelivers the messages)")
    for status in sorted(mails.pending):
        say(f"{status}: {mails.pending[status]}")


def wait_until_nothing_is_sent(
    limit: timedelta, ports: SwitchServices, sleep: Callable[[float], None]
) -> bool:
    """Wait until every process is paused and no mail is being sent.

    Returns False if sending is not paused, or the time limit is over. A claim lasts at most eleven minutes,
    even if its worker has crashed.
    """
    started = ports.system.steady()
    if not _is_paused(ports):
        return False
    sleep(PAUSE_EFFECTIVE_AFTER.total_seconds())
    reported = 0
    while _is_paused(ports):
        sending = find_mails(ports).sending
        if not sending:
            say("No mail is being sent.")
            return True
        if ports.system.steady() - started >= limit:
            _say_unfinished(sending)
            return False
        if len(sending) != reported:
            reported = len(sending)
            say(f"{reported} being sent; the last claim ends at {_shown(_last_end(sending))}.")
        sleep(_CHECK_INTERVAL.total_seconds())
    return False


def _own_pause(ports: SwitchServices) -> SendingPause | None:
    """Return this installation's pause; report one of another installation."""
    pause = ports.pause_store.load()
    if pause is None or not pause.is_of_other_installation(ports.installation):
        return pause
    say(f"Another installation on this storage account is paused (app registration {pause.installation}).")
    return None


def _is_paused(ports: SwitchServices) -> bool:
    if _own_pause(ports) is not None:
        return True
    say("Sending is not paused.")
    return False


def _say_unfinished(sending: tuple[Delivery, ...]) -> None:
    say(f"{len(sending)} still being sent:")
    for mail in sending:
        say(f"  {mail.message_id} (tenant {mail.tenant_id}), claimed until {_shown(mail.claim_ends_at)}")


def _last_end(sending: tuple[Delivery, ...]) -> datetime:
    return max(mail.claim_ends_at for mail in sending if mail.claim_ends_at is not None)


def _described(pause: SendingPause) -> str:
    reason = f": {pause.reason}" if pause.reason else ""
    return f"Sending is paused since {_shown(pause.since)}{reason}"


def _shown(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
