"""Check whether a tenant can send mail, and who must act if not.

Each check depends on the ones before it, and is skipped if one of them failed. No call of Graph tells whether
an account may send from an address. Only a test mail shows that, and it is sent only on request.
https://learn.microsoft.com/graph/outlook-send-mail-from-other-user
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from shared.errors import ConfigurationError, ConsentRequiredError, OutcomeUnknownError, ProblemError
from shared.problems import Problem, explain
from shared.settings.scopes import (
    exchange_decides,
    known_granted_scopes,
    missing_scopes,
    needed_scopes,
    permissions_unreadable,
    surplus_scopes,
)
from shared.settings.sender import apply_sender_list, sender_of
from shared.settings.tenant import Status
from shared.settings.update import record_sender_accepted, record_sender_failure

if TYPE_CHECKING:
    from shared.sending.ports import MailTransport
    from shared.settings.ports import AccessTokens, SettingsStore
    from shared.settings.sender import Sender
    from shared.settings.sending_switch import SendingSwitch
    from shared.settings.tenant import Consent, TenantSettings
    from shared.system import System

_EXCHANGE_DECIDES = (
    "The token names no permission: Exchange decides what the app may do (RBAC for Applications). The check "
    "of the mailbox proves Mail.ReadWrite; only a test mail proves Mail.Send."
)
_UNREADABLE = (
    "The app's token can't be read, so its permissions are not known. A test mail proves Mail.Send, and the "
    "check of the mailbox proves Mail.ReadWrite."
)
#: A key that no mail has, because the check only needs a response of Graph.
_KEY_OF_NO_MAIL = "consent-check"


class Outcome(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class CheckName(StrEnum):
    """The name of a check."""

    CONSENT = "consent"
    PERMISSIONS = "permissions"
    TOKEN = "token"  # noqa: S105 - the name of a check
    MAILBOX = "mailbox"
    SEND_AS = "send_as"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check; `detail` says what was found, or what to do."""

    name: CheckName
    outcome: Outcome
    detail: str
    problem: Problem | None = None


def run_checks(tenant_id: str, test_mail_to: str | None, ports: DiagnosticsServices) -> list[Check]:
    """Run every check; send a test mail only if there is a recipient."""
    settings = _load(tenant_id, ports)
    if settings.status is Status.OTHER_VERSION:
        unreadable = _failed(CheckName.CONSENT, explain("written_by_other_version"))
        return [unreadable, *_skipped_after(CheckName.CONSENT)]
    if settings.sender is None or settings.consent is None:
        return [_failed(CheckName.CONSENT, explain("consent_missing")), *_skipped_after(CheckName.CONSENT)]
    consent = _consent(settings, settings.consent)
    try:
        token = ports.tokens.get(tenant_id, settings.consent, fresh=True)
    except (ConsentRequiredError, ConfigurationError) as error:
        record_sender_failure(ports.settings, tenant_id, settings.consent.version, error, ports.system)
        return [consent, *_without_token(settings, settings.consent, error)]
    except ProblemError as error:
        return [consent, *_without_token(settings, settings.consent, error)]
    issued = _ok(CheckName.TOKEN, "Microsoft issued an access token just now.")
    # Requesting the token has stored what is granted now, and may have solved an earlier problem, so the
    # settings are read again.
    settings = _load(tenant_id, ports)
    permissions = _permissions(settings, settings.consent) if settings.consent else consent
    try:
        sender = sender_of(settings, ports.application_senders)
    except ProblemError:
        skipped = _skipped_after(CheckName.TOKEN, because=CheckName.CONSENT)
        return [consent, permissions, issued, *skipped]
    mailbox = _mailbox(sender, token, ports)
    if test_mail_to is None and settings.status is Status.SENDER_REFUSED and settings.problem:
        send_as = _failed(CheckName.SEND_AS, settings.problem.problem)
    else:
        send_as = _send_as(sender, token, test_mail_to, ports)
    return [consent, permissions, issued, mailbox, send_as]


def _load(tenant_id: str, ports: DiagnosticsServices) -> TenantSettings:
    settings = ports.settings.load(tenant_id)
    return apply_sender_list(settings, ports.application_senders, ports.settings, ports.system)


def _without_token(settings: TenantSettings, consent: Consent, error: ProblemError) -> list[Check]:
    refused = _failed(CheckName.TOKEN, error.problem)
    return [_permissions(settings, consent), refused, *_skipped_after(CheckName.TOKEN)]


def _consent(settings: TenantSettings, consent: Consent) -> Check:
    if settings.problem and settings.status not in (Status.ENABLED, Status.SENDER_REFUSED):
        return _failed(CheckName.CONSENT, settings.problem.problem)
    if consent.account is None:
        return _ok(CheckName.CONSENT, f"{consent.started_by} set up sending with the app's own permission.")
    seen = settings.visible_from_address or "the mailbox's primary address, which Microsoft does not return"
    return _ok(CheckName.CONSENT, f"{consent.account.name} consented. Recipients see {seen}.")


def _permissions(settings: TenantSettings, consent: Consent) -> Check:
    """Compare the permissions in the newest token with the required ones.

    Additional permissions cause a warning only.
    """
    if exchange_decides(consent):
        return Check(CheckName.PERMISSIONS, Outcome.SKIPPED, _EXCHANGE_DECIDES)
    if permissions_unreadable(consent):
        return Check(CheckName.PERMISSIONS, Outcome.SKIPPED, _UNREADABLE)
    granted = known_granted_scopes(consent)
    missing = missing_scopes(needed_scopes(settings), granted)
    if missing:
        return _failed(CheckName.PERMISSIONS, explain("permission_not_granted", missing=", ".join(missing)))
    surplus = surplus_scopes(settings)
    if surplus:
        problem = explain("permission_surplus", surplus=", ".join(surplus))
        return Check(CheckName.PERMISSIONS, Outcome.WARNING, problem.detail, problem)
    return _ok(CheckName.PERMISSIONS, f"Microsoft granted {', '.join(sorted(granted))}.")


def _mailbox(sender: Sender, token: str, ports: DiagnosticsServices) -> Check:
    """Read the mailbox, which also shows whether Mail.ReadWrite works.

    With Mail.Send alone the app may not read it, and the check is skipped.
    """
    if not sender.may_draft:
        detail = "Mail.Send does not allow reading the mailbox. Send a test mail to check it."
        return Check(CheckName.MAILBOX, Outcome.SKIPPED, detail)
    try:
        ports.transport.find(token, sender, _KEY_OF_NO_MAIL)
    except ProblemError as error:
        return _failed(CheckName.MAILBOX, error.problem)
    return _ok(CheckName.MAILBOX, "The mailbox responds, and Mail.ReadWrite is effective.")


def _send_as(sender: Sender, token: str, to: str | None, ports: DiagnosticsServices) -> Check:
    if to is None:
        return Check(CheckName.SEND_AS, Outcome.SKIPPED, "Only a test mail checks this; none was requested.")
    if ports.switch.current_pause() is not None:
        return Check(CheckName.SEND_AS, Outcome.SKIPPED, "The operator has paused sending; try again later.")
    try:
        ports.transport.send_mail(token, sender, _test_mail(sender, to))
    except OutcomeUnknownError as error:
        return _failed(CheckName.SEND_AS, explain(error.code, no_copy="yes"))
    except ProblemError as error:
        return _failed(CheckName.SEND_AS, error.problem)
    if sender.has_refusal:
        record_sender_accepted(ports.settings, sender.tenant_id, sender.consent.version)
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
    return Check(name, Outcome.FAILED, problem.detail, problem)


def _skipped_after(name: CheckName, *, because: CheckName | None = None) -> list[Check]:
    names = list(CheckName)
    detail = f"Skipped, because the check “{because or name}” failed."
    return [Check(later, Outcome.SKIPPED, detail) for later in names[names.index(name) + 1 :]]


class DiagnosticsServices(Protocol):
    """The ports of the diagnostics."""

    @property
    def system(self) -> System:
        """The clock."""

    @property
    def settings(self) -> SettingsStore:
        """The settings to check."""

    @property
    def tokens(self) -> AccessTokens:
        """Access tokens."""

    @property
    def application_senders(self) -> tuple[str, ...]:
        """The addresses that may send with the app's own permission."""

    @property
    def transport(self) -> MailTransport:
        """Microsoft Graph."""

    @property
    def switch(self) -> SendingSwitch:
        """Whether sending is paused."""
