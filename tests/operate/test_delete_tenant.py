"""The command that deletes the stored data of an unserved tenant."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.api import settings as settings_api
from shared.consent.ports import DeletedTokens
from shared.deliveries.delivery import CLAIM_DURATION, Delivery
from shared.deliveries.status import DeliveryStatus
from shared.errors import TransientError
from shared.operate.__main__ import main
from shared.sending.deliver import deliver
from shared.sending.maintenance import release_all
from shared.settings.tenant import TenantSettings
from tests.api_client import call, complete_consent
from tests.builders import a_message, enabled_services, some_settings
from tests.fakes import CONFIG, CONTOSO, FABRIKAM, NOON, FakeServices

if TYPE_CHECKING:
    from collections.abc import Callable

type ReadOutput = Callable[[], str]


@pytest.fixture
def services() -> FakeServices:
    """Build an unserved tenant with data of every kind beside a served one."""
    services = enabled_services()
    wanted = {"fromEmailAddress": "reports@contoso.com", "largeFileAttachments": False}
    assert call(settings_api.save, services, wanted).status == 202
    services.vault.write(f"smtp-{CONTOSO}-0", "left behind")
    services.vault.write(f"smtp-{FABRIKAM}-1", "theirs")
    services.settings.save(replace(some_settings(), tenant_id=FABRIKAM))
    for tenant in (CONTOSO, FABRIKAM):
        for status in (DeliveryStatus.ACCEPTED, DeliveryStatus.WAITING_FOR_OPERATOR):
            services.deliveries.add(Delivery(tenant, status, status, NOON, NOON, NOON))
            services.requests.save(tenant, status, b"request")
        services.drafts.save(tenant, "m-1", b"draft")
    services.configure(allowed_tenant_ids=frozenset({FABRIKAM}))
    return services


@pytest.fixture
def read_output(capsys: pytest.CaptureFixture[str]) -> ReadOutput:
    def read() -> str:
        shown = capsys.readouterr()
        return shown.out + shown.err

    return read


def stored(services: FakeServices, tenant: str) -> list[object]:
    """List everything that is stored of a tenant."""
    return [
        *[row for owner, row in services.settings.rows.items() if owner == tenant],
        *[name for name in services.vault.secrets if tenant in name],
        *[flow for flow in services.flows.flows.values() if flow.tenant_id == tenant],
        *[key for key in (*services.requests.kept, *services.drafts.kept) if key[0] == tenant],
        *[key for key in (*services.deliveries.rows, *services.deliveries.aside) if key[0] == tenant],
    ]


def confirm(services: FakeServices, read_output: ReadOutput) -> int:
    """Do a dry run, and delete with the code that it prints."""
    main(["delete-tenant", CONTOSO], services)
    found = re.search(r"--confirm (\w+)", read_output())
    assert found
    return main(["delete-tenant", CONTOSO, "--confirm", found[1]], services)


def test_the_first_call_lists_the_data_and_deletes_nothing(
    services: FakeServices, read_output: ReadOutput
) -> None:
    before = stored(services, CONTOSO)
    assert main(["delete-tenant", CONTOSO.upper()], services) == 0

    assert stored(services, CONTOSO) == before
    assert read_output().splitlines()[:7] == [
        f"Tenant {CONTOSO}",
        "  settings: 1",
        "  tokens: 2",
        "  consents under way: 1",
        "  stored requests: 2",
        "  notes on drafts: 1",
        "  deliveries: 2",
    ]
    assert services.operator_log.actions == []


def test_with_its_code_all_data_of_one_tenant_is_deleted_and_of_no_other(
    services: FakeServices, read_output: ReadOutput
) -> None:
    theirs = stored(services, FABRIKAM)
    assert confirm(services, read_output) == 0

    assert stored(services, CONTOSO) == []
    assert stored(services, FABRIKAM) == theirs
    assert "Deleted." in read_output()


def test_a_code_of_another_inventory_deletes_nothing(services: FakeServices, read_output: ReadOutput) -> None:
    main(["delete-tenant", CONTOSO], services)
    code = read_output().split()[-1]
    services.requests.save(CONTOSO, "m-2", b"a mail that came meanwhile")
    before = stored(services, CONTOSO)

    assert main(["delete-tenant", CONTOSO, "--confirm", code], services) == 1
    assert stored(services, CONTOSO) == before
    assert "does not match this inventory" in read_output()


def test_data_of_a_served_tenant_is_not_deleted(services: FakeServices, read_output: ReadOutput) -> None:
    services.configure(allowed_tenant_ids=CONFIG.allowed_tenant_ids)
    before = stored(services, CONTOSO)

    assert main(["delete-tenant", CONTOSO], services) == 1
    assert stored(services, CONTOSO) == before
    assert "removes it from that list" in read_output()


def test_data_of_a_tenant_with_a_mail_being_sent_is_not_deleted(services: FakeServices) -> None:
    claimed = Delivery(CONTOSO, "m-1", DeliveryStatus.SENDING, NOON, NOON, NOON).with_claim("q-1", NOON)
    services.deliveries.add(claimed)
    assert main(["delete-tenant", CONTOSO], services) == 1

    services.system.pass_time(timedelta(minutes=12))
    assert main(["delete-tenant", CONTOSO], services) == 0


def test_what_is_no_tenant_id_is_refused(services: FakeServices) -> None:
    with pytest.raises(SystemExit):
        main(["delete-tenant", "contoso.com"], services)


def test_an_unknown_tenant_has_no_data(services: FakeServices, read_output: ReadOutput) -> None:
    assert main(["delete-tenant", "6f1c0000-0000-4000-8000-00000000dead"], services) == 0
    assert "No data of this tenant is stored." in read_output()


def test_after_a_failure_the_command_continues_with_what_is_left(
    services: FakeServices, read_output: ReadOutput
) -> None:
    remove_all = services.deliveries.remove_all

    def unavailable(_: str) -> None:
        raise TransientError("storage_unavailable", service="tables")

    services.deliveries.remove_all = unavailable  # type: ignore[method-assign,assignment]
    assert confirm(services, read_output) == 1
    assert CONTOSO in services.settings.tenants()

    services.deliveries.remove_all = remove_all  # type: ignore[method-assign]
    assert confirm(services, read_output) == 0
    assert stored(services, CONTOSO) == []


def test_how_long_the_vault_can_bring_tokens_back_is_reported(
    services: FakeServices, read_output: ReadOutput
) -> None:
    services.vault.recoverable_until = NOON + timedelta(days=7)
    confirm(services, read_output)

    assert "recoverable in the vault until 2026-11-30" in read_output()


def test_tokens_that_were_deleted_before_are_purged_or_reported(
    services: FakeServices, read_output: ReadOutput
) -> None:
    old, protected, undated = (f"smtp-{CONTOSO}-{number}" for number in (7, 8, 9))
    services.vault.kept = {
        old: DeletedTokens(old, NOON + timedelta(days=90), purgeable=True),
        protected: DeletedTokens(protected, NOON + timedelta(days=5), purgeable=False),
        undated: DeletedTokens(undated, None, purgeable=False),
        "smtp-other-1": DeletedTokens("smtp-other-1", NOON, purgeable=True),
    }
    confirm(services, read_output)

    assert set(services.vault.kept) == {protected, undated, "smtp-other-1"}
    assert "recoverable in the vault until 2026-11-28" in read_output()


def test_the_audit_event_names_operator_tenant_and_deleted_amount(
    services: FakeServices, read_output: ReadOutput, caplog: pytest.LogCaptureFixture
) -> None:
    confirm(services, read_output)
    with caplog.at_level(logging.WARNING):
        release_all(services)

    events = [line for line in caplog.messages if line.startswith("operator_action {")]
    assert ["started" in line for line in events] == [True, False]
    for line in events:
        assert '"action": "delete_tenant"' in line
        assert '"oid": "operator-object-id"' in line
        assert f'"tenant_id": "{CONTOSO}"' in line
        assert "tokens 2, consents_under_way 1, stored_requests 2, notes_on_drafts 1, deliveries 2" in line


def test_a_returning_tenant_starts_empty_and_reuses_no_secret_name(
    services: FakeServices, read_output: ReadOutput
) -> None:
    last_version = services.settings.load(CONTOSO).last_version
    confirm(services, read_output)
    assert services.settings.load(CONTOSO) == TenantSettings(CONTOSO, last_version=last_version)

    services.configure(allowed_tenant_ids=CONFIG.allowed_tenant_ids)
    complete_consent(services)
    assert services.settings.load(CONTOSO).consent.version == last_version + 1  # type: ignore[union-attr]


def test_a_mail_that_is_still_queued_waits_for_the_operator_afterwards(
    services: FakeServices, read_output: ReadOutput
) -> None:
    confirm(services, read_output)
    deliver(a_message(messageId="m-1"), "q-1", services)

    assert services.deliveries.rows[CONTOSO, "m-1"].status is DeliveryStatus.WAITING_FOR_OPERATOR
    confirm(services, read_output)
    assert (CONTOSO, "m-1") not in services.deliveries.rows
    assert services.requests.load(CONTOSO, "m-1") is None


@pytest.mark.parametrize(("ahead", "refused"), [(timedelta(minutes=20), True), (timedelta(0), False)])
def test_a_claim_is_judged_on_the_clock_of_this_machine(
    services: FakeServices,
    read_output: ReadOutput,
    ahead: timedelta,
    refused: bool,  # noqa: FBT001
) -> None:
    """The list has the worker's time; a single row is read on this clock."""
    listed = Delivery(CONTOSO, "busy", DeliveryStatus.SENDING, NOON, NOON, NOON).with_claim("q-1", NOON)
    services.deliveries.add(listed)
    services.system.pass_time(timedelta(minutes=12))
    on_this_clock = replace(listed, claim_ends_at=NOON + CLAIM_DURATION + ahead)
    services.deliveries.find = lambda *_: on_this_clock  # type: ignore[method-assign]

    assert main(["delete-tenant", CONTOSO], services) == int(refused)
    assert ("This mail is being sent" in read_output()) is refused


def test_tokens_that_only_the_settings_name_are_deleted_too(
    services: FakeServices, read_output: ReadOutput
) -> None:
    """No list shows tokens that are older than the mark of the installation."""
    known = services.settings.load(CONTOSO)
    services.settings.save(replace(known, undeleted_tokens=(f"smtp-{CONTOSO}-0",)))
    services.vault.names = tuple  # type: ignore[method-assign]

    assert confirm(services, read_output) == 0
    assert [name for name in services.vault.secrets if CONTOSO in name] == []
