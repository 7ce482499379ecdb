"""Describe the operations of the consent API."""

from __future__ import annotations

from typing import Final

from shared.api.consent_models import FlowView, NextPageView
from shared.api.openapi.operation import FLOW_ID, DocumentedResponse, Operation, Parameter

_TO_RESULT = DocumentedResponse(
    "Redirect to the page that shows the result.", headers={"Location": "The result page."}
)
_PAGE = DocumentedResponse("A page.", schema={"type": "string"}, media_type="text/html")
_STATE = "Identifies the consent and proves that the response belongs to it."
_ERROR = "The error, if there is no consent."

START_PAGE: Final = Operation(
    "show_consent_start",
    "GET",
    "consent/{flowId}/start",
    "Show the page that posts the ticket of a start link; changes nothing",
    "Consent",
    {200: _PAGE},
    admin=False,
    page=True,
    configured=False,
    parameters=(FLOW_ID,),
)
START: Final = Operation(
    "start_consent",
    "POST",
    "consent/{flowId}/start",
    "Bind a consent to this browser; a ticket works once",
    "Consent",
    {
        200: DocumentedResponse(
            "The URL that the browser opens: Microsoft's, or the page that explains the problem.",
            NextPageView,
            headers={"Set-Cookie": "Binds the consent to this browser."},
        ),
    },
    admin=False,
    parameters=(FLOW_ID,),
    form={"ticket": "From the fragment of `startUrl`; unguessable."},
)
CALLBACK: Final = Operation(
    "finish_consent",
    "POST",
    "consent/callback",
    "Handle Microsoft's callback for a sign-in",
    "Consent",
    {
        200: DocumentedResponse(
            "The page for confirmation, if the signed-in account is not the admin's.",
            schema={"type": "string"},
            media_type="text/html",
        ),
        303: _TO_RESULT,
    },
    admin=False,
    page=True,
    form={"state": _STATE, "code": "The authorization code; redeemed once.", "error": _ERROR},
)
ADMIN_CONSENT_CALLBACK: Final = Operation(
    "finish_admin_consent",
    "GET",
    "consent/callback",
    "Handle Microsoft's callback for an admin's consent for the app itself",
    "Consent",
    {303: _TO_RESULT},
    admin=False,
    page=True,
    parameters=(
        Parameter("state", "query", _STATE),
        Parameter("admin_consent", "query", "`True`, also together with an error."),
        Parameter("error", "query", _ERROR),
    ),
)
DECISION: Final = Operation(
    "decide_consent",
    "POST",
    "consent/{flowId}/decision",
    "Complete or refuse a consent that an account other than the admin's gave",
    "Consent",
    {303: _TO_RESULT},
    admin=False,
    page=True,
    parameters=(FLOW_ID,),
    form={"token": "From the page's form; works once.", "decision": "`continue` or `refuse`."},
)
RESULT: Final = Operation(
    "show_consent_result",
    "GET",
    "consent/result",
    "Show the result in the consent window",
    "Consent",
    {200: _PAGE},
    admin=False,
    page=True,
    parameters=(
        Parameter("flow", "query", "The id of a consent."),
        Parameter("problem", "query", "The code of a problem, if no consent is known."),
    ),
)
STATUS: Final = Operation(
    "get_consent",
    "GET",
    "consent/{flowId}",
    "Return the state of a consent; poll it while the window is open",
    "Consent",
    {200: DocumentedResponse("The status of the consent.", FlowView)},
    parameters=(FLOW_ID,),
    problems={404: ("consent_not_found",)},
)

OPERATIONS: Final = (START_PAGE, START, CALLBACK, ADMIN_CONSENT_CALLBACK, DECISION, RESULT, STATUS)
