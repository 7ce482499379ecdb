"""`make demo`: run consent and sending once, and print each step.

What is printed is what was seen: every line is checked against the API, the vault and the mails that
the fake Graph accepted, and a difference ends the demo with an error.
"""

import base64
import hashlib
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.clients import Admin, Scheduler
from tests.local_stack.microsoft365 import AcceptedMail
from tests.local_stack.microsoft365.contoso import ADA, CONTOSO, FINANCE
from tests.local_stack.stack import LocalStack

#: A picture of one dot, and a file that begins as a PDF does.
CHART = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000"
    "040001f61738550000000049454e44ae426082"
)
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
REPORT = b"%PDF-1.7\n" + bytes(range(256)) * 200


@dataclass
class DemoOutput:
    """Prints the steps; `expected` lists the mails that must be sent."""

    started: float = field(default_factory=time.monotonic)
    step: int = 0
    expected: list[str] = field(default_factory=list)

    def begin_step(self, title: str) -> None:
        """Begin a step."""
        self.step += 1
        print(f"\n{self.step}. {title}", flush=True)

    def show(self, text: str) -> None:
        """Print a result."""
        print(f"   {text}", flush=True)


class DemoError(Exception):
    """A step gave an unexpected result."""


def check(fact: object, what: str) -> None:
    """End the demo with an error unless a condition holds."""
    if not fact:
        raise DemoError(what)


def main() -> int:
    """Run consent and sending, and return the exit status."""
    output = DemoOutput()
    print("Inforiver Mailer: consent and sending on this machine, without Azure and without Microsoft 365.")
    print("Starting Azurite, a Functions host, a fake Microsoft 365 and a fake Key Vault …", flush=True)
    with LocalStack() as stack:
        output.show(f"ready after {time.monotonic() - output.started:.1f} s")
        scheduler = Scheduler(stack.azurite.connection_string, CONTOSO)
        admin = Admin(stack.api_url, stack.microsoft365.api_token(ADA), stack.authority.ca_file)
        try:
            _run_steps(output, stack, admin, scheduler)
        finally:
            scheduler.close()
        accepted = [message for message in output.expected if _accepted(admin, message)]
        sent = len(stack.microsoft365.mails())
        check(
            sent == len(output.expected), f"Graph should have taken {len(output.expected)} mails, not {sent}"
        )
        admin.close()
    print(f"\nAll servers are stopped. Run time: {time.monotonic() - output.started:.1f} s.")
    print(f"demo: {len(accepted)} of {len(output.expected)} mails accepted")
    return 0 if accepted == output.expected else 1


def _run_steps(output: DemoOutput, stack: LocalStack, admin: Admin, scheduler: Scheduler) -> None:
    queue_before_consent(output, admin, scheduler)
    enable(output, stack, admin)
    show_release(output, stack, admin)
    send_reports(output, stack, admin, scheduler)
    queue_invalid_mail(output, admin, scheduler)
    save(output, stack, admin, scheduler)
    large_report(output, stack, admin, scheduler)
    throttled(output, stack, admin, scheduler)
    log(output, admin)
    reset(output, stack, admin)


def queue_before_consent(output: DemoOutput, admin: Admin, scheduler: Scheduler) -> None:
    """Queue a mail before anybody consented."""
    output.begin_step("A scheduler queues a mail before sending is set up")
    settings = admin.settings()
    check(settings["status"] == "not_configured", "the tenant should not be configured yet")
    output.show("GET  /api/tenant-settings/smtp            status: not_configured")
    mail = scheduler.queue(
        "headcount:2026-11-23", to=["hr@contoso.com"], subject="Headcount", body=_html("<p>412</p>")
    )
    output.expected.append(mail)
    waiting = admin.delivery(mail, "waiting_for_consent")
    output.show(f"queue mail-outbox  <- {mail}")
    output.show(f"its delivery: waiting_for_consent. {waiting['problem']['detail']}")


def enable(output: DemoOutput, stack: LocalStack, admin: Admin) -> None:
    """Consent once."""
    output.begin_step("The workspace admin enters ada@contoso.com and presses Enable")
    response = admin.call("POST", "tenant-settings/smtp/enable", {"fromEmailAddress": ADA})
    check(response.status_code == 202, response.text)
    started = response.json()
    output.show("POST /api/tenant-settings/smtp/enable     202, with a single-use link")
    browser = BrowserClient(stack.authority.ca_file)
    browser.open(started["startUrl"])
    page = browser.choose(ADA)
    output.show(f"Microsoft's page in the popup:            “{page.title}”")
    end = browser.accept()
    output.show(f"Ada presses Accept, and the popup shows:  “{end.title}”")
    flow = admin.read(f"consent/{started['flowId']}")
    check(flow["status"] == "completed", f"the consent should be completed: {flow}")
    settings = admin.settings()
    check(settings["status"] == "enabled", f"the tenant should be enabled: {settings}")
    output.show(
        f"GET  /api/tenant-settings/smtp            enabled, permissions: {_list(settings['permissions'])}"
    )
    output.show(f"Key Vault stores the tokens as            {_list(stack.key_vault.secrets)}")


def show_release(output: DemoOutput, stack: LocalStack, admin: Admin) -> None:
    """Wait until the mail that was queued first is sent."""
    output.begin_step("The waiting mail is sent without further action")
    _show_accepted(output, admin, "headcount:2026-11-23")
    check([mail.subject for mail in stack.microsoft365.mails()] == ["Headcount"], "one mail should be there")


def send_reports(output: DemoOutput, stack: LocalStack, admin: Admin, scheduler: Scheduler) -> None:
    """Send a plain mail and one with files."""
    output.begin_step("The scheduler queues two reports")
    plain = scheduler.queue(
        "sales-daily:2026-11-23",
        to=["cfo@contoso.com"],
        cc=[{"address": "board@contoso.com", "name": "The board"}],
        subject="Daily sales",
        body=_html("<p>Up 4 %</p>"),
    )
    output.show(f"queue mail-outbox  <- {plain}")
    path = scheduler.upload("2026/11/23/sales.pdf", REPORT)
    output.show(f"blob  attachments  <- {path} ({len(REPORT):,} bytes)")
    with_files = scheduler.queue(
        "sales-weekly:2026-11-23",
        to=["cfo@contoso.com"],
        subject="Weekly sales, EMEA",
        body=_html('<p>See the chart: <img src="cid:chart1" alt="Sales by week"></p>'),
        attachments=[
            {"name": "sales.pdf", "contentType": "application/pdf", "blob": path},
            {
                "name": "chart.png",
                "contentType": "image/png",
                "contentBytes": _base64(CHART),
                "contentId": "chart1",
                "inline": True,
            },
        ],
    )
    output.show(f"queue mail-outbox  <- {with_files}, with that file and an inline image")
    output.expected += [plain, with_files]
    for message in (plain, with_files):
        _show_accepted(output, admin, message)
    arrived = _mail(stack, "Weekly sales, EMEA")
    files = {file.name: file.read() for file in arrived.attachments}
    check(files == {"sales.pdf": REPORT, "chart.png": CHART}, "the files should arrive byte for byte")
    output.show("both files arrived at Microsoft Graph byte for byte")


def queue_invalid_mail(output: DemoOutput, admin: Admin, scheduler: Scheduler) -> None:
    """Queue a mail that the schema does not allow."""
    output.begin_step("A scheduler queues an invalid message and reads which fields to correct")
    broken = scheduler.queue(
        "broken:2026-11-23",
        to=["cfo@"],
        subject="No",
        body=_html("x"),
        attachments=[{"name": "keys", "contentType": "text/plain", "blob": "../secrets/keys.txt"}],
        **{"from": "ceo@contoso.com"},
    )
    delivery = admin.delivery(broken, "invalid")
    for error in delivery["errors"]:
        output.show(f"{error['field']}: {error['message']}")
    fields = {error["field"] for error in delivery["errors"]}
    check(fields == {"from", "to.0.address", "attachments.0.blob"}, f"three fields should be named: {fields}")


def save(output: DemoOutput, stack: LocalStack, admin: Admin, scheduler: Scheduler) -> None:
    """Change the sender and enable large files while the old one is in use."""
    output.begin_step(
        "The admin changes the sender to the shared mailbox finance@contoso.com, with large files on"
    )
    body = {"fromEmailAddress": FINANCE, "largeFileAttachments": True}
    response = admin.call("PUT", "tenant-settings/smtp", body)
    check(response.status_code == 202, response.text)
    output.show("PUT  /api/tenant-settings/smtp            202, with a link to a new consent")
    meanwhile = scheduler.queue(
        "stock:2026-11-23", to=["cfo@contoso.com"], subject="Stock", body=_html("<p>17</p>")
    )
    output.expected.append(meanwhile)
    sender = admin.delivery(meanwhile, "accepted")["fromEmailAddress"]
    check(sender == ADA, f"until the consent the old sender should go on, not {sender}")
    output.show(f"{meanwhile} is sent meanwhile, still from {sender}")
    BrowserClient(stack.authority.ca_file).consent(response.json()["startUrl"], ADA)
    settings = admin.settings()
    check(settings["fromEmailAddress"] == FINANCE, f"the new sender should hold: {settings}")
    output.show(f"Ada consents: mail is now sent from {FINANCE}, with her Send As right")
    output.show(f"permissions: {_list(settings['permissions'])}; the toggle is now locked")


def large_report(output: DemoOutput, stack: LocalStack, admin: Admin, scheduler: Scheduler) -> None:
    """Send a file that is too large for one request."""
    output.begin_step("A report of 20 MB")
    content = random.Random(23).randbytes(20_000_000)
    path = scheduler.upload("2026/11/23/plan.xlsx", content)
    attachment = {"name": "plan.xlsx", "contentType": EXCEL, "blob": path}
    mail = scheduler.queue(
        "plan-2027",
        to=["board@contoso.com"],
        subject="Plan 2027",
        body=_html("<p>Attached</p>"),
        attachments=[attachment],
    )
    output.expected.append(mail)
    _show_accepted(output, admin, mail)
    arrived = _mail(stack, "Plan 2027")
    check(arrived.attachments[0].sha256 == hashlib.sha256(content).hexdigest(), "every byte should arrive")
    check(arrived.from_address.address == FINANCE, "it should come from the shared mailbox")
    chunks = stack.microsoft365.requests.count("uploadChunk")
    output.show(f"all 20,000,000 bytes arrived, from {FINANCE}, in one upload session of {chunks} chunks")


def throttled(output: DemoOutput, stack: LocalStack, admin: Admin, scheduler: Scheduler) -> None:
    """Have Microsoft throttle a mail."""
    output.begin_step("Microsoft 365 throttles the mailbox")
    stack.microsoft365.faults.add("sendMail", "throttled")
    mail = scheduler.queue("cash:2026-11-23", to=["cfo@contoso.com"], subject="Cash", body=_html("<p>9</p>"))
    output.expected.append(mail)
    waiting = admin.delivery(mail, "deferred")
    check(waiting["problem"]["whoActs"] == "nobody", "nobody should have to act")
    output.show(
        f"Graph responds with 429, Retry-After: 2.128. {mail} waits until {waiting['nextAttemptAt'][11:19]}"
    )
    _show_accepted(output, admin, mail)


def log(output: DemoOutput, admin: Admin) -> None:
    """Read the delivery log."""
    output.begin_step("The admin reads the delivery log")
    output.show("GET  /api/deliveries, newest first")
    for row in admin.read("deliveries")["deliveries"]:
        sender = row["fromEmailAddress"] or "-"
        recipients = sum(row["recipients"][kind] for kind in ("to", "cc", "bcc"))
        output.show(f"  {row['messageId']:26} {row['status']:10} from {sender:20} to {recipients}")


def reset(output: DemoOutput, stack: LocalStack, admin: Admin) -> None:
    """Reset the tenant."""
    output.begin_step("The admin presses Reset")
    check(
        admin.call("POST", "tenant-settings/smtp/reset").status_code == 204, "Reset should respond with 204"
    )
    settings = admin.settings()
    check(settings["status"] == "not_configured", "Reset should leave nothing configured")
    check(settings["fromEmailAddress"] is None, "Reset should empty the From address")
    check(not stack.key_vault.secrets, "Reset should take the tokens out of the vault")
    output.show("POST /api/tenant-settings/smtp/reset      204")
    output.show("GET  /api/tenant-settings/smtp            status: not_configured, no From address")
    check(not settings["tokensLeftBehind"], "Reset should leave no tokens behind")
    until = settings["tokensRecoverableUntil"]
    output.show(f"Key Vault: tokens deleted, recoverable by the operator until {until}")


def _show_accepted(output: DemoOutput, admin: Admin, message: str) -> None:
    delivery = admin.delivery(message, "accepted")
    graph = delivery["history"][-1]["graphRequestId"]
    output.show(f"{message}: accepted (Graph's request-id {graph})")


def _accepted(admin: Admin, message: str) -> bool:
    return bool(admin.read(f"deliveries/{message}")["status"] == "accepted")


def _mail(stack: LocalStack, subject: str) -> AcceptedMail:
    return next(mail for mail in stack.microsoft365.mails() if mail.subject == subject)


def _html(content: str) -> dict[str, str]:
    return {"contentType": "html", "content": content}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
