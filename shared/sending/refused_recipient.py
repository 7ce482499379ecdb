"""Name the address that Exchange refused, as far as its answer lets it be known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import ProblemError, RefusedRecipientError

if TYPE_CHECKING:
    from shared.sending.request import MailRequest

#: More domains than that are no help.
_MOST_DOMAINS = 10


def name_recipient(error: ProblemError, request: MailRequest) -> ProblemError:
    """Add to a refusal of recipients the address, or the domains among which it is.

    Only an address of the mail itself is named, whatever else Exchange wrote.
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
    more = "" if len(domains) <= _MOST_DOMAINS else " and others"
    return error.with_facts(domains=", ".join(domains[:_MOST_DOMAINS]) + more)
