"""The local Exchange Online behind TLS, and the app's adapter for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from shared.settings.sender import Sender
from tests.builders import a_consent
from tests.local_stack.microsoft365 import Microsoft365
from tests.local_stack.microsoft365.contoso import ADA, CONTOSO
from tests.local_stack.microsoft365.tokens import SigningKey
from tests.local_stack.serving import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local_stack.certificates import LocalAuthority

READ_WRITE = frozenset({"Mail.Send", "Mail.ReadWrite"})


@dataclass(frozen=True)
class ExchangeOnline:
    """A served Exchange Online.

    Attributes:
        graph: where Graph is.
    """

    system: Microsoft365
    graph: str

    def token(self, *scopes: str) -> str:
        """Sign a token for Ada, by default with every scope of the app."""
        return self.system.graph_token(ADA, *(scopes or READ_WRITE))

    @property
    def operations(self) -> list[str]:
        """List the requested operations in order."""
        return [request.operation for request in self.system.requests.all()]


def a_sender(scopes: frozenset[str] = READ_WRITE, from_field: str | None = None) -> Sender:
    """Build Ada as the sender."""
    return Sender(CONTOSO, a_consent(scopes=scopes), from_field or ADA, ADA, from_field)


@pytest.fixture(scope="session")
def microsoft_signing_key() -> SigningKey:
    return SigningKey()


@pytest.fixture
def exchange(
    local_authority: LocalAuthority, microsoft_signing_key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ExchangeOnline]:
    """Serve a new Exchange Online whose certificate the adapters trust."""
    system, tls = Microsoft365(key=microsoft_signing_key), local_authority.server_context()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(local_authority.bundle))
    with serve(system.graph_app(), tls, "localhost") as graph, serve(system.outlook_app(), tls) as outlook:
        system.at(entra="https://login.localhost", graph=graph.url, outlook=outlook.url)
        yield ExchangeOnline(system, graph.url)
