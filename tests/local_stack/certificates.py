"""A certificate authority for local servers, whose TLS clients verify."""

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.local_stack.loopback import NAMES

LIFETIME = timedelta(days=7)
LEEWAY = timedelta(minutes=5)


@dataclass(frozen=True)
class LocalAuthority:
    """Files of an authority and of the one server certificate that it signed.

    Attributes:
        ca_file: the authority's certificate alone (PEM).
        bundle: the public authorities and ours, for REQUESTS_CA_BUNDLE and SSL_CERT_FILE.
        certificate_file: the server's certificate for loopback and the names in `loopback.NAMES` (PEM).
        key_file: its private key (PEM, not encrypted).
        pfx_file: both in the form that Core Tools takes, under `pfx_password`.
    """

    ca_file: Path
    bundle: Path
    certificate_file: Path
    key_file: Path
    pfx_file: Path
    pfx_password: str = "local"

    @classmethod
    def create(cls, directory: Path, *, key_identifier: bool = True) -> Self:
        """Make an authority and a server certificate in a directory that exists.

        Many proxies that inspect TLS issue certificates without the authority's key identifier.
        """
        made = cls(
            ca_file=directory / "ca.pem",
            bundle=directory / "bundle.pem",
            certificate_file=directory / "server.pem",
            key_file=directory / "server.key",
            pfx_file=directory / "server.pfx",
        )
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca = _authority_certificate(ca_key)
        server_key = ec.generate_private_key(ec.SECP256R1())
        server = _server_certificate(server_key, ca, ca_key, key_identifier=key_identifier)
        made.ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        made.bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + made.ca_file.read_bytes())
        made.certificate_file.write_bytes(server.public_bytes(serialization.Encoding.PEM))
        made.key_file.touch(mode=0o600)
        made.key_file.write_bytes(
            server_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        made.pfx_file.write_bytes(
            pkcs12.serialize_key_and_certificates(
                b"localhost",
                server_key,
                server,
                [ca],
                serialization.BestAvailableEncryption(made.pfx_password.encode()),
            )
        )
        return made

    def server_context(self) -> ssl.SSLContext:
        """Build the TLS context of a server."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate_file, self.key_file)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Build the TLS context of a client that trusts only this authority."""
        return ssl.create_default_context(cafile=str(self.ca_file))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LEEWAY)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("Local stack authority")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _server_certificate(
    key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    *,
    key_identifier: bool,
) -> x509.Certificate:
    names = x509.SubjectAlternativeName(
        [
            *(x509.DNSName(name) for name in NAMES),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
    )
    # Python 3.13 verifies strictly, as RFC 5280 section 4.2.1.1 says: without the issuer's key id, no trust.
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        _builder(_name("localhost"), ca.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    if key_identifier:
        certificate = certificate.add_extension(issuer_key, critical=False)
    return certificate.sign(ca_key, hashes.SHA256())
