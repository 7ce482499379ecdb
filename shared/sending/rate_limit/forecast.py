"""Estimate for people when a mail is sent, and how many mails wait.

Nothing is written, and what cannot be read is omitted from lists and settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from shared.deliveries.forecast import NO_FORECAST, Forecast
from shared.deliveries.status import DeliveryStatus
from shared.errors import ProblemError
from shared.sending.errors import THROTTLED_CODES
from shared.sending.rate_limit.pace import settle_pace
from shared.sending.rate_limit.ports import ThrottleServices
from shared.sending.rate_limit.schedule import clock_ahead, mailbox_mark, schedule_key
from shared.sending.rate_limit.slots import mails_before
from shared.settings.sender import sender_of
from shared.settings.tenant import Status
from shared.telemetry import log_failed_step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.deliveries.delivery import Delivery
    from shared.sending.rate_limit.schedule import Schedule
    from shared.settings.ports import SettingsStore
    from shared.settings.sender import Sender
    from shared.settings.sending_switch import SendingSwitch
    from shared.settings.tenant import TenantSettings

#: The problems of a mail that waits for a slot, even if it has none yet.
_LIMITED = THROTTLED_CODES | {"mailbox_paused"}


class ForecastServices(ThrottleServices, Protocol):
    """The ports of the forecast; reading one may raise ConfigurationError."""

    @property
    def settings(self) -> SettingsStore:
        """Which mailbox sends."""

    @property
    def switch(self) -> SendingSwitch:
        """Whether sending is paused."""

    @property
    def application_senders(self) -> tuple[str, ...]:
        """The addresses that may send with the app's own permission."""


@dataclass(frozen=True, slots=True)
class MailboxBacklog:
    """How many mails of a mailbox wait, and when the last is sent, estimated."""

    mails: int
    empty_at: datetime


def forecast_mails(
    tenant_id: str, mails: Iterable[Delivery], ports: ForecastServices
) -> Mapping[str, Forecast]:
    """Return a tenant's forecasts by mail id; none where no mail waits."""
    waiting = [mail for mail in mails if _waits(mail)]
    if not waiting:
        return {}
    try:
        return _forecast_waiting(waiting, ports.settings.load(tenant_id), ports)
    except ProblemError as error:
        log_failed_step("forecast_mails", error.code, tenant_id=tenant_id)
        return {}


def forecast_backlog(settings: TenantSettings, ports: ForecastServices) -> MailboxBacklog | None:
    """Return how many mails wait for a slot; None if none do, or if unknown."""
    try:
        sender = _sender(settings, ports)
        found = _limiting(sender, ports) if sender else None
        if found is None:
            return None
        schedule, now = found
        mails = mails_before(schedule, schedule.next_slot, now, ports.messages_per_minute)
    except ProblemError as error:
        log_failed_step("forecast_backlog", error.code, tenant_id=settings.tenant_id)
        return None
    return MailboxBacklog(mails, schedule.next_slot) if mails else None


def forecast(mail: Delivery, schedule: Schedule, now: datetime, set_pace: int) -> Forecast:
    """Return the forecast of one mail by its schedule. Pure."""
    ends_at = mail.attempts_end_at
    if mail.slot is None:
        # Its deadline is before the end of the line.
        return Forecast(ends_before=ends_at if ends_at and schedule.next_slot > ends_at else None)
    slot = schedule.due(mail.slot)
    due = max(slot, schedule.paused_until)
    if not schedule.has_place(mail.slot) or due <= now:
        return NO_FORECAST
    too_late = ends_at is not None and due > ends_at
    return Forecast(due, mails_before(schedule, slot, now, set_pace), ends_at if too_late else None)


def _waits(mail: Delivery) -> bool:
    limited = mail.problem is not None and mail.problem.code in _LIMITED
    return mail.status is DeliveryStatus.DEFERRED and (mail.slot is not None or limited)


def _forecast_waiting(
    waiting: Iterable[Delivery], settings: TenantSettings, ports: ForecastServices
) -> Mapping[str, Forecast]:
    sender = _sender(settings, ports)
    found = _limiting(sender, ports) if sender else None
    if sender is None or found is None:
        return {}
    schedule, now = found
    pace, mark = ports.messages_per_minute, mailbox_mark(_key(sender, ports))
    # Other mails have slots in the line of another mailbox.
    own = (mail for mail in waiting if mail.slot is None or mail.slot.mailbox == mark)
    return {mail.message_id: forecast(mail, schedule, now, pace) for mail in own}


def _sender(settings: TenantSettings, ports: ForecastServices) -> Sender | None:
    """Return the sender; None if mails wait until someone acts."""
    if settings.status is not Status.ENABLED or ports.switch.current_pause() is not None:
        return None
    return sender_of(settings, ports.application_senders)


def _limiting(sender: Sender, ports: ForecastServices) -> tuple[Schedule, datetime] | None:
    """Return a mailbox's schedule and storage's time; None without slots."""
    sent = ports.system.now()
    found, storage_time = ports.schedules.load(_key(sender, ports))
    now = ports.system.now()
    now += clock_ahead(storage_time, sent, now)
    if found.is_learning(now):
        return None
    schedule = settle_pace(found.if_plausible(now), now)
    pace = ports.messages_per_minute
    unknown = schedule.is_unlimited(now, pace) or schedule.exceeds(pace, now)
    return None if unknown else (schedule, now)


def _key(sender: Sender, ports: ForecastServices) -> str:
    return schedule_key(sender, ports.installation)
