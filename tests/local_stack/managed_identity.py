"""The managed-identity endpoint of App Service, so that azure-identity's credentials work unmodified.

Source: https://learn.microsoft.com/azure/app-service/overview-managed-identity, "REST endpoint reference".
"""

import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

API_VERSION = "2019-08-01"
LIFETIME_SECONDS = 86_400
#: The resource of tokens for a federated credential; the sovereign clouds add their name.
TOKEN_EXCHANGE = "api://AzureADTokenExchange"


@dataclass(frozen=True)
class Identity:
    """One managed identity: the id that callers name it by, and the object id that tokens carry."""

    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    principal_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class ManagedIdentity:
    """The identities of the local function app and the tokens that they get.

    A request without `client_id` gets the system-assigned identity, one with it the user-assigned.
    `authority` is the origin of the Entra that the token-exchange tokens name as their issuer; such an
    Entra signs them, with `key`.
    """

    def __init__(
        self, tenant_id: str, key: rsa.RSAPrivateKey | None = None, key_id: str = "managed-identity"
    ) -> None:
        self.tenant_id = tenant_id
        self.authority = "https://login.microsoftonline.com"
        self.system_assigned = Identity()
        self.user_assigned = Identity()
        self.requests: list[str] = []
        self._header = secrets.token_hex(16)
        self._key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_id = key_id

    def app(self) -> web.Application:
        """Build the endpoint."""
        app = web.Application()
        app.router.add_get("/msi/token", self._answer)
        return app

    def environment(self, url: str) -> dict[str, str]:
        """Return the settings that App Service gives an app, with the endpoint served at this origin."""
        return {"IDENTITY_ENDPOINT": f"{url}/msi/token", "IDENTITY_HEADER": self._header}

    def token(self, resource: str, identity: Identity | None = None, lifetime: int = LIFETIME_SECONDS) -> str:
        """Issue an access token for a resource, by default to the system-assigned identity."""
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
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def issuer(self, resource: str) -> str:
        """Name the issuer of a resource's tokens: v2.0 for a token exchange, v1.0 for Azure's services."""
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

    async def _answer(self, request: web.Request) -> web.Response:
        resource = request.query.get("resource", "")
        self.requests.append(resource)
        if not secrets.compare_digest(request.headers.get("X-IDENTITY-HEADER", ""), self._header):
            return _refusal(401, "The request has no X-IDENTITY-HEADER of this app.")
        if request.query.get("api-version") != API_VERSION or not resource:
            return _refusal(400, f"The request needs a resource and the api-version {API_VERSION}.")
        identity = self._identity(request.query.get("client_id"))
        if identity is None:
            return _refusal(400, "Unable to load the proper Managed Identity.")
        return web.json_response(
            {
                "access_token": self.token(resource, identity),
                "client_id": identity.client_id,
                "expires_on": str(int(time.time()) + LIFETIME_SECONDS),
                "resource": resource,
                "token_type": "Bearer",
            }
        )

    def _identity(self, client_id: str | None) -> Identity | None:
        if client_id is None:
            return self.system_assigned
        return self.user_assigned if client_id == self.user_assigned.client_id else None


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)
