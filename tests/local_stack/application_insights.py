"""An Application Insights ingestion endpoint that requires Entra tokens.

It is what a component with `DisableLocalAuth: true` is to the Functions host: telemetry without a token of an
identity that may publish is refused and lost. It stores every envelope that it accepts.

Sources: the SDK for .NET sends envelopes as lines of JSON, compressed, to `v2.1/track` if it has a token
(https://github.com/microsoft/ApplicationInsights-dotnet, `Transmission.cs` and `EndpointContainer.cs`);
https://learn.microsoft.com/azure/azure-monitor/app/azure-ad-authentication names the audience and the role.
"""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
from aiohttp import web

if TYPE_CHECKING:
    from tests.local_stack.managed_identity import Identity, ManagedIdentity

AUDIENCE = "https://monitor.azure.com"
#: The scope of .NET's SDK is `https://monitor.azure.com//.default`, so the resource ends with a slash.
RESOURCES = (AUDIENCE, f"{AUDIENCE}/")
MAX_POST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Envelope:
    """One telemetry item: kind (such as `MessageData`), data and operation."""

    kind: str
    data: dict[str, Any]
    operation: str


class ApplicationInsights:
    """A component and its ingestion endpoint; only `publisher` may send.

    Attributes:
        refused: how many posts were refused, by their status.
        authorized: how many posts brought a token that was accepted.
    """

    def __init__(self, identity: ManagedIdentity, publisher: Identity) -> None:
        self.instrumentation_key = str(uuid.uuid4())
        self.refused: list[int] = []
        self.authorized = 0
        self._identity = identity
        self._publisher = publisher
        self._envelopes: list[Envelope] = []
        self._lock = threading.Lock()

    def app(self) -> web.Application:
        """Build the endpoint."""
        app = web.Application(client_max_size=MAX_POST_BYTES)
        app.router.add_post("/v2.1/track", self._track)
        app.router.add_post("/v2/track", self._track)
        app.router.add_get("/api/profiles/{key}/appId", self._component_id)
        app.router.add_post("/QuickPulseService.svc/{call}", self._live_metrics)
        return app

    def settings(self, url: str) -> dict[str, str]:
        """Return the app settings of the template with this endpoint's origin."""
        return {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": (
                f"InstrumentationKey={self.instrumentation_key};IngestionEndpoint={url}/;LiveEndpoint={url}/"
            ),
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": (
                f"ClientId={self._publisher.client_id};Authorization=AAD"
            ),
        }

    def envelopes(self, kind: str) -> list[Envelope]:
        """Return accepted envelopes of a kind, such as `MessageData` (AppTraces).

        `RequestData` is AppRequests.
        """
        with self._lock:
            return [each for each in self._envelopes if each.kind == kind]

    async def _track(self, request: web.Request) -> web.Response:
        status = self._refusal(request.headers.get("Authorization", ""))
        lines = _items(await request.text())
        if status:
            self.refused.append(status)
            return _respond(status, received=len(lines), accepted=0)
        found = [_read(line) for line in lines]
        wanted = [envelope for key, envelope in found if key == self.instrumentation_key]
        with self._lock:
            self.authorized += 1
            self._envelopes += wanted
        return _respond(200 if len(wanted) == len(found) else 206, received=len(found), accepted=len(wanted))

    def _refusal(self, header: str) -> int | None:
        """Return the status for a sender who may not publish."""
        scheme, _, token = header.partition(" ")
        claims = self._claims(token) if scheme == "Bearer" else None
        if claims is None:
            return 401
        return None if claims["oid"] == self._publisher.principal_id else 403

    def _claims(self, token: str) -> dict[str, Any] | None:
        for resource in RESOURCES:
            try:
                return self._identity.verify(token, resource)
            except jwt.InvalidTokenError:
                continue
        return None

    async def _component_id(self, request: web.Request) -> web.Response:
        known = request.match_info["key"] == self.instrumentation_key
        return web.Response(text=str(uuid.uuid4())) if known else web.Response(status=404)

    async def _live_metrics(self, _: web.Request) -> web.Response:
        """Respond as the live metrics endpoint without a subscriber."""
        return web.Response(headers={"x-ms-qps-subscribed": "false"})


def _items(text: str) -> list[dict[str, Any]]:
    """Read lines of JSON, or one list of it, as some SDKs send."""
    if text.startswith("["):
        found: list[dict[str, Any]] = json.loads(text)
        return found
    # Not `splitlines`: other line breaks may stand inside a text.
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _read(item: dict[str, Any]) -> tuple[str, Envelope]:
    data = item["data"]
    operation = item.get("tags", {}).get("ai.operation.name", "")
    return item["iKey"], Envelope(data["baseType"], data["baseData"], operation)


def _respond(status: int, *, received: int, accepted: int) -> web.Response:
    content = {"itemsReceived": received, "itemsAccepted": accepted, "errors": []}
    return web.json_response(content, status=status)
