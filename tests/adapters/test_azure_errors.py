"""Errors of Azure's SDKs become the app's errors."""

from __future__ import annotations

import pytest
from azure.core import exceptions
from azure.core.exceptions import AzureError, HttpResponseError
from azure.identity import CredentialUnavailableError

from shared.adapters.azure_errors import azure_errors
from shared.errors import ConfigurationError, TransientError


def http_error(status: int) -> HttpResponseError:
    error = HttpResponseError("text")
    error.status_code = status
    return error


def raise_translated(error: Exception) -> None:
    with azure_errors("storage_unavailable", "storage_denied", service="tables"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ServiceRequestError("no route"),
        exceptions.ServiceRequestTimeoutError("slow"),
        exceptions.ServiceResponseError("cut"),
        exceptions.ServiceResponseTimeoutError("slow"),
        exceptions.IncompleteReadError("half"),
        *(http_error(status) for status in (408, 429, 500, 502, 503, 504)),
    ],
)
def test_an_unavailable_service_is_transient(error: AzureError) -> None:
    with pytest.raises(TransientError) as caught:
        raise_translated(error)

    assert (caught.value.code, caught.value.params) == ("storage_unavailable", {"service": "tables"})
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [exceptions.ClientAuthenticationError("no"), http_error(401), http_error(403)]
)
def test_a_service_that_refuses_the_app_is_an_operator_error(error: AzureError) -> None:
    with pytest.raises(ConfigurationError) as caught:
        raise_translated(error)

    assert caught.value.code == "storage_denied"


def test_a_credential_that_could_not_ask_was_not_refused() -> None:
    with pytest.raises(TransientError) as caught:
        raise_translated(CredentialUnavailableError(message="no response"))

    assert caught.value.code == "storage_unavailable"


@pytest.mark.parametrize("error", [AzureError("new"), http_error(400), http_error(404), http_error(409)])
def test_unknown_errors_propagate_unchanged(error: AzureError) -> None:
    with pytest.raises(AzureError):
        raise_translated(error)


@pytest.mark.parametrize(
    ("status", "code", "kind", "ours"),
    [
        (403, "AuthorizationFailure", ConfigurationError, "storage_network_denied"),
        (403, "AuthorizationPermissionMismatch", ConfigurationError, "storage_denied"),
        (403, "ServerBusy", TransientError, "storage_unavailable"),
        (500, "OperationTimedOut", TransientError, "storage_unavailable"),
        (403, "SomethingNew", ConfigurationError, "storage_denied"),
    ],
)
def test_the_error_code_of_storage_takes_precedence_over_its_status(
    status: int, code: str, kind: type[Exception], ours: str
) -> None:
    error = http_error(status)
    error.error_code = code  # type: ignore[attr-defined] # as the storage SDKs set it

    with pytest.raises(kind) as caught:
        raise_translated(error)
    assert getattr(caught.value, "code", None) == ours


def test_every_kind_that_azure_core_knows_is_decided_on() -> None:
    """A new kind of error must be added to the table or to this list."""
    known_as_bugs = {
        "AzureError",
        "DecodeError",
        "DeserializationError",
        "HttpResponseError",
        "ODataV4Error",
        "ResourceExistsError",
        "ResourceModifiedError",
        "ResourceNotFoundError",
        "ResourceNotModifiedError",
        "SerializationError",
        "StreamClosedError",
        "StreamConsumedError",
        "ResponseNotReadError",
        "TooManyRedirectsError",
    }
    decided = {
        "ClientAuthenticationError",
        "IncompleteReadError",
        "ServiceRequestError",
        "ServiceRequestTimeoutError",
        "ServiceResponseError",
        "ServiceResponseTimeoutError",
    }
    there = {
        name
        for name, kind in vars(exceptions).items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }

    assert there == known_as_bugs | decided


@pytest.mark.parametrize(
    ("status", "problem"), [(403, "storage_denied"), (503, "storage_unavailable"), (409, "internal_error")]
)
def test_a_code_of_storage_that_is_in_no_table_is_logged(
    status: int, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = http_error(status)
    error.error_code = "SomethingNew"  # type: ignore[attr-defined]
    with pytest.raises((ConfigurationError, TransientError, AzureError)):
        raise_translated(error)

    [logged] = [line for line in caplog.messages if line.startswith("unknown_error_code {")]
    assert '"code": "SomethingNew"' in logged
    assert f'"problem": "{problem}", "service": "storage", "status": {status}' in logged


@pytest.mark.parametrize("code", [None, "ServerBusy", "a code {of} the network", 7])
def test_a_known_code_and_what_is_no_code_are_not_logged_as_new(
    code: object, caplog: pytest.LogCaptureFixture
) -> None:
    error = http_error(503)
    error.error_code = code  # type: ignore[attr-defined]
    with pytest.raises(TransientError):
        raise_translated(error)

    assert not [line for line in caplog.messages if line.startswith("unknown_error_code {")]
