"""Debian's Chromium under Playwright, trusting the local stack's certificates and nothing else new."""

import base64
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Without these, a start looks for updates at Google's hosts. As root there is no sandbox to start.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium_path() -> str | None:
    """Find the browser, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium(path: str, certificate_file: Path) -> Iterator[Browser]:
    """Run a headless browser that takes this one server certificate."""
    pin = f"--ignore-certificate-errors-spki-list={key_pin(certificate_file)}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*QUIET, pin])
        yield browser
        browser.close()


def key_pin(certificate_file: Path) -> str:
    """Name a certificate's key as Chromium's switch wants it: the hash of its public key (RFC 7469)."""
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()
