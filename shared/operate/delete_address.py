"""Delete stored data of one mail address (GDPR articles 15 and 17).

The first call only reports where the address is stored, with a code. A second call with this code deletes it.
Data that an unsent mail needs is kept. The row of a sent mail is kept without the address, because without
its row the same mail could be sent again.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from shared.consent.flow import FlowStatus
from shared.deliveries.lookup import tenants_with_mails
from shared.deliveries.status import PENDING
from shared.mail_address import address_forms
from shared.operate.record import DeletionServices, record_action, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shared.deliveries.delivery import Delivery
    from shared.settings.ports import SettingsStore
    from shared.settings.tenant import ActiveProblem

DELETE = "delete_address"
_REMOVED = "[deleted]"
#: How far the clock of a host may be ahead, so that the rows that it wrote are found too.
_MAX_CLOCK_SKEW = timedelta(days=1)
_NOT_SEARCHED = """\
Not searched, and how long the data remains:
  messages in the queues: until they are processed, within minutes unless sending is paused
  files in the container attachments: until their retention period ends (attachmentRetentionDays, 30)
  deleted blobs: recoverable for 7 days
  mails in Drafts and Sent Items of the sending mailbox: until the mailbox's owner deletes them
The app's log contains no address. The full table is in docs/operations/data-subject.md."""


class DeleteAddressServices(DeletionServices, Protocol):
    """The ports of this command."""

    @property
    def stored_settings(self) -> SettingsStore:
        """The settings of every tenant, in every installation."""


type Mail = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Places:
    """Where an address is stored.

    Attributes:
        mails: the mails with a final status, whose stored data is deleted.
        flows: the ids of ended consents, which are deleted.
        unfinished: mails that may still be sent, whose data is kept.
        in_progress: the ids of consents in progress, which are kept.
        settings: the tenants whose settings have the address, which are kept.
    """

    mails: tuple[Mail, ...]
    flows: tuple[str, ...]
    unfinished: tuple[Mail, ...]
    in_progress: tuple[str, ...]
    settings: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How much is deleted."""
        return {"finished_mails": len(self.mails), "finished_consents": len(self.flows)}

    def code(self, address: str) -> str:
        """Return a code that confirms the deletion of exactly these data."""
        return hashlib.sha256(repr((address, self.mails, self.flows)).encode()).hexdigest()[:8]


class _Address:
    """Finds the address in any form, but not as a part of a longer one."""

    def __init__(self, address: str) -> None:
        forms = "|".join(map(re.escape, sorted(address_forms(address))))
        # An apostrophe after a letter belongs to a longer address, as in O'Brien. Any other one is a
        # quotation mark.
        whole = rf"(?<![\w.+%-])(?<!\w')(?:{forms})(?![\w-]|\.\w)"
        self._pattern = re.compile(whole, re.IGNORECASE)

    def is_in(self, value: object) -> bool:
        """Return whether a value contains the address anywhere."""
        return self._pattern.search(value if isinstance(value, str) else _text_of(value)) is not None

    def is_in_text(self, text: bytes) -> bool:
        """Return whether a stored text has the address, maybe with JSON escapes."""
        try:
            return self.is_in(json.dumps(json.loads(text), ensure_ascii=False))
        except (ValueError, RecursionError):
            return self.is_in(text.decode(errors="replace"))

    def without_address(self, text: str | None) -> str | None:
        """Return a text without the address."""
        return None if text is None else self._pattern.sub(_REMOVED, text)

    def row_without_address(self, row: Delivery) -> Delivery:
        """Return a delivery's data without the address."""
        return replace(
            row,
            from_address=None if self.is_in(row.from_address) else row.from_address,
            correlation_id=self.without_address(row.correlation_id),
            problem=row.problem and self._problem_without_address(row.problem),
            warnings=tuple(self._problem_without_address(each) for each in row.warnings),
            fields=tuple(
                replace(each, message=self.without_address(each.message) or "") for each in row.fields
            ),
        )

    def _problem_without_address(self, problem: ActiveProblem) -> ActiveProblem:
        params = {name: self._pattern.sub(_REMOVED, fact) for name, fact in problem.params.items()}
        return replace(problem, params=params)


def _text_of(value: object) -> str:
    """Write all members of a value; `repr` escapes some apostrophes."""
    return json.dumps(value, default=_members, ensure_ascii=False)


def _members(value: object) -> object:
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    return str(value)


def delete_address(address: str, code: str | None, ports: DeleteAddressServices) -> bool:
    """Report where an address is stored, or delete it if the code is given.

    Returns False if the code is wrong, so that nothing was deleted.
    """
    wanted = _Address(address)
    found = _find(wanted, ports)
    _show(found)
    if not any(found.counts.values()):
        say("No data with this address can be deleted now.")
    elif code is None:
        say(f"Nothing was deleted. To delete it, repeat the command with --confirm {found.code(address)}")
    elif code != found.code(address):
        say(f"Nothing was deleted: the code does not match this list. Its code is {found.code(address)}")
        return False
    else:
        _delete(wanted, found, ports)
    say(_NOT_SEARCHED)
    return True


def _find(address: _Address, ports: DeleteAddressServices) -> Places:
    mails = sorted(set(_mails(address, ports)))
    final = [mail for mail in mails if _is_final(mail, ports)]
    tenants = sorted({*ports.stored_settings.tenants(), *tenants_with_mails(ports.deliveries)})
    flows = [flow_id for tenant in tenants for flow_id in ports.flows.of_tenant(tenant)]
    naming = sorted(
        each for each in flows if address.is_in((ports.flows.flow(each), ports.flows.secret(each)))
    )
    ended = [each for each in naming if _has_ended(each, ports)]
    return Places(
        tuple(final),
        tuple(ended),
        unfinished=tuple(mail for mail in mails if mail not in final),
        in_progress=tuple(each for each in naming if each not in ended),
        settings=tuple(each for each in tenants if address.is_in(ports.stored_settings.load(each))),
    )


def _mails(address: _Address, ports: DeleteAddressServices) -> Iterator[Mail]:
    """Name the mails of every tenant whose data contains the address."""
    ever = ports.system.now() + _MAX_CLOCK_SKEW
    for texts in (ports.requests, ports.drafts):
        for mail in texts.untouched_since(ever):
            if address.is_in_text(texts.load(*mail) or b""):
                yield mail
    tenants = tenants_with_mails(ports.deliveries)
    pending = (ports.deliveries.pending(tenant, PENDING) for tenant in tenants)
    for row in chain(_finished(ever, ports), *pending):
        if address.is_in(row):
            yield row.tenant_id, row.message_id


def _finished(before: datetime, ports: DeleteAddressServices) -> Iterator[Delivery]:
    """Return the finished mails of every tenant."""
    for tenant_id in tenants_with_mails(ports.deliveries):
        page = ports.deliveries.finished_before(tenant_id, before, None)
        yield from page.deliveries
        while page.continuation is not None:
            page = ports.deliveries.finished_before(tenant_id, before, page.continuation)
            yield from page.deliveries


def _is_final(mail: Mail, ports: DeleteAddressServices) -> bool:
    """Return whether a mail is final, which only its row shows."""
    row = ports.deliveries.find(*mail)
    return row is not None and row.status.final


def _has_ended(flow_id: str, ports: DeleteAddressServices) -> bool:
    flow = ports.flows.flow(flow_id)
    return flow is None or flow.status_at(ports.system.now()) is not FlowStatus.PENDING


def _show(found: Places) -> None:
    say(f"Finished mails: {len(found.mails)}. To delete: stored requests, and the address in their rows")
    say(f"Finished consents: {len(found.flows)}. To delete: their records")
    for tenant_id, message_id in found.unfinished:
        say(f"Kept until it is finished: the mail {message_id} of {tenant_id}; repeat the command then")
    if found.in_progress:
        say(f"Kept for ten minutes: {len(found.in_progress)} consents in progress; repeat the command then")
    for tenant_id in found.settings:
        say(f"Kept until a workspace admin presses Reset: the settings of {tenant_id}")


def _delete(address: _Address, found: Places, ports: DeleteAddressServices) -> None:
    record_action(DELETE, "started", ports, counts=found.counts)
    for flow_id in found.flows:
        ports.flows.remove(flow_id)
    missed = [mail for mail in found.mails if not _delete_mail_data(address, mail, ports)]
    counts = {**found.counts, "finished_mails": len(found.mails) - len(missed)}
    record_action(DELETE, "done", ports, counts=counts)
    say("Deleted.")
    for tenant_id, message_id in missed:
        say(f"Not deleted because it changed: the mail {message_id} of {tenant_id}; repeat the command")


def _delete_mail_data(address: _Address, mail: Mail, ports: DeleteAddressServices) -> bool:
    """Delete the data of a mail; return False if its row has changed.

    The row is written first. This fails if the mail is being retried, and then nothing is deleted.
    """
    row = ports.deliveries.find(*mail)
    if row is None or not row.status.final or ports.deliveries.save(address.row_without_address(row)) is None:
        return False
    ports.requests.remove(*mail)
    ports.drafts.remove(*mail)
    return True
