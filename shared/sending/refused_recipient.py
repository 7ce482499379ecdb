"""Name the recipient that Exchange refused, if its response shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import ProblemError, RefusedRecipientError

if TYPE_CHECKING:
    from shared.mail.message import MailRequest

#: More domains than that do not help.
_MAX_DOMAINS = 10


def name_recipient(error: ProblemError, request: MailRequest) -> ProblemError:
    """Add the refused address, or its possible domains, to a refusal.

    Only addresses of the mail itself are named, whatever else Exchange wrote.
    """
    if not isinstance(error, RefusedRecipientError):
        return error
    addresses = {each.address.lower(): each.address for each in request.recipients}
    named = [addresses[name] for name in error.mentioned if name in addresses]
    if len(addresses) == 1:
        named = list(addresses.values())
    if named:
        return error.with_facts(recipient=", ".join(dict.fromkeys(named)))
    domains = sorted({address.rpartition("@")[2] for address in addresses})
    more = "" if len(domains) <= _MAX_DOMAINS else " and others"
    return error.with_facts(domains=", ".join(domains[:_MAX_DOMAINS]) + more)
