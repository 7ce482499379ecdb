"""Cookies by browser rules that HTTP libraries lack.

They are prefixes, `Domain` and `SameSite`. Pure: no I/O. The rules are RFC 6265bis as implemented in
Chromium: no `SameSite` means `Lax`, and an empty `Domain` is none. Of the list of public suffixes only the
entry for function apps is known.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookies import Morsel, SimpleCookie
from urllib.parse import urlsplit

#: Nobody may set a cookie for all of these. https://publicsuffix.org/list/
PUBLIC_SUFFIXES = frozenset({"azurewebsites.net"})


@dataclass(frozen=True)
class _Cookie:
    """A cookie; `host_only` excludes the subdomains of `domain`."""

    name: str
    value: str
    domain: str
    host_only: bool
    path: str
    secure: bool
    same_site: str

    @property
    def key(self) -> tuple[str, str, bool, str]:
        """Return the identity of a cookie in a browser."""
        return (self.name, self.domain, self.host_only, self.path)

    def matches_host(self, host: str) -> bool:
        """Tell whether the cookie is sent to a host."""
        return host == self.domain or (not self.host_only and host.endswith(f".{self.domain}"))


class CookieJar:
    """Cookies by host, regardless of port.

    Each lasts as long as the jar unless its server deletes it.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, bool, str], _Cookie] = {}

    def store(self, url: str, headers: list[str]) -> None:
        """Store `Set-Cookie` headers; one that violates its prefix is dropped."""
        place = urlsplit(url)
        host = place.hostname or ""
        for header in headers:
            for name, morsel in SimpleCookie(header).items():
                domain = morsel["domain"].lstrip(".").lower()
                if not _may_set(host, domain):
                    continue
                cookie = _Cookie(
                    name,
                    morsel.coded_value,
                    domain or host,
                    domain in {"", *(PUBLIC_SUFFIXES & {host})},
                    morsel["path"] if morsel["path"].startswith("/") else _folder(place.path),
                    bool(morsel["secure"]),
                    str(morsel["samesite"]).lower() or "lax",
                )
                if not _meets_prefix_rules(cookie, morsel, place.scheme):
                    continue
                self._kept.pop(cookie.key, None)
                if not _ended(morsel):
                    self._kept[cookie.key] = cookie

    def header(self, url: str, method: str, initiator: str) -> str:
        """Return the `Cookie` header of a navigation from `initiator`.

        "" means that the address was typed.
        """
        place = urlsplit(url)
        crossing = bool(initiator) and site(initiator) != site(url)
        fitting = [
            cookie
            for cookie in self._kept.values()
            if cookie.matches_host(place.hostname or "")
            and _path_matches(cookie.path, place.path or "/")
            and (place.scheme == "https" or not cookie.secure)
            and (not crossing or _is_sent_cross_site(cookie, method))
        ]
        # The longest path first, and of equal ones the oldest (RFC 6265bis section 5.8.3).
        fitting.sort(key=lambda cookie: -len(cookie.path))
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in fitting)

    def names(self, host: str) -> list[str]:
        """List the cookies that a host is sent."""
        return sorted(cookie.name for cookie in self._kept.values() if cookie.matches_host(host))

    def clear(self, host: str = "") -> None:
        """Delete the cookies of a host, or all, as a private window does."""
        self._kept = {key: kept for key, kept in self._kept.items() if host and not kept.matches_host(host)}


def site(url: str) -> str:
    """Return the site of a URL as browsers define it, without the port."""
    place = urlsplit(url)
    return f"{place.scheme}://{place.hostname}"


def _may_set(host: str, domain: str) -> bool:
    """Tell whether a host may set a cookie for a domain.

    Allowed are its own name and a parent that is no public suffix.
    """
    if domain in {"", host}:
        return True
    return host.endswith(f".{domain}") and domain not in PUBLIC_SUFFIXES


def _is_sent_cross_site(cookie: _Cookie, method: str) -> bool:
    return cookie.same_site == "none" or (cookie.same_site == "lax" and method == "GET")


def _meets_prefix_rules(cookie: _Cookie, morsel: "Morsel[str]", scheme: str) -> bool:
    name = cookie.name.lower()
    if name.startswith("__host-") and (not cookie.secure or morsel["path"] != "/" or morsel["domain"]):
        return False
    if (name.startswith("__secure-") or cookie.same_site == "none") and not cookie.secure:
        return False
    return scheme == "https" or not cookie.secure


def _ended(morsel: "Morsel[str]") -> bool:
    if morsel["max-age"]:
        return int(morsel["max-age"]) <= 0
    return bool(morsel["expires"]) and parsedate_to_datetime(morsel["expires"]) <= datetime.now(UTC)


def _path_matches(cookie_path: str, path: str) -> bool:
    return path == cookie_path or path.startswith(cookie_path.rstrip("/") + "/")


def _folder(path: str) -> str:
    """Return the default path of a cookie (RFC 6265bis section 5.1.4)."""
    return path.rpartition("/")[0] or "/"
