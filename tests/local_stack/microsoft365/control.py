"""`/_control`: the test API over HTTP for other processes."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from .accepted_mail import AcceptedMail, describe
from .contoso import CLIENT_ID
from .faults import FAULT_EFFECTS, Effect
from .tokens import API_SCOPE

if TYPE_CHECKING:
    from . import Microsoft365


class Control:
    """The control routes; they need no token, as there is nothing to protect."""

    def __init__(self, system: "Microsoft365") -> None:
        self._system = system

    def add_routes(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/_control/mails", self.mails)
        app.router.add_delete("/_control/mails", self.clear_mails)
        app.router.add_get("/_control/mails/{number}", self.mail)
        app.router.add_get("/_control/mails/{number}/attachments/{index}", self.attachment)
        app.router.add_get("/_control/drafts/{address}", self.drafts)
        app.router.add_get("/_control/faults", self.faults)
        app.router.add_post("/_control/faults", _refusing(self.add_fault))
        app.router.add_delete("/_control/faults", self.clear_faults)
        app.router.add_get("/_control/clock", self.clock)
        app.router.add_post("/_control/clock", _refusing(self.move_clock))
        app.router.add_get("/_control/requests", self.requests)
        app.router.add_delete("/_control/requests", self.clear_requests)
        app.router.add_post("/_control/consents", _refusing(self.consent))
        app.router.add_post("/_control/behaviour", _refusing(self.behave))
        app.router.add_post("/_control/users", _refusing(self.change_user))
        app.router.add_post("/_control/apps", _refusing(self.change_app))
        app.router.add_post("/_control/rights", _refusing(self.right))
        app.router.add_post("/_control/sessions", _refusing(self.revoke_sessions))
        app.router.add_post("/_control/api-token", _readable(_refusing(self.api_token)))

    async def mails(self, request: web.Request) -> web.Response:
        """List the accepted mails."""
        return web.json_response({"mails": [describe(mail) for mail in self._system.mails()]})

    async def clear_mails(self, request: web.Request) -> web.Response:
        """Empty every mailbox and the log."""
        self._system.mailboxes.clear()
        return web.Response(status=204)

    async def mail(self, request: web.Request) -> web.Response:
        """Describe one mail."""
        return web.json_response(describe(self._mail(request)))

    async def attachment(self, request: web.Request) -> web.StreamResponse:
        """Return a file, byte for byte."""
        files = self._mail(request).attachments
        index = request.match_info["index"]
        if not index.isdecimal() or not 0 < int(index) <= len(files):
            raise web.HTTPNotFound
        file = files[int(index) - 1]
        response = web.StreamResponse(
            headers={"Content-Length": str(file.size), "Content-Type": file.content_type}
        )
        kind = "inline" if file.inline else "attachment"
        response.headers["Content-Disposition"] = f"{kind}; filename*=UTF-8''{quote(file.name, safe='')}"
        response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
        response.headers["X-Content-Type-Options"] = "nosniff"
        await response.prepare(request)
        for piece in file.content.chunks():
            await response.write(piece)
        return response

    async def drafts(self, request: web.Request) -> web.Response:
        """List the drafts of a mailbox."""
        held = self._system.drafts(request.match_info["address"])
        rows = [
            {"id": m.immutable_id, "subject": m.fields.get("subject"), "created": str(m.created)}
            for m in held
        ]
        return web.json_response({"drafts": rows})

    async def faults(self, request: web.Request) -> web.Response:
        """List the pending faults and the names of all faults."""
        waiting = [
            {"operation": f.operation, "mailbox": f.mailbox, "nth": f.nth, "times": f.times}
            for f in self._system.faults.waiting()
        ]
        return web.json_response({"waiting": waiting, "buttons": sorted(FAULT_EFFECTS)})

    async def add_fault(self, body: dict[str, Any]) -> dict[str, Any]:
        """Add a fault: `{"operation", "effect", "mailbox", "nth", "times", ...}`.

        `effect` is a name or members; `chance` is the last member.
        """
        effect = body["effect"]
        chosen = effect if isinstance(effect, str) else Effect(**effect)
        options = {name: body[name] for name in ("mailbox", "nth", "times", "chance") if name in body}
        self._system.faults.add(body["operation"], chosen, **options)
        return {"waiting": len(self._system.faults.waiting())}

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Let everything work again."""
        self._system.faults.clear()
        return web.Response(status=204)

    async def clock(self, request: web.Request) -> web.Response:
        """Return the time."""
        return web.json_response({"now": self._system.clock.now().isoformat()})

    async def move_clock(self, body: dict[str, Any]) -> dict[str, Any]:
        """Move the clock: `{"advance": seconds}` or `{"reset": true}`."""
        if body.get("reset"):
            self._system.clock.reset()
        else:
            self._system.clock.advance(timedelta(seconds=body["advance"]))
        return {"now": self._system.clock.now().isoformat()}

    async def requests(self, request: web.Request) -> web.Response:
        """List and count requests; `?operation=` and `?host=` choose."""
        log = self._system.requests
        chosen = log.all(request.query.get("operation", ""), request.query.get("host", ""))
        rows = [
            {
                "host": r.host,
                "method": r.method,
                "path": r.path,
                "operation": r.operation,
                "mailbox": r.mailbox,
                "at": r.at.isoformat(),
                "status": r.status,
                "headerNames": sorted(r.header_names),
                "headers": r.headers,
            }
            for r in chosen
        ]
        return web.json_response({"count": len(rows), "requests": rows})

    async def clear_requests(self, request: web.Request) -> web.Response:
        """Reset the request count."""
        self._system.requests.clear()
        return web.Response(status=204)

    async def consent(self, body: dict[str, Any]) -> dict[str, Any]:
        """Change consent: `{"grant" or "revoke": address, "scopes": [...]}`.

        The address can be `*@domain`. With `"application": true` it changes application permissions in the
        named tenant.
        """
        verb = "grant" if "grant" in body else "revoke"
        name, scopes = body[verb], list(body.get("scopes", []))
        options = {"client_id": body["clientId"]} if "clientId" in body else {}
        if body.get("application"):
            self._application_consent(verb, name, scopes, **options)
        elif verb == "grant":
            self._system.grant_consent(name, *scopes, **options)
        else:
            self._system.revoke_consent(name, *scopes, **options)
        return {}

    def _application_consent(self, verb: str, tenant_name: str, roles: list[str], **options: str) -> None:
        from .contoso import CLIENT_ID

        tenant = self._system.directory.tenant(tenant_name)
        if tenant is None:
            raise KeyError(tenant_name)
        client_id = options.get("client_id", CLIENT_ID)
        if verb == "grant":
            self._system.consents.grant_application(client_id, tenant.tenant_id, roles)
        else:
            self._system.consents.revoke_application(client_id, tenant.tenant_id)

    async def behave(self, body: dict[str, Any]) -> dict[str, Any]:
        """Set switches of `Behaviour` by name."""
        for name, value in body.items():
            if not hasattr(self._system.behaviour, name):
                raise KeyError(name)
            fitting = frozenset(value) if isinstance(value, list) else value
            setattr(
                self._system.behaviour,
                name,
                timedelta(seconds=value) if name == "session_lifetime" else fitting,
            )
        return {}

    async def change_user(self, body: dict[str, Any]) -> dict[str, Any]:
        """Change a user: `{"address", ...fields}`."""
        fields = {n: frozenset(v) if isinstance(v, list) else v for n, v in body.items() if n != "address"}
        self._system.directory.change_user(body["address"], **fields)
        return {}

    async def change_app(self, body: dict[str, Any]) -> dict[str, Any]:
        """Change an app: `{"clientId", "redirectUris"}` or `"removeFrom": tenant`."""
        if "removeFrom" in body:
            self._system.consents.remove_app(body["clientId"], body["removeFrom"])
        else:
            self._system.directory.change_app(body["clientId"], redirect_uris=tuple(body["redirectUris"]))
        return {}

    async def right(self, body: dict[str, Any]) -> dict[str, Any]:
        """Change a right: `{"grant" or "revoke": right, "on": of, "to": whom}`.

        `on` and `to` are addresses.
        """
        directory = self._system.directory
        if "grant" in body:
            directory.grant(body["grant"], on=body["on"], to=body["to"])
        else:
            directory.revoke(body["revoke"], on=body["on"], to=body["to"])
        return {}

    async def revoke_sessions(self, body: dict[str, Any]) -> dict[str, Any]:
        """End a user's refresh tokens: `{"address"}`."""
        self._system.grants.revoke_sessions(self._system.user(body["address"]).object_id)
        return {}

    async def api_token(self, body: dict[str, Any]) -> dict[str, Any]:
        """Sign a caller token: `{"address", "scope", "audience", ...overrides}`.

        `lifetime` is in seconds.

        `scope` is what a frontend requests from Entra, such as `api://<client id>/settings`.
        """
        options = {name: value for name, value in body.items() if name not in {"address", "scope"}}
        declared = f"api://{CLIENT_ID}/{API_SCOPE}"
        if body.get("scope", declared) != declared:
            raise ValueError(f"AADSTS65005: the registration has no scope {body['scope']}")
        if "lifetime" in options:
            options["lifetime"] = timedelta(seconds=options["lifetime"])
        return {"access_token": self._system.api_token(body["address"], **options)}

    def _mail(self, request: web.Request) -> AcceptedMail:
        for mail in self._system.mails():
            if str(mail.number) == request.match_info["number"]:
                return mail
        raise web.HTTPNotFound


type Action = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
type Handler = Callable[[web.Request], Awaitable[web.Response]]


def _refusing(action: Action) -> Handler:
    """Respond with 400 to a body that the action cannot use."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return web.json_response(await action(await request.json()))
        except (KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": repr(error)}, status=400)

    return handle


def _readable(handler: Handler) -> Handler:
    """Allow scripts of any origin to read the response, as Entra does."""

    async def handle(request: web.Request) -> web.Response:
        response = await handler(request)
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    return handle
