"""A fake Key Vault that the real SDK talks to: challenge, versions, soft delete, refusals, faults.

Its address must be `https://127.0.0.1:<port>`: the SDK checks that the challenge's resource is a parent
domain of the vault, as `vault.azure.net` is of `name.vault.azure.net`, and `0.0.1:<port>` passes that check.
"""

import asyncio
import json
import time
from typing import Any

import jwt
from aiohttp import web
from aiohttp.typedefs import Handler

from tests.local_stack.faults import Fault, Faults
from tests.local_stack.managed_identity import ManagedIdentity
from tests.local_stack.vault_secrets import DeletedSecret, VaultError, VaultSecrets, Version

PAGE_SIZE = 25
CONTROL = "/_control"


class KeyVault:
    """One vault. `secrets`, `faults` and `requests` are open to the test that started it.

    It takes the tokens that `identity` issued for it and no others. `/_control` shows the requests so far
    (GET) and takes the fields of a `Fault` (POST) or forgets all faults (DELETE), without a token.
    """

    def __init__(self, identity: ManagedIdentity, secrets: VaultSecrets | None = None) -> None:
        self.secrets = VaultSecrets(time.time) if secrets is None else secrets
        self.faults = Faults()
        self.requests: list[tuple[str, str]] = []
        self._identity = identity

    def app(self) -> web.Application:
        """Build the vault's HTTP interface."""
        app = web.Application(middlewares=[self._log, self._fail, self._authenticate, _answer_refusals])
        route = app.router.add_route
        route("GET", CONTROL, self._show_requests)
        route("POST", CONTROL, self._add_fault)
        route("DELETE", CONTROL, self._clear_faults)
        route("GET", "/secrets", self._list)
        route("PUT", "/secrets/{name}", self._set)
        route("DELETE", "/secrets/{name}", self._delete)
        route("GET", "/secrets/{name}/versions", self._list_versions)
        for path in ("/secrets/{name}", "/secrets/{name}/", "/secrets/{name}/{version}"):
            route("GET", path, self._get)
            route("PATCH", path, self._update)
        route("GET", "/deletedsecrets", self._list_deleted)
        route("GET", "/deletedsecrets/{name}", self._get_deleted)
        route("DELETE", "/deletedsecrets/{name}", self._purge)
        route("POST", "/deletedsecrets/{name}/recover", self._recover)
        return app

    def count(self, method: str, path: str = "") -> int:
        """Count the requests with that verb and with that text in their path, challenges included."""
        return sum(method == each[0] and path in each[1] for each in list(self.requests))

    @web.middleware
    async def _log(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != CONTROL:
            self.requests.append((request.method, request.path))
        return await handler(request)

    @web.middleware
    async def _fail(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = None if request.path == CONTROL else self.faults.take(request.method, request.path)
        if fault is None:
            return await handler(request)
        await asyncio.sleep(fault.delay)
        if fault.status == web.HTTPOk.status_code:
            return await handler(request)
        if fault.status:
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return _refusal(VaultError(fault.status, "Fault", "This fault was asked for."), headers)
        if request.transport:
            request.transport.abort()
        return web.Response()

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == CONTROL:
            return await handler(request)
        resource = f"https://{request.host.partition('.')[2]}"
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            self._identity.verify(token if scheme.lower() == "bearer" else "", resource)
        except jwt.InvalidTokenError as error:
            authorization = f"{self._identity.authority}/{self._identity.tenant_id}"
            challenge = f'Bearer authorization="{authorization}", resource="{resource}"'
            refusal = VaultError(401, "Unauthorized", f"The request has no valid bearer token: {error}")
            return _refusal(refusal, {"WWW-Authenticate": challenge})
        return await handler(request)

    async def _set(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return self._bundle(request, name, self.secrets.set(name, await _body(request)))

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return self._bundle(request, name, self.secrets.get(name, request.match_info.get("version", "")))

    async def _update(self, request: web.Request) -> web.Response:
        name, version = request.match_info["name"], request.match_info.get("version", "")
        changed = self.secrets.update(name, version, await _body(request))
        return web.json_response(self._described(request, name, changed))

    async def _delete(self, request: web.Request) -> web.Response:
        return web.json_response(
            self._described_deleted(request, self.secrets.delete(request.match_info["name"]))
        )

    async def _get_deleted(self, request: web.Request) -> web.Response:
        return web.json_response(
            self._described_deleted(request, self.secrets.get_deleted(request.match_info["name"]))
        )

    async def _recover(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return web.json_response(self._described(request, name, self.secrets.recover(name)))

    async def _purge(self, request: web.Request) -> web.Response:
        self.secrets.purge(request.match_info["name"])
        return web.Response(status=204)

    async def _list(self, request: web.Request) -> web.Response:
        newest = [(name, self.secrets.versions(name)[-1:]) for name in self.secrets]
        return _page(
            request,
            [
                self._described(request, name, version, with_id=False)
                for name, kept in newest
                for version in kept
            ],
        )

    async def _list_versions(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return _page(
            request, [self._described(request, name, version) for version in self.secrets.versions(name)]
        )

    async def _list_deleted(self, request: web.Request) -> web.Response:
        return _page(request, [self._described_deleted(request, each) for each in self.secrets.deleted()])

    async def _show_requests(self, request: web.Request) -> web.Response:
        return web.json_response({"requests": self.requests})

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            self.faults.add(Fault(**await request.json()))
        except (TypeError, ValueError) as error:
            return web.Response(status=400, text=f"No fault: {error}")
        return web.Response(status=204)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self.faults.clear()
        return web.Response(status=204)

    def _bundle(self, request: web.Request, name: str, version: Version) -> web.Response:
        return web.json_response(self._described(request, name, version) | {"value": version.value})

    def _described(
        self, request: web.Request, name: str, version: Version, *, with_id: bool = True
    ) -> dict[str, Any]:
        """Describe a version as every answer does: all but the value."""
        address = f"{request.scheme}://{request.host}/secrets/{name}"
        attributes = {
            "enabled": version.enabled,
            "nbf": version.not_before,
            "exp": version.expires,
            "created": version.created,
            "updated": version.updated,
            "recoveryLevel": self.secrets.recovery_level,
            "recoverableDays": self.secrets.retention_days,
        }
        described = {
            "id": f"{address}/{version.id}" if with_id else address,
            "attributes": {name: value for name, value in attributes.items() if value is not None},
            "tags": version.tags,
        }
        return described | ({"contentType": version.content_type} if version.content_type else {})

    def _described_deleted(self, request: web.Request, deleted: DeletedSecret) -> dict[str, Any]:
        return self._described(request, deleted.name, deleted.versions[-1]) | {
            "recoveryId": f"{request.scheme}://{request.host}/deletedsecrets/{deleted.name}",
            "deletedDate": deleted.deleted,
            "scheduledPurgeDate": deleted.purged,
        }


@web.middleware
async def _answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except VaultError as error:
        return _refusal(error, {})


def _refusal(error: VaultError, headers: dict[str, str]) -> web.Response:
    described: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.inner:
        described["innererror"] = {"code": error.inner}
    return web.json_response({"error": described}, status=error.status, headers=headers)


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except json.JSONDecodeError as error:
        raise VaultError(400, "BadParameter", "The request body is no JSON.") from error
    if not isinstance(body, dict):
        raise VaultError(400, "BadParameter", "The request body is no JSON object.")
    return body


def _page(request: web.Request, items: list[dict[str, Any]]) -> web.Response:
    """Answer one page of a list, and the address of the next one if there is more."""
    size = int(request.query.get("maxresults", PAGE_SIZE))
    start = int(request.query.get("$skiptoken", "0"))
    following = request.url.update_query({"$skiptoken": str(start + size)}) if items[start + size :] else None
    return web.json_response(
        {"value": items[start : start + size], "nextLink": str(following) if following else None}
    )
