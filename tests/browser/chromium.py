"""Debian's Chromium under Playwright, trusting the stack's certificate."""

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.local_stack.loopback import LOOPBACK, NAMES

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
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
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def chromium(path: str, certificate_file: Path) -> Iterator[Browser]:
    """Run a headless browser with this certificate and the stack's names."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_switches(certificate_file))
        yield browser
        browser.close()


@contextmanager
def without_cookies(browser: Browser, certificate_file: Path) -> Iterator[BrowserContext]:
    """Open a profile that blocks every cookie, as its user or a policy can."""
    rule = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    with TemporaryDirectory(prefix="mailer-profile-") as profile:
        settings = Path(profile) / "Default" / "Preferences"
        settings.parent.mkdir()
        settings.write_text(json.dumps(rule), "utf-8")
        context = browser.browser_type.launch_persistent_context(
            profile, executable_path=chromium_path(), args=_switches(certificate_file)
        )
        yield context
        context.close()


def _switches(certificate_file: Path) -> list[str]:
    pin = f"--ignore-certificate-errors-spki-list={key_pin(certificate_file)}"
    names = f"--host-resolver-rules={','.join(f'MAP {name} {LOOPBACK}' for name in NAMES)}"
    return [*QUIET, pin, names]


def key_pin(certificate_file: Path) -> str:
    """Return the public key hash of a certificate for Chromium (RFC 7469)."""
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()
