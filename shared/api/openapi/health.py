"""Describe the operations for health and for the OpenAPI document."""

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
    "Check that the app is running",
    "Health",
    {200: DocumentedResponse("The app is running.", HealthView)},
    admin=False,
    configured=False,
)
READINESS: Final = Operation(
    "get_readiness",
    "GET",
    "health/ready",
    "Check whether every part of the app responds",
    "Health",
    {
        200: DocumentedResponse("Every part responds.", ReadinessView),
        503: DocumentedResponse("At least one part does not respond.", ReadinessView),
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
