"""Register the queue triggers and timers of sending."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import azure.functions as func

from shared.bootstrap import services
from shared.storage_names import MAIL_OUTBOX, MAIL_OUTBOX_POISON

blueprint = func.Blueprint()


def _waited(message: func.QueueMessage) -> timedelta | None:
    """Return how long a message was in the queue, including its delay."""
    return datetime.now(UTC) - message.insertion_time if message.insertion_time else None


# The functions get the bytes of a message. If the host decoded it as text and failed, the function would not
# be called.
@blueprint.queue_trigger(
    arg_name="message",
    queue_name=MAIL_OUTBOX,
    connection="AzureWebJobsStorage",
    data_type=func.DataType.BINARY,
)
def deliver_mail(message: func.QueueMessage) -> None:
    """Send one queued mail."""
    from shared.sending.deliver import deliver

    deliver(message.get_body(), message.id or "", services(), _waited(message))


@blueprint.queue_trigger(
    arg_name="message",
    queue_name=MAIL_OUTBOX_POISON,
    connection="AzureWebJobsStorage",
    data_type=func.DataType.BINARY,
)
def record_poisoned_mail(message: func.QueueMessage) -> None:
    """Record a message that failed repeatedly."""
    from shared.sending.poison import record_poisoned

    record_poisoned(message.get_body(), message.id or "", services(), _waited(message))


@blueprint.timer_trigger(arg_name="timer", schedule="0 */5 * * * *", run_on_startup=False)
def release_waiting_mails(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host passes it by name
    """Release mail that waits although its tenant can send again."""
    from shared.sending.maintenance import release_all

    release_all(services())


@blueprint.timer_trigger(arg_name="timer", schedule="0 47 2 * * *", run_on_startup=False)
def remove_finished_deliveries(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host passes it by name
    """Remove mails that became final long enough ago."""
    from shared.deliveries.retention import remove_finished

    remove_finished(services())


@blueprint.timer_trigger("timer", schedule="0 17 3 * * *")
def keep_consents_alive(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding needs its name
    """Refresh the tokens of every consent, and delete orphaned tokens."""
    from shared.consent.maintenance import maintain_consents

    maintain_consents(services())


@blueprint.timer_trigger("timer", schedule="0 */5 * * * *")
def delete_abandoned_consents(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding needs its name
    """Delete the tokens of consents that were not confirmed in time."""
    from shared.consent.other_account import delete_abandoned

    delete_abandoned(services())
