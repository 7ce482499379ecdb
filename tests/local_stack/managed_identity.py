"""The managed identity endpoint of App Service, for azure-identity.

Source: https://learn.microsoft.com/azure/app-service/overview-managed-identity, "REST endpoint reference".

Not imitated:

| the real endpoint | here |
|---|---|
| it is throttled, fails for minutes and hangs | `faults`, also over `/_control` |
| tokens are cached for hours, so a role of the identity shows late | a token is issued at each request |
| a resource that Entra does not know in the tenant: 500 with a text | any resource gets a token |
| app roles are assigned to each identity | the system-assigned identity has those of `api` |
| identities are named by client id, resource id or object id | by client id |
| virtual machines (169.254.169.254), Arc and Service Fabric have their own endpoints | missing |
"""

import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from aiohttp.typedefs import Handler
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.local_stack.faults import CONTROL, Fault, Faults, add_control, serve_fault

API_VERSION = "2019-08-01"
LIFETIME_SECONDS = 86_400
#: The resource of tokens for a federated credential; the sovereign clouds add their name.
TOKEN_EXCHANGE = "api://AzureADTokenExchange"


@dataclass(frozen=True)
class Identity:
    """A managed identity: its client id and the object id in tokens."""

    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    principal_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class Api:
    """An API of our own with the app roles of the system-assigned identity."""

    client_id: str
    roles: tuple[str, ...] = ()

    def is_named(self, resource: str) -> bool:
        """Whether a token request means this API: by client id or App ID URI."""
        return resource in {self.client_id, f"api://{self.client_id}"}


class ManagedIdentity:
    """The identities of the local function app and the tokens that they get.

    A request without `client_id` gets the system-assigned identity, one with it the user-assigned.
    `authority` is the origin of the Entra that the token-exchange tokens name as their issuer; such an
    Entra signs them, with `key`. `faults` are served in place of the true responses. Tokens live for
    `lifetime` seconds. `api` is an API whose tokens carry roles.
    """

    def __init__(
        self, tenant_id: str, key: rsa.RSAPrivateKey | None = None, key_id: str = "managed-identity"
    ) -> None:
        self.tenant_id = tenant_id
        self.authority = "https://login.microsoftonline.com"
        self.system_assigned = Identity()
        self.user_assigned = Identity()
        self.requests: list[str] = []
        self.faults = Faults()
        self.api: Api | None = None
        self.lifetime = LIFETIME_SECONDS
        self._header = secrets.token_hex(16)
        self._key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_id = key_id

    def app(self) -> web.Application:
        """Build the endpoint."""
        app = web.Application(middlewares=[self._fail])
        app.router.add_get("/msi/token", self._issue_token)
        add_control(app, self.faults, lambda: self.requests)
        return app

    def environment(self, url: str) -> dict[str, str]:
        """Return the settings of App Service with the endpoint at this origin."""
        return {"IDENTITY_ENDPOINT": f"{url}/msi/token", "IDENTITY_HEADER": self._header}

    def token(self, resource: str, identity: Identity | None = None, lifetime: int = LIFETIME_SECONDS) -> str:
        """Issue an access token, by default to the system-assigned identity."""
        identity = identity or self.system_assigned
        now = int(time.time())
        claims = {
            "aud": resource,
            "iss": self.issuer(resource),
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "appid": identity.client_id,
            "idtyp": "app",
            "oid": identity.principal_id,
            "sub": identity.principal_id,
            "tid": self.tenant_id,
        }
        if self.api and self.api.is_named(resource):
            claims |= self._claims_for_api(self.api, identity)
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def _claims_for_api(self, api: Api, identity: Identity) -> dict[str, Any]:
        """Return the claims that differ in a version 2 token of our API."""
        claims = {
            "aud": api.client_id,
            "azp": identity.client_id,
            "iss": f"{self.authority}/{self.tenant_id}/v2.0",
            "ver": "2.0",
        }
        if identity != self.system_assigned or not api.roles:
            return claims
        return claims | {"roles": list(api.roles)}

    def issuer(self, resource: str) -> str:
        """Return the issuer: v2.0 for a token exchange, v1.0 for Azure services."""
        if resource.startswith(TOKEN_EXCHANGE):
            return f"{self.authority}/{self.tenant_id}/v2.0"
        return f"https://sts.windows.net/{self.tenant_id}/"

    def verify(self, token: str, resource: str) -> dict[str, Any]:
        """Return the claims of a token that was issued here for this resource.

        Raises:
            jwt.InvalidTokenError: it was not, or it has expired.
        """
        claims: dict[str, Any] = jwt.decode(
            token,
            self._key.public_key(),
            algorithms=["RS256"],
            audience=resource,
            issuer=self.issuer(resource),
            options={"require": ["exp", "iat", "aud", "iss", "sub"]},
        )
        return claims

    @web.middleware
    async def _fail(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == CONTROL:
            return await handler(request)
        self.requests.append(request.query.get("resource", ""))
        fault = self.faults.take(request.method, request.path)
        if fault is None:
            return await handler(request)
        return await serve_fault(fault, request, handler, _refused)

    async def _issue_token(self, request: web.Request) -> web.Response:
        resource = request.query.get("resource", "")
        if not secrets.compare_digest(request.headers.get("X-IDENTITY-HEADER", ""), self._header):
            return _refusal(401, "The request has no X-IDENTITY-HEADER of this app.")
        if request.query.get("api-version") != API_VERSION or not resource:
            return _refusal(400, f"The request needs a resource and the api-version {API_VERSION}.")
        identity = self._identity(request.query.get("client_id"))
        if identity is None:
            return _refusal(400, "Unable to load the proper Managed Identity.")
        return web.json_response(
            {
                "access_token": self.token(resource, identity, self.lifetime),
                "client_id": identity.client_id,
                "expires_on": str(int(time.time()) + self.lifetime),
                "resource": resource,
                "token_type": "Bearer",
            }
        )

    def _identity(self, client_id: str | None) -> Identity | None:
        if client_id is None:
            return self.system_assigned
        return self.user_assigned if client_id == self.user_assigned.client_id else None


def _refused(fault: Fault) -> web.Response:
    return _refusal(fault.status, "This fault was added by a test.")


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)
