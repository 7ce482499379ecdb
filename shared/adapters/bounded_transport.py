"""Keep Azure's clients within the time limit of an invocation.

A client repeats a call twice, so a service that does not respond takes three times the timeout. With this
transport, no attempt begins after the limit, and the timeout of an attempt ends at the limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure.core.pipeline.transport import RequestsTransport

from shared.adapters.complete_head import CompleteHeadAdapter
from shared.time_limit import seconds_left

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUTS = ("connection_timeout", "read_timeout")


class BoundedTransport(RequestsTransport):  # type: ignore[misc] # azure-core exports it without its type
    """Sends requests with timeouts that end at the time limit, if any."""

    def __init__(self, *, connection_timeout: float, read_timeout: float) -> None:
        super().__init__(connection_timeout=connection_timeout, read_timeout=read_timeout)
        self._timeouts = {"connection_timeout": connection_timeout, "read_timeout": read_timeout}

    def _init_session(self, session: Any) -> None:  # noqa: ANN401 - of `requests`
        super()._init_session(session)
        for prefix in tuple(session.adapters):
            session.mount(prefix, CompleteHeadAdapter())

    def send(self, request: Any, **options: Any) -> Any:  # noqa: ANN401 - as the SDK has it
        """Send one request.

        Raises:
            AttemptTooLongError: once the time is over.
        """
        remaining = seconds_left()
        if remaining is not None:
            for name in _TIMEOUTS:
                options[name] = min(options.get(name, self._timeouts[name]), remaining)
        return super().send(request, **options)

    def sleep(self, duration: float) -> None:
        """Wait before the next attempt.

        Raises:
            AttemptTooLongError: once the time is over.
        """
        remaining = seconds_left()
        super().sleep(duration if remaining is None else min(duration, remaining))


def bounded_transport(options: Mapping[str, Any]) -> BoundedTransport:
    """Make the transport of a client with the timeouts in its options."""
    return BoundedTransport(**{name: options[name] for name in _TIMEOUTS})
