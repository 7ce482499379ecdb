"""From what Azure's SDKs raise to our errors, in one table.

https://learn.microsoft.com/python/api/azure-core/azure.core.exceptions
"""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)

from shared.errors import ConfigurationError, ProblemError, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFUSED = frozenset({401, 403})
_BUSY = frozenset({408, 429, 500, 502, 503, 504})


@contextmanager
def translated(away: str, denied: str, missing: str | None = None, **facts: str) -> Iterator[None]:
    """Turn Azure's errors into ours: `away` when the service is, `denied` when it refuses the app.

    `missing`: when what should have been deployed is not there.

    What is in neither table is a bug of ours and goes up as it is.

    Raises:
        TransientError: with the code `away`.
        ConfigurationError: with the code `denied` or `missing`.
    """
    try:
        yield
    except AzureError as error:
        ours = _translate(error, away, denied, facts)
        if missing and isinstance(error, HttpResponseError) and error.status_code == HTTPStatus.NOT_FOUND:
            ours = ConfigurationError(missing, **facts)
        if ours is None:
            raise
        raise ours from error


def _translate(error: AzureError, away: str, denied: str, facts: dict[str, Any]) -> ProblemError | None:
    if isinstance(error, ClientAuthenticationError):
        return ConfigurationError(denied, **facts)
    if isinstance(error, ServiceRequestError | ServiceResponseError | IncompleteReadError):
        return TransientError(away, **facts)
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if status in _REFUSED:
        return ConfigurationError(denied, **facts)
    if status in _BUSY:
        return TransientError(away, **facts)
    return None
