"""What the API of a consent promises."""

from __future__ import annotations

from typing import Final

from shared.consent.contract import FlowView
from shared.web.operation import FLOW_ID, Answer, Operation, Parameter

_TO_RESULT = Answer("To the page that says how it ended.", headers={"Location": "The result page."})
_STATE = "Names the consent and proves that the answer is one to it."
_ERROR = "Why there is no consent."

OPERATIONS: Final = (
    Operation(
        "start_consent",
        "GET",
        "consent/{flowId}/start",
        "Bind a consent to this browser and lead it to Microsoft; opens once",
        "Consent",
        {
            302: Answer(
                "To Microsoft.",
                headers={"Location": "Microsoft's page.", "Set-Cookie": "Binds the consent to this browser."},
            ),
            303: _TO_RESULT,
        },
        admin=False,
        parameters=(FLOW_ID, Parameter("ticket", "query", "From `startUrl`; unguessable.")),
    ),
    Operation(
        "finish_consent",
        "POST",
        "consent/callback",
        "Take Microsoft's answer to a sign-in",
        "Consent",
        {303: _TO_RESULT},
        admin=False,
        form={"state": _STATE, "code": "Becomes tokens, once.", "error": _ERROR},
    ),
    Operation(
        "finish_admin_consent",
        "GET",
        "consent/callback",
        "Take Microsoft's answer to an admin's consent for the app itself",
        "Consent",
        {303: _TO_RESULT},
        admin=False,
        parameters=(
            Parameter("state", "query", _STATE),
            Parameter("admin_consent", "query", "`True`, also beside an error."),
            Parameter("error", "query", _ERROR),
        ),
    ),
    Operation(
        "show_consent_result",
        "GET",
        "consent/result",
        "Tell the person in the consent window how it ended",
        "Consent",
        {200: Answer("A page.", schema={"type": "string"}, media_type="text/html")},
        admin=False,
        parameters=(
            Parameter("flow", "query", "Names a consent."),
            Parameter("problem", "query", "The code of a problem, where no consent is known."),
        ),
    ),
    Operation(
        "get_consent",
        "GET",
        "consent/{flowId}",
        "Show how a consent stands; poll it while the window is open",
        "Consent",
        {200: Answer("How it stands.", FlowView)},
        parameters=(FLOW_ID,),
        problems={404: ("consent_not_found",)},
    ),
)
