"""Make sure that only one installation changes a tenant's settings.

Two installations can use the same storage account or vault by mistake: after an environment was copied, after
a wrong setting, or after rows were restored to another account. So each row of settings is tagged with the
client id and the storage account of its installation, which are checked whenever the row is read. A row of an
older version has no tag. It is tagged by the installation to which its consent belongs, because the tokens
show to which client they were issued. If there are no tokens, the operator decides with `python -m
shared.operate take-over`.
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

#: How long a process caches that a tenant belongs to its installation. Before a token is used, the settings
#: are read again.
_OWNER_CACHE_DURATION = timedelta(minutes=5)


class OwnedSettingsStore(Protocol):
    """Stores the settings of this installation.

    Every method may raise OtherInstallationError for a tenant of another installation.
    """

    def load(self, tenant_id: str) -> TenantSettings:
        """Return the tenant's settings; unconfigured ones if nothing is stored."""

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

    Every method may raise OtherInstallationError, which names both installations.
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
            installation: returns this installation; raises if a setting is wrong.
            issued_to: takes the name of a secret, and returns the client to which its tokens were issued;
                None if there are none.
            system: the monotonic clock.
        """
        self._store = store
        self._installation = installation
        self._issued_to = issued_to
        self._system = system
        self._own: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def load(self, tenant_id: str) -> TenantSettings:
        """Return the tenant's settings; unconfigured ones if nothing is stored."""
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
        return self._store.save(_tagged(settings, self._installation()))

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
        if at is not None and now - at < _OWNER_CACHE_DURATION:
            return
        self.load(tenant_id)
        with self._lock:
            self._own[tenant_id] = now

    def _adopt(self, found: TenantSettings, ours: Installation) -> TenantSettings:
        """Tag settings of an older version if they belong to this installation.

        Settings without a consent do not show to which installation they belong. They are tagged at their
        next change.
        """
        if found.installation not in (None, ours.client_id):
            return found
        if found.installation is None:
            if found.consent is None:
                return found
            self._check_token_client(found.consent, ours)
        try:
            return self._store.save(_tagged(found, ours))
        except PreconditionFailedError:
            return self._store.load(found.tenant_id)

    def _check_token_client(self, consent: Consent, ours: Installation) -> None:
        """Refuse a consent that has no tokens for this installation's client.

        Raises:
            OtherInstallationError: the consent belongs to another installation, or this is not known.
        """
        theirs = self._issued_to(consent.secret_name) if consent.secret_name else None
        if theirs is None:
            raise OtherInstallationError(ours=ours.client_id, theirs="unknown", unmarked="yes")
        if theirs != ours.client_id:
            raise OtherInstallationError(ours=ours.client_id, theirs=theirs)


def _tagged(settings: TenantSettings, ours: Installation) -> TenantSettings:
    return replace(settings, installation=ours.client_id, storage_account=ours.storage_account)


def refuse_other_installation(tenant_id: str, settings: OwnedSettingsStore) -> None:
    """Refuse to process the mail of a tenant of another installation.

    If a setting of this installation is wrong, it is not known whose tenant it is. Then nothing is raised
    here, so that the mail is recorded, and waits for the operator.

    Raises:
        OtherInstallationError: the tenant belongs to another installation.
        TransientError: the settings of the tenant can't be read at the moment.
    """
    try:
        settings.check_owner(tenant_id)
    except OtherInstallationError as error:
        log_event(
            Event.OPERATOR_ERROR, level=logging.ERROR, problem=error.code, tenant_id=tenant_id, **error.params
        )
        raise
    except ConfigurationError:
        # A later step of the mail fails with the same error, and records it.
        return
