"""Check whether the setting that a mail waits for has changed. Pure.

The mail is retried only then, because every attempt would alert the operator again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.deliveries.delivery import Delivery
    from shared.sending.ports import SendingServices

#: The files are not in the tenant's folder, which is required where several tenants are served.
OUTSIDE_FOLDER: Final = "files_outside_folder"
TOO_LARGE: Final = "message_too_large"


def waits_for_setting(mail: Delivery, ports: SendingServices) -> bool:
    """Return whether the awaited setting is unchanged, by the mail's problem."""
    problem = mail.problem
    unchanged = _UNCHANGED.get(problem.code) if problem else None
    return problem is not None and unchanged is not None and unchanged(problem.params, ports)


def _limit_too_small(params: Mapping[str, str], ports: SendingServices) -> bool:
    needed = params.get("needed", "")
    return needed.isdecimal() and int(needed) > ports.message_limit_mb


def _several_tenants(_: Mapping[str, str], ports: SendingServices) -> bool:
    return len(ports.allowed_tenants) > 1


_UNCHANGED: Final[Mapping[str, Callable[[Mapping[str, str], SendingServices], bool]]] = {
    TOO_LARGE: _limit_too_small,
    OUTSIDE_FOLDER: _several_tenants,
}
