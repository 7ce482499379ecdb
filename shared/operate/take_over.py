"""Take over a tenant's settings of another or unknown installation.

Settings of another installation are removed, because its tokens cannot be used here, and an admin has to
consent again. The last version is kept, so that no name of a secret is used twice. Settings without a tag and
without tokens do not show to which installation they belong. There are no tokens if mail is sent with the
app's own permission. Such settings are kept and tagged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from shared.operate.record import RecordServices, record_action, say

if TYPE_CHECKING:
    from shared.settings.ports import SettingsStore
    from shared.settings.tenant import TenantSettings

TAKE_OVER = "take_over_tenant"


class TakeOverServices(RecordServices, Protocol):
    """The ports of this command."""

    @property
    def stored_settings(self) -> SettingsStore:
        """The stored settings of every installation."""

    @property
    def storage_account(self) -> str | None:
        """The name of this storage account; None while a setting is wrong."""


def take_over(tenant_id: str, confirmed: str | None, ports: TakeOverServices) -> bool:
    """Show to whom a tenant's settings belong, or take them over.

    They are taken over if `confirmed` is the name that an earlier call has shown. Returns False if nothing
    could be done.
    """
    found = ports.stored_settings.load(tenant_id)
    if ports.installation is None or ports.storage_account is None:
        say("Nothing was changed: the app's settings are not set in this shell, or one of them is wrong.")
        return False
    if found.installation is None:
        return _take_over_untagged(found, confirmed, ports)
    if found.installation != ports.installation:
        return _take_over_from_other(found, "app registration", found.installation, confirmed, ports)
    if found.storage_account not in (None, ports.storage_account):
        return _take_over_from_other(found, "storage account", found.storage_account, confirmed, ports)
    return _report_nothing_to_do()


def _report_nothing_to_do() -> bool:
    say("Nothing to take over: no other installation wrote the settings of this tenant.")
    return True


def _take_over_untagged(found: TenantSettings, confirmed: str | None, ports: TakeOverServices) -> bool:
    if found.consent is None:
        return _report_nothing_to_do()
    ours = ports.installation
    say(f"The settings of {found.tenant_id} do not name an installation; this one is {ours}.")
    if confirmed is None:
        say(
            "Nothing was changed. If this installation wrote them, and they are not a copy of another one's, "
            f"adopt them: repeat the command with --confirm {ours}"
        )
        return True
    if confirmed != ours:
        say(f"Nothing was changed: {confirmed} is not this installation.")
        return False
    marked = replace(found, installation=ours, storage_account=ports.storage_account)
    ports.stored_settings.save(marked)
    record_action(TAKE_OVER, "marked", ports, tenant_id=found.tenant_id)
    say("The settings now belong to this installation. Waiting mail is sent.")
    return True


def _take_over_from_other(
    found: TenantSettings, kind: str, theirs: str, confirmed: str | None, ports: TakeOverServices
) -> bool:
    ours = ports.installation if theirs == found.installation else ports.storage_account
    say(f"The settings of {found.tenant_id} were written with the {kind} {theirs}; this one is {ours}.")
    if confirmed is None:
        say(
            f"Nothing was changed. Remove the settings only if that {kind} no longer exists: its "
            "installation can then no longer send for this tenant. "
            f"To remove them, repeat the command with --confirm {theirs}"
        )
        return True
    if confirmed != theirs:
        say(f"Nothing was changed: {confirmed} is not that {kind}.")
        return False
    ports.stored_settings.remove(found.tenant_id)
    record_action(TAKE_OVER, "done", ports, tenant_id=found.tenant_id)
    say("The settings were removed. A workspace admin consents again; waiting mail is then sent.")
    return True
