"""Client authentication at the token endpoint: secret or assertion.

The kinds are a secret, a certificate and a federated token.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import unquote_plus

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.types import Options

from .aadsts import Refused
from .clock import Clock
from .directory import AppRegistration, Directory
from .tokens import Tokens

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LEEWAY = timedelta(minutes=5)
_UNTIMED: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
}


class ClientProof:
    """Checks the credentials of token requests."""

    def __init__(self, directory: Directory, tokens: Tokens, clock: Clock) -> None:
        self._directory = directory
        self._tokens = tokens
        self._clock = clock
        self._issuer_keys: dict[str, list[rsa.RSAPublicKey]] = {}

    def trust(self, issuer: str, key: rsa.RSAPublicKey) -> None:
        """Trust a signing key of an issuer of federated tokens.

        The issuer is foreign or our managed identity.
        """
        self._issuer_keys.setdefault(issuer, []).append(key)

    def check(self, form: Mapping[str, str], authorization: str, audiences: list[str]) -> AppRegistration:
        """Return the app that authenticates.

        Args:
            form: the token request.
            authorization: the header, for a secret sent the Basic way.
            audiences: what a client assertion may call this endpoint.

        Raises:
            Refused: no such app, or no proof, or a wrong one.
        """
        client_id, secret = _basic(authorization)
        client_id = client_id or form.get("client_id", "")
        secret = secret or form.get("client_secret", "")
        if not client_id:
            raise Refused(900144, "'client_id'")
        app = self._directory.app(client_id)
        if app is None or app.client_id != client_id:
            raise Refused(700016, f"'{client_id}'")
        if not app.enabled:
            raise Refused(7000112)
        if assertion := form.get("client_assertion", ""):
            if form.get("client_assertion_type") != ASSERTION_TYPE:
                raise Refused(900144, "'client_assertion_type'")
            self._check_assertion(app, assertion, audiences)
        elif secret:
            self._check_secret(app, secret)
        else:
            raise Refused(7000218)
        return app

    def _check_secret(self, app: AppRegistration, secret: str) -> None:
        known = next((s for s in app.secrets if s.value == secret), None)
        if known is None:
            raise Refused(7000215)
        if known.expires is not None and known.expires <= self._clock.now():
            raise Refused(7000222)

    def _check_assertion(self, app: AppRegistration, assertion: str, audiences: list[str]) -> None:
        try:
            claims = jwt.decode(assertion, options={"verify_signature": False})
            header = jwt.get_unverified_header(assertion)
        except jwt.InvalidTokenError as error:
            raise Refused(50012, "Malformed assertion.", error="invalid_request") from error
        # An app signs for itself; whatever anybody else signed is a federated token.
        if claims.get("iss") == app.client_id:
            self._check_certificate(app, assertion, header, claims, audiences)
        else:
            self._check_federated(app, assertion, claims)

    def _check_certificate(
        self,
        app: AppRegistration,
        assertion: str,
        header: dict[str, Any],
        claims: dict[str, Any],
        audiences: list[str],
    ) -> None:
        key = _certificate_key(app, header)
        if not _signed_by(key, assertion):
            raise Refused(700027)
        self._check_times(claims)
        if claims.get("sub") != app.client_id or claims.get("aud") not in audiences:
            raise Refused(50012, "Wrong subject or audience.")

    def _check_federated(self, app: AppRegistration, assertion: str, claims: dict[str, Any]) -> None:
        issuer, subject, audience = (str(claims.get(name, "")) for name in ("iss", "sub", "aud"))
        from_issuer = [f for f in app.federated if f.issuer == issuer]
        if not from_issuer:
            raise Refused(700211, f"'{issuer}'")
        of_subject = [f for f in from_issuer if f.subject == subject]
        if not of_subject:
            raise Refused(700213, f"'{subject}'")
        if audience not in {f.audience for f in of_subject}:
            raise Refused(700212, f"'{audience}'")
        own = issuer.startswith(self._tokens.authority)
        if own and claims.get("idtyp") != "app":
            raise Refused(700229)
        keys = [*self._issuer_keys.get(issuer, []), *([self._tokens.key.private.public_key()] if own else [])]
        if not any(_signed_by(key, assertion) for key in keys):
            raise Refused(700027)
        self._check_times(claims)

    def _check_times(self, claims: dict[str, Any]) -> None:
        # The app's own clock is the machine's, whatever the emulator's says.
        now, leeway = self._clock.real().timestamp(), _LEEWAY.total_seconds()
        if not claims.get("nbf", now) - leeway <= now < claims.get("exp", 0) + leeway:
            raise Refused(700027, "The assertion is not within its valid time range.")


def _signed_by(key: rsa.RSAPublicKey, token: str) -> bool:
    try:
        jwt.decode(token, key, algorithms=["RS256", "PS256"], options=_UNTIMED)
    except jwt.InvalidTokenError:
        return False
    return True


def _certificate_key(app: AppRegistration, header: dict[str, Any]) -> rsa.RSAPublicKey:
    # RFC 7515 sections 2 and 4.1.8 leave the padding out; MSAL Python sends it.
    named = {str(header.get(name, "")).rstrip("=") for name in ("x5t", "x5t#S256")}
    for pem in app.certificates:
        certificate = x509.load_pem_x509_certificate(pem)
        der = certificate.public_bytes(Encoding.DER)
        sha1 = _thumbprint(hashlib.sha1(der, usedforsecurity=False).digest())
        sha256 = _thumbprint(hashlib.sha256(der).digest())
        if named & {sha1, sha256}:
            key = certificate.public_key()
            if isinstance(key, rsa.RSAPublicKey):
                return key
    raise Refused(700027, "The certificate with this thumbprint is not registered.")


def _thumbprint(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _basic(header: str) -> tuple[str, str]:
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(client_id), unquote_plus(secret)
