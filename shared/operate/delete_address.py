"""Delete stored data of one mail address (GDPR articles 15 and 17).

The first call only reports where the address is, with a code; the second one passes the code and deletes.
Data that an unsent mail needs stays, and so does the record, without the address, that a mail was sent:
without its row the same mail could be sent again.
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
#: So that rows written by a clock that is ahead are found, too.
_ANY_CLOCK = timedelta(days=1)
_MAX_LISTED = 10_000
_STAYS = """\
Not searched, and how long the data remains:
  messages in the queues: until they are processed, within minutes unless sending is paused
  files in the container attachments: until their retention period ends (attachmentRetentionDays, 30)
  deleted blobs: recoverable for 7 days
  mails in Drafts and Sent Items of the sending mailbox: until the mailbox's owner deletes them
The app's log contains no address. The full table is in docs/operations/data-subject.md."""


class DeleteAddressServices(DeletionServices, Protocol):
    """What is needed from outside."""

    @property
    def stored_settings(self) -> SettingsStore:
        """What the admins decided, in every installation."""


type Mail = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Places:
    """Where an address is stored.

    Attributes:
        mails: the final ones, by tenant and message id: their stored data is deleted.
        flows: the ids of ended consents.
        unfinished: mails that are still to be sent.
        under_way: consents in progress.
        settings: the tenants whose settings name it.
    """

    mails: tuple[Mail, ...]
    flows: tuple[str, ...]
    unfinished: tuple[Mail, ...]
    under_way: tuple[str, ...]
    settings: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How much is deleted."""
        return {"finished_mails": len(self.mails), "finished_consents": len(self.flows)}

    def code(self, address: str) -> str:
        """Return a code for exactly this list, so only that is deleted."""
        return hashlib.sha256(repr((address, self.mails, self.flows)).encode()).hexdigest()[:8]


class _Address:
    """The address in any form, not as part of a longer one."""

    def __init__(self, address: str) -> None:
        forms = "|".join(map(re.escape, sorted(address_forms(address))))
        # An apostrophe after a letter belongs to the name, as in O'Brien; any other one is a quotation mark.
        whole = rf"(?<![\w.+%-])(?<!\w')(?:{forms})(?![\w-]|\.\w)"
        self._pattern = re.compile(whole, re.IGNORECASE)

    def is_in(self, value: object) -> bool:
        """Return whether a value contains the address anywhere."""
        return self._pattern.search(value if isinstance(value, str) else _text_of(value)) is not None

    def is_in_text(self, text: bytes) -> bool:
        """Return whether a stored text contains it, also with JSON escapes."""
        try:
            return self.is_in(json.dumps(json.loads(text), ensure_ascii=False))
        except (ValueError, RecursionError):
            return self.is_in(text.decode(errors="replace"))

    def removed(self, text: str | None) -> str | None:
        """Return a text without the address."""
        return None if text is None else self._pattern.sub(_REMOVED, text)

    def removed_from(self, row: Delivery) -> Delivery:
        """Return a delivery's data without the address."""
        return replace(
            row,
            from_address=None if self.is_in(row.from_address) else row.from_address,
            correlation_id=self.removed(row.correlation_id),
            problem=row.problem and self._removed_from_facts(row.problem),
            warnings=tuple(self._removed_from_facts(each) for each in row.warnings),
            fields=tuple(replace(each, message=self.removed(each.message) or "") for each in row.fields),
        )

    def _removed_from_facts(self, problem: ActiveProblem) -> ActiveProblem:
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
    """Report where an address is stored; delete it with the report's code.

    Return whether that succeeded.

    Return whether it did what it was asked for.
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
    say(_STAYS)
    return True


def _find(address: _Address, ports: DeleteAddressServices) -> Places:
    mails = sorted(set(_mails(address, ports)))
    done = [mail for mail in mails if _is_done(mail, ports)]
    tenants = sorted(ports.stored_settings.tenants())
    flows = [flow_id for tenant in tenants for flow_id in ports.flows.of_tenant(tenant)]
    naming = sorted(
        each for each in flows if address.is_in((ports.flows.flow(each), ports.flows.secret(each)))
    )
    over = [each for each in naming if _is_over(each, ports)]
    return Places(
        tuple(done),
        tuple(over),
        unfinished=tuple(mail for mail in mails if mail not in done),
        under_way=tuple(each for each in naming if each not in over),
        settings=tuple(each for each in tenants if address.is_in(ports.stored_settings.load(each))),
    )


def _mails(address: _Address, ports: DeleteAddressServices) -> Iterator[Mail]:
    """Name the mails of every tenant whose data contains the address."""
    ever = ports.system.now() + _ANY_CLOCK
    for texts in (ports.requests, ports.drafts):
        for mail in texts.untouched_since(ever):
            if address.is_in_text(texts.load(*mail) or b""):
                yield mail
    pending = (
        ports.deliveries.list_pending(tenant, PENDING, _MAX_LISTED)
        for tenant in ports.stored_settings.tenants()
    )
    for row in chain(_finished(ever, ports), *pending):
        if address.is_in(row):
            yield row.tenant_id, row.message_id


def _finished(before: datetime, ports: DeleteAddressServices) -> Iterator[Delivery]:
    """Return the finished mails of every tenant."""
    tenant_id = ports.deliveries.next_tenant("")
    while tenant_id is not None:
        page = ports.deliveries.finished_before(tenant_id, before, None)
        yield from page.deliveries
        while page.continuation is not None:
            page = ports.deliveries.finished_before(tenant_id, before, page.continuation)
            yield from page.deliveries
        tenant_id = ports.deliveries.next_tenant(tenant_id)


def _is_done(mail: Mail, ports: DeleteAddressServices) -> bool:
    """Return whether a mail is final; without a row that is unknown."""
    row = ports.deliveries.find(*mail)
    return row is not None and row.status.final


def _is_over(flow_id: str, ports: DeleteAddressServices) -> bool:
    flow = ports.flows.flow(flow_id)
    return flow is None or flow.status_at(ports.system.now()) is not FlowStatus.PENDING


def _show(found: Places) -> None:
    say(f"Finished mails: {len(found.mails)}. To delete: stored requests, and the address in their rows")
    say(f"Finished consents: {len(found.flows)}. To delete: their records")
    for tenant_id, message_id in found.unfinished:
        say(f"Kept until it is finished: the mail {message_id} of {tenant_id}; repeat the command then")
    if found.under_way:
        say(f"Kept for ten minutes: {len(found.under_way)} consents in progress; repeat the command then")
    for tenant_id in found.settings:
        say(f"Kept until a workspace admin presses Reset: the settings of {tenant_id}")


def _delete(address: _Address, found: Places, ports: DeleteAddressServices) -> None:
    record_action(DELETE, "started", ports, counts=found.counts)
    for flow_id in found.flows:
        ports.flows.remove(flow_id)
    missed = [mail for mail in found.mails if not _forget(address, mail, ports)]
    counts = {**found.counts, "finished_mails": len(found.mails) - len(missed)}
    record_action(DELETE, "done", ports, counts=counts)
    say("Deleted.")
    for tenant_id, message_id in missed:
        say(f"Not deleted because it changed: the mail {message_id} of {tenant_id}; repeat the command")


def _forget(address: _Address, mail: Mail, ports: DeleteAddressServices) -> bool:
    """Delete a mail's data, its row first: a retry would have changed it."""
    row = ports.deliveries.find(*mail)
    if row is None or not row.status.final or ports.deliveries.save(address.removed_from(row)) is None:
        return False
    ports.requests.remove(*mail)
    ports.drafts.remove(*mail)
    return True
