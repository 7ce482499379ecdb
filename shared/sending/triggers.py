"""The queue and the clock that drive journey 2."""

from __future__ import annotations

import azure.functions as func

from shared.bootstrap import services
from shared.storage_names import MAIL_OUTBOX

blueprint = func.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name=MAIL_OUTBOX, connection="AzureWebJobsStorage")
def deliver_mail(message: func.QueueMessage) -> None:
    """Send one queued mail."""
    from shared.sending.deliver import deliver

    deliver(message.get_body(), message.id or "", services())


@blueprint.timer_trigger(arg_name="timer", schedule="0 */5 * * * *", run_on_startup=False)
def release_waiting_mails(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host passes it by name
    """Let mail go that waits although its tenant can send again."""
    from shared.sending.release import release_all

    release_all(services())
