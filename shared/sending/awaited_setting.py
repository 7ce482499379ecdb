"""Check whether the setting that a mail waits for has changed. Pure.

The mail is not retried before, because every attempt would alert the operator again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.deliveries.delivery import Delivery
    from shared.sending.ports import SendingServices

#: The problem code for files outside the tenant's folder, which is required if several tenants are served.
OUTSIDE_FOLDER: Final = "files_outside_folder"
TOO_LARGE: Final = "message_too_large"


def waits_for_setting(mail: Delivery, ports: SendingServices) -> bool:
    """Return whether the mail's problem remains, as a setting is unchanged."""
    if mail.problem is None or mail.problem.code not in _IS_UNCHANGED:
        return False
    is_unchanged = _IS_UNCHANGED[mail.problem.code]
    return is_unchanged(mail.problem.params, ports)


def _is_limit_too_small(params: Mapping[str, str], ports: SendingServices) -> bool:
    needed = params.get("needed", "")
    return needed.isdecimal() and int(needed) > ports.message_limit_mb


def _serves_several_tenants(_: Mapping[str, str], ports: SendingServices) -> bool:
    return len(ports.allowed_tenants) > 1


_IS_UNCHANGED: Final[Mapping[str, Callable[[Mapping[str, str], SendingServices], bool]]] = {
    TOO_LARGE: _is_limit_too_small,
    OUTSIDE_FOLDER: _serves_several_tenants,
}
