"""Log calls: one event per signed-in caller, a count for anonymous ones.

Anybody can cause a refusal without signing in. With one line each they could fill the daily log cap, after
which no alert fires, so refusals are counted and logged a few times an hour.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.api.request import Request


def log_audit(request: Request, claims: Mapping[str, Any], result: str, *, refused: bool) -> None:
    """Log who did what and the result; `claims` are of a verified token."""
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
