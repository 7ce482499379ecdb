"""Translate errors of the Azure Storage and credential SDKs.

https://learn.microsoft.com/python/api/azure-core/azure.core.exceptions
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import CredentialUnavailableError
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from shared.errors import ConfigurationError, ProblemError, TransientError
from shared.telemetry import Event, log_event

if TYPE_CHECKING:
    from collections.abc import Iterator


class Kind(Enum):
    """What a response of an Azure service means."""

    BUSY = auto()
    DENIED = auto()
    LOCKED = auto()
    MISSING = auto()
    NETWORK = auto()


class AzureCode(NamedTuple):
    """One error code of an Azure service."""

    meaning: str
    kind: Kind


#: Codes that say more than the HTTP status.
#: https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
STORAGE_CODES: dict[str, AzureCode] = {
    "AuthorizationFailure": AzureCode("The firewall of storage does not know the address.", Kind.NETWORK),
    "AuthorizationSourceIPMismatch": AzureCode("The address is not an allowed one.", Kind.NETWORK),
    "PublicAccessNotPermitted": AzureCode("Storage takes calls through a private link only.", Kind.NETWORK),
    "AuthorizationPermissionMismatch": AzureCode("The identity has no role for this call.", Kind.DENIED),
    "InsufficientAccountPermissions": AzureCode("The identity has no right on the account.", Kind.DENIED),
    "AuthenticationFailed": AzureCode("The key or token is not valid.", Kind.DENIED),
    "InvalidAuthenticationInfo": AzureCode("The token is not valid.", Kind.DENIED),
    "NoAuthenticationInformation": AzureCode("The request carries no token.", Kind.DENIED),
    "KeyBasedAuthenticationNotPermitted": AzureCode("The account takes no keys.", Kind.DENIED),
    "AuthorizationProtocolMismatch": AzureCode("The signature does not allow the protocol.", Kind.DENIED),
    "AuthorizationServiceMismatch": AzureCode("The signature is for another service.", Kind.DENIED),
    "AuthorizationResourceTypeMismatch": AzureCode("The signature is for other resources.", Kind.DENIED),
    "AccountBeingCreated": AzureCode("The storage account is being created.", Kind.BUSY),
    "AccountIsDisabled": AzureCode("The storage account is disabled.", Kind.DENIED),
    "ServerBusy": AzureCode("Storage is busy.", Kind.BUSY),
    "OperationTimedOut": AzureCode("The operation was not done in time.", Kind.BUSY),
    "InternalError": AzureCode("An error inside storage.", Kind.BUSY),
    "TableNotFound": AzureCode("The table does not exist.", Kind.MISSING),
    "TableBeingDeleted": AzureCode("The table is being deleted.", Kind.MISSING),
    "QueueNotFound": AzureCode("The queue does not exist.", Kind.MISSING),
    "QueueBeingDeleted": AzureCode("The queue is being deleted.", Kind.MISSING),
    "QueueDisabled": AzureCode("The queue is disabled.", Kind.MISSING),
    "ContainerNotFound": AzureCode("The container does not exist.", Kind.MISSING),
    "ContainerBeingDeleted": AzureCode("The container is being deleted.", Kind.MISSING),
    "ContainerDisabled": AzureCode("The container is disabled.", Kind.MISSING),
    "BlobImmutableDueToPolicy": AzureCode("A policy forbids to change the blob.", Kind.LOCKED),
    "LeaseIdMissing": AzureCode("Another application has leased the blob.", Kind.LOCKED),
}
#: The problem code that replaces another one if the network is the cause, not a missing role.
_NETWORK_CODES = {"storage_denied": "storage_network_denied"}
_CODES_BY_KIND = {Kind.MISSING: "storage_incomplete", Kind.LOCKED: "storage_locked"}
_REFUSED = frozenset({401, 403})
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,80}")


@contextmanager
def azure_errors(unavailable: str, denied: str, missing: str | None = None, **params: Any) -> Iterator[None]:  # noqa: ANN401 - facts of a problem
    """Turn Azure's errors into the app's errors.

    Any other error is a bug in the app, and propagates unchanged.

    Args:
        unavailable: the problem code if the service is unavailable.
        denied: the problem code if the service refuses the app.
        missing: the problem code if a resource that should have been deployed does not exist.
        params: parameters of the problem.

    Raises:
        TransientError: with the code `unavailable`.
        ConfigurationError: with the code `denied` or `missing`.
    """
    try:
        yield
    except (RequestException, HTTPError) as error:
        # The SDK reads the response to a batch outside its pipeline, where nothing translates a broken
        # connection.
        raise TransientError(unavailable, **params) from error
    except AzureError as error:
        app_error = _translate(error, unavailable, denied, params)
        if missing and isinstance(error, HttpResponseError) and error.status_code == HTTPStatus.NOT_FOUND:
            app_error = ConfigurationError(missing, **params)
        if app_error is None:
            raise
        raise app_error from error


def _translate(
    error: AzureError, unavailable: str, denied: str, params: dict[str, Any]
) -> ProblemError | None:
    code = _code_of(error)
    if code is not None:
        return _by_kind(STORAGE_CODES[code].kind, unavailable, denied, params)
    if isinstance(error, ClientAuthenticationError):
        # Storage was not called, because the credential got no token.
        if isinstance(error, CredentialUnavailableError):
            return TransientError(unavailable, **params)
        return ConfigurationError(denied, **params)
    app_error = _by_status(error, unavailable, denied, params)
    if isinstance(error, HttpResponseError):
        _record_unknown(error, app_error)
    return app_error


def _by_status(
    error: AzureError, unavailable: str, denied: str, params: dict[str, Any]
) -> ProblemError | None:
    if isinstance(error, HttpResponseError) and error.status_code in _REFUSED:
        return ConfigurationError(denied, **params)
    return TransientError(unavailable, **params) if _is_temporary(error) else None


def _record_unknown(error: HttpResponseError, app_error: ProblemError | None) -> None:
    """Log a code that the app does not know, so that it can be added."""
    code = _response_code(error)
    if code and _CODE.fullmatch(code):
        log_event(
            Event.UNKNOWN_ERROR_CODE,
            level=logging.WARNING,
            service="storage",
            code=code,
            status=error.status_code,
            problem=app_error.code if app_error else "internal_error",
        )


def _is_temporary(error: AzureError) -> bool:
    if not isinstance(error, HttpResponseError):
        return isinstance(error, ServiceRequestError | ServiceResponseError | IncompleteReadError)
    # A response that was cut off has no status, or the SDK could not parse it.
    is_cut_off = error.status_code is None or isinstance(error, DecodeError)
    return is_cut_off or error.status_code in _BUSY


def _by_kind(kind: Kind, unavailable: str, denied: str, params: dict[str, Any]) -> ProblemError:
    if kind is Kind.BUSY:
        return TransientError(unavailable, **params)
    if kind in _CODES_BY_KIND:
        return ConfigurationError(_CODES_BY_KIND[kind], **params)
    if kind is Kind.NETWORK:
        denied = _NETWORK_CODES.get(denied, denied)
    return ConfigurationError(denied, **params)


def is_missing(error: AzureError) -> bool:
    """Return whether a table, queue or container itself does not exist.

    A missing row, message or blob does not count.
    """
    code = _code_of(error)
    return code is not None and STORAGE_CODES[code].kind is Kind.MISSING


def _code_of(error: AzureError) -> str | None:
    """Return the code of a response, if it is a known one."""
    code = _response_code(error)
    return code if code in STORAGE_CODES else None


def _response_code(error: AzureError) -> str | None:
    named = getattr(error, "error_code", None)
    code = getattr(named, "value", named)
    return code if isinstance(code, str) else None
