"""Faults for a fake service, each served a given number of times."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from aiohttp import web
from aiohttp.typedefs import Handler

CONTROL = "/_control"


@dataclass(frozen=True)
class Fault:
    """An error response for the requests that it matches.

    Attributes:
        status: the HTTP status; 0 drops the connection without a response, 200 passes on the real response.
        carried_out: whether the request is carried out all the same, so that only its response is lost.
        times: how many requests get it.
        retry_after: the Retry-After header as sent, in any form.
        delay: seconds to wait before the response.
        method: the verb that it matches; empty means any.
        path: what the path must contain.
        body: the body of the response, None for the one that the service gives such a status; with it the
            status 200 is a response too.
        content_type: the type that the response says that body has.
    """

    status: int
    times: int = 1
    retry_after: str = ""
    delay: float = 0.0
    method: str = ""
    path: str = ""
    body: str | None = None
    content_type: str = "application/json"
    carried_out: bool = False

    def matches(self, method: str, path: str, *, allowed: bool = True) -> bool:
        """Tell whether a fault applies; a forbidden request is not carried out."""
        return self.method in ("", method) and self.path in path and (allowed or not self.carried_out)


class Faults:
    """The faults that wait for their request; safe to use from any thread.

    Attributes:
        hits: the number of requests affected so far.
    """

    def __init__(self) -> None:
        self.hits = 0
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Queue a fault behind those that wait already."""
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Remove every fault."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str, path: str, *, allowed: bool = True) -> Fault | None:
        """Return the first fault that matches a request, and count its use."""
        with self._lock:
            for place, fault in enumerate(self._waiting):
                if fault.matches(method, path, allowed=allowed):
                    self.hits += 1
                    spent = replace(fault, times=fault.times - 1)
                    self._waiting[place : place + 1] = [spent] if spent.times else []
                    return fault
        return None


async def serve_fault(
    fault: Fault, request: web.Request, handler: Handler, refusal: Callable[[Fault], web.Response]
) -> web.StreamResponse:
    """Respond with the fault; `refusal` builds the body for a status."""
    await asyncio.sleep(fault.delay)
    response = await handler(request) if fault.carried_out else None
    if fault.status == 0:
        if request.transport:
            request.transport.abort()
        return web.Response()
    if fault.body is None and fault.status == web.HTTPOk.status_code:
        return response or await handler(request)
    if fault.body is None:
        given: web.StreamResponse = refusal(fault)
    else:
        given = web.Response(status=fault.status, text=fault.body, content_type=fault.content_type)
    if fault.retry_after:
        given.headers["Retry-After"] = fault.retry_after
    return given


def add_control(app: web.Application, faults: Faults, requests: Callable[[], object]) -> None:
    """Serve `/_control`: list requests, add a fault, clear all faults.

    The methods are GET, POST and DELETE.
    """

    async def show(_: web.Request) -> web.Response:
        return web.json_response({"requests": requests()})

    async def add(request: web.Request) -> web.Response:
        try:
            faults.add(Fault(**await request.json()))
        except (TypeError, ValueError) as error:
            return web.Response(status=400, text=f"No fault: {error}")
        return web.Response(status=204)

    async def clear(_: web.Request) -> web.Response:
        faults.clear()
        return web.Response(status=204)

    app.router.add_get(CONTROL, show)
    app.router.add_post(CONTROL, add)
    app.router.add_delete(CONTROL, clear)
