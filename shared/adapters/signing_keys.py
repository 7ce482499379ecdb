"""Fetch the keys with which an Entra tenant signs its access tokens.

https://learn.microsoft.com/entra/identity-platform/signing-key-rollover
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from jwt import PyJWKSet, PyJWTError

from shared.adapters.http import NoResponseError, NotSentError
from shared.consent.errors import EntraUnavailableError
from shared.errors import ProblemError, UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jwt import PyJWK

    from shared.adapters.http import HttpClient

_NEVER = float("-inf")
#: What parsing raises for a response that is no key set.
_UNREADABLE = (ValueError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class KeyLifetimes:
    """How long keys are used, in seconds.

    Attributes:
        refresh_after: the age from which keys are fetched again in the background, while they are still used.
            Entra rotates its keys every few weeks, and may do so at any time.
        discard_after: the age from which keys are not used any more, even if Entra can't be reached.
        look_up_interval: the minimum time between two look-ups of unknown key ids, because any caller can
            send one.
        failure_interval: the minimum time until the next attempt after a failed one.
    """

    refresh_after: float = 3600.0
    discard_after: float = 24 * 3600.0
    look_up_interval: float = 30.0
    failure_interval: float = 5.0


class SigningKeys:
    """The keys of one tenant, which are cached."""

    def __init__(self, url: str, http: HttpClient, lifetimes: KeyLifetimes) -> None:
        self._url = url
        self._http = http
        self._lifetimes = lifetimes
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_at = _NEVER
        self._failed_at = _NEVER
        self._failure: ProblemError | None = None
        self._fetching = threading.Lock()

    def find(self, key_id: str) -> PyJWK:
        """Return the key with this id.

        Raises:
            UnauthenticatedError: `token_invalid`: Entra publishes no such key.
            EntraUnavailableError: the keys can't be fetched now.
            ConfigurationError: as `HttpClient.request`.
        """
        key = self._usable().get(key_id)
        if key is None:
            self._look_up()
            key = self._keys.get(key_id)
        else:
            self._refresh_in_background()
        if key is None:
            raise UnauthenticatedError("token_invalid")
        return key

    def _usable(self) -> Mapping[str, PyJWK]:
        return self._keys if self._age() < self._lifetimes.discard_after else {}

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    def _look_up(self) -> None:
        """Fetch the keys because of an unknown id, unless that was just tried.

        If no keys are known yet, every caller waits for the first fetch. If there are some, one caller
        fetches the keys, and the others get an error that asks them to repeat the request.
        """
        if not self._fetching.acquire(blocking=not self._usable()):
            raise EntraUnavailableError
        try:
            if self._failed_lately():
                # A copy, because an exception that several threads raise collects their tracebacks.
                raise self._failure.with_params() if self._failure else EntraUnavailableError()
            if not self._usable() or self._age() > self._lifetimes.look_up_interval:
                self._fetch()
        finally:
            self._fetching.release()

    def _refresh_in_background(self) -> None:
        """Refresh old keys in a thread, while callers still use them."""
        due = self._age() > self._lifetimes.refresh_after and not self._failed_lately()
        if due and self._fetching.acquire(blocking=False):
            try:
                threading.Thread(target=self._refresh, daemon=True).start()
            except RuntimeError:
                # The process cannot start another thread now, so the next caller tries again.
                self._fetching.release()

    def _refresh(self) -> None:
        """Fetch the keys and release the lock; a failure changes nothing."""
        try:
            with suppress(ProblemError):
                self._fetch()
        finally:
            self._fetching.release()

    def _failed_lately(self) -> bool:
        return time.monotonic() - self._failed_at < self._lifetimes.failure_interval

    def _fetch(self) -> None:
        try:
            self._keys = self._download()
            self._fetched_at = time.monotonic()
        except ProblemError as error:
            self._failed_at, self._failure = time.monotonic(), error.with_traceback(None)
            raise

    def _download(self) -> Mapping[str, PyJWK]:
        """Return the keys that Entra publishes.

        Raises:
            EntraUnavailableError: there is no response, or it cannot be read, which proves nothing about a
                token.
            ConfigurationError: what `HttpClient.request` raises.
        """
        try:
            response = self._http.request("GET", self._url, {}, None)
            if response.status != HTTPStatus.OK:
                raise EntraUnavailableError
            keys = PyJWKSet.from_dict(json.loads(response.body)).keys
        except (NotSentError, NoResponseError, PyJWTError, *_UNREADABLE) as error:
            raise EntraUnavailableError from error
        return {str(key.key_id): key for key in keys if key.key_id and _is_for_tokens(key)}


def _is_for_tokens(key: PyJWK) -> bool:
    """Return whether a key can verify RS256, the algorithm of Entra's tokens."""
    return key.key_type == "RSA" and key.public_key_use in {"sig", None}
