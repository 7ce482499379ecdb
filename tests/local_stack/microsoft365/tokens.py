"""The signing keys of this run and all JSON Web Tokens of Entra."""

import base64
import json
import secrets
import threading
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .behaviour import Behaviour
from .clock import Clock
from .contoso import CLIENT_ID, FRONTEND_CLIENT_ID
from .directory import User
from .scopes import GRAPH

ACCESS_TOKEN_LIFETIME = timedelta(minutes=75)
#: The scope that the template declares on the app's registration.
API_SCOPE = "settings"
#: In a token for Graph: the claims of the claims request. Only Graph reads its tokens.
CLAIMS_REQUEST = "claims_request"


class SigningKey:
    """An RSA key under its key id."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = secrets.token_urlsafe(20)

    def public_pem(self) -> bytes:
        """Return the public half."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def jwk(self) -> dict[str, Any]:
        """Return the public half as JWKS lists it."""
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        kept = {name: public[name] for name in ("kty", "n", "e")}
        return kept | {"use": "sig", "kid": self.kid, "x5t": self.kid}


class Tokens:
    """Issues and reads tokens, and records every secret that it issues.

    Attributes:
        issued: each signed token and secret string, so that tests can search logs and tables for them.
    """

    def __init__(self, clock: Clock, key: SigningKey, behaviour: Behaviour | None = None) -> None:
        self.clock = clock
        self._behaviour = behaviour or Behaviour()
        self._opaque: dict[str, str] = {}
        self.authority = ""
        self.key = key
        self.issued: set[str] = set()
        self._unpublished_key: SigningKey | None = None
        self._lock = threading.RLock()

    @property
    def unpublished_key(self) -> SigningKey:
        """A key that Entra has never published."""
        with self._lock:
            self._unpublished_key = self._unpublished_key or SigningKey()
            return self._unpublished_key

    def issuer(self, tenant_id: str) -> str:
        """Return the `iss` of v2 tokens."""
        return f"{self.authority}/{tenant_id}/v2.0"

    def record_issued(self, secret: str) -> str:
        """Record a secret as issued and return it."""
        with self._lock:
            self.issued.add(secret)
        return secret

    def sign(self, claims: dict[str, Any]) -> str:
        """Sign claims as they are."""
        return self.record_issued(
            jwt.encode(claims, self.key.private, "RS256", headers={"kid": self.key.kid})
        )

    def id_token(self, client_id: str, user: User, nonce: str, **overrides: Any) -> str:
        """Sign an ID token by this machine's time, as the app checks it."""
        claims = self._times(self.clock.real(), timedelta(hours=1)) | {
            "aud": client_id,
            "iss": self.issuer(user.tenant_id),
            "name": user.display_name,
            "oid": user.object_id,
            "preferred_username": user.signs_in_as,
            "sub": f"sub-{client_id[-4:]}-{user.object_id[-12:]}",
            "tid": user.tenant_id,
            "ver": "2.0",
        }
        return self.sign(_changed(claims | ({"nonce": nonce} if nonce else {}), overrides))

    def graph_token(self, tenant_id: str, client_id: str, **claims: Any) -> str:
        """Sign a Graph access token by the emulator's time; only Graph reads it."""
        body = self._times(self.clock.now(), ACCESS_TOKEN_LIFETIME) | {
            "aud": GRAPH,
            "iss": f"https://sts.windows.net/{tenant_id}/",
            "appid": client_id,
            "tid": tenant_id,
            "ver": "1.0",
        }
        signed = self.sign(_changed(body, claims))
        return self._opaque_for(signed) if self._behaviour.opaque_tokens else signed

    def _opaque_for(self, signed: str) -> str:
        """Return a token that only `read` can decode."""
        opaque = self.record_issued(f"EwB{secrets.token_urlsafe(900)}")
        with self._lock:
            self._opaque[opaque] = signed
        return opaque

    def app_token(self, tenant_id: str, client_id: str, identity: str, audience: str, **claims: Any) -> str:
        """Sign an access token for any resource but Graph.

        It is an app's or a managed identity's.
        """
        body = self._times(self.clock.real(), timedelta(hours=1)) | {
            "aud": audience,
            "azp": client_id,
            "idtyp": "app",
            "iss": self.issuer(tenant_id),
            "oid": identity,
            "sub": identity,
            "tid": tenant_id,
            "ver": "2.0",
        }
        return self.sign(_changed(body, claims))

    def api_token(
        self,
        user: User,
        audience: str = CLIENT_ID,
        *,
        kid: str | None = None,
        alg: str = "RS256",
        forged: bool = False,
        lifetime: timedelta = timedelta(hours=1),
        **claims: Any,
    ) -> str:
        """Sign a valid caller token for the app's API, apart from overrides.

        Args:
            user: the caller; `roles` are the user's app roles.
            audience: `aud`.
            kid: another key id in the header.
            alg: `none` for an unsigned token, `HS256` for one signed with our public key as its secret.
            forged: sign with a key that Entra has never published.
            lifetime: negative for an expired token.
            claims: claims to change; None takes one away.
        """
        body = self._times(self.clock.real(), lifetime) | {
            "aud": audience,
            "azp": FRONTEND_CLIENT_ID,
            "iss": self.issuer(user.tenant_id),
            "name": user.display_name,
            "oid": user.object_id,
            "preferred_username": user.signs_in_as,
            "email": user.address,
            "roles": sorted(user.app_roles),
            "scp": API_SCOPE,
            "sub": f"sub-api-{user.object_id[-12:]}",
            "tid": user.tenant_id,
            "ver": "2.0",
        }
        if not user.app_roles:
            del body["roles"]
        return self._encode(_changed(body, claims), kid or self.key.kid, alg, forged=forged)

    def _encode(self, claims: dict[str, Any], kid: str, alg: str, *, forged: bool) -> str:
        if alg == "RS256":
            key = self.unpublished_key if forged else self.key
            return self.record_issued(jwt.encode(claims, key.private, alg, headers={"kid": kid}))
        header = _part({"typ": "JWT", "alg": alg, "kid": kid})
        signed = f"{header}.{_part(claims)}"
        if alg == "none":
            return self.record_issued(f"{signed}.")
        # PyJWT refuses to use a public key as an HMAC secret; an attacker has no such scruples.
        mac = jwt.get_algorithm_by_name(alg)
        signature = mac.sign(signed.encode(), self.key.public_pem())
        return self.record_issued(f"{signed}.{_base64url(signature)}")

    def read(self, token: str, audiences: list[str]) -> dict[str, Any]:
        """Return a token's claims.

        Raises:
            jwt.InvalidTokenError: not ours, not for these audiences, or expired by the emulator's clock.
        """
        with self._lock:
            token = self._opaque.get(token, token)
        claims: dict[str, Any] = jwt.decode(
            token,
            self.key.private.public_key(),
            algorithms=["RS256"],
            audience=audiences,
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
        if claims["exp"] <= self.clock.now().timestamp():
            raise jwt.ExpiredSignatureError
        return claims

    def _times(self, now: datetime, lifetime: timedelta) -> dict[str, Any]:
        # A token for the past began in the past, or libraries would complain of the wrong thing.
        start = int((now + min(lifetime, timedelta())).timestamp()) - 300
        return {
            "iat": start,
            "nbf": start,
            "exp": int((now + lifetime).timestamp()),
            "uti": secrets.token_urlsafe(16),
        }


def _changed(claims: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    merged = claims | overrides
    return {name: value for name, value in merged.items() if value is not None}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _part(content: dict[str, Any]) -> str:
    return _base64url(json.dumps(content).encode())


def client_info(user: User) -> str:
    """Return the `client_info` by which MSAL names an account."""
    return _part({"uid": user.object_id, "utid": user.tenant_id})
