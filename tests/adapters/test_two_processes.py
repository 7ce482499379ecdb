"""Two processes of the app at the same tables and vault: no refresh token is lost, none comes back.

Each `Services` shares nothing with the other, as if it were in a process of its own.
"""

import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.bootstrap import Services
from shared.consent import journey as consent
from shared.consent.doctor import examine
from shared.errors import ConflictError, ConsentRequiredError, PreconditionFailedError
from shared.settings import journey as settings
from shared.web.caller import Caller
from shared.world import RealWorld
from tests.calls import Window, a_request, content, open_start, with_answer
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.fixtures import ServedVault
from tests.local_stack.microsoft365.contoso import ADA, CONTOSO
from tests.local_stack.visitor import Visitor

ADMIN = Caller(CONTOSO, "ada-object-id", ADA)
ROUNDS = 6


class Hurrying(RealWorld):
    """A clock that is a week further at each look, so that every refresh rewrites the kept tokens."""

    def __init__(self) -> None:
        self._weeks = itertools.count(1)

    def now(self) -> datetime:
        return datetime.now(UTC) + next(self._weeks) * timedelta(days=8)


def secrets_of(key_vault: ServedVault) -> set[str]:
    return {name for name in key_vault.vault.secrets if CONTOSO in name}


def configure(ports: Services, local_authority: LocalAuthority) -> None:
    """Enable and consent, as Ada does it."""
    body = json.dumps({"fromEmailAddress": ADA}).encode()
    reply = settings.enable(a_request(body), ADMIN, ports)
    started = content(reply)
    window = Window(started["flowId"], started["startUrl"])
    window = with_answer(window, open_start(window, ports))
    visitor = Visitor(local_authority.ca_file, posts_by_itself=False)
    fields = visitor.consent(window.address, ADA).forms[0].fields
    assert consent.finish(replace(window, state="").answers(**fields), ports).status == 303


def send(ports: Services, until: threading.Event) -> int:
    """Get tokens as one mail after another does; being overtaken is no error, and neither is Reset."""
    got = 0
    while not until.is_set():
        found = ports.settings.load(CONTOSO)
        if found.consent is None:
            continue
        try:
            ports.tokens.get(CONTOSO, found.consent, fresh=True)
        except ConsentRequiredError:
            continue
        got += 1
    return got


def test_refreshing_resetting_and_consenting_at_once_loses_and_resurrects_nothing(
    environment: None, key_vault: ServedVault, local_authority: LocalAuthority
) -> None:
    key_vault.vault.secrets.purge_protection = False
    mine, theirs, admin = Services(), Services(), Services()
    mine.world = theirs.world = Hurrying()
    done = threading.Event()
    with ThreadPoolExecutor(3) as threads:
        senders = [threads.submit(send, ports, done) for ports in (mine, theirs, mine)]
        try:
            for _ in range(ROUNDS):
                configure(admin, local_authority)
                settings.reset_settings(a_request(), ADMIN, admin)
            configure(admin, local_authority)
        finally:
            done.set()
        refreshed = [sender.result(60) for sender in senders]

    found = admin.settings.load(CONTOSO)
    assert found.consent is not None
    assert secrets_of(key_vault) == {found.consent.secret_name}
    assert all(refreshed)
    for fresh in (Services(), Services()):
        assert [check.name for check in examine(CONTOSO, None, fresh) if check.outcome == "failed"] == []


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
