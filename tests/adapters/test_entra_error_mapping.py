from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.entra_error_codes import ENTRA_CODES
from shared.adapters.entra_error_mapping import entra_error, redeem_error
from shared.consent.errors import EntraUnavailableError
from shared.errors import ConfigurationError, ConsentRequiredError, TransientError

RESPONSES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"error": "invalid_grant", "error_codes": [700082]}, ConsentRequiredError, "consent_lost"),
    ({"error": "interaction_required", "error_codes": [50076]}, ConsentRequiredError, "consent_lost"),
    ({"error": "consent_required"}, ConsentRequiredError, "consent_lost"),
    ({"error": "invalid_grant", "error_codes": [50057]}, ConsentRequiredError, "account_unusable"),
    ({"error": "invalid_grant", "error_codes": [50034]}, ConsentRequiredError, "account_unusable"),
    ({"error": "invalid_grant", "error_codes": [51004]}, ConsentRequiredError, "account_unusable"),
    ({"error": "invalid_grant", "error_codes": [500571, 50057]}, ConsentRequiredError, "account_unusable"),
    ({"error": "invalid_grant", "error_codes": [50057, 50012]}, ConsentRequiredError, "account_unusable"),
    ({"error": "interaction_required", "error_codes": [53003]}, ConsentRequiredError, "sign_in_blocked"),
    ({"error": "invalid_grant", "error_codes": [90094]}, ConsentRequiredError, "admin_approval_needed"),
    ({"error": "invalid_client", "error_codes": [7000215]}, ConfigurationError, "client_credential_refused"),
    ({"error": "invalid_client", "error_codes": [500014]}, ConsentRequiredError, "service_disabled"),
    ({"error": "invalid_resource", "error_codes": [500014]}, ConsentRequiredError, "service_disabled"),
    ({"error": "invalid_grant", "error_codes": [500014]}, ConsentRequiredError, "service_disabled"),
    ({"error": "unauthorized_client", "error_codes": [7000112]}, ConsentRequiredError, "sign_in_blocked"),
    ({"error": "invalid_grant", "error_codes": [7000215]}, ConfigurationError, "client_credential_refused"),
    ({"error": "invalid_grant", "error_codes": [7000215, 50173]}, ConsentRequiredError, "consent_lost"),
    ({"error": "interaction_required", "error_codes": [530034]}, ConsentRequiredError, "sign_in_blocked"),
    ({"error": "invalid_client", "error_codes": [70002]}, ConfigurationError, "client_credential_refused"),
    ({"error": "invalid_client", "error_codes": [700016]}, ConsentRequiredError, "app_removed"),
    ({"error": "unauthorized_client", "error_codes": [7000229]}, ConsentRequiredError, "app_removed"),
    ({"error": "invalid_request", "error_codes": [65001]}, ConsentRequiredError, "consent_lost"),
    ({"error": "invalid_grant", "error_codes": [70002, 70008]}, ConsentRequiredError, "consent_lost"),
    ({"error": "invalid_grant", "error_codes": [50012, 53003]}, ConsentRequiredError, "sign_in_blocked"),
    ({"error": "invalid_request", "error_codes": [700027]}, ConfigurationError, "client_credential_refused"),
    ({"error": "invalid_grant", "error_codes": [9002313]}, ConsentRequiredError, "consent_lost"),
    ({"error": "invalid_request", "error_codes": [9002313]}, ConfigurationError, "app_registration_wrong"),
    ({"error": "invalid_client"}, ConfigurationError, "client_credential_refused"),
    ({"error": "unauthorized_client"}, ConfigurationError, "app_registration_wrong"),
    ({"error": "never_heard_of"}, ConfigurationError, "app_registration_wrong"),
    ({}, ConfigurationError, "app_registration_wrong"),
    ({"error": "temporarily_unavailable"}, EntraUnavailableError, "entra_unavailable"),
    ({"error": "server_error", "error_codes": [50173]}, EntraUnavailableError, "entra_unavailable"),
    ({"error": "invalid_grant", "error_codes": [50196]}, EntraUnavailableError, "entra_unavailable"),
    ({"error": "invalid_grant", "error_codes": [90033, 50173]}, ConsentRequiredError, "consent_lost"),
    ({"error": "invalid_request", "error_codes": [90033, 9]}, EntraUnavailableError, "entra_unavailable"),
    ({"error": "invalid_grant", "error_codes": ["50057", None]}, ConsentRequiredError, "consent_lost"),
    ({"error": "invalid_grant", "error_codes": None}, ConsentRequiredError, "consent_lost"),
]


@pytest.mark.parametrize(("response", "kind", "code"), RESPONSES, ids=str)
def test_the_most_specific_error_number_decides(
    response: dict[str, Any], kind: type[Exception], code: str
) -> None:
    error = entra_error(response, "ada@contoso.com")

    assert (type(error), error.code) == (kind, code)


@pytest.mark.parametrize(
    ("response", "shown"),
    [
        ({"error": "invalid_grant", "error_codes": [50173, 70008]}, "AADSTS50173"),
        ({"error": "invalid_grant"}, "invalid_grant"),
        ({}, "no error code"),
    ],
)
def test_what_is_shown_is_the_number_or_the_error_but_never_the_text(
    response: dict[str, Any], shown: str
) -> None:
    error = entra_error({**response, "error_description": "ada@contoso.com may not"}, "account")

    assert error.params["error"] == shown
    assert "may not" not in str(error)


@pytest.mark.parametrize(
    ("response", "trace"),
    [
        ({"trace_id": "t", "correlation_id": "c"}, "c"),
        ({"correlation_id": 7}, None),
        ({}, None),
    ],
)
def test_the_correlation_id_of_microsoft_is_included(response: dict[str, Any], trace: str | None) -> None:
    assert entra_error({"error": "invalid_grant", **response}, "a").request_id == trace


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ({"error": "invalid_grant", "error_codes": [54005]}, "consent_code_used"),
        ({"error": "invalid_grant", "error_codes": [501481]}, "consent_failed"),
        ({"error": "invalid_grant"}, "consent_failed"),
        ({"error": "invalid_client"}, "client_credential_refused"),
        ({"error": "server_error"}, "entra_unavailable"),
    ],
    ids=str,
)
def test_a_refused_code_is_no_lost_consent(response: dict[str, Any], code: str) -> None:
    assert redeem_error(response).code == code


@pytest.mark.parametrize(
    ("response", "replicating"),
    [
        ({"error": "unauthorized_client", "error_codes": [700016]}, "app"),
        ({"error": "invalid_grant", "error_codes": [700016, 65001]}, "app"),
        ({"error": "invalid_grant", "error_codes": [65001]}, "consent"),
        ({"error": "unauthorized_client", "error_codes": [7000229]}, "app"),
        ({"error": "invalid_client", "error_codes": [650056]}, "consent"),
        ({"error": "invalid_resource", "error_codes": [500011]}, "consent"),
        ({"error": "invalid_grant", "suberror": "consent_required"}, "consent"),
        ({"error": "consent_required"}, "consent"),
        ({"error": "invalid_grant", "suberror": "consent_required", "error_codes": [90094]}, ""),
        ({"error": "invalid_grant", "error_codes": [50173]}, ""),
        ({"error": "invalid_client", "error_codes": [7000215]}, "credential"),
        ({"error": "invalid_client", "error_codes": [7000222]}, "credential"),
        ({"error": "invalid_client", "error_codes": [700027]}, "credential"),
        ({"error": "invalid_client", "error_codes": [70021]}, "credential"),
        ({"error": "invalid_client", "error_codes": [700211]}, "credential"),
        ({"error": "invalid_client", "error_codes": [700212]}, "credential"),
        ({"error": "invalid_client", "error_codes": [700213]}, "credential"),
        ({"error": "invalid_client"}, "credential"),
        ({"error": "invalid_client", "error_codes": [650057]}, ""),
    ],
)
def test_what_microsofts_directory_may_not_know_yet_is_reported(
    response: dict[str, Any], replicating: str
) -> None:
    assert entra_error(response, "ada@contoso.com").replicating == replicating
    assert redeem_error(response).replicating == replicating


@pytest.mark.parametrize(
    ("response", "wait"),
    [
        ({"error": "temporarily_unavailable", "retry_after_seconds": 7}, timedelta(seconds=7)),
        ({"error": "invalid_grant", "error_codes": [50196]}, timedelta(seconds=60)),
        ({"error": "temporarily_unavailable", "error_codes": [90055]}, timedelta(seconds=60)),
        ({"error": "temporarily_unavailable", "error_codes": [90033]}, None),
    ],
    ids=str,
)
def test_too_many_requests_are_waited_out_even_if_entra_names_no_time(
    response: dict[str, Any], wait: timedelta | None
) -> None:
    error = entra_error(response, "ada@contoso.com")

    assert isinstance(error, TransientError)
    assert error.retry_after == wait


def test_every_number_of_the_table_leads_to_a_code_of_the_catalogue() -> None:
    for number, code in ENTRA_CODES.items():
        assert code.meaning.endswith(".")
        response = {"error": "invalid_request", "error_codes": [number]}
        assert entra_error(response, "ada@contoso.com").code == code.problem_code


@pytest.mark.parametrize(
    ("response", "logged"),
    [
        ({"error": "invalid_grant", "error_codes": [999001]}, '"code": "AADSTS999001"'),
        ({"error": "brand_new"}, '"code": "brand_new"'),
        ({}, '"code": "none"'),
    ],
)
def test_an_unknown_code_is_logged(
    response: dict[str, Any], logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    entra_error(response, "ada@contoso.com")

    assert "unknown_error_code {" in caplog.text
    assert logged in caplog.text


def test_a_known_code_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    entra_error({"error": "invalid_grant", "error_codes": [50173]}, "ada@contoso.com")
    entra_error({"error": "invalid_grant"}, "ada@contoso.com")

    assert "unknown_error_code" not in caplog.text
