"""Give a claim back where an attempt ends with a failure that could not be recorded."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from shared.errors import ProblemError
from shared.time_limit import recording

if TYPE_CHECKING:
    from types import TracebackType

    from shared.sending.attempt import Attempt
    from shared.sending.dependencies import Sending


class HeldClaim:
    """Gives the claim back unless the mail may have been taken.

    The message comes again, and a claim that is not given back puts the mail in doubt.
    """

    def __init__(self, attempt: Attempt, ports: Sending) -> None:
        self._attempt = attempt
        self._ports = ports

    def __enter__(self) -> None:
        """Hold it already."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Give it back; a row that was written meanwhile stays as it is."""
        if isinstance(error, Exception) and not self._attempt.maybe_taken:
            self._give_back()

    def _give_back(self) -> None:
        attempt = self._attempt
        if not attempt.claimed:
            return
        with suppress(ProblemError), recording():
            if self._ports.deliveries.save(attempt.delivery.unclaimed()):
                attempt.claimed = attempt.claim_tried = False
