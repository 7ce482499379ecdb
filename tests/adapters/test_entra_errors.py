from typing import Any

import pytest

from shared.adapters.entra_errors import entra_error, redeem_error
from shared.errors import ConfigurationError, ConsentRequiredError, TransientError

ANSWERS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"error": "invalid_grant", "error_codes": [700082]}, ConsentRequiredError, "consent_lost"),
    ({"error": "interaction_required", "error_codes": [50076]}, ConsentRequiredError, "consent_lost"),
    ({"error": "consent_required"}, ConsentRequiredError, "consent_lost"),
    ({"error": "invalid_grant", "error_codes": [50057]}, ConsentRequiredError, "sign_in_blocked"),
    ({"error": "interaction_required", "error_codes": [53003]}, ConsentRequiredError, "sign_in_blocked"),
    ({"error": "invalid_grant", "error_codes": [90094]}, ConsentRequiredError, "admin_approval_needed"),
    ({"error": "invalid_client", "error_codes": [7000215]}, ConfigurationError, "client_credential_refused"),
    ({"error": "invalid_grant", "error_codes": [70002, 70008]}, ConsentRequiredError, "consent_lost"),
    ({"error": "invalid_grant", "error_codes": [50012, 53003]}, ConsentRequiredError, "sign_in_blocked"),
    ({"error": "invalid_request", "error_codes": [700027]}, ConfigurationError, "client_credential_refused"),
    ({"error": "invalid_client"}, ConfigurationError, "client_credential_refused"),
    ({"error": "unauthorized_client"}, ConfigurationError, "app_registration_wrong"),
    ({"error": "never_heard_of"}, ConfigurationError, "app_registration_wrong"),
    ({}, ConfigurationError, "app_registration_wrong"),
    ({"error": "temporarily_unavailable"}, TransientError, "entra_unavailable"),
    ({"error": "server_error", "error_codes": [50173]}, TransientError, "entra_unavailable"),
    ({"error": "invalid_grant", "error_codes": [50196]}, TransientError, "entra_unavailable"),
    ({"error": "invalid_grant", "error_codes": [90033, 50173]}, ConsentRequiredError, "consent_lost"),
    ({"error": "invalid_request", "error_codes": [90033, 9]}, TransientError, "entra_unavailable"),
    ({"error": "invalid_grant", "error_codes": ["50057", None]}, ConsentRequiredError, "consent_lost"),
    ({"error": "invalid_grant", "error_codes": None}, ConsentRequiredError, "consent_lost"),
]


@pytest.mark.parametrize(("answer", "kind", "code"), ANSWERS, ids=str)
def test_the_oauth_error_decides_and_the_number_chooses_the_sentence(
    answer: dict[str, Any], kind: type[Exception], code: str
) -> None:
    error = entra_error(answer, "ada@contoso.com")

    assert (type(error), error.code) == (kind, code)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ({"error": "invalid_grant", "error_codes": [50173, 70008]}, "AADSTS50173"),
        ({"error": "invalid_grant"}, "invalid_grant"),
        ({}, "no error code"),
    ],
)
def test_what_is_shown_is_the_number_or_the_error_but_never_the_text(
    answer: dict[str, Any], shown: str
) -> None:
    error = entra_error({**answer, "error_description": "ada@contoso.com may not"}, "account")

    assert error.facts["error"] == shown
    assert "may not" not in str(error)


@pytest.mark.parametrize(
    ("answer", "trace"),
    [
        ({"trace_id": "t", "correlation_id": "c"}, "c"),
        ({"correlation_id": 7}, None),
        ({}, None),
    ],
)
def test_microsofts_correlation_id_goes_along(answer: dict[str, Any], trace: str | None) -> None:
    assert entra_error({"error": "invalid_grant", **answer}, "a").request_id == trace


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"error": "invalid_grant", "error_codes": [54005]}, "consent_code_used"),
        ({"error": "invalid_grant", "error_codes": [501481]}, "consent_failed"),
        ({"error": "invalid_grant"}, "consent_failed"),
        ({"error": "invalid_client"}, "client_credential_refused"),
        ({"error": "server_error"}, "entra_unavailable"),
    ],
    ids=str,
)
def test_a_refused_code_is_no_lost_consent(answer: dict[str, Any], code: str) -> None:
    assert redeem_error(answer).code == code
