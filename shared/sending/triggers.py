"""The queue and the clock that drive journey 2."""

from __future__ import annotations

import azure.functions as func

from shared.bootstrap import services
from shared.storage_names import MAIL_OUTBOX, MAIL_OUTBOX_POISON

blueprint = func.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name=MAIL_OUTBOX, connection="AzureWebJobsStorage")
def deliver_mail(message: func.QueueMessage) -> None:
    """Send one queued mail."""
    from shared.sending.deliver import deliver

    deliver(message.get_body(), message.id or "", services())


@blueprint.queue_trigger(arg_name="message", queue_name=MAIL_OUTBOX_POISON, connection="AzureWebJobsStorage")
def record_poisoned_mail(message: func.QueueMessage) -> None:
    """Record a message that nobody could deal with."""
    from shared.sending.poison import record_poisoned

    record_poisoned(message.get_body(), message.id or "", services())


@blueprint.timer_trigger(arg_name="timer", schedule="0 */5 * * * *", run_on_startup=False)
def release_waiting_mails(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host passes it by name
    """Let mail go that waits although its tenant can send again."""
    from shared.sending.release import release_all

    release_all(services())


@blueprint.timer_trigger(arg_name="timer", schedule="0 47 2 * * *", run_on_startup=False)
def remove_finished_deliveries(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host passes it by name
    """Forget mails that have been done for long enough."""
    from shared.deliveries.retention import remove_finished

    remove_finished(services())
