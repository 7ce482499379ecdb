"""Each kind of app credential, at a token endpoint that validates it."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from shared.adapters.credentials import azure_credential, msal_credential, object_id
from shared.adapters.entra import EntraAuthority
from shared.bootstrap import Services
from shared.client_credential import ClientCertificate, ClientSecret, FederatedIdentity
from shared.config import AppConfig
from shared.errors import ConfigurationError, ConsentRequiredError, TransientError
from shared.system import RealSystem
from tests.local_stack.fixtures import ServedIdentity, ServedMicrosoft365
from tests.local_stack.microsoft365.contoso import ADA, CLIENT_ID, CONTOSO
from tests.local_stack.microsoft365.directory import FederatedCredential
from tests.test_config import GIVEN

EXCHANGE = "api://AzureADTokenExchange"


class KeyPair:
    """A self-signed certificate, as an app registration accepts it."""

    def __init__(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None) -> None:
        self.key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mailer")])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(self.key, hashes.SHA256())
        )
        self.public_pem = self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, encryption: KeySerializationEncryption | None = None) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())

    def pfx(self, encryption: KeySerializationEncryption | None = None) -> bytes:
        return pkcs12.serialize_key_and_certificates(
            b"mailer", self.key, self.certificate, None, encryption or NoEncryption()
        )


def of_unknown_curve(pem: bytes) -> bytes:
    """Replace the curve P-256 with one that the library does not know."""
    first, *lines, last = pem.splitlines()
    content = base64.b64decode(b"".join(lines)).replace(
        bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030104")
    )
    return b"\n".join([first, base64.b64encode(content), last, b""])


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return KeyPair()


@pytest.fixture(scope="module")
def other() -> KeyPair:
    return KeyPair()


def check(config: AppConfig, credential: str | dict[str, Any]) -> None:
    """Have Entra check the credential with a code that was never issued.

    Entra refuses the code only after it has checked the credential.
    """
    authority = EntraAuthority(config, credential, RealSystem())
    begun = authority.begin(CONTOSO, ["Mail.Send"], "the-state", ADA)
    with pytest.raises(ConsentRequiredError) as refused:
        authority.redeem(CONTOSO, begun.auth_flow, {"state": "the-state", "code": "never-issued"})
    assert refused.value.code == "consent_failed"


def test_a_secret_proves_the_app(config: AppConfig) -> None:
    assert isinstance(config.credential, ClientSecret)

    check(config, msal_credential(config.credential))


@pytest.mark.parametrize("form", ["pem", "pem with the certificate first", "pem with a chain", "pfx"])
def test_a_certificate_proves_the_app(
    form: str, config: AppConfig, office: ServedMicrosoft365, pair: KeyPair, other: KeyPair, tmp_path: Path
) -> None:
    office.system.directory.change_app(CLIENT_ID, secrets=(), certificates=(pair.public_pem,))
    file = tmp_path / "credential"
    file.write_bytes(
        {
            "pem": pair.key_pem() + pair.public_pem,
            "pem with the certificate first": pair.public_pem + pair.key_pem(),
            "pem with a chain": pair.key_pem() + other.public_pem + pair.public_pem,
            "pfx": pair.pfx(),
        }[form]
    )

    check(config, msal_credential(ClientCertificate(str(file))))


def test_a_certificate_that_is_not_registered_is_an_operator_error(
    config: AppConfig, pair: KeyPair, tmp_path: Path
) -> None:
    file = tmp_path / "credential.pem"
    file.write_bytes(pair.key_pem() + pair.public_pem)

    with pytest.raises(ConfigurationError) as refused:
        check(config, msal_credential(ClientCertificate(str(file))))
    assert refused.value.params["error"] == "AADSTS700027"


@pytest.mark.parametrize(
    "content",
    [
        "missing",
        "empty",
        "nonsense",
        "key alone",
        "certificate alone",
        "another's certificate",
        "pem with a password",
        "pfx with a password",
        "pfx without a key",
        "a key of an elliptic curve",
        "a key of an unknown curve",
        "a chain with a key of an unknown curve",
    ],
)
def test_a_certificate_file_that_can_not_be_used_names_the_setting(
    content: str, pair: KeyPair, other: KeyPair, tmp_path: Path
) -> None:
    locked = BestAvailableEncryption(b"password")
    curve = KeyPair(ec.generate_private_key(ec.SECP256R1()))
    file = tmp_path / "credential"
    if content != "missing":
        file.write_bytes(
            {
                "empty": b"",
                "nonsense": b"\x00nonsense",
                "key alone": pair.key_pem(),
                "certificate alone": pair.public_pem,
                "another's certificate": pair.key_pem() + other.public_pem,
                "pem with a password": pair.key_pem(locked) + pair.public_pem,
                "pfx with a password": pair.pfx(locked),
                "a key of an elliptic curve": curve.key_pem() + curve.public_pem,
                "a key of an unknown curve": of_unknown_curve(curve.key_pem()) + curve.public_pem,
                "a chain with a key of an unknown curve": pair.key_pem() + of_unknown_curve(curve.public_pem),
                "pfx without a key": pkcs12.serialize_key_and_certificates(
                    b"mailer", None, pair.certificate, None, NoEncryption()
                ),
            }[content]
        )

    with pytest.raises(ConfigurationError) as refused:
        msal_credential(ClientCertificate(str(file)))
    assert refused.value.code == "setting_invalid"
    assert refused.value.params["setting"] == "ENTRA_CLIENT_CERTIFICATE_PATH"


@pytest.fixture
def with_identity(managed_identity: ServedIdentity, monkeypatch: pytest.MonkeyPatch) -> ServedIdentity:
    for name, value in managed_identity.settings.items():
        monkeypatch.setenv(name, value)
    return managed_identity


def test_a_managed_identity_proves_the_app_without_any_secret(
    config: AppConfig, office: ServedMicrosoft365, with_identity: ServedIdentity
) -> None:
    identity = with_identity.identity
    issuer = identity.issuer(EXCHANGE)
    office.system.directory.change_app(
        CLIENT_ID,
        secrets=(),
        federated=(FederatedCredential(issuer, identity.user_assigned.principal_id),),
    )
    office.system.proof.trust(issuer, identity._key.public_key())
    credential = FederatedIdentity(identity.user_assigned.client_id, EXCHANGE)

    check(config, msal_credential(credential))


def test_a_managed_identity_that_is_not_there_is_an_operator_error(
    config: AppConfig, with_identity: ServedIdentity
) -> None:
    unknown = FederatedIdentity("not-assigned-to-this-app", EXCHANGE)

    with pytest.raises(ConfigurationError) as refused:
        check(config, msal_credential(unknown))
    assert (refused.value.code, refused.value.replicating) == ("identity_refused", "credential")
    assert refused.value.params["identity"] == "not-assigned-to-this-app"


def test_an_identity_endpoint_that_does_not_respond_is_waited_for(
    config: AppConfig, with_identity: ServedIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/msi/token")
    credential = msal_credential(FederatedIdentity(with_identity.identity.user_assigned.client_id, EXCHANGE))

    with pytest.raises(TransientError) as waited:
        EntraAuthority(config, credential, RealSystem()).app_only(CONTOSO)
    assert waited.value.code == "identity_unavailable"


def test_the_apps_identity_can_differ_from_the_one_for_storage_and_vault(
    config: AppConfig,
    office: ServedMicrosoft365,
    with_identity: ServedIdentity,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identity = with_identity.identity
    issuer = identity.issuer(EXCHANGE)
    office.system.directory.change_app(
        CLIENT_ID, secrets=(), federated=(FederatedCredential(issuer, identity.user_assigned.principal_id),)
    )
    office.system.proof.trust(issuer, identity._key.public_key())
    settings = GIVEN | {
        "ENTRA_TENANT_ID": CONTOSO,
        "ENTRA_CLIENT_ID": CLIENT_ID,
        "ENTRA_AUTHORITY_HOST": office.entra,
        "ENTRA_CLIENT_SECRET": "",
        "ENTRA_MANAGED_IDENTITY_CLIENT_ID": identity.user_assigned.client_id,
        "AzureWebJobsStorage__clientId": "33333333-2222-4333-8444-555555555555",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert Services().authorizer.app_only(CONTOSO).access_token


def test_an_operator_is_recorded_by_the_object_id_of_their_token(
    managed_identity: ServedIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in managed_identity.settings.items():
        monkeypatch.setenv(name, value)

    assert object_id(azure_credential(None)) == managed_identity.identity.system_assigned.principal_id


def test_an_operator_whose_token_cannot_be_read_is_recorded_without_an_id() -> None:
    class OpaqueTokenCredential:
        def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
            return AccessToken("opaque", 1)

    assert object_id(OpaqueTokenCredential()) is None


def test_a_signed_out_operator_gets_storage_denied() -> None:
    class SignedOutCredential:
        def get_token(self, *_: str, **__: object) -> AccessToken:
            raise ClientAuthenticationError("run az login")

    with pytest.raises(ConfigurationError) as refused:
        object_id(SignedOutCredential())
    assert refused.value.code == "storage_denied"
