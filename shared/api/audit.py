"""Log each call of a signed-in caller for the audit.

Refused anonymous calls are only counted (`RefusalCounter`), and logged a few times an hour. Anybody can cause
them. If each were logged, they could use up the daily cap of the log, and no alert would work after that.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.api.request import Request


def log_audit(request: Request, claims: Mapping[str, Any], result: str, *, refused: bool) -> None:
    """Log who did what, and the result; `claims` are from a verified token."""
    log_event(
        Event.ADMIN_OPERATION,
        level=logging.WARNING if refused else logging.INFO,
        tid=claims["tid"],
        oid=claims["oid"],
        azp=claims.get("azp"),
        action=request.operation,
        result=result,
        trace_id=request.trace_id,
        caller_trace_id=request.caller_trace_id,
    )
