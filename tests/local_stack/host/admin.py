"""The host's `/admin` addresses, each of which needs the master key.

Sources: HostController.cs and FunctionsController.cs of
https://github.com/Azure/azure-functions-host/tree/01f83b53/src/WebJobs.Script.WebHost/Controllers.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.local_stack.host.http_messages import Request, Response
from tests.local_stack.host.keys import Keys
from tests.local_stack.host.messages import Function, TypedData
from tests.local_stack.host.script_host import ScriptHost

type AdminHandler = Callable[[Request, str], Awaitable[Response]]


class Admin:
    """The admin API: host status, manual runs, drain and resume."""

    def __init__(self, host: ScriptHost, keys: Keys) -> None:
        self._host = host
        self._keys = keys
        self._background: set[asyncio.Task[Any]] = set()
        self._addresses: dict[tuple[str, str], AdminHandler] = {
            ("GET", "host/status"): self._status,
            ("POST", "host/drain"): self._drain,
            ("GET", "host/drain/status"): self._drain_status,
            ("POST", "host/resume"): self._resume,
            ("GET", "functions"): self._list,
            ("GET", "functions/{name}"): self._show,
            ("POST", "functions/{name}"): self._run,
            ("GET", "functions/{name}/status"): self._errors,
        }

    async def handle(self, request: Request) -> Response:
        """Handle one address: 404 where there is none, 401 without the key."""
        parts = request.path.casefold().removesuffix("/").split("/")[2:]
        name = request.path.split("/")[3] if parts[:1] == ["functions"] and len(parts) > 1 else ""
        address = "/".join(["functions", "{name}", *parts[2:]] if name else parts)
        if request.path.casefold().rstrip("/") == "/admin/host/ping":
            return Response(200)
        handler = self._addresses.get((request.method, address))
        if handler is None:
            return Response(404)
        if not self._keys.authorizes(request, "ADMIN"):
            return Response(401, [("WWW-Authenticate", "Bearer")])
        return await handler(request, name)

    async def finish(self) -> None:
        """Wait for the functions that were run by hand."""
        await asyncio.gather(*self._background)

    async def _status(self, _request: Request, _name: str) -> Response:
        errors = {"errors": [self._host.error]} if self._host.error else {}
        return _json({"id": "local", "state": self._host.state, "version": "local host"} | errors)

    async def _drain(self, _request: Request, _name: str) -> Response:
        self._host.triggers.drain()
        return Response(202)

    async def _drain_status(self, _request: Request, _name: str) -> Response:
        running = self._host.running
        state = "Disabled"
        if self._host.triggers.drained:
            state = "InProgress" if running else "Completed"
        return _json({"state": state, "outstandingInvocations": running, "outstandingRetries": 0})

    async def _resume(self, _request: Request, _name: str) -> Response:
        await self._host.triggers.resume()
        return _json({"state": self._host.state})

    async def _list(self, _request: Request, _name: str) -> Response:
        return _json([self._about(each) for each in self._host.functions.values()])

    async def _show(self, _request: Request, name: str) -> Response:
        function = self._host.find(name)
        return _json(self._about(function)) if function else Response(404)

    async def _errors(self, _request: Request, name: str) -> Response:
        if not self._host.find(name) and name not in self._host.in_error:
            return Response(404)
        return _json({"errors": [self._host.in_error[name]] if name in self._host.in_error else None})

    def _about(self, function: Function) -> dict[str, object]:
        return {
            "name": function.name,
            "language": "python",
            "isDisabled": function.name in self._host.disabled,
            "config": {"name": function.name, "bindings": function.bindings},
        }

    async def _run(self, request: Request, name: str) -> Response:
        """Run a timer or queue function in the background."""
        try:
            value = str(json.loads(await request.read_body()).get("input", ""))
        except (ValueError, AttributeError):
            return Response(400)
        function = self._host.find(name)
        if function is None:
            return Response(404)
        if function.trigger["type"] == "httpTrigger":
            return Response(501, [("Content-Type", "text/plain")], b"Not covered: use the function's route.")
        task = asyncio.create_task(self._host.run_by_hand(function, TypedData(string=value)))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return Response(202)


def _json(value: object) -> Response:
    return Response(200, [("Content-Type", "application/json; charset=utf-8")], json.dumps(value).encode())
