import pytest

from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin, Scheduler, wait_for
from tests.local_stack.microsoft365 import AcceptedMail
from tests.local_stack.microsoft365.contoso import ADA
from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.stack

BODY = {"contentType": "html", "content": "<p>Grüße</p>"}
EVERY_BYTE = bytes(range(256)) * 400


@pytest.fixture
def new_id(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name}:2026-11-23"


def sent(stack: LocalStack, subject: str) -> list[AcceptedMail]:
    """Return accepted mails by subject; other tests' mails can arrive late."""
    return [mail for mail in stack.microsoft365.mails() if mail.subject == subject]


def test_a_mail_arrives_as_it_was_queued(
    enabled: Admin, scheduler: Scheduler, stack: LocalStack, new_id: str
) -> None:
    scheduler.queue(
        new_id,
        to=["cfo@contoso.com", {"address": "board@contoso.com", "name": "The board"}],
        cc=["audit@fabrikam.com"],
        bcc=["archive@contoso.com"],
        replyTo=["reports@contoso.com"],
        subject=f"Umsätze, Süd {new_id}",
        body=BODY,
        importance="high",
        headers={"x-inforiver-report": "4711"},
        saveToSentItems=False,
    )

    delivery = enabled.delivery(new_id, "accepted")

    [mail] = sent(stack, f"Umsätze, Süd {new_id}")
    assert [address.address for address in mail.to] == ["cfo@contoso.com", "board@contoso.com"]
    assert mail.to[1].name == "The board"
    assert [address.address for address in mail.cc + mail.bcc] == [
        "audit@fabrikam.com",
        "archive@contoso.com",
    ]
    assert [address.address for address in mail.reply_to] == ["reports@contoso.com"]
    assert (mail.subject, mail.body, mail.from_address.address) == (
        f"Umsätze, Süd {new_id}",
        "<p>Grüße</p>",
        ADA,
    )
    assert (mail.importance, mail.headers, mail.save_to_sent_items) == (
        "high",
        {"x-inforiver-report": "4711"},
        False,
    )
    assert delivery["recipients"] == {"to": 2, "cc": 1, "bcc": 1, "domains": ["contoso.com", "fabrikam.com"]}


def test_files_arrive_byte_for_byte(
    enabled: Admin, scheduler: Scheduler, stack: LocalStack, new_id: str
) -> None:
    path = scheduler.upload("2026/11/23/every byte.bin", EVERY_BYTE)
    scheduler.queue(
        new_id,
        to=["cfo@contoso.com"],
        subject=new_id,
        body={"contentType": "html", "content": '<img src="cid:chart1">'},
        attachments=[
            {"name": "every byte.bin", "contentType": "application/octet-stream", "blob": path},
            {
                "name": "chart.png",
                "contentType": "image/png",
                "contentBytes": "iVBORw0KGgo=",
                "contentId": "chart1",
                "inline": True,
            },
        ],
    )

    enabled.delivery(new_id, "accepted")

    [mail] = sent(stack, new_id)
    first, second = mail.attachments
    assert (first.name, first.read(), first.inline) == ("every byte.bin", EVERY_BYTE, False)
    assert (second.read(), second.inline, second.content_id) == (b"\x89PNG\r\n\x1a\n", True, "chart1")


def test_a_long_text_is_read_from_a_blob(
    enabled: Admin, scheduler: Scheduler, stack: LocalStack, new_id: str
) -> None:
    text = "<p>Zeile</p>" * 20_000
    path = scheduler.upload("2026/11/23/body.html", text.encode())
    scheduler.queue(
        new_id, to=["cfo@contoso.com"], subject=new_id, body={"contentType": "html", "blob": path}
    )

    enabled.delivery(new_id, "accepted")

    [mail] = sent(stack, new_id)
    assert mail.body == text


def test_a_mail_that_was_queued_before_the_consent_is_sent_after_it(
    admin: Admin, scheduler: Scheduler, browser: BrowserClient, stack: LocalStack, new_id: str
) -> None:
    scheduler.queue(new_id, to=["cfo@contoso.com"], subject=new_id, body=BODY)
    waiting = admin.delivery(new_id, "waiting_for_consent")
    assert waiting["problem"]["whoActs"] == "workspace_admin"
    # A late mail of another test may wait beside it.
    assert admin.settings()["waitingMails"] >= 1

    started = admin.call("POST", "tenant-settings/smtp/enable", {"fromEmailAddress": ADA}).json()
    browser.consent(started["startUrl"], ADA)

    admin.delivery(new_id, "accepted")
    assert len(sent(stack, new_id)) == 1


def test_the_same_mail_queued_twice_is_sent_once(
    enabled: Admin, scheduler: Scheduler, stack: LocalStack, new_id: str
) -> None:
    mail = {"to": ["cfo@contoso.com"], "subject": new_id, "body": BODY}
    scheduler.queue(new_id, **mail)
    enabled.delivery(new_id, "accepted")
    scheduler.queue(new_id, **mail)

    wait_for(lambda: f'"{new_id}"' in _duplicates(stack) or None, "the second one to be ignored")

    assert len(sent(stack, new_id)) == 1


def test_a_mail_over_four_megabytes_is_refused_before_anything_is_sent(
    enabled: Admin, scheduler: Scheduler, stack: LocalStack, new_id: str
) -> None:
    path = scheduler.upload("2026/11/23/large.bin", bytes(3_000_000))
    attachment = {"name": "large.bin", "contentType": "application/octet-stream", "blob": path}
    scheduler.queue(new_id, to=["cfo@contoso.com"], subject=new_id, body=BODY, attachments=[attachment])

    delivery = enabled.delivery(new_id, "rejected")

    assert delivery["problem"]["code"] == "large_file_attachments_off"
    assert delivery["problem"]["whoActs"] == "workspace_admin"
    assert sent(stack, new_id) == []


def _duplicates(stack: LocalStack) -> str:
    return "\n".join(line for line in stack.host_log().splitlines() if "mail_duplicate_ignored" in line)
