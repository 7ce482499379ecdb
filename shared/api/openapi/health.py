"""Describe the operations that belong to no feature."""

from __future__ import annotations

from typing import Final

from shared.api.health import ReadinessView
from shared.api.openapi.operation import DocumentedResponse, Operation
from shared.schema import Contract


class HealthView(Contract):
    """The app's liveness and version."""

    status: str
    version: str


HEALTH: Final = Operation(
    "get_health",
    "GET",
    "health",
    "Say that the app is alive",
    "Health",
    {200: DocumentedResponse("The app answers.", HealthView)},
    admin=False,
    configured=False,
)
READINESS: Final = Operation(
    "get_readiness",
    "GET",
    "health/ready",
    "Say whether everything answers that the app is made of",
    "Health",
    {
        200: DocumentedResponse("Everything answers.", ReadinessView),
        503: DocumentedResponse("At least one part does not answer.", ReadinessView),
    },
)
OPENAPI: Final = Operation(
    "get_openapi",
    "GET",
    "openapi.json",
    "Describe this API",
    "Health",
    {200: DocumentedResponse("This document.", schema={"type": "object"})},
    admin=False,
    configured=False,
)

OPERATIONS: Final = (HEALTH, READINESS, OPENAPI)
