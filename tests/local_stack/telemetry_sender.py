"""Telemetry in the format of the Application Insights SDK for .NET.

Settings, token, path, envelope and compression are that SDK's; batching, retries and other kinds of
telemetry are not imitated.
"""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import requests
from azure.identity import ManagedIdentityCredential

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCOPE = "https://monitor.azure.com//.default"


def send_traces(settings: Mapping[str, str], texts: Iterable[str], operation: str) -> requests.Response:
    """Send each text as a trace of an operation, in one post.

    The identity endpoint is the one that the process's environment names.
    """
    connection = _pairs(settings["APPLICATIONINSIGHTS_CONNECTION_STRING"])
    identity = _pairs(settings.get("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", ""))
    envelopes = [_envelope(connection["InstrumentationKey"], text, operation) for text in texts]
    lines = "\n".join(json.dumps(each, ensure_ascii=False) for each in envelopes)
    headers = {"Content-Type": "application/x-json-stream", "Content-Encoding": "gzip"}
    if identity.get("Authorization") == "AAD":
        token = ManagedIdentityCredential(client_id=identity["ClientId"]).get_token(SCOPE).token
        headers["Authorization"] = f"Bearer {token}"
    path = "v2.1/track" if identity else "v2/track"
    url = connection["IngestionEndpoint"] + path
    return requests.post(url, data=gzip.compress(lines.encode()), headers=headers, timeout=10)


def _envelope(key: str, text: str, operation: str) -> dict[str, Any]:
    return {
        "name": f"AppTraces.{key.replace('-', '')}.Message",
        "time": datetime.now(UTC).isoformat(),
        "iKey": key,
        "tags": {"ai.operation.name": operation, "ai.cloud.roleName": "mailer"},
        "data": {
            "baseType": "MessageData",
            "baseData": {"ver": 2, "message": text, "severityLevel": "Information"},
        },
    }


def _pairs(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(";") if part)
