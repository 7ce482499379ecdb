"""A Microsoft 365 over TLS for each test, with certificates made once."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msal
import pytest
import requests
from aiohttp import web

from tests.local_stack.browser_client import BrowserClient, Page
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.microsoft365 import Microsoft365
from tests.local_stack.microsoft365.contoso import CLIENT_ID, CLIENT_SECRET, CONTOSO
from tests.local_stack.microsoft365.tokens import SigningKey
from tests.local_stack.serving import serve

CALLBACK = "/api/consent/callback"


class CallbackApp:
    """A server at the app's callback address that records Entra's responses."""

    def __init__(self) -> None:
        self.responses: list[dict[str, str]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []

    def app(self) -> web.Application:
        """Build it."""
        app = web.Application()
        app.router.add_route("*", CALLBACK, self.callback)
        return app

    async def callback(self, request: web.Request) -> web.Response:
        """Store a callback from the query or from a posted form."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.responses.append(form or dict(request.query))
        self.requests.append((request.method, dict(request.headers)))
        return web.Response(text="<title>Back</title>", content_type="text/html")


@dataclass(frozen=True)
class Emulator:
    """A served Microsoft 365 with addresses and certificates for clients."""

    system: Microsoft365
    entra: str
    graph: str
    outlook: str
    redirect_uri: str
    callback: CallbackApp
    ca_file: Path

    def session(self) -> requests.Session:
        """Make an HTTP client that trusts the local stack."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.ca_file)
        return session

    def msal_app(self, credential: Any = CLIENT_SECRET, tenant: str = CONTOSO) -> Any:
        """Make an MSAL client as the app makes it."""
        return msal.ConfidentialClientApplication(
            CLIENT_ID,
            authority=f"{self.entra}/{tenant}",
            client_credential=credential,
            instance_discovery=False,
            http_client=self.session(),
        )

    def browser(self, *, posts_by_itself: bool = True) -> BrowserClient:
        """Return a new browser."""
        return BrowserClient(self.ca_file, posts_by_itself=posts_by_itself)

    def sign_in(
        self,
        account: str,
        *scopes: str,
        accept: bool = True,
        browser: BrowserClient | None = None,
        **options: Any,
    ) -> tuple[dict[str, Any], Page]:
        """Begin a code flow with MSAL and walk a person through it."""
        wanted = {"prompt": "select_account", "response_mode": "form_post"} | options
        flow = self.msal_app().initiate_auth_code_flow(
            list(scopes) or ["Mail.Send"], redirect_uri=self.redirect_uri, **wanted
        )
        browser = browser or self.browser()
        return flow, browser.consent(flow["auth_uri"], account, accept=accept)

    def token_result(self, account: str, *scopes: str, **options: Any) -> dict[str, Any]:
        """Sign in and redeem the code."""
        flow, _ = self.sign_in(account, *scopes, **options)
        result: dict[str, Any] = self.msal_app().acquire_token_by_auth_code_flow(
            flow, self.callback.responses[-1]
        )
        return result


@pytest.fixture(scope="session")
def signing_key() -> SigningKey:
    return SigningKey()


@pytest.fixture
def emulator(local_authority: LocalAuthority, signing_key: SigningKey) -> Iterator[Emulator]:
    system, callback, tls = Microsoft365(key=signing_key), CallbackApp(), local_authority.server_context()
    with (
        serve(system.entra_app(), tls) as entra,
        serve(system.graph_app(), tls, "localhost") as graph,
        serve(system.outlook_app(), tls) as outlook,
        serve(callback.app(), tls, "localhost") as app,
    ):
        system.at(entra=entra.url, graph=graph.url, outlook=outlook.url)
        redirect_uri = f"{app.url}{CALLBACK}"
        system.directory.change_app(CLIENT_ID, redirect_uris=(redirect_uri,))
        yield Emulator(
            system, entra.url, graph.url, outlook.url, redirect_uri, callback, local_authority.ca_file
        )
