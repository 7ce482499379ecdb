"""The consent doctor: is everything there that sending needs, and if not, who must do what?

The checks go from the cheap to the costly, and a check whose ground is missing is skipped. Graph can't
be asked whether an account may send as an address, so only a test mail tells, and it is sent only when
asked for. https://learn.microsoft.com/graph/outlook-send-mail-from-other-user
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shared.consent.scopes import missing_scopes, scopes_for
from shared.errors import ConfigurationError, ConsentRequiredError, ProblemError
from shared.problems import Problem, explain
from shared.settings.health import note_failure
from shared.settings.sender import sender_of
from shared.settings.tenant import Status

if TYPE_CHECKING:
    from shared.consent.dependencies import Examining
    from shared.settings.sender import Sender
    from shared.settings.tenant import Consent, TenantSettings

#: Finds no mail: what is looked for is that Graph answers.
_NO_MAIL = "consent-check"


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class CheckName(StrEnum):
    """What is checked."""

    CONSENT = "consent"
    PERMISSIONS = "permissions"
    TOKEN = "token"  # noqa: S105 - the name of a check
    MAILBOX = "mailbox"
    SEND_AS = "send_as"


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `detail` says what was seen or what to do."""

    name: CheckName
    outcome: Outcome
    detail: str
    problem: Problem | None = None


def examine(tenant_id: str, test_mail_to: str | None, ports: Examining) -> list[Check]:
    """Run every check; a test mail goes out only where a recipient is given."""
    settings = ports.settings.load(tenant_id)
    if settings.sender is None or settings.consent is None:
        return [_failed(CheckName.CONSENT, explain("consent_missing")), *_skipped_after(CheckName.CONSENT)]
    checks = [_consent(settings), _permissions(settings, settings.consent)]
    try:
        token = ports.tokens.get(tenant_id, settings.consent, fresh=True)
    except (ConsentRequiredError, ConfigurationError) as error:
        note_failure(ports.settings, tenant_id, settings.consent.generation, error, ports.world)
        return [*checks, _failed(CheckName.TOKEN, error.problem), *_skipped_after(CheckName.TOKEN)]
    except ProblemError as error:
        return [*checks, _failed(CheckName.TOKEN, error.problem), *_skipped_after(CheckName.TOKEN)]
    checks.append(_ok(CheckName.TOKEN, "Microsoft issued an access token just now."))
    sender = sender_of(ports.settings.load(tenant_id))
    return [*checks, _mailbox(sender, token, ports), _send_as(sender, token, test_mail_to, ports)]


def _consent(settings: TenantSettings) -> Check:
    if settings.problem and settings.status is not Status.ENABLED:
        return _failed(CheckName.CONSENT, settings.problem.problem)
    by = settings.consent.consented_by if settings.consent else ""
    return _ok(CheckName.CONSENT, f"{by} consented.")


def _permissions(settings: TenantSettings, consent: Consent) -> Check:
    wanted = settings.sender
    asked = scopes_for(wanted, shared=settings.delegated_mailbox) if wanted else ()
    missing = missing_scopes(asked, consent.scopes)
    if missing:
        return _failed(CheckName.PERMISSIONS, explain("permission_not_granted", missing=", ".join(missing)))
    return _ok(CheckName.PERMISSIONS, f"Microsoft granted {', '.join(sorted(consent.scopes))}.")


def _mailbox(sender: Sender, token: str, ports: Examining) -> Check:
    """Look into the mailbox, which also proves Mail.ReadWrite; Mail.Send alone may not look."""
    if not sender.may_draft:
        detail = "Mail.Send alone can't look into a mailbox; a test mail tells whether it answers."
        return Check(CheckName.MAILBOX, Outcome.SKIPPED, detail)
    try:
        ports.transport.find(token, sender, _NO_MAIL)
    except ProblemError as error:
        return _failed(CheckName.MAILBOX, error.problem)
    return _ok(CheckName.MAILBOX, "The mailbox answers, and Mail.ReadWrite is really there.")


def _send_as(sender: Sender, token: str, to: str | None, ports: Examining) -> Check:
    if to is None:
        return Check(CheckName.SEND_AS, Outcome.SKIPPED, "Only a test mail can tell; none was asked for.")
    try:
        ports.transport.send_mail(token, sender, _test_mail(sender, to))
    except ProblemError as error:
        return _failed(CheckName.SEND_AS, error.problem)
    return _ok(CheckName.SEND_AS, f"Exchange accepted a mail from {sender.address} to {to}.")


def _test_mail(sender: Sender, to: str) -> bytes:
    message: dict[str, Any] = {
        "subject": "Inforiver: check of the mail settings",
        "body": {"contentType": "text", "content": f"Inforiver can send mail from {sender.address}."},
        "toRecipients": [{"emailAddress": {"address": to}}],
    }
    if sender.from_field:
        message["from"] = {"emailAddress": {"address": sender.from_field}}
    return json.dumps({"message": message, "saveToSentItems": False}).encode()


def _ok(name: CheckName, detail: str) -> Check:
    return Check(name, Outcome.OK, detail)


def _failed(name: CheckName, problem: Problem) -> Check:
    return Check(name, Outcome.FAILED, problem.sentence, problem)


def _skipped_after(name: CheckName) -> list[Check]:
    names = list(CheckName)
    detail = f"Skipped, because the check “{name}” failed."
    return [Check(later, Outcome.SKIPPED, detail) for later in names[names.index(name) + 1 :]]
