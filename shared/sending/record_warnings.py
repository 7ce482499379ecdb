"""Record warnings: what to correct in a mail that is sent anyway."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.deliveries.delivery import MAYBE_ACCEPTED
from shared.settings.tenant import ActiveProblem
from shared.telemetry import Event, log_mail_event

if TYPE_CHECKING:
    from shared.deliveries.delivery import Delivery
    from shared.mail.warnings import MailWarning
    from shared.sending.attempt import Attempt
    from shared.sending.ports import SendingServices


def log_possible_duplicate(row: Delivery) -> None:
    """Log that a mail is sent again, although Graph may have sent it."""
    log_mail_event(
        Event.MAIL_WARNING,
        row,
        level=logging.WARNING,
        correlation_id=row.correlation_id,
        problem=MAYBE_ACCEPTED,
    )


def record_warnings(attempt: Attempt, found: tuple[MailWarning, ...], ports: SendingServices) -> None:
    """Set the warnings of the row to what was found in the mail.

    A warning that the row has already keeps its time. The caller writes the row later.
    """
    known = {warning.code: warning for warning in attempt.delivery.warnings}
    new = {
        each.code: ActiveProblem(each.code, ports.system.now(), dict([each.param]))
        for each in found
        if each.code not in known
    }
    # This warning is about an earlier attempt, not about the content of the mail, so it is kept.
    before = tuple(warning for warning in attempt.delivery.warnings if warning.code == MAYBE_ACCEPTED)
    warnings = (*((known | new)[each.code] for each in found), *before)
    if warnings != attempt.delivery.warnings:
        attempt.delivery = replace(attempt.delivery, warnings=warnings)
    for each in found:
        if each.code in new:
            log_mail_event(
                Event.MAIL_WARNING,
                attempt.delivery,
                level=logging.WARNING,
                correlation_id=attempt.delivery.correlation_id,
                problem=each.code,
                who_acts=new[each.code].problem.who_acts,
                count=each.count,
            )
