"""Secrets of a fake vault with the rules of Azure Key Vault; pure.

The clock is a parameter; there is no HTTP.

Source: https://learn.microsoft.com/rest/api/keyvault/secrets and
https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview.
"""

import re
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
MAX_VALUE_BYTES = 25_600
MAX_TAGS = 15
MAX_CONTENT_TYPE = 255
MAX_TAG_LENGTH = 256
DAY_SECONDS = 86_400


class VaultError(Exception):
    """A refusal of the vault, with Azure's status and codes."""

    def __init__(self, status: int, code: str, message: str, inner: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner


@dataclass(frozen=True)
class Version:
    """A version of a secret; `not_before` and `expires` have no effect.

    Times are seconds since 1970.
    """

    id: str
    value: str
    created: int
    updated: int
    enabled: bool = True
    content_type: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    not_before: int | None = None
    expires: int | None = None


@dataclass(frozen=True)
class DeletedSecret:
    """A secret that was deleted and can be recovered until it is purged."""

    name: str
    versions: tuple[Version, ...]
    deleted: int
    purged: int


class VaultSecrets:
    """The secrets of one vault; thread-safe, names not case-sensitive.

    `deletion_seconds` is how long a deletion takes: until then the secret is neither there nor among the
    deleted ones, and purge, recover and set meet a conflict. The real service promises no time. Iterating
    gives the names of the secrets that are not deleted.
    """

    def __init__(
        self, clock: Callable[[], float], *, purge_protection: bool = False, retention_days: int = 90
    ) -> None:
        self.purge_protection = purge_protection
        self.retention_days = retention_days
        self.deletion_seconds = 0.0
        self._deleting: dict[str, float] = {}
        self._clock = clock
        self._lock = threading.RLock()
        self._kept: dict[str, tuple[str, tuple[Version, ...]]] = {}
        self._deleted: dict[str, DeletedSecret] = {}

    @property
    def recovery_level(self) -> str:
        """The recoveryLevel attribute of every secret in this vault."""
        prefix = "" if self.retention_days == 90 else "Customized"
        return f"{prefix}Recoverable" + ("" if self.purge_protection else "+Purgeable")

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(sorted(name for name, _ in self._kept.values()))

    def __len__(self) -> int:
        return len(self._kept)

    def versions(self, name: str) -> tuple[Version, ...]:
        """Return all versions of a secret, oldest first; none if it is missing."""
        with self._lock:
            return self._kept.get(name.casefold(), (name, ()))[1]

    def deleted(self) -> list[DeletedSecret]:
        """List deleted secrets whose deletion is finished and not purged."""
        return [secret for secret in self._all_deleted() if not self._is_deleting(secret.name)]

    def set(self, name: str, body: dict[str, Any]) -> Version:
        """Add a version to a secret, which is made if need be."""
        value = body.get("value")
        if not NAME.fullmatch(name):
            raise _bad_parameter(f"The request URI contains an invalid name: {name}")
        if not isinstance(value, str):
            raise _bad_parameter("Property value is required.")
        if len(value.encode()) > MAX_VALUE_BYTES:
            raise _bad_parameter("The specified secret value is too long: the limit is 25k bytes.")
        now = int(self._clock())
        made = _changed(Version(secrets.token_hex(16), value, created=now, updated=now), body, now)
        with self._lock:
            self._refuse_while_deleting(name)
            if self._find_deleted(name):
                raise VaultError(
                    409,
                    "Conflict",
                    f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be "
                    "reused; in this state, the secret can only be recovered or purged.",
                    inner="ObjectIsDeletedButRecoverable",
                )
            self._kept[name.casefold()] = (name, (*self.versions(name), made))
        return made

    def get(self, name: str, version: str = "") -> Version:
        """Return a version with its value, by default the newest one."""
        found = self._find(name, version)
        if not found.enabled:
            raise _disabled()
        return found

    def update(self, name: str, version: str, body: dict[str, Any]) -> Version:
        """Update attributes, tags or content type of a version (the newest)."""
        with self._lock:
            found = self._find(name, version)
            changed = _changed(found, body, int(self._clock()))
            versions = tuple(changed if each.id == found.id else each for each in self.versions(name))
            self._kept[name.casefold()] = (name, versions)
        return changed

    def delete(self, name: str) -> DeletedSecret:
        """Delete a secret with all versions; the name is taken until the purge."""
        with self._lock:
            self._refuse_while_deleting(name)
            self._find(name)
            kept_name, versions = self._kept.pop(name.casefold())
            now = int(self._clock())
            deleted = DeletedSecret(kept_name, versions, now, now + self.retention_days * DAY_SECONDS)
            self._deleted[name.casefold()] = deleted
            self._deleting[name.casefold()] = self._clock() + self.deletion_seconds
        return deleted

    def get_deleted(self, name: str) -> DeletedSecret:
        """Return a deleted secret."""
        found = self._require_deleted(name)
        if not found.versions[-1].enabled:
            raise _disabled()
        return found

    def recover(self, name: str) -> Version:
        """Recover a deleted secret and return its newest version."""
        with self._lock:
            self._refuse_while_deleting(name)
            deleted = self._require_deleted(name)
            del self._deleted[name.casefold()]
            self._kept[name.casefold()] = (deleted.name, deleted.versions)
        return deleted.versions[-1]

    def purge(self, name: str) -> None:
        """Purge a deleted secret early, if the vault permits that."""
        with self._lock:
            self._refuse_while_deleting(name)
            self._require_deleted(name)
            if self.purge_protection:
                raise VaultError(403, "Forbidden", 'Operation "purge" is not enabled for this vault.')
            del self._deleted[name.casefold()]

    def _find(self, name: str, version: str = "") -> Version:
        for found in reversed(self.versions(name)):
            if version in ("", found.id):
                return found
        raise VaultError(
            404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault."
        )

    def _is_deleting(self, name: str) -> bool:
        return self._clock() < self._deleting.get(name.casefold(), 0.0)

    def _refuse_while_deleting(self, name: str) -> None:
        if self._is_deleting(name):
            raise VaultError(
                409, "Conflict", f"Secret {name} is currently being deleted.", inner="ObjectIsBeingDeleted"
            )

    def _find_deleted(self, name: str) -> DeletedSecret | None:
        return next((each for each in self._all_deleted() if each.name.casefold() == name.casefold()), None)

    def _require_deleted(self, name: str) -> DeletedSecret:
        found = self._find_deleted(name)
        if found is None or self._is_deleting(name):
            raise VaultError(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        return found

    def _all_deleted(self) -> list[DeletedSecret]:
        with self._lock:
            now = self._clock()
            self._deleted = {key: secret for key, secret in self._deleted.items() if secret.purged > now}
            return sorted(self._deleted.values(), key=lambda secret: secret.name)


def _disabled() -> VaultError:
    return VaultError(
        403, "Forbidden", "Operation get is not allowed on a disabled secret.", inner="SecretDisabled"
    )


def _bad_parameter(message: str) -> VaultError:
    return VaultError(400, "BadParameter", message)


def _changed(version: Version, body: dict[str, Any], now: int) -> Version:
    """Change content type, tags and attributes that a request names."""
    attributes = body.get("attributes") or {}
    tags = body.get("tags")
    tags = version.tags if tags is None else tags
    texts = [text for pair in tags.items() for text in pair]
    if len(tags) > MAX_TAGS or any(not isinstance(t, str) or len(t) > MAX_TAG_LENGTH for t in texts):
        raise _bad_parameter("A secret has at most 15 tags of 256 characters each.")
    if len(body.get("contentType") or "") > MAX_CONTENT_TYPE:
        raise _bad_parameter("The content type has at most 255 characters.")
    return replace(
        version,
        updated=now,
        enabled=attributes.get("enabled", version.enabled),
        content_type=body.get("contentType", version.content_type),
        tags=tags,
        not_before=attributes.get("nbf", version.not_before),
        expires=attributes.get("exp", version.expires),
    )
