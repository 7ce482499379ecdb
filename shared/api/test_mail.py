"""Queue a test mail, which is sent like any other mail."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from shared.api.request import json_response
from shared.errors import InvalidInputError
from shared.mail.fields import MailAddress
from shared.mail.message import parse_mail_request
from shared.problems import FieldError
from shared.schema import Contract, parse
from shared.settings.sender import sender_of
from shared.settings.update import probe_now

if TYPE_CHECKING:
    from shared.api.request import Request, Response
    from shared.caller import Caller
    from shared.config import AppConfig
    from shared.mail_queue import Outbox
    from shared.settings.ports import SettingsStore
    from shared.system import System

_NOW = timedelta(0)
_TEXT = """\
This mail shows that Inforiver can send through Microsoft 365 as {address}.

If another From address stands above it, Exchange put it there: the account that consented needs the \
permission Send As on {address}.
"""


class TestMailServices(Protocol):
    """The ports that a test mail needs."""

    @property
    def config(self) -> AppConfig:
        """The operator's app settings."""

    @property
    def system(self) -> System:
        """The clock, and new ids."""

    @property
    def settings(self) -> SettingsStore:
        """The settings, which name the sender."""

    @property
    def outbox(self) -> Outbox:
        """The queue."""


class TestMailBody(Contract):
    """The recipient of the test mail; without one, this is the caller."""

    to: MailAddress | None = None


class QueuedMailView(Contract):
    """The URL of a mail's delivery."""

    message_id: str
    delivery_url: str


def send_test_mail(request: Request, caller: Caller, ports: TestMailServices) -> Response:
    """Queue a test mail.

    The mail is tried even if Microsoft 365 has refused the sender.

    Raises:
        InvalidInputError: `invalid_request`.
        ConsentRequiredError: there is no consent, or it was lost.
        ConfigurationError: the operator has to act first.
    """
    body = parse(TestMailBody, request.body or b"{}", "invalid_request")
    sender = sender_of(ports.settings.load(caller.tenant_id), ports.config.application_senders)
    message_id = f"test-mail:{ports.system.new_id()}"
    text = _message(message_id, caller.tenant_id, body.to or caller.name, sender.address)
    probe_now(ports.settings, caller.tenant_id, message_id, ports.system)
    ports.outbox.put(text, _NOW)
    url = f"{ports.config.public_base_url}/api/deliveries/{message_id}"
    return json_response(202, QueuedMailView(message_id=message_id, delivery_url=url))


def _message(message_id: str, tenant_id: str, recipient: str, address: str) -> bytes:
    message = {
        "schemaVersion": 1,
        "messageId": message_id,
        "tenantId": tenant_id,
        "to": [recipient],
        "subject": "Test mail from Inforiver",
        "body": {"contentType": "text", "content": _TEXT.format(address=address)},
    }
    text = json.dumps(message).encode()
    try:
        parse_mail_request(text)
    except InvalidInputError as error:
        help_text = "your sign-in name is no mail address; say who gets the test mail"
        nobody = FieldError(field="to", message=help_text)
        raise InvalidInputError("invalid_request", fields=[nobody]) from error
    return text
