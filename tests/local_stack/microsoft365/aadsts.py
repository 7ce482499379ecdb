"""Entra's refusals: AADSTS numbers with their OAuth errors; pure."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Kind:
    """How a number arrives at the token endpoint."""

    error: str
    message: str
    status: int = 400
    suberror: str = ""


def _grant(message: str, suberror: str = "") -> Kind:
    return Kind("invalid_grant", message, suberror=suberror)


def _client(message: str) -> Kind:
    return Kind("invalid_client", message, 401)


def _temporary(message: str) -> Kind:
    return Kind("temporarily_unavailable", message, 503)


# The numbers and their meaning are Microsoft's list
# (https://learn.microsoft.com/entra/identity-platform/reference-error-codes); which OAuth error goes with
# which number is published nowhere, so this table is the likeliest reading of it.
KINDS = {
    50011: Kind("invalid_request", "The redirect URI specified in the request does not match."),
    50012: _client("Authentication failed."),
    50020: _grant("User account from identity provider does not exist in tenant."),
    50033: _temporary("A transient error has occurred. Please try again."),
    50034: _grant("The user account does not exist in this directory."),
    50055: _grant("The password is expired.", "user_password_expired"),
    50057: _grant("The user account is disabled."),
    50059: Kind("invalid_request", "No tenant-identifying information found in the request."),
    50072: _grant("User needs to enroll for second factor authentication.", "basic_action"),
    50074: _grant("Strong authentication is required.", "basic_action"),
    50076: _grant("Due to a configuration change, you must use multi-factor authentication.", "basic_action"),
    50078: _grant("Presented multi-factor authentication has expired.", "basic_action"),
    50079: _grant("The user must enroll in multi-factor authentication.", "basic_action"),
    50089: _grant("Authentication failed due to flow token expired.", "token_expired"),
    50105: _grant("The signed in user is not assigned to a role for the application."),
    50132: _grant("The session is not valid: password expiration or recent password change.", "bad_token"),
    50133: _grant("Session is invalid due to expiration or recent password change.", "bad_token"),
    50158: _grant("External security challenge was not satisfied.", "basic_action"),
    50173: _grant("The provided grant has expired due to it being revoked.", "bad_token"),
    50194: Kind("invalid_request", "Application is not configured as a multi-tenant application."),
    50196: Kind("invalid_grant", "The server terminated an operation: it encountered a client request loop."),
    51004: _grant("The user account does not exist in the directory."),
    53000: Kind("interaction_required", "Device is not in required device state.", suberror="message_only"),
    53001: Kind("interaction_required", "Device is not domain joined.", suberror="message_only"),
    53003: Kind(
        "interaction_required",
        "Access has been blocked by Conditional Access policies.",
        suberror="message_only",
    ),
    54005: _grant("OAuth2 Authorization code was already redeemed, please retry with a new valid code."),
    65001: _grant("The user or administrator has not consented to use the application.", "consent_required"),
    65004: Kind("access_denied", "User declined to consent to access the app."),
    65005: Kind("invalid_client", "The application lists a permission that the resource does not have."),
    70000: _grant("The provided grant is invalid or malformed.", "bad_token"),
    70001: Kind("unauthorized_client", "The application is disabled."),
    70002: _client("The client application must be marked as 'mobile' or present credentials."),
    70003: Kind("unsupported_grant_type", "The app returned an unsupported grant type."),
    70008: _grant(
        "The provided authorization code or refresh token has expired due to inactivity.", "token_expired"
    ),
    70011: Kind("invalid_scope", "The provided value for the input parameter 'scope' is not valid."),
    70043: _grant(
        "The refresh token has expired or is invalid due to sign-in frequency checks.", "token_expired"
    ),
    90002: Kind("invalid_request", "Tenant not found."),
    90006: _temporary("External server retryable error."),
    90012: _temporary("The request to the identity provider timed out."),
    90023: Kind("invalid_request", "Unsupported parameter value."),
    90024: _temporary("A transient error occurred. Please try again."),
    90033: _temporary("A transient error has occurred. Please try again."),
    90055: Kind("temporarily_unavailable", "There are too many requests for this tenant.", 429),
    90090: _temporary("Microsoft Graph returned a transient failure."),
    90091: _temporary("Microsoft Graph returned a transient failure."),
    90094: _grant("Admin consent is required for the permissions requested.", "consent_required"),
    90095: _grant("Admin consent is required.", "consent_required"),
    500011: Kind("invalid_resource", "The resource principal was not found in the tenant."),
    500112: Kind(
        "invalid_client", "The reply address does not match the one provided when requesting the code."
    ),
    501481: _grant(
        "The Code_Verifier does not match the code_challenge supplied in the authorization request."
    ),
    501491: Kind("invalid_request", "Invalid size of Code_Challenge parameter."),
    530003: Kind(
        "interaction_required",
        "Your device is required to be managed to access this resource.",
        suberror="message_only",
    ),
    650053: Kind("invalid_client", "The application asked for a scope that doesn't exist on the resource."),
    700005: _grant("Provided Authorization Code is intended to use against other tenant, thus rejected."),
    700016: Kind("unauthorized_client", "Application with this identifier was not found in the directory."),
    700027: _client("Client assertion failed signature validation."),
    700082: _grant("The refresh token has expired due to inactivity.", "token_expired"),
    700084: _grant("The refresh token was issued to a single page app (SPA).", "token_expired"),
    700211: _client("No matching federated identity record found for presented assertion issuer."),
    700212: _client("No matching federated identity record found for presented assertion audience."),
    700213: _client("No matching federated identity record found for presented assertion subject."),
    700229: _client("Only app-only tokens can be used as Federated Identity Credentials."),
    900144: Kind("invalid_request", "The request body must contain a required parameter."),
    1002012: Kind(
        "invalid_scope",
        "Client credential flows must have a scope value with /.default suffixed to the resource identifier.",
    ),
    7000112: Kind("unauthorized_client", "Application is disabled."),
    7000215: _client("Invalid client secret provided."),
    7000218: _client("The request body must contain 'client_assertion' or 'client_secret'."),
    7000222: _client("The provided client secret keys for app are expired."),
    9002313: Kind("invalid_request", "Invalid request. Request is malformed or invalid."),
    28000: Kind("invalid_request", "The scope is not valid because it contains more than one resource."),
    28003: Kind("invalid_request", "The scope can't be empty when requesting an access token."),
}


class Refused(Exception):  # noqa: N818 (Entra refuses; that is its ordinary business)
    """A refusal of Entra with its AADSTS number."""

    def __init__(
        self, number: int, detail: str = "", *, error: str = "", suberror: str | None = None
    ) -> None:
        kind = KINDS.get(number, _grant("The request was refused."))
        self.number = number
        self.status = kind.status
        self.error = error or kind.error
        self.suberror = kind.suberror if suberror is None else suberror
        self.message = f"AADSTS{number}: {kind.message}{' ' + detail if detail else ''}"
        super().__init__(self.message)

    def body(self, now: datetime, correlation_id: str = "") -> dict[str, Any]:
        """Write the whole error document, as a token request gets it."""
        return error_body(self.error, self.message, self.number, self.suberror, now, correlation_id)


def error_body(
    error: str, message: str, number: int, suberror: str, now: datetime, correlation_id: str = ""
) -> dict[str, Any]:
    """Write Entra's error document; without a suberror the member is absent."""
    trace, correlation = str(uuid.uuid4()), correlation_id or str(uuid.uuid4())
    stamp = f"{now:%Y-%m-%d %H:%M:%SZ}"
    document: dict[str, Any] = {
        "error": error,
        "error_description": f"{message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
        "error_codes": [number],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    return document | ({"suberror": suberror} if suberror else {})
