"""Release a claim if an attempt ends with an unrecorded failure."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from shared.errors import ProblemError
from shared.time_limit import recording

if TYPE_CHECKING:
    from types import TracebackType

    from shared.sending.attempt import Attempt
    from shared.sending.ports import SendingServices


class HeldClaim:
    """Releases the claim unless the mail may have been sent.

    The message is redelivered, and a claim that was not released makes the send uncertain.
    """

    def __init__(self, attempt: Attempt, ports: SendingServices) -> None:
        self._attempt = attempt
        self._ports = ports

    def __enter__(self) -> None:
        """Do nothing; the claim is already held."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Release it; a row that was written meanwhile is not changed."""
        if isinstance(error, Exception) and not self._attempt.maybe_taken:
            self._give_back()

    def _give_back(self) -> None:
        attempt = self._attempt
        if not attempt.claimed:
            return
        with suppress(ProblemError), recording():
            if self._ports.deliveries.save(attempt.delivery.unclaimed()):
                attempt.claimed = attempt.claim_tried = False
