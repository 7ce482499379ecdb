"""Validate a connection string, and find the account's name in it. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: The error text for a value that is none.
CONNECTION_STRING_EXPECTED: Final = (
    "use the connection string of a storage account, which has AccountName and AccountKey, or "
    "UseDevelopmentStorage=true"
)
_ACCOUNT: Final = re.compile("[a-z0-9]+", re.IGNORECASE)
_HOST: Final = re.compile(r"([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]+)?", re.IGNORECASE)
_PROTOCOLS: Final = frozenset({"http", "https"})
_EMULATOR_ACCOUNT: Final = "devstoreaccount1"


def is_connection_string(text: str, services: Collection[str]) -> bool:
    """Return whether Azure's clients accept a text for these services."""
    if _is_emulator(text):
        return True
    found = _parts(text)
    if found is None or not _has_good_addresses(found):
        return False
    if _ACCOUNT.fullmatch(found.get("accountname", "")) and _is_base64(found.get("accountkey", "")):
        return True
    return "sharedaccesssignature" in found and all(f"{each}endpoint" in found for each in services)


def account_in(text: str) -> str:
    """Return the name of the account in a connection string."""
    if _is_emulator(text):
        return _EMULATOR_ACCOUNT
    found = _parts(text) or {}
    return found.get("accountname", "").lower() or account_at(found.get("tableendpoint", ""))


def account_at(address: str) -> str:
    """Return the name of the account in a service's URL.

    The name is the first part of the host name, or of the path if the host is an IP address, as for an
    emulator.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return host.partition(".")[0]
    return parts.path.strip("/").partition("/")[0].lower()


def _is_emulator(text: str) -> bool:
    """Return whether a text names the emulator as Azure's clients require.

    Only the value `true` in lower case is accepted, because some clients compare it with regard to case.
    """
    name, _, value = text.partition("=")
    return name.lower() == "usedevelopmentstorage" and value == "true"


def _has_good_addresses(parts: Mapping[str, str]) -> bool:
    """Return whether every URL, and every part of one, is valid."""
    return (
        all(_is_address(value) for name, value in parts.items() if name.endswith("endpoint"))
        and parts.get("defaultendpointsprotocol", "https").lower() in _PROTOCOLS
        and _HOST.fullmatch(parts.get("endpointsuffix", "core.windows.net")) is not None
    )


def _is_address(text: str) -> bool:
    try:
        found = urlsplit(text)
        return found.scheme in _PROTOCOLS and _HOST.fullmatch(found.netloc) is not None and found.port != 0
    except ValueError:
        return False


def _parts(text: str) -> Mapping[str, str] | None:
    """Return the values by their names in lower case.

    Returns None if a name has no value, or is repeated.
    """
    pairs = [part.partition("=") for part in text.rstrip(";").split(";")]
    values = {name.lower(): value for name, _, value in pairs}
    is_repeated = len(values) != len(pairs)
    if is_repeated or not all(values.values()):
        return None
    return values


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False
