"""Whose data it is: the settings of a tenant belong to one installation, and no other changes them.

Two installations can meet on one storage account or one vault: by a copied environment, a wrong setting, or
rows that were restored elsewhere. So each row of settings carries the client id and the storage account of
its installation, which are checked whenever the row is read. A row without them is older than the mark, and
is marked once, by the installation whose consent it is: its tokens tell to which client they were issued.
Where no tokens tell, the operator does, by `python -m shared.operate take-over`.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from shared.errors import ConfigurationError, PreconditionFailedError
from shared.settings.installation import Installation, other_installation
from shared.settings.tenant import Status
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.ports import SettingsStore
    from shared.settings.tenant import Consent, TenantSettings
    from shared.world import World

#: For so long a process takes a tenant for its own; before a token is used, the settings are read again.
_REMEMBERED = timedelta(minutes=5)


class OwnedSettingsStore(Protocol):
    """Keeps the settings of this installation.

    Every method may raise ConfigurationError `other_installation` for a tenant whose settings are another's.
    """

    def load(self, tenant_id: str) -> TenantSettings:
        """Return the tenant's settings; unconfigured ones where nothing is stored."""

    def save(self, settings: TenantSettings) -> TenantSettings:
        """Write the settings if they are still the ones that were read."""

    def tenants(self) -> tuple[str, ...]:
        """Return every tenant that has settings, of whichever installation."""

    def remove(self, tenant_id: str) -> None:
        """Remove a tenant's settings; the number of generations stays."""

    def check_owner(self, tenant_id: str) -> None:
        """Refuse a tenant whose settings are another's; asked before its mails are changed."""


class OwnedSettings:
    """The tenant settings of this installation alone.

    Every method may raise ConfigurationError: `other_installation`, which names both.
    """

    def __init__(
        self,
        store: SettingsStore,
        installation: Callable[[], Installation],
        issued_to: Callable[[str], str | None],
        world: World,
    ) -> None:
        """Guard a store.

        Args:
            store: the settings, of whichever installation.
            installation: returns this one; raises where a setting is wrong.
            issued_to: returns the client to which the tokens of a name were issued; None: there are none.
            world: the time that passes.
        """
        self._store = store
        self._installation = installation
        self._issued_to = issued_to
        self._world = world
        self._own: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def load(self, tenant_id: str) -> TenantSettings:
        """Return the tenant's settings; unconfigured ones where nothing is stored."""
        found = self._store.load(tenant_id)
        if found.etag is None or found.status is Status.OTHER_VERSION:
            return found
        ours = self._installation()
        if None in {found.installation, found.storage_account}:
            found = self._adopt(found, ours)
        theirs = Installation(
            found.installation or ours.client_id, found.storage_account or ours.storage_account
        )
        if theirs != ours:
            raise other_installation(ours, theirs)
        return found

    def save(self, settings: TenantSettings) -> TenantSettings:
        """Write the settings if they are still the ones that were read.

        Raises:
            PreconditionFailedError: `settings_changed`.
        """
        return self._store.save(_marked(settings, self._installation()))

    def tenants(self) -> tuple[str, ...]:
        """Return every tenant that has settings, of whichever installation."""
        return self._store.tenants()

    def remove(self, tenant_id: str) -> None:
        """Remove a tenant's settings; the number of generations stays."""
        self.load(tenant_id)
        self._store.remove(tenant_id)

    def check_owner(self, tenant_id: str) -> None:
        """Refuse a tenant whose settings are another installation's."""
        now = self._world.steady()
        with self._lock:
            at = self._own.get(tenant_id)
        if at is not None and now - at < _REMEMBERED:
            return
        self.load(tenant_id)
        with self._lock:
            self._own[tenant_id] = now

    def _adopt(self, found: TenantSettings, ours: Installation) -> TenantSettings:
        """Complete the mark of settings that are older than it, if they are this installation's.

        Settings without a consent say nothing about whose they are; the next change marks them.
        """
        if found.installation not in (None, ours.client_id):
            return found
        if found.installation is None:
            if found.consent is None:
                return found
            self._prove(found.consent, ours)
        try:
            return self._store.save(_marked(found, ours))
        except PreconditionFailedError:
            return self._store.load(found.tenant_id)

    def _prove(self, consent: Consent, ours: Installation) -> None:
        """Refuse a consent whose tokens were not issued to this installation's client, or that has none.

        Raises:
            ConfigurationError: `other_installation`.
        """
        theirs = self._issued_to(consent.secret_name) if consent.secret_name else None
        if theirs is None:
            raise ConfigurationError(
                "other_installation", ours=ours.client_id, theirs="unknown", unmarked="yes"
            )
        if theirs != ours.client_id:
            raise ConfigurationError("other_installation", ours=ours.client_id, theirs=theirs)


def _marked(settings: TenantSettings, ours: Installation) -> TenantSettings:
    return replace(settings, installation=ours.client_id, storage_account=ours.storage_account)


def refuse_foreign(tenant_id: str, settings: OwnedSettingsStore) -> None:
    """Leave the mail of another installation's tenant to that installation.

    A wrong setting says nothing about whose they are: then the mail is recorded, and waits for the operator.

    Raises:
        ConfigurationError: `other_installation`.
        TransientError: nobody can tell at this moment.
    """
    try:
        settings.check_owner(tenant_id)
    except ConfigurationError as error:
        if error.code == "other_installation":
            log_event(
                Event.OPERATOR_ERROR,
                level=logging.ERROR,
                problem=error.code,
                tenant_id=tenant_id,
                **error.facts,
            )
            raise
