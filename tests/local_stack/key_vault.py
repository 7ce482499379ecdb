"""A fake Key Vault for the real SDK: challenge, soft delete, faults.

Its address must be `https://127.0.0.1:<port>`: the SDK checks that the challenge's resource is a parent
domain of the vault, as `vault.azure.net` is of `name.vault.azure.net`, and `0.0.1:<port>` passes that check.

Not imitated:

| the real vault | here |
|---|---|
| roles and access policies, which take minutes to spread | every token of the identity may do everything |
| the firewall, private links, network security perimeters | every address may call |
| throttling: 300 new secrets in ten seconds, 4,000 other calls | only as a fault |
| a deletion takes seconds to minutes, longer with many versions | `secrets.deletion_seconds` for all |
| a recovery takes seconds, with 409 `ObjectIsBeingRecovered` | at once |
| the vault itself is deleted, recovered, moved or read-only after a failover | only as a fault |
| API versions differ | a known one is only recognised (`api_versions`) |
| backup and restore, keys, certificates, events, the audit log | missing; `requests` has the calls |

A refusal is a fault with the status 403 and a body with the inner code.
"""

import json
import time
from typing import Any

import jwt
from aiohttp import web
from aiohttp.typedefs import Handler
from azure.keyvault.secrets import ApiVersion

from tests.local_stack.faults import CONTROL, Fault, Faults, add_control, serve_fault
from tests.local_stack.managed_identity import ManagedIdentity
from tests.local_stack.vault_secrets import DeletedSecret, VaultError, VaultSecrets, Version

PAGE_SIZE = 25
API_VERSIONS = frozenset({version.value for version in ApiVersion})


class KeyVault:
    """One vault with `secrets`, `faults` and `requests` open to its test.

    `api_versions` are the ones that it knows; a sovereign cloud may lag behind. It takes the tokens that
    `identity` issued for it and no others, but for `/_control` (see `add_control`).
    """

    def __init__(self, identity: ManagedIdentity, secrets: VaultSecrets | None = None) -> None:
        self.secrets = VaultSecrets(time.time) if secrets is None else secrets
        self.faults = Faults()
        self.requests: list[tuple[str, str]] = []
        self.api_versions = API_VERSIONS
        self._identity = identity

    def app(self) -> web.Application:
        """Build the vault's HTTP interface."""
        app = web.Application(
            middlewares=[self._log, self._fail, self._authenticate, _convert_refusals, self._check_version]
        )
        route = app.router.add_route
        add_control(app, self.faults, lambda: self.requests)
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
        """Count requests by verb and text in the path, challenges included."""
        return sum(method == each[0] and path in each[1] for each in list(self.requests))

    @web.middleware
    async def _log(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != CONTROL:
            self.requests.append((request.method, request.path))
        return await handler(request)

    @web.middleware
    async def _fail(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == CONTROL:
            return await handler(request)
        fault = self.faults.take(request.method, request.path, allowed="Authorization" in request.headers)
        if fault is None:
            return await handler(request)
        return await serve_fault(fault, request, handler, _refused)

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

    @web.middleware
    async def _check_version(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse a request whose API version is missing or unknown."""
        if request.path != CONTROL and request.query.get("api-version") not in self.api_versions:
            raise VaultError(400, "BadParameter", "The api-version is missing or not supported.")
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
        return _page(
            request,
            [self._described_deleted(request, each, with_id=False) for each in self.secrets.deleted()],
        )

    def _bundle(self, request: web.Request, name: str, version: Version) -> web.Response:
        return web.json_response(self._described(request, name, version) | {"value": version.value})

    def _described(
        self, request: web.Request, name: str, version: Version, *, with_id: bool = True
    ) -> dict[str, Any]:
        """Describe a version as every response does: all but the value."""
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

    def _described_deleted(
        self, request: web.Request, deleted: DeletedSecret, *, with_id: bool = True
    ) -> dict[str, Any]:
        return self._described(request, deleted.name, deleted.versions[-1], with_id=with_id) | {
            "recoveryId": f"{request.scheme}://{request.host}/deletedsecrets/{deleted.name}",
            "deletedDate": deleted.deleted,
            "scheduledPurgeDate": deleted.purged,
        }


@web.middleware
async def _convert_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except VaultError as error:
        return _refusal(error, {})


def _refused(fault: Fault) -> web.Response:
    return _refusal(VaultError(fault.status, "Fault", "This fault was added by a test."), {})


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
    """Return one page of a list with the address of the next one, if any."""
    wanted = request.query.get("maxresults", str(PAGE_SIZE))
    if not wanted.isdecimal() or not 1 <= int(wanted) <= PAGE_SIZE:
        raise VaultError(400, "BadParameter", f"maxresults must be from 1 to {PAGE_SIZE}.")
    size = int(wanted)
    start = int(request.query.get("$skiptoken", "0"))
    following = request.url.update_query({"$skiptoken": str(start + size)}) if items[start + size :] else None
    return web.json_response(
        {"value": items[start : start + size], "nextLink": str(following) if following else None}
    )
