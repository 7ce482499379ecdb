"""The errors that Graph publishes, each with status and envelope.

https://learn.microsoft.com/graph/errors lists the statuses, the codes and the more detailed codes, which
stand inside a general one. The codes of Exchange (`Error…`) are published for Exchange Web Services; their
status at Graph is not published, and 400 is the likeliest where no report says otherwise.
"""

import base64
from collections.abc import Mapping
from typing import Any

#: The claims that conditional access requests in another token.
CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'

STATUSES = {
    400: "BadRequest",
    402: "PaymentRequired",
    403: "Forbidden",
    404: "UnknownError",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Gone",
    411: "LengthRequired",
    412: "PreconditionFailed",
    415: "UnsupportedMediaType",
    416: "RequestedRangeNotSatisfiable",
    422: "UnprocessableEntity",
    423: "Locked",
    501: "NotImplemented",
    507: "InsufficientStorage",
    509: "BandwidthLimitExceeded",
}
CODES = {
    "accessDenied": 403,
    "activityLimitReached": 429,
    "extensionError": 403,
    "generalException": 500,
    "invalidRange": 416,
    "invalidRequest": 400,
    "itemNotFound": 404,
    "malwareDetected": 400,
    "nameAlreadyExists": 409,
    "notAllowed": 403,
    "notSupported": 400,
    "resourceModified": 412,
    "resyncRequired": 410,
    "serviceNotAvailable": 503,
    "syncStateNotFound": 410,
    "quotaLimitReached": 507,
    "unauthenticated": 401,
}
#: Code, and the general one around it.
DETAILED = {
    "accessRestricted": "accessDenied",
    "cannotSnapshotTree": "serviceNotAvailable",
    "childItemCountExceeded": "invalidRequest",
    "entityTagDoesNotMatch": "resourceModified",
    "fragmentLengthMismatch": "invalidRequest",
    "fragmentOutOfOrder": "invalidRange",
    "fragmentOverlap": "invalidRange",
    "invalidAcceptType": "invalidRequest",
    "invalidParameterFormat": "invalidRequest",
    "invalidPath": "invalidRequest",
    "invalidQueryOption": "invalidRequest",
    "invalidStartIndex": "invalidRequest",
    "lockMismatch": "resourceModified",
    "lockNotFoundOrAlreadyExpired": "resourceModified",
    "lockOwnerMismatch": "resourceModified",
    "malformedEntityTag": "invalidRequest",
    "maxDocumentCountExceeded": "invalidRequest",
    "maxFileSizeExceeded": "invalidRequest",
    "maxFolderCountExceeded": "invalidRequest",
    "maxFragmentLengthExceeded": "invalidRequest",
    "maxItemCountExceeded": "invalidRequest",
    "maxQueryLengthExceeded": "invalidRequest",
    "maxStreamSizeExceeded": "invalidRequest",
    "parameterIsTooLong": "invalidRequest",
    "parameterIsTooSmall": "invalidRequest",
    "pathIsTooLong": "invalidRequest",
    "pathTooDeep": "invalidRequest",
    "propertyNotUpdateable": "invalidRequest",
    "provisioningNotAllowed": "accessDenied",
    "resourceBeingProvisioned": "serviceNotAvailable",
    "resyncApplyDifferences": "resyncRequired",
    "resyncUploadDifferences": "resyncRequired",
    "serviceReadOnly": "serviceNotAvailable",
    "throttledRequest": "activityLimitReached",
    "tooManyResultsRequested": "invalidRequest",
    "tooManyTermsInQuery": "invalidRequest",
    "totalAffectedItemCountExceeded": "invalidRequest",
    "truncationNotAllowed": "invalidRequest",
    "uploadSessionFailed": "generalException",
    "uploadSessionIncomplete": "invalidRequest",
    "uploadSessionNotFound": "itemNotFound",
    "virusSuspicious": "malwareDetected",
    "zeroOrFewerResultsRequested": "invalidRequest",
}
EXCHANGE = {
    "ErrorADOperation": 500,
    "ErrorADUnavailable": 400,
    "ErrorAccessDenied": 403,
    "ErrorAccountSuspend": 403,
    "ErrorAttachmentSizeLimitExceeded": 413,
    "ErrorConnectionFailed": 400,
    "ErrorExceededConnectionCount": 429,
    "ErrorExceededHourlyMessageLimit": 403,
    "ErrorExceededMaxRecipientLimit": 400,
    "ErrorExceededMessageLimit": 403,
    "ErrorInsufficientResources": 503,
    "ErrorInternalServerError": 500,
    "ErrorInternalServerTransientError": 500,
    "ErrorInvalidRecipients": 400,
    "ErrorInvalidRequest": 400,
    "ErrorInvalidUser": 404,
    "ErrorIrresolvableConflict": 412,
    "ErrorItemNotFound": 404,
    "ErrorMailboxFailover": 503,
    "ErrorMailboxLogon": 400,
    "ErrorMailboxMoveInProgress": 409,
    "ErrorMailboxStoreUnavailable": 503,
    "ErrorMessageBlocked": 403,
    "ErrorMessageSizeExceeded": 413,
    "ErrorMessageSubmissionBlocked": 403,
    "ErrorMessageThrottled": 429,
    "ErrorMessageTimeout": 504,
    "ErrorMessageTransientError": 400,
    "ErrorNonExistentMailbox": 404,
    "ErrorNonPrimarySmtpAddress": 400,
    "ErrorProxyCallFailed": 400,
    "ErrorQuotaExceeded": 507,
    "ErrorRequiredPropertyMissing": 400,
    "ErrorSendAsDenied": 403,
    "ErrorServerBusy": 503,
    "ErrorStaleObject": 412,
    "ErrorSubmissionQuotaExceeded": 429,
    "ErrorTimeoutExpired": 504,
    "ErrorTooManyObjectsOpened": 400,
    "Authorization_RequestDenied": 403,
    "InvalidAuthenticationToken": 401,
    "MailboxNotEnabledForRESTAPI": 404,
    "OrganizationFromTenantGuidNotFound": 404,
    "Request_ResourceNotFound": 404,
    "ResourceNotFound": 404,
}


def vocabulary() -> dict[str, dict[str, Any]]:
    """Return `Effect` members for each published error by code or status."""
    found: dict[str, dict[str, Any]] = {
        code: {"status": status, "code": code} for code, status in (CODES | EXCHANGE).items()
    }
    for code, general in DETAILED.items():
        found[code] = {"status": CODES[general], "code": code, "body": "detailed", "general": general}
    for status, code in STATUSES.items():
        found[f"HTTP {status}"] = {"status": status, "code": code}
        found[f"HTTP {status} page"] = {"status": status, "body": "html"}
        found[f"HTTP {status} empty"] = {"status": status, "body": "empty"}
    return found | _conditional_access()


def _conditional_access() -> dict[str, dict[str, Any]]:
    challenge = challenge_headers(CLAIMS)
    without_claims = {"WWW-Authenticate": 'Bearer realm="", error="insufficient_claims"'}
    return {
        "insufficient_claims": {"status": 403, "code": "insufficient_claims"},
        "conditional access": {"status": 403, "code": "accessDenied", "headers": challenge},
        "conditional access page": {"status": 403, "body": "html", "headers": challenge},
        "conditional access without claims": {"status": 403, "code": "Forbidden", "headers": without_claims},
        "token revoked": {"status": 401, "code": "InvalidAuthenticationToken", "headers": challenge},
    }


def challenge_headers(claims: str) -> Mapping[str, str]:
    """Return the header that requests a token with these claims (JSON).

    https://learn.microsoft.com/entra/identity-platform/claims-challenge
    """
    encoded = base64.b64encode(claims.encode()).decode()
    challenge = f'Bearer realm="", error="insufficient_claims", claims="{encoded}"'
    return {"WWW-Authenticate": challenge}
