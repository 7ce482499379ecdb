"""Read typed app settings, with errors that name the setting. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError
from shared.storage_names import QUEUE_NAME, QUEUES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: An https URL with only server, port and path. It is in ASCII, because headers contain it; an international
#: name has the form `xn--…`.
_ADDRESS = re.compile(
    r"https://[a-z0-9._-]+(:(?P<port>[0-9]{1,5}))?(?P<path>/[a-z0-9._~%/+-]*)?", re.IGNORECASE | re.ASCII
)
_MAX_PORT = 65535
#: The default port, which a browser leaves out of an origin.
_HTTPS_PORT = 443
#: Straight quotes, and those that word processors write.
_QUOTES = "\"'`\u201c\u201d\u201e\u2018\u2019"
#: App Service passes on an unresolved reference to Key Vault or App Configuration unchanged.
#: https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
_REFERENCE = "@microsoft."
_UNRESOLVED = (
    "the Key Vault reference in it was not resolved: the secret is missing or disabled, or the app's managed "
    "identity may not read it"
)
#: The beginnings of the platform's own variables, which may resemble the app's settings.
_FOREIGN_PREFIXES = ("APPSETTING_", "AZURE_", "AzureWebJobs", "FUNCTIONS_", "WEBSITE_")
#: A name counts as a misspelling of another from this similarity on, which `difflib` measures from 0 to 1.
_SIMILAR = 0.88


class OtherProviderError(ConfigurationError):
    """The deployment sends through another provider, which is no error."""

    def __init__(self) -> None:
        super().__init__("smtp_provider_not_office365")


class AppSettingsReader:
    """Reads settings by type, and collects what is wrong with them.

    Every method that reads a setting returns a value. If the setting is missing or wrong, this is a
    placeholder, and `check` raises an error after all settings were read. So values are used only if every
    setting is valid.

    Attributes:
        problems: a ConfigurationError, `setting_missing` or `setting_invalid`, for each wrong setting.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._names: set[str] = set()
        self.problems: list[ConfigurationError] = []

    def check(self) -> None:
        """Raise the first problem, if any."""
        if self.problems:
            raise self.problems[0]

    def report_invalid(self, name: str, reason: str) -> None:
        """Record that a setting is wrong; the first of several reasons counts."""
        if name in {problem.params["setting"] for problem in self.problems}:
            return
        self.problems.append(ConfigurationError("setting_invalid", setting=name, reason=reason))

    def report_missing(self, name: str) -> None:
        """Record that a setting is missing."""
        self.problems.append(ConfigurationError("setting_missing", setting=name))

    def text(self, name: str, default: str | None = None) -> str:
        """Return a value without blanks around it, or the default."""
        self._names.add(name)
        value = self._values.get(name, "").strip()
        if not value and default is None:
            self.report_missing(name)
        if value.casefold().startswith(_REFERENCE):
            self.report_invalid(name, _UNRESOLVED)
        elif value and (value[0] in _QUOTES or value[-1] in _QUOTES):
            self.report_invalid(name, "leave out the quotation marks")
        else:
            return value or default or ""
        return ""

    def is_set(self, name: str) -> bool:
        """Return whether a setting has a value, valid or not."""
        return bool(self._values.get(name, "").strip())

    def items(self, name: str, default: str | None = None) -> tuple[str, ...]:
        """Return the values of a comma-separated list."""
        parts = [part.strip() for part in self.text(name, default).split(",")]
        return tuple(part for part in parts if part)

    def addresses(self, name: str, default: str) -> tuple[str, ...]:
        """Return the mail addresses of a comma-separated list."""
        from shared.mail_address import check_mail_address  # noqa: PLC0415 - every cold start comes by here

        try:
            return tuple(check_mail_address(address) for address in self.items(name, default))
        except ValueError:
            self.report_invalid(
                name, "use full mail addresses with commas between them, such as reports@contoso.com"
            )
            return ()

    def word(self, name: str, default: str | None = None) -> str:
        """Return a value that contains no blank."""
        value = self.text(name, default)
        if len(value.split()) > 1:
            self.report_invalid(name, "use one name, without blanks")
        return value

    def guid(self, name: str, default: str | None = None) -> str:
        """Return a GUID in lower case."""
        value = self.text(name, default).lower()
        if not value or _GUID.fullmatch(value):
            return value
        self.report_invalid(
            name, "use one GUID such as 6f1c0a52-0000-4000-8000-000000000001, without braces; no domain"
        )
        return ""

    def guids(self, name: str, default: str) -> frozenset[str]:
        """Return the GUIDs of a comma-separated list in lower case."""
        found = frozenset(item.lower() for item in self.items(name, default))
        if not all(_GUID.fullmatch(each) for each in found):
            self.report_invalid(name, "use GUIDs with commas between them, without braces; no domains")
        return found

    def queues(self, name: str, default: str) -> frozenset[str]:
        """Return names of storage queues other than the app's own."""
        found = self.items(name, default)
        if not all(QUEUE_NAME.fullmatch(each) and each not in QUEUES for each in found):
            self.report_invalid(
                name, "use names of storage queues such as mail-outcomes, but not those of the app"
            )
        return frozenset(found)

    def origins(self, name: str) -> tuple[str, ...]:
        """Return origins as browsers send them (RFC 6454 section 6.2), not `*`."""
        found = self.items(name)
        if not found or not all(map(_is_origin, found)):
            self.report_invalid(name, "use origins such as https://inforiver.contoso.com")
        return found

    def one_of(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """Return one of the allowed values, in lower case."""
        value = self.text(name, default).lower()
        if value in allowed:
            return value
        self.report_invalid(name, f"use one of {', '.join(allowed)}")
        return default

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""
        value = self.text(name, str(default)) or str(default)
        # The number of digits is limited, because `int` raises an error for thousands of them.
        if re.fullmatch("[0-9]{1,9}", value) and low <= int(value) <= high:
            return int(value)
        self.report_invalid(name, f"use a whole number from {low} to {high}")
        return default

    def url(self, name: str, default: str | None = None) -> str:
        """Return an https address without a trailing slash."""
        return self._address(name, default, _is_address, "use an https address in ASCII")

    def host(self, name: str, default: str | None = None) -> str:
        """Return a server's https URL without path and trailing slash."""
        return self._address(name, default, _is_server, "use the https address of a server, without a path")

    def check_names(self) -> None:
        """Record variables whose name nearly equals that of an unset setting.

        Otherwise a misspelt optional setting would silently have its default.
        """
        from difflib import get_close_matches  # noqa: PLC0415 - every cold start comes by here

        unset = [name for name in self._names if not self.is_set(name)]
        for name in sorted(self._values.keys() - self._names):
            if name.startswith(_FOREIGN_PREFIXES):
                continue
            written = name.upper().replace("-", "_").replace(".", "_")
            for meant in get_close_matches(written, unset, 1, _SIMILAR):
                self.report_invalid(name, f"no setting has this name; rename it to {meant}, or delete it")

    def _address(self, name: str, default: str | None, fits: Callable[[str], bool], reason: str) -> str:
        value = self.text(name, default).rstrip("/")
        if value and not fits(value):
            self.report_invalid(name, reason)
        return value


def _is_address(text: str) -> bool:
    """Return whether it is an https URL of only server, port and path."""
    found = _ADDRESS.fullmatch(text)
    return found is not None and 0 < int(found["port"] or _HTTPS_PORT) <= _MAX_PORT


def _is_server(text: str) -> bool:
    found = _ADDRESS.fullmatch(text)
    return found is not None and not found["path"] and _is_address(text)


def _is_origin(text: str) -> bool:
    """Return whether a text is an origin in the form that a browser sends."""
    if not _is_server(text) or text != text.lower():
        return False
    found = _ADDRESS.fullmatch(text)
    port = found["port"] if found else None
    if not port:
        return True
    has_leading_zero = str(int(port)) != port
    return not has_leading_zero and port != str(_HTTPS_PORT)
