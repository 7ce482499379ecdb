"""Azure Storage with roles only: no keys, no SAS.

Azurite accepts only its key, so a gate before each service reads the access token, looks up the roles of the
identity, and forwards an allowed request under a signature of its own.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ssl import SSLContext
from types import TracebackType
from typing import Self
from urllib.parse import unquote
from xml.sax.saxutils import escape

import jwt
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import AccountSasPermissions as TablePermissions
from azure.data.tables import ResourceTypes as TableResources
from azure.data.tables import generate_account_sas as sign_for_tables
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas
from azure.storage.queue import AccountSasPermissions as QueuePermissions
from azure.storage.queue import ResourceTypes as QueueResources
from azure.storage.queue import generate_account_sas as sign_for_queues
from yarl import URL

from shared.storage_names import API_VERSION
from tests.local_stack.azurite import ACCOUNT, KEY, Azurite
from tests.local_stack.managed_identity import Identity, ManagedIdentity
from tests.local_stack.serving import serve
from tests.local_stack.storage_gates import StorageGate
from tests.local_stack.storage_roles import RoleAssignment, Service, StorageRequest, allows

#: The audience of tokens for Azure Storage, with and without its slash.
STORAGE = "https://storage.azure.com"
AUDIENCES = (STORAGE, f"{STORAGE}/")
SIGNATURE_LIFETIME = timedelta(days=1)
SERVICES: tuple[Service, ...] = ("blob", "queue", "table")


class StorageAccess:
    """A guarded address for each service: `access.urls["queue"]`.

    `add_roles` and `remove_role` change the roles of an identity at once; in Azure a change takes up to ten
    minutes.
    """

    def __init__(self, azurite: Azurite, identities: ManagedIdentity, tls: SSLContext) -> None:
        self.urls: dict[Service, str] = {}
        self.refused: list[tuple[str, str]] = []
        self._azurite = azurite
        self._identities = identities
        self._tls = tls
        self._roles: dict[str, frozenset[RoleAssignment]] = {}
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            for service in SERVICES:
                app = StorageGate(getattr(self._azurite.endpoints, service)).app()
                app.middlewares.append(self._guard(service))
                self.urls[service] = f"{cleanup.enter_context(serve(app, self._tls)).url}/{ACCOUNT}"
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def add_roles(self, identity: Identity, assignments: Iterable[RoleAssignment]) -> None:
        """Add roles to those that an identity has."""
        self._roles[identity.principal_id] = self.roles(identity.principal_id) | frozenset(assignments)

    def remove_role(self, identity: Identity, assignment: RoleAssignment) -> None:
        """Remove one role."""
        self._roles[identity.principal_id] = self.roles(identity.principal_id) - {assignment}

    def roles(self, principal_id: str) -> frozenset[RoleAssignment]:
        """Return the roles of an identity."""
        return self._roles.get(principal_id, frozenset())

    def _guard(self, service: Service) -> Middleware:
        signature = _SIGNATURES[service]()

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            refusal = self._refusal(service, request)
            if refusal:
                return refusal
            return await handler(_signed(request, signature))

        return guard

    def _refusal(self, service: Service, request: web.Request) -> web.Response | None:
        """Refuse a request as the service does; None for one that the roles allow."""
        code = self._refusal_code(service, request)
        if not code:
            return None
        status = 401 if code in _CHALLENGED else 403
        response = _odata_error(status, code) if service == "table" else _xml_error(status, code)
        if status == 401:
            tenant = f"{self._identities.authority}/{self._identities.tenant_id}"
            response.headers["WWW-Authenticate"] = (
                f"Bearer authorization_uri={tenant}/oauth2/authorize resource_id={STORAGE}"
            )
        return response

    def _refusal_code(self, service: Service, request: web.Request) -> str:
        """Return the error code of a refused request; empty if it is allowed."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.startswith("SharedKey") or "sig" in request.query:
            return "KeyBasedAuthenticationNotPermitted"
        if scheme != "Bearer":
            return "NoAuthenticationInformation"
        claims = self._claims(token)
        if claims is None:
            return "InvalidAuthenticationInfo"
        if "x-ms-version" not in request.headers:
            return "AuthenticationFailed"
        storage_request = StorageRequest(service, request.method, _path(request), dict(request.query))
        if allows(self.roles(claims["oid"]), storage_request):
            return ""
        self.refused.append((claims["oid"], f"{request.method} {service} {storage_request.path}"))
        return "AuthorizationPermissionMismatch"

    def _claims(self, token: str) -> Mapping[str, str] | None:
        for audience in AUDIENCES:
            try:
                return self._identities.verify(token, audience)
            except jwt.InvalidTokenError:
                continue
        return None


#: The same page of storage_roles.py, "Bearer challenge".
_CHALLENGED = frozenset({"NoAuthenticationInformation", "InvalidAuthenticationInfo"})
_TEXTS = {
    "KeyBasedAuthenticationNotPermitted": (
        "Key based authentication is not permitted on this storage account."
    ),
    "NoAuthenticationInformation": (
        "Server failed to authenticate the request. "
        "Please refer to the information in the www-authenticate header."
    ),
    "InvalidAuthenticationInfo": (
        "Server failed to authenticate the request. "
        "Please refer to the information in the www-authenticate header."
    ),
    "AuthenticationFailed": "A bearer token needs the header x-ms-version, 2017-11-09 or later.",
    "AuthorizationPermissionMismatch": (
        "This request is not authorized to perform this operation using this permission."
    ),
}


def _path(request: web.Request) -> str:
    """Return the path behind the account's name, decoded once."""
    raw = request.raw_path.partition("?")[0]
    return unquote(raw).removeprefix(f"/{ACCOUNT}").strip("/")


def _signed(request: web.Request, signature: str) -> web.Request:
    """Sign the request with the account key in place of the caller's token."""
    joined = "&" if "?" in request.raw_path else "?"
    headers = request.headers.copy()
    headers.popall("Authorization")
    # A scheduler's client may be newer than Azurite; these versions differ in nothing that is used here.
    headers["x-ms-version"] = min(headers["x-ms-version"], API_VERSION)
    return request.clone(rel_url=URL(f"{request.raw_path}{joined}{signature}", encoded=True), headers=headers)


def _text(code: str) -> str:
    return f"{_TEXTS[code]}\nRequestId:{secrets.token_hex(16)}\nTime:{datetime.now(UTC).isoformat()}"


def _xml_error(status: int, code: str) -> web.Response:
    body = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code>'
        f"<Message>{escape(_text(code))}</Message></Error>"
    )
    headers = {"x-ms-error-code": code}
    return web.Response(status=status, text=body, content_type="application/xml", headers=headers)


def _odata_error(status: int, code: str) -> web.Response:
    body = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": _text(code)}}}
    return web.json_response(body, status=status, headers={"x-ms-error-code": code})


def _blob_signature() -> str:
    everything = AccountSasPermissions(
        **dict.fromkeys(
            ("read", "write", "delete", "list", "add", "create", "update", "process", "tag"), True
        )
    )
    kinds = ResourceTypes(service=True, container=True, object=True)
    return generate_account_sas(ACCOUNT, KEY, kinds, everything, datetime.now(UTC) + SIGNATURE_LIFETIME)


def _queue_signature() -> str:
    everything = QueuePermissions(
        **dict.fromkeys(("read", "write", "delete", "list", "add", "create", "update", "process"), True)
    )
    kinds = QueueResources(service=True, container=True, object=True)
    return sign_for_queues(ACCOUNT, KEY, kinds, everything, datetime.now(UTC) + SIGNATURE_LIFETIME)


def _table_signature() -> str:
    everything = TablePermissions.from_string("rwdlacu")
    kinds = TableResources(service=True, container=True, object=True)
    key = AzureNamedKeyCredential(ACCOUNT, KEY)
    return sign_for_tables(key, kinds, everything, datetime.now(UTC) + SIGNATURE_LIFETIME)


_SIGNATURES: Mapping[Service, Callable[[], str]] = {
    "blob": _blob_signature,
    "queue": _queue_signature,
    "table": _table_signature,
}
