"""Consents in progress in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

from shared.consent.flow import ConsentFlow, FlowSecret

if TYPE_CHECKING:
    from datetime import datetime


@dataclass
class MemoryFlows:
    flows: dict[str, ConsentFlow] = field(default_factory=dict)
    secrets: dict[str, FlowSecret] = field(default_factory=dict)
    versions: Iterable[int] = field(default_factory=lambda: count(1))

    def add(self, flow: ConsentFlow, secret: FlowSecret) -> None:
        self.flows[flow.flow_id] = flow
        self._keep(secret)

    def flow(self, flow_id: str) -> ConsentFlow | None:
        return self.flows.get(flow_id)

    def delete_expired(self, before: datetime) -> None:
        for flow_id in [flow.flow_id for flow in self.flows.values() if flow.expires_at < before]:
            self.remove(flow_id)

    def of_tenant(self, tenant_id: str) -> tuple[str, ...]:
        return tuple(flow.flow_id for flow in self.flows.values() if flow.tenant_id == tenant_id)

    def remove(self, flow_id: str) -> None:
        self.flows.pop(flow_id, None)
        self.secrets.pop(flow_id, None)

    def save(self, flow: ConsentFlow) -> None:
        self.flows[flow.flow_id] = flow

    def secret(self, flow_id: str) -> FlowSecret | None:
        return self.secrets.get(flow_id)

    def replace_secret(self, secret: FlowSecret) -> bool:
        known = self.secrets.get(secret.flow_id)
        if (known.etag if known else None) != secret.etag:
            return False
        self._keep(secret)
        return True

    def unconfirmed(self, before: datetime) -> tuple[FlowSecret, ...]:
        return tuple(s for s in self.secrets.values() if s.expires_at and s.expires_at < before)

    def consume_secret(self, secret: FlowSecret) -> bool:
        known = self.secrets.get(secret.flow_id)
        if known is None or known.etag != secret.etag:
            return False
        del self.secrets[secret.flow_id]
        return True

    def _keep(self, secret: FlowSecret) -> None:
        self.secrets[secret.flow_id] = replace(secret, etag=f"v{next(iter(self.versions))}")
