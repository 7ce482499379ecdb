"""The behaviour of the local Graph, as the real one is documented."""

import base64
import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.emulator_tests.conftest import Emulator
from tests.local_stack.microsoft365 import FAULT_EFFECTS, Effect
from tests.local_stack.microsoft365.contoso import (
    ADA,
    BOARD,
    CLIENT_ID,
    CONTOSO,
    FINANCE,
    MALLORY,
    REPORTS,
    UMA,
)

MEGABYTE = 1024 * 1024
KEY_ID = "String {6f1c7a52-3a1e-4a62-9d61-0c54a3f1de10} Name DeliveryKey"
FILE = "#microsoft.graph.fileAttachment"
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}


@dataclass(frozen=True)
class Client:
    """A bare HTTP client with a Graph token."""

    emulator: Emulator
    session: requests.Session
    root: str

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, f"{self.root}{path}", timeout=20, **options)

    def send_mail(self, message: dict[str, Any] | None = None, **more: Any) -> requests.Response:
        return self.request("POST", "/sendMail", json={"message": message or a_message()} | more)

    def draft(self, **fields: Any) -> dict[str, Any]:
        response = self.request("POST", "/messages", json=a_message(**fields), headers=IMMUTABLE)
        assert response.status_code == 201, response.text
        created: dict[str, Any] = response.json()
        return created

    def attach(self, draft: dict[str, Any], data: bytes, **more: Any) -> requests.Response:
        return self.request("POST", f"/messages/{draft['id']}/attachments", json=a_file(data, **more))

    def session_for(self, draft: dict[str, Any], size: int, **more: Any) -> requests.Response:
        item = {"attachmentType": "file", "name": "big.pdf", "size": size} | more
        return self.request(
            "POST", f"/messages/{draft['id']}/attachments/createUploadSession", json={"AttachmentItem": item}
        )

    def send(self, draft: dict[str, Any]) -> requests.Response:
        return self.request("POST", f"/messages/{draft['id']}/send", headers={"Content-Length": "0"})

    def put(self, url: str, data: bytes, start: int, total: int, **headers: str) -> requests.Response:
        named = {"Content-Range": f"bytes {start}-{start + len(data) - 1}/{total}"} | headers
        return self.emulator.session().put(url, data=data, headers=named, timeout=30)

    def upload(
        self, draft: dict[str, Any], data: bytes, chunk: int = 3_000_000, **more: Any
    ) -> requests.Response:
        url = self.session_for(draft, len(data), **more).json()["uploadUrl"]
        response = requests.Response()
        for start in range(0, len(data), chunk):
            response = self.put(url, data[start : start + chunk], start, len(data))
        return response


def a_recipient(address: str) -> dict[str, Any]:
    return {"emailAddress": {"address": address}}


def a_message(**fields: Any) -> dict[str, Any]:
    return {"subject": "Weekly sales", "toRecipients": [a_recipient("cfo@contoso.com")]} | fields


def a_file(data: bytes = b"pdf", **more: Any) -> dict[str, Any]:
    return {"@odata.type": FILE, "name": "a.pdf", "contentBytes": base64.b64encode(data).decode()} | more


def bytes_of(size: int) -> bytes:
    """Make a file in which any exchange of parts can be detected."""
    block = b"".join(number.to_bytes(4, "big") for number in range(64 * 1024))
    return (block * (size // len(block) + 1))[:size]


def client(emulator: Emulator, account: str = REPORTS, *scopes: str, root: str = "/me") -> Client:
    session = emulator.session()
    token = emulator.system.graph_token(account, *(scopes or ("Mail.Send", "Mail.ReadWrite")))
    session.headers["Authorization"] = f"Bearer {token}"
    return Client(emulator, session, f"{emulator.graph}/v1.0{root}")


def app_client(emulator: Emulator, *roles: str, mailbox: str = REPORTS) -> Client:
    session = emulator.session()
    session.headers["Authorization"] = f"Bearer {emulator.system.app_only_token(CONTOSO, *roles)}"
    return Client(emulator, session, f"{emulator.graph}/v1.0/users/{mailbox}")


def refused(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "It did not happen in time."
        time.sleep(0.02)


# sendMail


def test_an_accepted_mail_is_202_with_nothing_in_it(emulator: Emulator) -> None:
    response = client(emulator, REPORTS, "Mail.Send").send_mail()

    assert (response.status_code, response.content) == (202, b"")
    assert response.headers["request-id"]
    assert [mail.subject for mail in emulator.system.mails()] == ["Weekly sales"]


def test_every_sent_mail_is_recorded_as_received(emulator: Emulator) -> None:
    image = bytes(range(256)) * 40
    message = a_message(
        ccRecipients=[a_recipient("cc@contoso.com")],
        bccRecipients=[a_recipient("bcc@example.com")],
        replyTo=[a_recipient("answers@contoso.com")],
        body={"contentType": "HTML", "content": "<p>Grüße <img src='cid:chart1'></p>"},
        importance="high",
        internetMessageHeaders=[{"name": "x-inforiver-report", "value": "4711"}],
        singleValueExtendedProperties=[{"id": KEY_ID, "value": "key-1"}],
        attachments=[
            a_file(b"%PDF-1.7", contentType="application/pdf"),
            a_file(image, name="chart.png", contentType="image/png", isInline=True, contentId="chart1"),
        ],
    )

    client(emulator, REPORTS, "Mail.Send").request(
        "POST", "/sendMail", json={"message": message}, headers={"client-request-id": "marked"}
    )

    mail = emulator.system.mails()[0]
    assert mail.recipients == ["cfo@contoso.com", "cc@contoso.com", "bcc@example.com"]
    assert [a.address for a in mail.bcc] == ["bcc@example.com"]
    assert [a.address for a in mail.reply_to] == ["answers@contoso.com"]
    assert (mail.body_type, mail.body) == ("html", "<p>Grüße <img src='cid:chart1'></p>")
    assert (mail.importance, mail.headers) == ("high", {"x-inforiver-report": "4711"})
    assert mail.extended_properties == {KEY_ID: "key-1"}
    assert [(a.name, a.content_type, a.inline, a.content_id) for a in mail.attachments] == [
        ("a.pdf", "application/pdf", False, None),
        ("chart.png", "image/png", True, "chart1"),
    ]
    assert mail.attachments[1].read() == image
    assert (mail.client_request_id, mail.caller, mail.mailbox) == ("marked", REPORTS, REPORTS)


@pytest.mark.parametrize(("value", "saved"), [(True, True), (False, False), ("false", False), ("true", True)])
def test_save_to_sent_items_is_a_boolean_or_a_string(
    emulator: Emulator, *, value: object, saved: bool
) -> None:
    assert client(emulator).send_mail(saveToSentItems=value).status_code == 202

    assert emulator.system.mails()[0].save_to_sent_items is saved


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"subject": "unwrapped", "toRecipients": []}, "RequestBodyRead"),
        ({"saveToSentItems": True}, "RequestBodyRead"),
        ({"message": {"Betreff": "x"}}, "RequestBodyRead"),
        ({"message": {"toRecipients": ["cfo@contoso.com"]}}, "RequestBodyRead"),
        ({"message": a_message(), "saveToSentItems": "perhaps"}, "RequestBodyRead"),
        ({"message": {"subject": "to nobody"}}, "ErrorInvalidRecipients"),
        ({"message": a_message(toRecipients=[a_recipient("not an address")])}, "ErrorInvalidRecipients"),
        (
            {"message": a_message(attachments=[{"@odata.type": FILE, "name": "a"}])},
            "ErrorRequiredPropertyMissing",
        ),
        (
            {
                "message": a_message(
                    attachments=[a_file() | {"@odata.type": "#Microsoft.OutlookServices.FileAttachment"}]
                )
            },
            "RequestBodyRead",
        ),
        ({"message": a_message(attachments=[a_file() | {"contentBytes": "%%%"}])}, "RequestBodyRead"),
        (
            {"message": a_message(internetMessageHeaders=[{"name": "List-Unsubscribe", "value": "x"}])},
            "InvalidInternetMessageHeader",
        ),
        (
            {
                "message": a_message(
                    internetMessageHeaders=[{"name": f"x-{n}", "value": "v"} for n in range(6)]
                )
            },
            "InvalidInternetMessageHeaderCollection",
        ),
        (
            {"message": a_message(toRecipients=[a_recipient(f"p{n}@contoso.com") for n in range(501)])},
            "ErrorExceededMaxRecipientLimit",
        ),
    ],
)
def test_what_graph_would_not_read_is_400(emulator: Emulator, body: dict[str, Any], code: str) -> None:
    response = client(emulator).request("POST", "/sendMail", json=body)

    assert refused(response) == (400, code)
    assert emulator.system.mails() == []


def test_five_headers_and_five_hundred_recipients_are_taken(emulator: Emulator) -> None:
    message = a_message(
        toRecipients=[a_recipient(f"p{n}@contoso.com") for n in range(500)],
        internetMessageHeaders=[{"name": f"X-{n}", "value": "v"} for n in range(5)],
    )

    assert client(emulator).send_mail(message).status_code == 202


def test_a_request_over_four_megabytes_hits_the_wall_base64_included(emulator: Emulator) -> None:
    def request_of(size: int) -> bytes:
        empty = json.dumps({"message": a_message(body={"contentType": "text", "content": ""})})
        return empty.replace('"content": ""', f'"content": "{"x" * (size - len(empty))}"').encode()

    kind = {"Content-Type": "application/json"}
    below = client(emulator).request("POST", "/sendMail", data=request_of(4 * MEGABYTE), headers=kind)
    above = client(emulator).request("POST", "/sendMail", data=request_of(4 * MEGABYTE + 1), headers=kind)

    assert below.status_code == 202
    assert above.status_code == 413
    assert above.json()["error"]["message"] == "The maximum request length supported is 4MB."
    assert len(emulator.system.mails()) == 1


def test_an_error_names_the_request_as_support_wants_it(emulator: Emulator) -> None:
    response = client(emulator).request("POST", "/sendMail", json={}, headers={"client-request-id": "mine"})

    inner = response.json()["error"]["innerError"]
    assert inner["client-request-id"] == response.headers["client-request-id"] == "mine"
    assert inner["request-id"] == response.headers["request-id"]
    assert response.headers["x-ms-ags-diagnostic"]


def test_a_mail_can_be_sent_as_mime_with_bcc_in_its_header(emulator: Emulator) -> None:
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Bcc"] = REPORTS, "The CFO <cfo@contoso.com>", "bcc@example.com"
    made["Subject"], made["List-Unsubscribe"] = "Als MIME: Grüße", "<mailto:no@contoso.com>"
    made.set_content("Plain text\r\n", cte="base64")
    made.add_attachment(b"\x00\x01", maintype="application", subtype="pdf", filename="a.pdf")
    raw = made.as_bytes()

    response = client(emulator).request(
        "POST", "/sendMail", data=base64.b64encode(raw), headers={"Content-Type": "text/plain"}
    )

    mail = emulator.system.mails()[0]
    assert response.status_code == 202
    assert mail.mime == raw
    assert (mail.subject, mail.to[0].name) == ("Als MIME: Grüße", "The CFO")
    assert [a.address for a in mail.bcc] == ["bcc@example.com"]
    assert mail.headers["List-Unsubscribe"] == "<mailto:no@contoso.com>"
    assert (mail.attachments[0].name, mail.attachments[0].read()) == ("a.pdf", b"\x00\x01")


def test_mime_that_is_no_base64_is_refused(emulator: Emulator) -> None:
    response = client(emulator).request(
        "POST", "/sendMail", data="From: me", headers={"Content-Type": "text/plain"}
    )

    assert refused(response) == (400, "ErrorMimeContentInvalidBase64String")


# Who may send as whom


def test_send_as_shows_only_the_other_address(emulator: Emulator) -> None:
    response = client(emulator, REPORTS, "Mail.Send.Shared").send_mail(
        a_message(**{"from": a_recipient(FINANCE)})
    )

    mail = emulator.system.mails()[0]
    assert response.status_code == 202
    assert (mail.from_address.address, mail.sender.address, mail.caller) == (FINANCE, FINANCE, REPORTS)


def test_send_on_behalf_shows_both(emulator: Emulator) -> None:
    emulator.system.directory.grant("send_on_behalf", on=FINANCE, to=UMA)

    client(emulator, UMA, "Mail.Send.Shared").send_mail(a_message(**{"from": a_recipient(FINANCE)}))

    mail = emulator.system.mails()[0]
    assert (mail.from_address.address, mail.sender.address) == (FINANCE, UMA)


def test_a_group_can_be_sent_as(emulator: Emulator) -> None:
    client(emulator, ADA, "Mail.Send.Shared").send_mail(a_message(**{"from": a_recipient(BOARD.upper())}))

    assert emulator.system.mails()[0].from_address.address == BOARD


@pytest.mark.parametrize("address", [FINANCE, BOARD, "nobody@contoso.com", MALLORY])
def test_without_the_right_another_from_is_denied(emulator: Emulator, address: str) -> None:
    response = client(emulator, UMA, "Mail.Send.Shared").send_mail(
        a_message(**{"from": a_recipient(address)})
    )

    assert refused(response) == (403, "ErrorSendAsDenied")
    assert emulator.system.mails() == []


def test_the_mailbox_right_is_not_enough_without_the_shared_scope(emulator: Emulator) -> None:
    response = client(emulator, REPORTS, "Mail.Send").send_mail(a_message(**{"from": a_recipient(FINANCE)}))

    assert refused(response) == (403, "ErrorAccessDenied")


def test_ones_own_address_may_always_be_named(emulator: Emulator) -> None:
    response = client(emulator, REPORTS, "Mail.Send").send_mail(
        a_message(**{"from": a_recipient(REPORTS.upper())})
    )

    assert response.status_code == 202


def test_another_mailbox_needs_full_access_too(emulator: Emulator) -> None:
    emulator.system.directory.grant("send_as", on=FINANCE, to=UMA)

    without = client(emulator, UMA, "Mail.Send.Shared", root=f"/users/{FINANCE}").send_mail()
    emulator.system.directory.grant("full_access", on=FINANCE, to=UMA)
    with_it = client(emulator, UMA, "Mail.Send.Shared", root=f"/users/{FINANCE}").send_mail()

    assert refused(without) == (403, "ErrorAccessDenied")
    assert with_it.status_code == 202
    assert emulator.system.mails()[0].mailbox == FINANCE


def test_an_app_with_application_permission_sends_as_any_mailbox(emulator: Emulator) -> None:
    assert app_client(emulator, "Mail.Send").send_mail().status_code == 202
    assert (
        app_client(emulator, "Mail.Send", mailbox=emulator.system.user(UMA).object_id).send_mail().status_code
        == 202
    )

    assert [(mail.mailbox, mail.caller) for mail in emulator.system.mails()] == [(REPORTS, ""), (UMA, "")]


def test_an_access_policy_limits_an_app_to_its_mailboxes(emulator: Emulator) -> None:
    emulator.system.directory.change_app(CLIENT_ID, mailbox_scope=frozenset({REPORTS}))

    assert app_client(emulator, "Mail.Send").send_mail().status_code == 202
    assert refused(app_client(emulator, "Mail.Send", mailbox=UMA).send_mail()) == (403, "ErrorAccessDenied")


def test_exchange_roles_let_an_app_send_without_a_role_in_its_token(emulator: Emulator) -> None:
    emulator.system.directory.change_app(CLIENT_ID, exchange_roles=frozenset({REPORTS}))

    assert app_client(emulator).send_mail().status_code == 202
    assert refused(app_client(emulator, mailbox=UMA).send_mail()) == (403, "ErrorAccessDenied")


def test_an_application_has_no_me_and_needs_the_right_for_another_from(emulator: Emulator) -> None:
    response = app_client(emulator, "Mail.Send").send_mail(a_message(**{"from": a_recipient(UMA)}))
    assert refused(response) == (403, "ErrorSendAsDenied")

    session = app_client(emulator, "Mail.Send").session
    me = session.post(f"{emulator.graph}/v1.0/me/sendMail", json={"message": a_message()}, timeout=5)
    assert refused(me) == (400, "BadRequest")


# Tokens and scopes


def test_a_bad_token_is_401(emulator: Emulator) -> None:
    expired = emulator.system.graph_token(REPORTS, "Mail.Send", exp=1)
    for_us = emulator.system.api_token(REPORTS)
    forged = emulator.system.graph_token(REPORTS, "Mail.Send")[:-4] + "AAAA"
    for token in ("", "x.y.z", expired, for_us, forged):
        response = emulator.session().post(
            f"{emulator.graph}/v1.0/me/sendMail",
            headers={"Authorization": f"Bearer {token}"},
            json={},
            timeout=5,
        )

        assert refused(response) == (401, "InvalidAuthenticationToken")
        assert "WWW-Authenticate" in response.headers


def test_an_access_token_expires_by_the_clock_of_the_emulator(emulator: Emulator) -> None:
    caller = client(emulator)
    assert caller.send_mail().status_code == 202

    emulator.system.clock.advance(timedelta(hours=2))

    assert refused(caller.send_mail()) == (401, "InvalidAuthenticationToken")


def test_an_app_token_without_permissions_is_401(emulator: Emulator) -> None:
    assert refused(app_client(emulator).send_mail()) == (401, "NoPermissionsInAccessToken")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/messages"),
        ("POST", "/messages"),
        ("GET", "/messages/AAA="),
        ("POST", "/messages/AAA=/attachments"),
        ("POST", "/messages/AAA=/attachments/createUploadSession"),
        ("DELETE", "/messages/AAA="),
        ("GET", "/mailFolders/sentitems/messages"),
    ],
)
def test_mail_send_gives_access_to_no_message(emulator: Emulator, method: str, path: str) -> None:
    response = client(emulator, REPORTS, "Mail.Send").request(method, path, json=a_message())

    assert refused(response) == (403, "ErrorAccessDenied")


def test_reading_and_writing_mail_does_not_send_it(emulator: Emulator) -> None:
    caller = client(emulator, REPORTS, "Mail.ReadWrite")

    assert refused(caller.send_mail()) == (403, "ErrorAccessDenied")
    assert refused(caller.send(caller.draft())) == (403, "ErrorAccessDenied")


def test_an_unknown_user_and_a_user_without_mailbox_are_404(emulator: Emulator) -> None:
    emulator.system.directory.change_user(UMA, has_mailbox=False)

    assert refused(app_client(emulator, "Mail.Send", mailbox="x@contoso.com").send_mail()) == (
        404,
        "ErrorInvalidUser",
    )
    assert refused(app_client(emulator, "Mail.Send", mailbox=MALLORY).send_mail()) == (
        404,
        "ErrorInvalidUser",
    )
    assert refused(client(emulator, UMA).send_mail()) == (404, "MailboxNotEnabledForRESTAPI")


def test_a_path_takes_the_object_id_or_the_sign_in_name_and_no_address(emulator: Emulator) -> None:
    named = emulator.system.directory.change_user(
        REPORTS, sign_in_name="r1@contoso.com", aliases=frozenset({"reporting@contoso.com"})
    )

    for name in (named.object_id, "r1@contoso.com", "R1@Contoso.com"):
        assert app_client(emulator, "Mail.Send", mailbox=name).send_mail().status_code == 202
    for name in (REPORTS, "reporting@contoso.com"):
        response = app_client(emulator, "Mail.Send", mailbox=name).send_mail()
        assert refused(response) == (404, "ErrorInvalidUser")
    assert {mail.from_address.address for mail in emulator.system.mails()} == {REPORTS}


def test_an_alias_of_the_mailbox_becomes_its_primary_address(emulator: Emulator) -> None:
    emulator.system.directory.change_user(
        REPORTS, sign_in_name="r1@contoso.com", aliases=frozenset({"reporting@contoso.com"})
    )
    caller = client(emulator, REPORTS, "Mail.Send")

    alias = caller.send_mail(a_message(**{"from": a_recipient("reporting@contoso.com")}))
    sign_in_name = caller.send_mail(a_message(**{"from": a_recipient("r1@contoso.com")}))

    assert alias.status_code == 202
    assert emulator.system.mails()[0].from_address.address == REPORTS
    assert refused(sign_in_name) == (403, "ErrorAccessDenied")


def test_who_am_i_needs_user_read(emulator: Emulator) -> None:
    assert refused(client(emulator).request("GET", "")) == (403, "Authorization_RequestDenied")

    response = client(emulator, REPORTS, "User.Read").request("GET", "")

    assert response.json()["userPrincipalName"] == REPORTS


# Drafts, ids, Sent Items


def test_a_draft_has_an_id_and_an_internet_message_id(emulator: Emulator) -> None:
    created = client(emulator).request("POST", "/messages", json=a_message())

    document = created.json()
    assert created.status_code == 201
    assert document["isDraft"] is True
    assert document["id"]
    assert document["internetMessageId"].startswith("<")
    assert emulator.system.mails() == []


def test_an_immutable_id_survives_sending_and_the_copy_shows_after_a_lag(emulator: Emulator) -> None:
    emulator.system.behaviour.sent_items_lag = 60
    caller = client(emulator)
    draft = caller.draft()
    assert draft["id"] == emulator.system.drafts(REPORTS)[0].immutable_id

    assert caller.send(draft).status_code == 202

    during = caller.request("GET", f"/messages/{draft['id']}", headers=IMMUTABLE).json()
    emulator.system.clock.advance(timedelta(seconds=61))
    after = caller.request("GET", f"/messages/{draft['id']}", headers=IMMUTABLE).json()
    sent_items = caller.request("GET", "/mailFolders/sentitems").json()["id"]
    assert (during["isDraft"], after["isDraft"]) == (True, False)
    assert during["parentFolderId"] != sent_items == after["parentFolderId"]
    assert after["internetMessageId"] == draft["internetMessageId"]


def test_a_plain_id_dies_with_sending(emulator: Emulator) -> None:
    emulator.system.behaviour.sent_items_lag = 0
    caller = client(emulator)
    created = caller.request("POST", "/messages", json=a_message()).json()

    caller.send(created)

    assert refused(caller.request("GET", f"/messages/{created['id']}")) == (404, "ErrorItemNotFound")


def test_send_must_say_that_its_body_is_empty(emulator: Emulator) -> None:
    caller = client(emulator)
    path = f"/messages/{caller.draft()['id']}/send"

    def nothing() -> Any:
        yield b""

    assert caller.request("POST", path, data=nothing()).status_code == 411
    assert caller.request("POST", path, data=b"{}").status_code == 411
    assert caller.request("POST", path).status_code == 202


def test_a_second_send_in_transit_makes_a_second_mail_unless_switched_off(emulator: Emulator) -> None:
    emulator.system.behaviour.sent_items_lag = 60
    caller = client(emulator)
    draft = caller.draft()

    assert [caller.send(draft).status_code, caller.send(draft).status_code] == [202, 202]
    assert len(emulator.system.mails()) == 2

    emulator.system.behaviour.resend_in_transit = False
    assert caller.send(draft).status_code == 400


def test_a_sent_message_is_not_sent_again(emulator: Emulator) -> None:
    emulator.system.behaviour.sent_items_lag = 0
    caller = client(emulator)
    draft = caller.draft()

    assert [caller.send(draft).status_code, caller.send(draft).status_code] == [202, 400]
    assert len(emulator.system.mails()) == 1


def test_a_draft_can_be_changed_and_is_deleted_into_deleted_items(emulator: Emulator) -> None:
    caller = client(emulator)
    draft = caller.draft()
    changed = caller.request("PATCH", f"/messages/{draft['id']}", json={"subject": "Monthly"}).json()
    assert changed["subject"] == "Monthly"
    assert changed["changeKey"] != draft["changeKey"]

    assert caller.request("DELETE", f"/messages/{draft['id']}").status_code == 204

    assert emulator.system.drafts(REPORTS) == []
    deleted = caller.request("GET", "/mailFolders/deleteditems/messages").json()["value"]
    assert [message["subject"] for message in deleted] == ["Monthly"]
    caller.request("DELETE", f"/messages/{draft['id']}")
    assert caller.request("GET", "/messages").json()["value"] == []


def test_a_draft_can_be_removed_permanently(emulator: Emulator) -> None:
    caller = client(emulator)
    draft = caller.draft()

    assert caller.request("POST", f"/messages/{draft['id']}/permanentDelete").status_code == 204
    assert caller.request("GET", "/messages").json()["value"] == []


def test_a_national_cloud_has_no_permanent_delete(emulator: Emulator) -> None:
    emulator.system.behaviour.permanent_delete = False
    caller = client(emulator)
    draft = caller.draft()

    assert caller.request("POST", f"/messages/{draft['id']}/permanentDelete").status_code == 400
    assert [message.immutable_id for message in emulator.system.drafts(REPORTS)]


# Finding a mail again


def stamped(value: str) -> dict[str, Any]:
    return {"singleValueExtendedProperties": [{"id": KEY_ID, "value": value}]}


def find(caller: Client, condition: str, path: str = "/messages") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.request("GET", path, params={"$filter": condition}).json()["value"]
    return found


def key_filter(name: str, value: str) -> str:
    return f"singleValueExtendedProperties/Any(ep: ep/id eq '{name}' and ep/value eq '{value}')"


def test_a_key_finds_its_mail_name_with_case_value_without(emulator: Emulator) -> None:
    caller = client(emulator)
    caller.draft(**stamped("Key-1"), subject="ours")
    caller.draft(**stamped("key-2"))

    assert [m["subject"] for m in find(caller, key_filter(KEY_ID, "KEY-1"))] == ["ours"]
    assert find(caller, key_filter(KEY_ID.replace("DeliveryKey", "deliverykey"), "key-1")) == []


@pytest.mark.parametrize("folder", ["drafts", "outbox"])
def test_a_stamped_send_mail_is_found_in_sent_items_after_the_lag(emulator: Emulator, folder: Any) -> None:
    emulator.system.behaviour.sent_items_lag = 60
    emulator.system.behaviour.transit_folder = folder
    caller = client(emulator)
    caller.send_mail(a_message(**stamped("key-1")))
    assert [m["isDraft"] for m in find(caller, key_filter(KEY_ID, "key-1"))] == [True]
    assert len(find(caller, key_filter(KEY_ID, "key-1"), f"/mailFolders/{folder}/messages")) == 1

    emulator.system.clock.advance(timedelta(seconds=61))

    assert [m["isDraft"] for m in find(caller, key_filter(KEY_ID, "key-1"))] == [False]
    assert len(find(caller, key_filter(KEY_ID, "key-1"), "/mailFolders/sentitems/messages")) == 1


def test_a_new_draft_is_unknown_to_calls_that_name_it_for_a_moment(emulator: Emulator) -> None:
    emulator.system.behaviour.replica_lag = 2
    caller = client(emulator)
    draft = caller.draft(**stamped("key-1"))
    assert caller.attach(draft, b"x").status_code == 404
    assert len(find(caller, key_filter(KEY_ID, "key-1"))) == 1

    emulator.system.clock.advance(timedelta(seconds=3))

    assert caller.attach(draft, b"x").status_code == 201


def test_a_draft_that_was_just_sent_is_in_lists_and_not_found_by_its_id(emulator: Emulator) -> None:
    caller = client(emulator)
    draft = caller.draft(**stamped("key-1"))
    emulator.system.behaviour.replica_lag = 2
    emulator.system.behaviour.sent_items_lag = 60
    assert caller.send(draft).status_code == 202
    assert caller.request("GET", f"/messages/{draft['id']}").status_code == 404
    assert [m["isDraft"] for m in find(caller, key_filter(KEY_ID, "key-1"))] == [True]

    emulator.system.clock.advance(timedelta(seconds=3))

    assert caller.request("GET", f"/messages/{draft['id']}").json()["isDraft"] is True


def test_an_upload_session_is_unknown_to_its_host_for_a_moment(emulator: Emulator) -> None:
    caller = client(emulator)
    draft = caller.draft()
    emulator.system.behaviour.replica_lag = 2
    url = caller.session_for(draft, 6_000_000).json()["uploadUrl"]
    assert caller.put(url, bytes_of(3_000_000), 0, 6_000_000).status_code == 404

    emulator.system.clock.advance(timedelta(seconds=3))

    assert caller.put(url, bytes_of(3_000_000), 0, 6_000_000).status_code == 200


def test_a_mail_without_a_copy_is_found_only_on_its_way(emulator: Emulator) -> None:
    emulator.system.behaviour.sent_items_lag = 60
    caller = client(emulator)
    caller.send_mail(a_message(**stamped("key-1")), saveToSentItems=False)
    assert [m["isDraft"] for m in find(caller, key_filter(KEY_ID, "key-1"))] == [True]

    emulator.system.clock.advance(timedelta(seconds=61))

    assert find(caller, key_filter(KEY_ID, "key-1")) == []


def test_an_own_internet_message_id_is_found(emulator: Emulator) -> None:
    caller = client(emulator)
    caller.draft(internetMessageId="<own@contoso.com>")

    assert len(find(caller, "internetMessageId eq '<own@contoso.com>' and isDraft eq true")) == 1
    assert find(caller, "internetMessageId eq '<own@contoso.com>' and isDraft eq false") == []


def test_a_quote_in_a_key_is_doubled(emulator: Emulator) -> None:
    caller = client(emulator)
    caller.draft(**stamped("o'clock"))

    assert len(find(caller, key_filter(KEY_ID, "o''clock"))) == 1


@pytest.mark.parametrize(
    "condition",
    [
        key_filter(KEY_ID, "o'clock"),
        "isDraft eq true or isDraft eq false",
        "subject ne 'x'",
        "isDraft eq true and",
        key_filter(KEY_ID, "x' or '1' eq '1"),
    ],
)
def test_a_filter_that_is_not_understood_is_refused(emulator: Emulator, condition: str) -> None:
    response = client(emulator).request("GET", "/messages", params={"$filter": condition})

    assert refused(response) == (400, "ErrorInvalidUrlQueryFilter")


def test_a_list_shows_what_was_selected_a_page_at_a_time(emulator: Emulator) -> None:
    caller = client(emulator)
    for number in range(3):
        caller.draft(subject=f"n{number}")

    first = caller.request("GET", "/messages", params={"$select": "id,subject", "$top": "2"}).json()
    rest = caller.session.get(first["@odata.nextLink"], timeout=5).json()

    assert [m["subject"] for m in first["value"] + rest["value"]] == ["n2", "n1", "n0"]
    assert "body" not in first["value"][0]


def test_an_extended_property_is_written_when_expanded(emulator: Emulator) -> None:
    caller = client(emulator)
    caller.draft(**stamped("key-1"))

    options = {"$expand": f"singleValueExtendedProperties($filter=id eq '{KEY_ID}')"}
    found = caller.request("GET", "/messages", params=options).json()["value"]

    assert found[0]["singleValueExtendedProperties"] == [{"id": KEY_ID, "value": "key-1"}]


# Attachments and upload sessions


def test_small_files_are_posted_one_by_one(emulator: Emulator) -> None:
    caller = client(emulator)
    draft = caller.draft()

    assert caller.attach(draft, b"one").status_code == 201
    assert caller.attach(draft, b"two", isInline=True, contentId="c2").json()["contentId"] == "c2"
    listed = caller.request("GET", f"/messages/{draft['id']}/attachments").json()["value"]
    caller.send(draft)

    assert [file["size"] for file in listed] == [3, 3]
    assert [file.read() for file in emulator.system.mails()[0].attachments] == [b"one", b"two"]


def test_a_posted_file_of_three_megabytes_is_refused(emulator: Emulator) -> None:
    caller = client(emulator)
    draft = caller.draft()

    assert caller.attach(draft, bytes_of(3 * MEGABYTE)).status_code == 413
    assert caller.attach(draft, bytes_of(3 * MEGABYTE - 3000)).status_code == 201
    emulator.system.behaviour.largest_post = 1000
    assert caller.attach(draft, bytes_of(1000)).status_code == 413


def test_a_large_file_is_uploaded_in_chunks_to_another_host(emulator: Emulator) -> None:
    caller, data = client(emulator), bytes_of(5_000_000)
    draft = caller.draft()
    created = caller.session_for(draft, len(data), contentType="application/pdf")
    url = created.json()["uploadUrl"]

    middle = caller.put(url, data[:2_097_152], 0, len(data))
    last = caller.put(url, data[2_097_152:], 2_097_152, len(data))

    assert (created.status_code, created.json()["nextExpectedRanges"]) == (201, ["0-"])
    assert urlsplit(url).netloc == urlsplit(emulator.outlook).netloc != urlsplit(emulator.graph).netloc
    assert (middle.status_code, middle.json()["nextExpectedRanges"]) == (200, ["2097152"])
    assert middle.json().keys() == {"@odata.context", "ExpirationDateTime", "nextExpectedRanges"}
    assert (last.status_code, last.content) == (201, b"")
    assert "/Attachments('" in last.headers["Location"]
    caller.send(draft)
    file = emulator.system.mails()[0].attachments[0]
    assert (file.name, file.content_type, file.read()) == ("big.pdf", "application/pdf", data)


def test_the_next_range_is_spelt_in_every_way_there_is(emulator: Emulator) -> None:
    caller, total = client(emulator), 6_000_000
    for spelling, expected in (("N", "3000000"), ("N-", "3000000-"), ("N-M", "3000000-5999999")):
        emulator.system.behaviour.next_range = spelling  # type: ignore[assignment]
        url = caller.session_for(caller.draft(), total).json()["uploadUrl"]

        assert caller.put(url, bytes_of(3_000_000), 0, total).json()["nextExpectedRanges"] == [expected]


def test_the_cloud_of_21vianet_spells_its_members_in_pascal_case(emulator: Emulator) -> None:
    emulator.system.behaviour.pascal_case = True
    caller = client(emulator)

    created = caller.session_for(caller.draft(), 6_000_000).json()

    assert created["NextExpectedRanges"] == ["0-"]
    middle = caller.put(created["uploadUrl"], bytes_of(3_000_000), 0, 6_000_000).json()
    assert middle["NextExpectedRanges"] == ["3000000"]


def test_a_session_for_less_than_three_megabytes_is_refused(emulator: Emulator) -> None:
    caller = client(emulator)

    response = caller.session_for(caller.draft(), 2_999_999)

    assert refused(response) == (400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize")
    assert caller.session_for(caller.draft(), 150 * MEGABYTE + 1).status_code == 400


def test_a_chunk_that_carries_the_token_is_refused(emulator: Emulator) -> None:
    caller = client(emulator)
    url = caller.session_for(caller.draft(), 6_000_000).json()["uploadUrl"]

    response = caller.put(url, bytes_of(3_000_000), 0, 6_000_000, Authorization="Bearer x")

    assert refused(response) == (401, "InvalidAudienceForResource")
    assert "authorization" in emulator.system.requests.all("uploadChunk")[0].header_names


def test_an_upload_url_is_its_own_key(emulator: Emulator) -> None:
    caller = client(emulator)
    url = caller.session_for(caller.draft(), 6_000_000).json()["uploadUrl"]

    assert caller.put(url[:-1], bytes_of(3_000_000), 0, 6_000_000).status_code == 401
    assert emulator.session().get(url, timeout=5).status_code == 405


def test_chunks_must_be_in_order_and_below_four_megabytes(emulator: Emulator) -> None:
    caller, data = client(emulator), bytes_of(9_000_000)
    url = caller.session_for(caller.draft(), len(data)).json()["uploadUrl"]
    caller.put(url, data[:3_000_000], 0, len(data))

    again = caller.put(url, data[:3_000_000], 0, len(data))
    ahead = caller.put(url, data[6_000_000:], 6_000_000, len(data))
    too_long = caller.put(url, data[3_000_000 : 3_000_000 + 4 * MEGABYTE + 1], 3_000_000, len(data))
    wrong_total = caller.put(url, data[3_000_000:6_000_000], 3_000_000, len(data) + 1)

    assert (again.status_code, ahead.status_code) == (416, 416)
    assert (too_long.status_code, wrong_total.status_code) == (413, 400)
    assert caller.put(url, data[3_000_000:6_000_000], 3_000_000, len(data)).status_code == 200


def test_a_session_ends_on_delete_and_by_the_clock(emulator: Emulator) -> None:
    caller = client(emulator)
    cancelled = caller.session_for(caller.draft(), 6_000_000).json()["uploadUrl"]
    expiring = caller.session_for(caller.draft(), 6_000_000).json()

    assert emulator.session().delete(cancelled, timeout=5).status_code == 204
    assert caller.put(cancelled, bytes_of(3_000_000), 0, 6_000_000).status_code == 404

    middle = caller.put(expiring["uploadUrl"], bytes_of(3_000_000), 0, 6_000_000).json()
    assert middle["ExpirationDateTime"] == expiring["expirationDateTime"]
    emulator.system.clock.advance(timedelta(hours=2))
    assert caller.put(expiring["uploadUrl"], bytes_of(3_000_000), 3_000_000, 6_000_000).status_code == 404


def test_two_sessions_on_one_draft_at_once_are_in_conflict(emulator: Emulator) -> None:
    caller, data = client(emulator), bytes_of(6_000_000)
    draft = caller.draft()
    first = caller.session_for(draft, len(data)).json()["uploadUrl"]
    second = caller.session_for(draft, len(data)).json()["uploadUrl"]
    caller.put(first, data[:3_000_000], 0, len(data))
    caller.put(second, data[:3_000_000], 0, len(data))

    response = caller.put(first, data[3_000_000:], 3_000_000, len(data))

    assert refused(response) == (412, "ErrorIrresolvableConflict")


def test_two_chunks_for_one_draft_at_the_same_moment_are_in_conflict(emulator: Emulator) -> None:
    caller, data = client(emulator), bytes_of(6_000_000)
    draft = caller.draft()
    urls = [caller.session_for(draft, len(data)).json()["uploadUrl"] for _ in range(2)]

    def in_two_parts(until: Callable[[], bool]) -> Iterator[bytes]:
        yield data[:1_000_000]
        wait_for(until)
        yield data[1_000_000:3_000_000]

    def meanwhile() -> requests.Response:
        wait_for(lambda: emulator.system.requests.count("uploadChunk") == 1)
        return caller.put(urls[1], data[:3_000_000], 0, len(data))

    with ThreadPoolExecutor(2) as pool:
        second = pool.submit(meanwhile)
        headers = {"Content-Range": f"bytes 0-2999999/{len(data)}", "Content-Length": "3000000"}
        first = pool.submit(_put_raw, urls[0], in_two_parts(second.done), headers, emulator)

        assert refused(second.result(20)) == (412, "ErrorIrresolvableConflict")
        assert first.result(20) == 200


def _put_raw(url: str, body: Any, headers: dict[str, str], emulator: Emulator) -> int:
    """PUT an iterator with Content-Length, which requests would chunk."""
    place = urlsplit(url)
    context = ssl.create_default_context(cafile=str(emulator.ca_file))
    connection = http.client.HTTPSConnection(place.hostname or "", place.port, timeout=20, context=context)
    try:
        connection.request("PUT", f"{place.path}?{place.query}", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_an_upload_over_the_mailbox_limit_stops_with_base64_counted(emulator: Emulator) -> None:
    emulator.system.directory.change_user(REPORTS, message_limit=8_000_000)
    caller, data = client(emulator), bytes_of(6_500_000)
    draft = caller.draft()
    url = caller.session_for(draft, len(data)).json()["uploadUrl"]

    assert caller.put(url, data[:3_000_000], 0, len(data)).status_code == 200
    assert caller.put(url, data[3_000_000:6_000_000], 3_000_000, len(data)).status_code == 200
    third = caller.put(url, data[6_000_000:], 6_000_000, len(data))

    assert refused(third) == (413, "ErrorMessageSizeExceeded")


def test_a_message_over_the_mailbox_limit_is_refused_at_send(emulator: Emulator) -> None:
    caller = client(emulator)
    draft = caller.draft()
    caller.attach(draft, bytes_of(2_000_000))
    emulator.system.directory.change_user(REPORTS, message_limit=2_500_000)

    assert refused(caller.send(draft)) == (413, "ErrorMessageSizeExceeded")
    assert emulator.system.mails() == []


def test_receipts_are_true_or_false_and_on_record(emulator: Emulator) -> None:
    caller = client(emulator)

    assert caller.send_mail(a_message(isReadReceiptRequested=True)).status_code == 202
    assert caller.send_mail(a_message(isDeliveryReceiptRequested=True)).status_code == 202
    assert refused(caller.send_mail(a_message(isReadReceiptRequested="true"))) == (400, "RequestBodyRead")
    assert [(mail.read_receipt, mail.delivery_receipt) for mail in emulator.system.mails()] == [
        (True, False),
        (False, True),
    ]


def test_a_mailbox_without_room_for_named_properties_refuses_only_names(emulator: Emulator) -> None:
    emulator.system.directory.change_user(REPORTS, room_for_named_properties=False)
    caller = client(emulator)
    named = a_message(singleValueExtendedProperties=[{"id": KEY_ID, "value": "mail-1"}])
    tagged = a_message(singleValueExtendedProperties=[{"id": "String 0x1045", "value": "<https://a.de>"}])

    assert refused(caller.send_mail(named)) == (403, "ErrorQuotaExceeded")
    assert refused(caller.request("POST", "/messages", json=named)) == (403, "ErrorQuotaExceeded")
    assert caller.send_mail(tagged).status_code == 202
    assert caller.send_mail().status_code == 202


def test_a_draft_from_another_address_is_refused_at_send(emulator: Emulator) -> None:
    caller = client(emulator, UMA, "Mail.ReadWrite", "Mail.Send.Shared")
    draft = caller.draft(**{"from": a_recipient(FINANCE)})

    assert refused(caller.send(draft)) == (403, "ErrorSendAsDenied")


def test_a_large_file_arrives_byte_for_byte_without_being_held_in_memory(emulator: Emulator) -> None:
    emulator.system.directory.change_user(REPORTS, message_limit=150 * MEGABYTE)
    caller, data = client(emulator), bytes_of(30 * MEGABYTE)
    draft = caller.draft()

    assert caller.upload(draft, data).status_code == 201
    caller.send(draft)

    file = emulator.system.mails()[0].attachments[0]
    assert (file.size, b"".join(file.content.chunks()) == data) == (len(data), True)
    assert file.content.on_disk


# Throttling


def test_the_fifth_concurrent_request_is_refused_only_for_its_mailbox(emulator: Emulator) -> None:
    emulator.system.behaviour.latency = 0.5
    with ThreadPoolExecutor(6) as pool:
        ours = [pool.submit(lambda: client(emulator).send_mail()) for _ in range(5)]
        theirs = pool.submit(lambda: client(emulator, UMA).send_mail())
        responses = [future.result(20) for future in ours]

    assert sorted(response.status_code for response in responses) == [202, 202, 202, 202, 429]
    assert theirs.result().status_code == 202
    throttled = next(response for response in responses if response.status_code == 429)
    assert refused(throttled) == (429, "ApplicationThrottled")
    assert "MailboxConcurrency" in throttled.json()["error"]["message"]
    assert throttled.headers["Retry-After"] == "2.128"
    assert emulator.system.requests.peak(REPORTS) == 5


def test_chunks_count_among_the_requests_of_their_mailbox(emulator: Emulator) -> None:
    caller, data = client(emulator), bytes_of(3_000_000)
    urls = [caller.session_for(caller.draft(), 2 * len(data)).json()["uploadUrl"] for _ in range(5)]
    emulator.system.behaviour.latency = 0.5

    with ThreadPoolExecutor(5) as pool:
        statuses = list(pool.map(lambda url: caller.put(url, data, 0, 2 * len(data)).status_code, urls))

    assert sorted(statuses) == [200, 200, 200, 200, 429]


# Faults


@pytest.mark.parametrize(
    ("button", "status", "code", "retry_after", "mails"),
    [
        ("throttled", 429, "ApplicationThrottled", "2.128", 0),
        ("throttled without Retry-After", 429, "TooManyRequests", None, 0),
        ("busy", 503, "ErrorServerBusy", "5", 0),
        ("internal error", 500, "ErrorInternalServerError", None, 0),
        ("timeout", 504, "ErrorTimeoutExpired", None, 0),
        ("timeout but accepted", 504, "ErrorTimeoutExpired", None, 1),
        ("token expired", 401, "InvalidAuthenticationToken", None, 0),
        ("conflict", 412, "ErrorIrresolvableConflict", None, 0),
        ("daily limit", 403, "ErrorExceededMessageLimit", None, 0),
    ],
)
def test_a_button_affects_one_request(
    emulator: Emulator, button: str, status: int, code: str, retry_after: str | None, mails: int
) -> None:
    emulator.system.faults.add("sendMail", button)

    response = client(emulator).send_mail()

    assert refused(response) == (status, code)
    assert response.headers.get("Retry-After") == retry_after
    assert len(emulator.system.mails()) == mails
    assert client(emulator).send_mail().status_code == 202


def test_an_acceptance_may_carry_retry_after(emulator: Emulator) -> None:
    emulator.system.faults.add("sendMail", "accepted with Retry-After")

    response = client(emulator).send_mail()

    assert (response.status_code, response.headers["Retry-After"]) == (202, "10")
    assert len(emulator.system.mails()) == 1


@pytest.mark.parametrize(("button", "mails"), [("reset", 0), ("reset but accepted", 1), ("refused", 0)])
def test_a_connection_is_cut_with_or_without_the_mail_going(
    emulator: Emulator, button: str, mails: int
) -> None:
    emulator.system.faults.add("sendMail", button)

    with pytest.raises(requests.ConnectionError):
        client(emulator).send_mail()
    wait_for(lambda: len(emulator.system.requests.all("sendMail")) == 1)
    assert len(emulator.system.mails()) == mails


def test_a_busy_server_may_close_the_connection(emulator: Emulator) -> None:
    emulator.system.faults.add("sendMail", "busy and closed")

    response = client(emulator).send_mail()

    assert (response.status_code, response.headers["Connection"]) == (503, "close")


def test_a_mail_is_sent_although_a_slow_response_outlasts_the_client(emulator: Emulator) -> None:
    emulator.system.faults.add("sendMail", Effect(delay=2.0))
    caller = client(emulator)

    with pytest.raises(requests.ReadTimeout):
        caller.session.post(f"{caller.root}/sendMail", json={"message": a_message()}, timeout=0.5)

    wait_for(lambda: len(emulator.system.mails()) == 1)


@pytest.mark.parametrize(
    ("body", "text"),
    [("html", "<html>"), ("empty", ""), ("empty_code", '"code": ""'), ("nested", '"innererror": {"code"')],
)
def test_the_body_of_an_error_can_have_every_known_form(emulator: Emulator, body: Any, text: str) -> None:
    emulator.system.faults.add("sendMail", Effect(500, "ErrorInternalServerError", body=body))

    response = client(emulator).send_mail()

    assert response.status_code == 500
    assert text in response.text
    assert bool(response.content) is bool(text)


def test_the_most_specific_code_is_the_innermost(emulator: Emulator) -> None:
    emulator.system.faults.add("sendMail", Effect(503, "ErrorServerBusy", body="nested"))

    error = client(emulator).send_mail().json()["error"]

    assert error["code"] == "UnknownError"
    assert error["innererror"]["innererror"]["innererror"]["code"] == "ErrorServerBusy"


def test_faults_wait_for_their_operation_mailbox_and_turn(emulator: Emulator) -> None:
    emulator.system.faults.add("send", "internal error", mailbox=UMA)
    emulator.system.faults.add("createDraft", "busy", nth=2, times=2)
    caller = client(emulator)

    assert caller.send(caller.draft()).status_code == 202
    statuses = [caller.request("POST", "/messages", json=a_message()).status_code for _ in range(3)]

    assert statuses == [503, 503, 201]
    assert [fault.mailbox for fault in emulator.system.faults.waiting()] == [UMA]


def test_faults_by_chance_are_the_same_in_every_run_with_one_seed(emulator: Emulator) -> None:
    caller = client(emulator)
    runs = []
    for _ in range(2):
        emulator.system.faults.clear()
        emulator.system.faults.seed(7)
        emulator.system.faults.add("sendMail", "internal error", times=0, chance=0.5)
        runs.append([caller.send_mail().status_code for _ in range(12)])

    assert runs[0] == runs[1]
    assert set(runs[0]) == {202, 500}


def test_a_lost_acknowledgement_of_a_chunk_leaves_the_chunk_there(emulator: Emulator) -> None:
    caller, data = client(emulator), bytes_of(6_000_000)
    url = caller.session_for(caller.draft(), len(data)).json()["uploadUrl"]
    emulator.system.faults.add("uploadChunk", "reset but accepted")
    with pytest.raises(requests.ConnectionError):
        caller.put(url, data[:3_000_000], 0, len(data))

    assert caller.put(url, data[:3_000_000], 0, len(data)).status_code == 416
    assert caller.put(url, data[3_000_000:], 3_000_000, len(data)).status_code == 201


def test_every_operation_can_fail(emulator: Emulator) -> None:
    caller = client(emulator)
    draft = caller.draft()
    url = caller.session_for(draft, 6_000_000).json()["uploadUrl"]
    calls: dict[str, Callable[[], requests.Response]] = {
        "sendMail": caller.send_mail,
        "createDraft": lambda: caller.request("POST", "/messages", json=a_message()),
        "attach": lambda: caller.attach(draft, b"x"),
        "createUploadSession": lambda: caller.session_for(draft, 6_000_000),
        "uploadChunk": lambda: caller.put(url, bytes_of(3_000_000), 0, 6_000_000),
        "cancelUpload": lambda: emulator.session().delete(url, timeout=5),
        "send": lambda: caller.send(draft),
        "lookup": lambda: caller.request("GET", "/messages"),
        "getMessage": lambda: caller.request("GET", f"/messages/{draft['id']}"),
        "deleteMessage": lambda: caller.request("DELETE", f"/messages/{draft['id']}"),
    }

    for operation, call in calls.items():
        emulator.system.faults.add(operation, Effect(502, "UnknownError"))
        assert call().status_code == 502, operation
        assert not emulator.system.faults.waiting()
    assert emulator.system.mails() == []


# What people and other processes see


def test_another_process_reads_mails_and_files(emulator: Emulator) -> None:
    client(emulator).send_mail(a_message(attachments=[a_file(b"\x00\xff", name="Q3 #1 100%.pdf")]))
    control = f"{emulator.graph}/_control/mails"
    session = emulator.session()

    listed = session.get(control, timeout=5).json()["mails"]
    file = session.get(f"{emulator.graph}{listed[0]['attachments'][0]['contentUrl']}", timeout=5)

    assert listed[0]["to"] == [{"address": "cfo@contoso.com", "name": ""}]
    assert listed[0]["attachments"][0]["size"] == 2
    assert file.content == b"\x00\xff"
    assert file.headers["Content-Disposition"] == "attachment; filename*=UTF-8''Q3%20%231%20100%25.pdf"
    assert session.get(f"{control}/1/attachments/2", timeout=5).status_code == 404
    session.delete(control, timeout=5)
    assert emulator.system.mails() == []


def test_another_process_sees_what_was_left_in_drafts(emulator: Emulator) -> None:
    client(emulator).draft(subject="orphan")

    drafts = emulator.session().get(f"{emulator.graph}/_control/drafts/{REPORTS}", timeout=5).json()["drafts"]

    assert [draft["subject"] for draft in drafts] == ["orphan"]


def test_the_request_log_has_the_headers_and_no_token(emulator: Emulator) -> None:
    client(emulator).send_mail()

    entry = emulator.system.requests.all("sendMail")[0]

    assert (entry.method, entry.path, entry.mailbox, entry.status) == (
        "POST",
        "/v1.0/me/sendMail",
        REPORTS,
        202,
    )
    assert "authorization" in entry.header_names
    assert not [secret for secret in emulator.system.tokens.issued if secret in repr(entry)]


def test_a_person_sees_the_accepted_mails_and_nothing_in_them_can_run(emulator: Emulator) -> None:
    image = a_file(b"png", name="chart.png", contentType="image/png", isInline=True, contentId="c1")
    body = {"contentType": "html", "content": "<script>alert(1)</script><img src='cid:c1'>"}
    client(emulator).send_mail(a_message(subject="<b>Sales</b>", body=body, attachments=[image]))

    page = emulator.session().get(f"{emulator.graph}/", timeout=5)
    shown = emulator.session().get(f"{emulator.graph}/_control/mails/1/body", timeout=5)

    assert "Local Microsoft 365 (not the real one)" in page.text
    assert "&lt;b&gt;Sales&lt;/b&gt;" in page.text
    assert "cfo@contoso.com" in page.text
    assert "<iframe sandbox " in page.text
    assert "/_control/mails/1/attachments/1" in shown.text
    assert shown.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")


def test_every_button_has_an_effect(emulator: Emulator) -> None:
    assert all(effect != Effect() for effect in FAULT_EFFECTS.values())
