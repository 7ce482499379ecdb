"""From what Azure's SDKs raise to our errors."""

from __future__ import annotations

import pytest
from azure.core import exceptions
from azure.core.exceptions import AzureError, HttpResponseError

from shared.adapters.azure_errors import translated
from shared.errors import ConfigurationError, TransientError


def http_error(status: int) -> HttpResponseError:
    error = HttpResponseError("text")
    error.status_code = status
    return error


def fall_with(error: Exception) -> None:
    with translated("storage_unavailable", "storage_denied", service="tables"):
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
def test_a_service_that_is_away_is_transient(error: AzureError) -> None:
    with pytest.raises(TransientError) as caught:
        fall_with(error)

    assert (caught.value.code, caught.value.facts) == ("storage_unavailable", {"service": "tables"})
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [exceptions.ClientAuthenticationError("no"), http_error(401), http_error(403)]
)
def test_a_service_that_refuses_the_app_is_for_the_operator(error: AzureError) -> None:
    with pytest.raises(ConfigurationError) as caught:
        fall_with(error)

    assert caught.value.code == "storage_denied"


@pytest.mark.parametrize("error", [AzureError("new"), http_error(400), http_error(404), http_error(409)])
def test_what_nobody_foresaw_goes_up_as_it_is(error: AzureError) -> None:
    with pytest.raises(AzureError):
        fall_with(error)


def test_every_kind_that_azure_core_knows_is_decided_on() -> None:
    """A new kind in a new version of the package must be put into the table, or into this list."""
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
