"""API calls without the framework, and a consent step by step."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from shared.api import consent, settings
from shared.api.consent import ConsentPorts
from shared.api.request import Request, Response
from shared.caller import Caller
from shared.consent.cookie import NAME
from tests.builders import ADMIN
from tests.fakes import FakeServices

type AdminOperation = Callable[[Request, Caller, FakeServices], Response]


def a_request(body: object = None, **parts: Any) -> Request:
    """Build a request; a body that is no bytes is sent as JSON."""
    text = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Request(**{"operation": "some_operation", "trace_id": "trace", "body": text, **parts})


def call(
    operation: AdminOperation, ports: FakeServices, body: object = None, caller: Caller = ADMIN, **parts: Any
) -> Response:
    """Call an operation as a workspace admin."""
    return operation(a_request(body, **parts), caller, ports)


def content(reply: Response) -> dict[str, Any]:
    """Read a JSON response."""
    found: dict[str, Any] = json.loads(reply.body)
    return found


def read_settings(ports: FakeServices, caller: Caller = ADMIN) -> dict[str, Any]:
    """Return the settings as the page gets them."""
    return content(call(settings.read, ports, caller=caller))


@dataclass(frozen=True)
class Window:
    """A consent window: its flow and the cookies of its browser."""

    flow_id: str
    start_url: str
    state: str = ""
    cookie: str = ""
    address: str = ""

    def callback_request(self, **reply: str) -> Request:
        """Build the callback request, as Microsoft's page sends it."""
        fields = {"state": self.state, "code": f"code-of-{self.flow_id[-4:]}", **reply}
        text = "&".join(f"{name}={value}" for name, value in fields.items() if value)
        return a_request(text.encode(), headers={"cookie": f"{NAME}={self.cookie}"})


def enable(ports: FakeServices, address: str = "ada@contoso.com", **members: Any) -> Window:
    """Press Enable."""
    reply = call(settings.enable, ports, {"fromEmailAddress": address, **members})
    started = content(reply)
    return Window(started["flowId"], started["startUrl"])


def ticket_of(start_url: str) -> str:
    """Read the ticket from the fragment of a start link."""
    return parse_qs(urlsplit(start_url).fragment)["ticket"][0]


def post_ticket(window: Window, ports: ConsentPorts) -> Response:
    """Post the ticket of the start link."""
    body = urlencode({"ticket": ticket_of(window.start_url)}).encode()
    return consent.start(a_request(body, route={"flow_id": window.flow_id}), ports)


def open_start_link(window: Window, ports: FakeServices) -> Window:
    """Open the start link and store the browser's cookies."""
    return with_redirect(window, post_ticket(window, ports))


def with_redirect(window: Window, reply: Response) -> Window:
    """Return the window with the cookie and state of the redirect."""
    address = content(reply)["location"]
    cookie = reply.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    state = parse_qs(urlsplit(address).query)["state"][0]
    return Window(window.flow_id, window.start_url, state, cookie, address)


def finish(window: Window, ports: FakeServices, **reply: str) -> Response:
    """Send the callback of this window."""
    return consent.finish(window.callback_request(**reply), ports)


def form_token(page: Response) -> str:
    """Read the form token of the page where another account confirms."""
    found = re.search(r'name="token" value="([^"]+)"', page.body.decode())
    assert found is not None
    return found[1]


def decide(
    window: Window, ports: FakeServices, decision: str, token: str, *, cookies: str | None = None
) -> Response:
    """Post the confirmation form with this window's or other cookies."""
    body = urlencode({"token": token, "decision": decision}).encode()
    header = f"{NAME}={window.cookie}" if cookies is None else cookies
    request = a_request(body, headers={"cookie": header}, route={"flow_id": window.flow_id})
    return consent.decide(request, ports)


def complete_consent(ports: FakeServices, address: str = "ada@contoso.com", **members: Any) -> Window:
    """Enable, open the link, consent."""
    window = open_start_link(enable(ports, address, **members), ports)
    finish(window, ports)
    return window
