"""Mails that wait for a setting are tried again once the setting has changed, and not before. Pure.

Every try would tell the operator anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.deliveries.delivery import Delivery
    from shared.sending.dependencies import Sending

#: The files are not in the tenant's folder, which they have to be where several tenants are served.
OUTSIDE_FOLDER: Final = "files_outside_folder"
TOO_LARGE: Final = "message_too_large"


def waits_for_setting(mail: Delivery, ports: Sending) -> bool:
    """Say whether the setting for which a mail waits is still the same, as far as its problem says."""
    problem = mail.problem
    unchanged = _UNCHANGED.get(problem.code) if problem else None
    return problem is not None and unchanged is not None and unchanged(problem.facts, ports)


def _limit_too_small(facts: Mapping[str, str], ports: Sending) -> bool:
    needed = facts.get("needed", "")
    return needed.isdecimal() and int(needed) > ports.message_limit_mb


def _several_tenants(_: Mapping[str, str], ports: Sending) -> bool:
    return len(ports.allowed_tenants) > 1


_UNCHANGED: Final[Mapping[str, Callable[[Mapping[str, str], Sending], bool]]] = {
    TOO_LARGE: _limit_too_small,
    OUTSIDE_FOLDER: _several_tenants,
}
