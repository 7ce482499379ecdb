"""Make sure that only one installation changes a tenant's settings.

Two installations can share one storage account or one vault: through a copied environment, a wrong setting,
or rows that were restored elsewhere. So each row of settings carries the client id and the storage account of
its installation, which are checked whenever the row is read. A row without them is older than this tag, and
is tagged once, by the installation whose consent it is: the tokens show to which client they were issued.
Where there are no such tokens, the operator decides with `python -m shared.operate take-over`.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from shared.errors import ConfigurationError, PreconditionFailedError
from shared.settings.installation import Installation, OtherInstallationError, other_installation
from shared.settings.tenant import Status
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.settings.ports import SettingsStore
    from shared.settings.tenant import Consent, TenantSettings
    from shared.system import System

#: How long a process caches that a tenant is its own; before a token is used, the settings are read again.
_REMEMBERED = timedelta(minutes=5)


class OwnedSettingsStore(Protocol):
    """Stores the settings of this installation.

    Every method may raise OtherInstallationError for a tenant of another one.
    """

    def load(self, tenant_id: str) -> TenantSettings:
        """Return the tenant's settings; unconfigured ones where nothing is stored."""

    def save(self, settings: TenantSettings) -> TenantSettings:
        """Write the settings if they are unchanged since they were read."""

    def tenants(self) -> tuple[str, ...]:
        """Return every tenant that has settings, in every installation."""

    def remove(self, tenant_id: str) -> None:
        """Remove a tenant's settings; the last version is kept."""

    def check_owner(self, tenant_id: str) -> None:
        """Refuse a tenant of another installation, before changing its mails."""


class OwnedSettings:
    """The tenant settings of this installation only.

    Every method may raise OtherInstallationError: it names both.
    """

    def __init__(
        self,
        store: SettingsStore,
        installation: Callable[[], Installation],
        issued_to: Callable[[str], str | None],
        system: System,
    ) -> None:
        """Wrap a store.

        Args:
            store: the settings of every installation.
            installation: returns this one; raises if a setting is wrong.
            issued_to: returns the client that a name's tokens were issued to; None: there are none.
            system: the monotonic clock.
        """
        self._store = store
        self._installation = installation
        self._issued_to = issued_to
        self._system = system
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
        """Write the settings if they are unchanged since they were read.

        Raises:
            PreconditionFailedError: `settings_changed`.
        """
        return self._store.save(_marked(settings, self._installation()))

    def tenants(self) -> tuple[str, ...]:
        """Return every tenant that has settings, in every installation."""
        return self._store.tenants()

    def remove(self, tenant_id: str) -> None:
        """Remove a tenant's settings; the last version is kept."""
        self.load(tenant_id)
        self._store.remove(tenant_id)

    def check_owner(self, tenant_id: str) -> None:
        """Refuse a tenant whose settings are another installation's."""
        now = self._system.steady()
        with self._lock:
            at = self._own.get(tenant_id)
        if at is not None and now - at < _REMEMBERED:
            return
        self.load(tenant_id)
        with self._lock:
            self._own[tenant_id] = now

    def _adopt(self, found: TenantSettings, ours: Installation) -> TenantSettings:
        """Tag older settings if they belong to this installation.

        Settings without a consent do not show whose they are; the next change tags them.
        """
        if found.installation not in (None, ours.client_id):
            return found
        if found.installation is None:
            if found.consent is None:
                return found
            self._check_token_client(found.consent, ours)
        try:
            return self._store.save(_marked(found, ours))
        except PreconditionFailedError:
            return self._store.load(found.tenant_id)

    def _check_token_client(self, consent: Consent, ours: Installation) -> None:
        """Refuse a consent that has no tokens for this installation's client.

        Raises:
            OtherInstallationError: it belongs to another installation.
        """
        theirs = self._issued_to(consent.secret_name) if consent.secret_name else None
        if theirs is None:
            raise OtherInstallationError(ours=ours.client_id, theirs="unknown", unmarked="yes")
        if theirs != ours.client_id:
            raise OtherInstallationError(ours=ours.client_id, theirs=theirs)


def _marked(settings: TenantSettings, ours: Installation) -> TenantSettings:
    return replace(settings, installation=ours.client_id, storage_account=ours.storage_account)


def refuse_other_installation(tenant_id: str, settings: OwnedSettingsStore) -> None:
    """Leave the mail of another installation's tenant to that one.

    With a wrong setting this is unknown: then the mail is recorded, and waits for the operator.

    Raises:
        OtherInstallationError: it belongs to another installation.
        TransientError: it can't be determined at the moment.
    """
    try:
        settings.check_owner(tenant_id)
    except OtherInstallationError as error:
        log_event(
            Event.OPERATOR_ERROR, level=logging.ERROR, problem=error.code, tenant_id=tenant_id, **error.params
        )
        raise
    except ConfigurationError:
        # The mail's own steps fail with it too, and record it.
        return
