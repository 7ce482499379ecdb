"""Cookies as browsers keep and send them, which HTTP libraries do not: `SameSite`, `__Host-`, `Secure`.

Pure: no I/O. The rules are RFC 6265bis, with Chromium's choice that no `SameSite` means `Lax`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookies import Morsel, SimpleCookie
from urllib.parse import urlsplit


@dataclass(frozen=True)
class _Cookie:
    name: str
    value: str
    path: str
    secure: bool
    same_site: str


class CookieJar:
    """Cookies by host; ports do not part them. Each lasts as long as the jar, or is ended by its server."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Cookie] = {}

    def keep(self, url: str, headers: list[str]) -> None:
        """Take `Set-Cookie` headers; one that breaks its own promises is dropped."""
        place = urlsplit(url)
        for header in headers:
            for name, morsel in SimpleCookie(header).items():
                cookie = _Cookie(
                    name,
                    morsel.coded_value,
                    morsel["path"] or _folder(place.path),
                    bool(morsel["secure"]),
                    str(morsel["samesite"]).lower() or "lax",
                )
                key = (place.hostname or "", name)
                if _ended(morsel):
                    self._kept.pop(key, None)
                elif _keeps_its_promises(cookie, morsel, place.scheme):
                    self._kept[key] = cookie

    def header(self, url: str, method: str, initiator: str) -> str:
        """Write the `Cookie` header for a navigation that a page at `initiator` caused ("" for typed)."""
        place = urlsplit(url)
        crossing = bool(initiator) and site(initiator) != site(url)
        fitting = [
            cookie
            for (host, _), cookie in self._kept.items()
            if host == place.hostname
            and _covers(cookie.path, place.path or "/")
            and (place.scheme == "https" or not cookie.secure)
            and (not crossing or _may_cross(cookie, method))
        ]
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in fitting)

    def names(self, host: str) -> list[str]:
        """List the cookies kept for a host."""
        return sorted(name for kept_host, name in self._kept if kept_host == host)

    def clear(self) -> None:
        """Forget all cookies, as a private window does."""
        self._kept.clear()


def site(url: str) -> str:
    """Return what browsers call the site of a URL: scheme and host, never the port."""
    place = urlsplit(url)
    return f"{place.scheme}://{place.hostname}"


def _may_cross(cookie: _Cookie, method: str) -> bool:
    return cookie.same_site == "none" or (cookie.same_site == "lax" and method == "GET")


def _keeps_its_promises(cookie: _Cookie, morsel: "Morsel[str]", scheme: str) -> bool:
    if cookie.name.startswith("__Host-") and (not cookie.secure or morsel["path"] != "/" or morsel["domain"]):
        return False
    if cookie.same_site == "none" and not cookie.secure:
        return False
    return scheme == "https" or not cookie.secure


def _ended(morsel: "Morsel[str]") -> bool:
    if morsel["max-age"]:
        return int(morsel["max-age"]) <= 0
    return bool(morsel["expires"]) and parsedate_to_datetime(morsel["expires"]) <= datetime.now(UTC)


def _covers(cookie_path: str, path: str) -> bool:
    return path == cookie_path or path.startswith(cookie_path.rstrip("/") + "/")


def _folder(path: str) -> str:
    """Return the default path of a cookie (RFC 6265bis section 5.1.4)."""
    return path.rpartition("/")[0] or "/"
