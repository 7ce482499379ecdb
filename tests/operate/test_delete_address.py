"""The command that finds and deletes the data of a mail address."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.api import settings as settings_api
from shared.deliveries.delivery import Delivery
from shared.deliveries.status import DeliveryStatus
from shared.operate.__main__ import main
from shared.problems import FieldError
from shared.sending.maintenance import release_all
from shared.settings.tenant import ActiveProblem
from tests.api_client import call
from tests.builders import a_message, enabled_services
from tests.fakes import CONTOSO, FABRIKAM, NOON, FakeServices
from tests.infra.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable

type ReadOutput = Callable[[], str]

EVE = "eve@contoso.com"
REFUSED = ActiveProblem("recipient_refused", NOON, {"graph_code": "ErrorInvalidRecipients", "recipient": EVE})


@pytest.fixture
def services() -> FakeServices:
    """Build a tenant that sends as Ada, with a mail to Eve in each state."""
    services = enabled_services()
    services.deliveries.page = 1
    for message_id, status in [
        ("refused", DeliveryStatus.REJECTED),
        ("late", DeliveryStatus.ACCEPTED),
        ("waiting", DeliveryStatus.WAITING_FOR_CONSENT),
    ]:
        row = Delivery(CONTOSO, message_id, status, NOON, NOON, NOON, from_address="ada@contoso.com")
        services.deliveries.add(replace(row, problem=REFUSED) if message_id == "refused" else row)
        services.requests.save(
            CONTOSO, message_id, a_message(messageId=message_id, to=["cfo@contoso.com", EVE])
        )
        services.drafts.save(CONTOSO, message_id, b'{"owner": "me"}')
    return services


@pytest.fixture
def read_output(capsys: pytest.CaptureFixture[str]) -> ReadOutput:
    def read() -> str:
        shown = capsys.readouterr()
        return shown.out + shown.err

    return read


def confirm(services: FakeServices, read_output: ReadOutput, address: str = EVE) -> str:
    """Do a dry run, delete with its code, and return the second output."""
    assert main(["delete-address", address], services) == 0
    found = re.search(r"--confirm (\w+)", read_output())
    assert found
    assert main(["delete-address", address, "--confirm", found[1]], services) == 0
    return read_output()


def test_the_first_call_lists_where_the_address_is_and_deletes_nothing(
    services: FakeServices, read_output: ReadOutput
) -> None:
    before = (dict(services.requests.kept), dict(services.deliveries.rows))

    assert main(["delete-address", "Eve@Contoso.com"], services) == 0

    said = read_output()
    assert "Finished mails: 2" in said
    assert f"Kept until it is finished: the mail waiting of {CONTOSO}" in said
    assert "Nothing was deleted. To delete it, repeat the command with --confirm " in said
    assert (dict(services.requests.kept), dict(services.deliveries.rows)) == before
    assert services.operator_log.actions == []


def test_finished_mails_lose_their_content_and_their_rows_the_address(
    services: FakeServices, read_output: ReadOutput
) -> None:
    assert "Deleted." in confirm(services, read_output)

    assert [message_id for _, message_id in services.requests.kept] == ["waiting"]
    assert [message_id for _, message_id in services.drafts.kept] == ["waiting"]
    refused = services.deliveries.rows[CONTOSO, "refused"]
    assert refused.problem is not None
    assert refused.problem.params["recipient"] == "[deleted]"
    assert (refused.status, refused.from_address) == (DeliveryStatus.REJECTED, "ada@contoso.com")
    assert EVE not in repr([row for key, row in services.deliveries.rows.items() if key[1] != "waiting"])


def test_after_the_deletion_the_command_finds_only_retained_data(
    services: FakeServices, read_output: ReadOutput
) -> None:
    confirm(services, read_output)
    assert main(["delete-address", EVE], services) == 0

    said = read_output()
    assert "No data with this address can be deleted now." in said
    assert "the mail waiting of" in said


def test_a_code_of_another_finding_deletes_nothing(services: FakeServices, read_output: ReadOutput) -> None:
    main(["delete-address", EVE], services)
    found = re.search(r"--confirm (\w+)", read_output())
    assert found
    services.deliveries.add(
        replace(services.deliveries.rows[CONTOSO, "late"], message_id="new", from_address=EVE)
    )

    assert main(["delete-address", EVE, "--confirm", found[1]], services) == 1
    assert "does not match this list" in read_output()
    assert len(services.requests.kept) == 3


def test_an_address_of_which_this_is_a_part_is_another_one(
    services: FakeServices, read_output: ReadOutput
) -> None:
    for address in ("ve@contoso.com", "eve@contoso.co", "x.eve@contoso.com", "eve@contoso.com.example"):
        assert main(["delete-address", address], services) == 0
        assert "Finished mails: 0" in read_output()


def test_the_address_of_o_brien_is_not_that_of_brien(services: FakeServices, read_output: ReadOutput) -> None:
    late = services.deliveries.rows[CONTOSO, "late"]
    services.deliveries.add(replace(late, message_id="whole", from_address="o'brien@contoso.com"))
    services.deliveries.add(replace(late, message_id="quoted", correlation_id="for 'brien@contoso.com'"))

    confirm(services, read_output, "brien@contoso.com")

    assert services.deliveries.rows[CONTOSO, "whole"].from_address == "o'brien@contoso.com"
    assert services.deliveries.rows[CONTOSO, "quoted"].correlation_id == "for '[deleted]'"


def test_an_address_is_found_in_a_text_with_both_kinds_of_quotes(
    services: FakeServices, read_output: ReadOutput
) -> None:
    late = services.deliveries.rows[CONTOSO, "late"]
    services.deliveries.add(replace(late, message_id="m", correlation_id='"Q1" of o\'brien@contoso.com'))

    confirm(services, read_output, "o'brien@contoso.com")

    assert services.deliveries.rows[CONTOSO, "m"].correlation_id == '"Q1" of [deleted]'


@pytest.mark.parametrize("given", ["eve@müller.example", "eve@xn--mller-kva.example"])
def test_an_international_domain_is_found_in_both_forms(
    services: FakeServices, read_output: ReadOutput, given: str
) -> None:
    for form in ("müller.example", "xn--mller-kva.example", "MÜLLER.example"):
        late = services.deliveries.rows[CONTOSO, "late"]
        services.deliveries.add(replace(late, message_id=form, from_address=f"eve@{form}"))

    assert "Finished mails: 3" in confirm(services, read_output, given)


def test_an_address_is_found_in_bodies_json_escapes_and_invalid_json(
    services: FakeServices, read_output: ReadOutput
) -> None:
    texts = [
        a_message(body={"contentType": "text", "content": "Ask jürgen@contoso.com."}),
        b"no JSON: j\xc3\xbcrgen@contoso.com",
        b"[" * 100_000 + b"j\xc3\xbcrgen@contoso.com",
    ]
    for number, text in enumerate(texts):
        services.deliveries.add(Delivery(CONTOSO, f"m-{number}", DeliveryStatus.EXPIRED, NOON, NOON, NOON))
        services.requests.save(CONTOSO, f"m-{number}", text)
    confirm(services, read_output, "jürgen@contoso.com")

    assert not {"m-0", "m-1", "m-2"} & {message_id for _, message_id in services.requests.kept}


def test_the_address_is_removed_from_every_part_of_a_row(
    services: FakeServices, read_output: ReadOutput
) -> None:
    row = Delivery(
        FABRIKAM,
        "m",
        DeliveryStatus.INVALID,
        NOON,
        NOON,
        NOON,
        from_address=EVE,
        correlation_id=f"for {EVE}",
        warnings=(REFUSED,),
        fields=(FieldError("to.0", f"{EVE} is listed twice"),),
    )
    services.deliveries.add(row)
    confirm(services, read_output)

    left = services.deliveries.rows[FABRIKAM, "m"]
    assert EVE not in repr(left)
    assert (left.from_address, left.correlation_id) == (None, "for [deleted]")


def test_a_mail_that_waits_is_named_though_only_its_row_has_the_address(
    services: FakeServices, read_output: ReadOutput
) -> None:
    row = Delivery(CONTOSO, "w", DeliveryStatus.DEFERRED, NOON, NOON, NOON, from_address=EVE)
    services.deliveries.add(row)
    main(["delete-address", EVE], services)

    assert f"the mail w of {CONTOSO}" in read_output()


def test_a_mail_that_is_retried_meanwhile_is_kept_and_listed(
    services: FakeServices, read_output: ReadOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.deliveries, "save", lambda row: None if row.message_id == "late" else row)

    said = confirm(services, read_output)

    assert f"Not deleted because it changed: the mail late of {CONTOSO}" in said
    assert (CONTOSO, "late") in services.requests.kept
    assert services.operator_log.actions[-1].counts["finished_mails"] == 1


def test_an_address_is_found_where_the_tenant_has_no_settings(
    services: FakeServices, read_output: ReadOutput
) -> None:
    row = services.deliveries.rows[CONTOSO, "waiting"]
    services.deliveries.save(replace(row, from_address=EVE))
    services.requests.kept.clear()
    services.settings.remove(CONTOSO)

    assert main(["delete-address", EVE], services) == 0
    assert f"Kept until it is finished: the mail waiting of {CONTOSO}" in read_output()


def test_a_mail_without_a_row_is_not_touched(services: FakeServices, read_output: ReadOutput) -> None:
    services.requests.save(CONTOSO, "orphan", a_message(messageId="orphan", to=[EVE]))
    confirm(services, read_output)

    assert (CONTOSO, "orphan") in services.requests.kept


def test_finished_consents_are_deleted_and_one_in_progress_is_kept(
    services: FakeServices, read_output: ReadOutput
) -> None:
    wanted = {"fromEmailAddress": "reports@contoso.com", "largeFileAttachments": False}
    assert call(settings_api.save, services, wanted).status == 202
    main(["delete-address", "ada@contoso.com"], services)
    assert "Kept for ten minutes: 1 consents in progress" in read_output()

    services.system.pass_time(timedelta(minutes=11))
    confirm(services, read_output, "ada@contoso.com")
    assert services.flows.flows == {}


def test_settings_are_kept_until_a_reset(services: FakeServices, read_output: ReadOutput) -> None:
    confirm_before = services.settings.load(CONTOSO)
    main(["delete-address", "ada@contoso.com"], services)

    assert f"Kept until a workspace admin presses Reset: the settings of {CONTOSO}" in read_output()
    assert services.settings.load(CONTOSO) == confirm_before


def test_the_audit_event_has_the_deleted_amount_and_not_the_address(
    services: FakeServices, read_output: ReadOutput, caplog: pytest.LogCaptureFixture
) -> None:
    confirm(services, read_output)
    with caplog.at_level(logging.WARNING):
        release_all(services)

    events = [line for line in caplog.messages if line.startswith("operator_action {")]
    assert ["started" in line for line in events] == [True, False]
    for line in events:
        assert '"action": "delete_address"' in line
        assert "finished_mails 2, finished_consents 0" in line
    assert EVE not in caplog.text


def test_what_is_no_address_is_refused(services: FakeServices) -> None:
    with pytest.raises(SystemExit):
        main(["delete-address", "Eve"], services)


def test_the_days_that_it_names_are_those_of_the_template(
    services: FakeServices, read_output: ReadOutput
) -> None:
    files = Project.from_disk().files
    main(["delete-address", EVE], services)
    said = read_output()

    assert "attachmentRetentionDays, 30" in said
    assert "param attachmentRetentionDays int = 30" in files["infra/main.bicep"]
    assert "recoverable for 7 days" in said
    assert "deleteRetentionPolicy: { enabled: true, days: 7 }" in files["infra/modules/storage.bicep"]
