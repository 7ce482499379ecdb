"""Describe the operations of the delivery log API."""

from __future__ import annotations

from typing import Final

from shared.api.delivery_models import DeliveryListView, DeliverySummary, DeliveryView
from shared.api.openapi.operation import DocumentedResponse, Operation, Parameter
from shared.api.retry_models import RetryBody, RetryListView

_MESSAGE_ID = Parameter("messageId", "path", "The scheduler's own id of the mail.")
#: App role with which an application, such as a scheduler, reads the deliveries of its tenant.
READ_ROLE: Final = "Deliveries.Read"
_TIME = {"type": "string", "format": "date-time"}

LIST: Final = Operation(
    "list_deliveries",
    "GET",
    "deliveries",
    "List mails, newest first",
    "Deliveries",
    {200: DocumentedResponse("A page of mails, and the token of the next page.", DeliveryListView)},
    parameters=(
        Parameter(
            "status",
            "query",
            "Only mails in this state. A page can then be short, or empty, and have a `continuationToken`: "
            "continue until there is none.",
            {"$ref": "#/components/schemas/DeliveryStatus"},
        ),
        Parameter("since", "query", "Only mails queued at or after this time.", _TIME),
        Parameter("until", "query", "Only mails queued before this time.", _TIME),
        Parameter(
            "limit",
            "query",
            "Maximum number of mails of a page.",
            {"type": "integer", "minimum": 1, "maximum": 200},
        ),
        Parameter("continuationToken", "query", "The token of the previous page."),
    ),
    problems={400: ("invalid_request",)},
    application_roles=(READ_ROLE,),
)
READ: Final = Operation(
    "get_delivery",
    "GET",
    "deliveries/{messageId}",
    "Show one mail with its history",
    "Deliveries",
    {200: DocumentedResponse("The mail.", DeliveryView)},
    parameters=(_MESSAGE_ID,),
    problems={404: ("delivery_not_found",)},
    application_roles=(READ_ROLE,),
)
RETRY: Final = Operation(
    "retry_delivery",
    "POST",
    "deliveries/{messageId}/retry",
    "Retry a mail that failed or waits",
    "Deliveries",
    {202: DocumentedResponse("It is queued again.", DeliverySummary)},
    parameters=(_MESSAGE_ID,),
    problems={
        404: ("delivery_not_found",),
        409: (
            "already_accepted",
            "expiry_passed",
            "invalid_message",
            "request_not_kept",
            "still_under_way",
            "written_by_other_version",
        ),
    },
)
RETRY_MANY: Final = Operation(
    "retry_deliveries",
    "POST",
    "deliveries/retry",
    "Retry many mails that failed or wait",
    "Deliveries",
    {202: DocumentedResponse("The result of each mail's retry.", RetryListView)},
    body=RetryBody,
    problems={400: ("invalid_request",)},
    # 500 ids of the maximum length.
    max_body_bytes=128 * 1024,
)

OPERATIONS: Final = (LIST, READ, RETRY, RETRY_MANY)
