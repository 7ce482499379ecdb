"""Concurrent processes with the same tables and vault lose no token."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from shared.api import consent, settings
from shared.bootstrap import Services
from shared.caller import Caller
from shared.errors import ConflictError, PreconditionFailedError
from shared.sending.diagnostics import run_checks
from tests.api_client import Window, a_request, content, post_ticket, with_redirect
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.fixtures import ServedVault
from tests.local_stack.microsoft365.contoso import ADA, CONTOSO

ADMIN = Caller(CONTOSO, "0b1ec700-0000-4000-8000-000000000001", ADA)
ROUNDS = 6
ROOT = Path(__file__).parents[2]


def secrets_of(key_vault: ServedVault) -> set[str]:
    return {name for name in key_vault.vault.secrets if CONTOSO in name}


def configure(ports: Services, local_authority: LocalAuthority) -> None:
    """Enable and consent, as Ada does it."""
    body = json.dumps({"fromEmailAddress": ADA}).encode()
    reply = settings.enable(a_request(body), ADMIN, ports)
    started = content(reply)
    window = Window(started["flowId"], started["startUrl"])
    window = with_redirect(window, post_ticket(window, ports))
    browser = BrowserClient(local_authority.ca_file, posts_by_itself=False)
    fields = browser.consent(window.address, ADA).forms[0].fields
    assert consent.finish(replace(window, state="").callback_request(**fields), ports).status == 303


@contextmanager
def refreshing(processes: int) -> Iterator[list[int]]:
    """Refresh in other processes during the block; list their token counts."""
    command = [sys.executable, "-m", "tests.adapters.refresher"]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(processes)
    ]
    got: list[int] = []
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield got
        got += [int(process.communicate(timeout=60)[0]) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait(10)


def test_concurrent_refresh_reset_and_consent_lose_and_restore_no_tokens(
    environment: None, key_vault: ServedVault, local_authority: LocalAuthority
) -> None:
    key_vault.vault.secrets.purge_protection = False
    admin = Services()
    with refreshing(2) as got:
        for _ in range(ROUNDS):
            configure(admin, local_authority)
            settings.reset_settings(a_request(), ADMIN, admin)
        configure(admin, local_authority)

    found = admin.settings.load(CONTOSO)
    assert found.consent is not None
    assert secrets_of(key_vault) == {found.consent.secret_name}
    assert len(got) == 2
    assert all(got)
    for fresh in (Services(), Services()):
        assert [check.name for check in run_checks(CONTOSO, None, fresh) if check.outcome == "failed"] == []


def test_two_admins_who_consent_at_once_leave_one_consent(
    environment: None, key_vault: ServedVault, local_authority: LocalAuthority
) -> None:
    one, other = Services(), Services()
    together = threading.Barrier(2)

    def work(ports: Services) -> None:
        together.wait(10)
        for _ in range(ROUNDS):
            try:
                configure(ports, local_authority)
                settings.reset_settings(a_request(), ADMIN, ports)
            except (ConflictError, PreconditionFailedError, KeyError):
                # The other admin was faster; the link of a superseded consent leads to the result page.
                continue

    with ThreadPoolExecutor(2) as threads:
        for worker in [threads.submit(work, ports) for ports in (one, other)]:
            worker.result(100)
    settings.reset_settings(a_request(), ADMIN, one)

    assert one.settings.load(CONTOSO).consent is None
    assert secrets_of(key_vault) == set()
