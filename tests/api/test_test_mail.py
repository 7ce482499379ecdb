"""The test mail is sent like every other mail."""

from __future__ import annotations

import pytest

from shared.api.test_mail import send_test_mail
from shared.caller import Caller
from shared.deliveries.status import DeliveryStatus
from shared.errors import ConsentRequiredError, InvalidInputError
from shared.sending.deliver import deliver
from tests.api_client import a_request, content
from tests.builders import ADMIN, enabled_services
from tests.fakes import CONTOSO, FakeServices


@pytest.mark.parametrize(("body", "to"), [(b"", "ada@contoso.com"), ({"to": "ops@contoso.com"}, "ops@")])
def test_it_is_sent_to_the_named_address_or_to_the_admin(body: object, to: str) -> None:
    services = enabled_services()
    reply = send_test_mail(a_request(body), ADMIN, services)
    shown = content(reply)

    assert reply.status == 202
    assert shown["deliveryUrl"] == f"https://mailer.contoso.com/api/deliveries/{shown['messageId']}"
    deliver(services.outbox.messages[0][0], "q-1", services)
    assert to.encode() in services.transport.sent[0][2]
    assert services.deliveries.rows[CONTOSO, shown["messageId"]].status is DeliveryStatus.ACCEPTED


def test_without_a_consent_it_is_refused_at_once() -> None:
    services = FakeServices()
    with pytest.raises(ConsentRequiredError):
        send_test_mail(a_request(), ADMIN, services)
    assert not services.outbox.messages


@pytest.mark.parametrize("body", [{"to": "nobody"}, {"to": "a@b.com\nBcc: c@d.com"}, {"cc": "a@b.com"}, b"["])
def test_a_body_that_cannot_be_read_is_refused(body: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        send_test_mail(a_request(body), ADMIN, enabled_services())

    assert caught.value.code == "invalid_request"


def test_an_admin_whose_name_is_no_address_has_to_say_who_gets_it() -> None:
    with pytest.raises(InvalidInputError) as caught:
        send_test_mail(a_request(), Caller(CONTOSO, "ada-object-id", "Ada"), enabled_services())

    assert [field.field for field in caught.value.fields] == ["to"]
