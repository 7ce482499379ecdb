"""Map Graph's and Outlook's error codes to the app's problem codes.

The codes are from https://learn.microsoft.com/graph/errors, .../graph/resources/mail-api-overview and the
response codes of Exchange Web Services, which Outlook's calls return. `problems.toml` says who must act on
each problem code.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class Kind(Enum):
    """What a response means for the mail."""

    #: The mail was not sent, and is tried again later.
    WAIT = auto()
    #: It is not known whether the mail was sent.
    UNSURE = auto()
    #: Graph refuses the token; only Entra's response to a refresh proves that a consent is lost.
    TOKEN = auto()
    #: A refusal of this message: of its content, size or recipients. Only this kind fails a mail at once.
    REFUSED = auto()
    #: A refusal of the message that Graph is known to return occasionally for a valid mail.
    REFUSED_AT_TIMES = auto()
    #: A refusal of the mailbox or of a permission, which can be temporary: once confirmed, every mail waits.
    NO_RIGHT = auto()


class GraphCode(NamedTuple):
    """One code: what it means, its kind, and the app's problem code."""

    meaning: str
    kind: Kind
    problem_code: str


def _wait(meaning: str, problem_code: str = "graph_unavailable") -> GraphCode:
    return GraphCode(meaning, Kind.WAIT, problem_code)


def _unsure(meaning: str) -> GraphCode:
    return GraphCode(meaning, Kind.UNSURE, "outcome_unknown")


def _no_right(meaning: str, problem_code: str) -> GraphCode:
    return GraphCode(meaning, Kind.NO_RIGHT, problem_code)


def _refused(meaning: str, problem_code: str) -> GraphCode:
    return GraphCode(meaning, Kind.REFUSED, problem_code)


_TOKEN = "token_refused"  # noqa: S105 - a code
_THROTTLED = "mailbox_throttled"
_NO_MAILBOX = "mailbox_not_found"
_INTERRUPTED = "upload_interrupted"

#: Codes that say no more than the HTTP status, which decides in place of them. Some are documented for calls
#: that the app does not make. Others say that the request is wrong, but not what is wrong with the message.
GENERAL_CODES = frozenset(
    {
        "BadRequest",
        "Forbidden",
        "InternalServerError",
        "NotFound",
        "UnknownError",
        "childItemCountExceeded",
        "generalException",
        "invalidAcceptType",
        "invalidParameterFormat",
        "invalidPath",
        "invalidQueryOption",
        "invalidRequest",
        "invalidStartIndex",
        "malformedEntityTag",
        "malformedRequest",
        "maxDocumentCountExceeded",
        "maxFolderCountExceeded",
        "maxFragmentLengthExceeded",
        "maxItemCountExceeded",
        "maxQueryLengthExceeded",
        "notAllowed",
        "notSupported",
        "parameterIsTooLong",
        "parameterIsTooSmall",
        "pathIsTooLong",
        "pathTooDeep",
        "propertyNotUpdateable",
        "tooManyResultsRequested",
        "tooManyTermsInQuery",
        "totalAffectedItemCountExceeded",
        "truncationNotAllowed",
        "zeroOrFewerResultsRequested",
    }
)
GRAPH_CODES: dict[str, GraphCode] = {
    "ApplicationThrottled": _wait("The app has too many requests for this mailbox.", _THROTTLED),
    "TooManyRequests": _wait("Too many requests.", _THROTTLED),
    "throttledRequest": _wait("Too many requests.", _THROTTLED),
    "activityLimitReached": _wait("Too many requests.", _THROTTLED),
    "CommandConcurrencyLimitReached": _wait("Too many requests at the same time.", _THROTTLED),
    "MailboxConcurrency": _wait("Too many requests at the same time.", _THROTTLED),
    "ErrorMessageThrottled": _wait("The mailbox sends too many messages a minute.", _THROTTLED),
    # With 403, and the mail is not sent: O365/python-o365#668, WPManageNinja/fluent-smtp#101.
    "ErrorMessageTransientError": _wait("The filter for outgoing mail cannot judge the message now."),
    "serviceNotAvailable": _wait("The service is not available."),
    "ErrorServerBusy": _wait("The server is busy."),
    "ErrorIrresolvableConflict": _wait("Another request changed the same message."),
    "resourceModified": _wait("The message changed meanwhile."),
    "entityTagDoesNotMatch": _wait("The message changed meanwhile."),
    "nameAlreadyExists": _wait("Another request made the same thing."),
    "cannotSnapshotTree": _wait("The service cannot read the mailbox consistently now."),
    "lockMismatch": _wait("Another request holds the message."),
    "lockNotFoundOrAlreadyExpired": _wait("Another request held the message."),
    "lockOwnerMismatch": _wait("Another request holds the message."),
    "resourceBeingProvisioned": _wait("The mailbox is being set up."),
    "serviceReadOnly": _wait("The mailbox cannot be written now."),
    "resyncRequired": _wait("The service lost its state of the mailbox."),
    "resyncApplyDifferences": _wait("The service lost its state of the mailbox."),
    "resyncUploadDifferences": _wait("The service lost its state of the mailbox."),
    "syncStateNotFound": _wait("The service lost its state of the mailbox."),
    "invalidRange": _wait("The chunk is not the next one.", _INTERRUPTED),
    "fragmentLengthMismatch": _wait("The chunk has another length than announced.", _INTERRUPTED),
    "fragmentOutOfOrder": _wait("The chunk is not the next one.", _INTERRUPTED),
    "fragmentOverlap": _wait("The chunk was uploaded before.", _INTERRUPTED),
    "uploadSessionFailed": _wait("The upload session is over.", _INTERRUPTED),
    "uploadSessionIncomplete": _wait("The upload session is not complete.", _INTERRUPTED),
    "uploadSessionNotFound": _wait("The upload session is over.", _INTERRUPTED),
    "Conflict": _wait("Another request changed the same message."),
    "ErrorMailboxMoveInProgress": _wait("The mailbox is being moved."),
    "ErrorTooManyObjectsOpened": _wait("Too many objects of the mailbox are open."),
    "ErrorConnectionFailed": _wait("Exchange cannot reach the mailbox's server."),
    "ErrorADUnavailable": _wait("The directory is not available to Exchange."),
    "ErrorADOperation": _wait("The directory did not answer Exchange."),
    "ErrorExceededConnectionCount": _wait("Too many connections to the mailbox."),
    "ErrorInsufficientResources": _wait("The server lacks resources."),
    "ErrorNotEnoughMemory": _wait("The server lacks memory."),
    "ErrorMailboxFailover": _wait("The mailbox moves to another server."),
    "ErrorMailboxLogon": _wait("Exchange cannot open the mailbox now."),
    "ErrorNoRespondingCASInDestinationSite": _wait("No server of the mailbox's site answers."),
    "ErrorProxyCallFailed": _wait("One server of Exchange cannot reach another."),
    "ErrorProxyRequestProcessingFailed": _wait("One server of Exchange cannot reach another."),
    "ErrorStaleObject": _wait("The message changed meanwhile."),
    "ErrorItemNotFound": _wait("The message is not in the mailbox.", "draft_lost"),
    "itemNotFound": _wait("The message is not in the mailbox.", "draft_lost"),
    "ErrorInvalidIdMalformed": _wait("The mailbox does not know the draft's id.", "draft_lost"),
    "ErrorInvalidMailboxItemId": _wait("The draft is in another mailbox.", "draft_lost"),
    "ErrorExceededMessageLimit": _wait(
        "The mailbox used up its messages for the day.", "sending_limit_reached"
    ),
    "ErrorExceededHourlyMessageLimit": _wait(
        "The mailbox used up its messages for the hour.", "sending_limit_reached"
    ),
    "ErrorSubmissionQuotaExceeded": _wait("The mailbox used up its messages.", "sending_limit_reached"),
    "ErrorInternalServerError": _unsure("An error inside Exchange."),
    "ErrorInternalServerTransientError": _unsure("A passing error inside Exchange."),
    "ErrorMailboxStoreUnavailable": _unsure("The mailbox's store is not available."),
    "ErrorMessageTimeout": _unsure("Sending was not done in time."),
    "ErrorTimeoutExpired": _unsure("The request was not done in time."),
    "InvalidAuthenticationToken": GraphCode("The token is expired or not valid.", Kind.TOKEN, _TOKEN),
    "unauthenticated": GraphCode("The token is missing or not valid.", Kind.TOKEN, _TOKEN),
    "NoPermissionsInAccessToken": GraphCode("The token has no permissions.", Kind.TOKEN, _TOKEN),
    "insufficient_claims": GraphCode("Conditional access wants a new sign-in.", Kind.TOKEN, _TOKEN),
    "OrganizationFromTenantGuidNotFound": _no_right(
        "The organisation has no Exchange Online.", "organization_not_found"
    ),
    "Authorization_RequestDenied": _no_right("The app lacks a permission.", "access_denied"),
    "accessDenied": _no_right("The app lacks a permission.", "access_denied"),
    "ErrorAccessDenied": _no_right("Exchange refuses access to the mailbox.", "access_denied"),
    "ErrorSendAsDenied": _no_right("The account lacks Send As on the From address.", "send_as_denied"),
    "ErrorInvalidUser": _no_right("Exchange knows no such mailbox.", _NO_MAILBOX),
    "ErrorNonExistentMailbox": _no_right("There is no such mailbox; also answered at random.", _NO_MAILBOX),
    "ErrorNonPrimarySmtpAddress": _no_right("The address is an alias of the mailbox.", _NO_MAILBOX),
    "provisioningNotAllowed": _no_right("The mailbox has to be set up first.", _NO_MAILBOX),
    "accessRestricted": _no_right("Access is restricted to the owner.", "access_denied"),
    "MailboxNotEnabledForRESTAPI": _no_right("The mailbox has no licence or is on premises.", _NO_MAILBOX),
    "Request_ResourceNotFound": _no_right("The directory knows no such user.", _NO_MAILBOX),
    "ResourceNotFound": _no_right("There is no such mailbox.", _NO_MAILBOX),
    "extensionError": _no_right("The mailbox cannot be used.", _NO_MAILBOX),
    "ErrorAccountSuspend": _no_right("The account is suspended.", "sender_blocked"),
    "ErrorAccountSuspendShowTierUpgrade": _no_right("The account is suspended.", "sender_blocked"),
    "ErrorMessageBlocked": _no_right("The message is blocked as spam.", "sender_blocked"),
    "ErrorMessageSubmissionBlocked": _no_right("The mailbox may not send.", "sender_blocked"),
    "ErrorQuotaExceeded": _no_right(
        "No room for named properties, or for mail: a mail is sent once more without the app's own property.",
        "mailbox_full",
    ),
    "quotaLimitReached": _no_right("The mailbox has no room.", "mailbox_full"),
    "ErrorAttachmentSizeLimitExceeded": _refused("A file is over the mailbox's limit.", "message_too_large"),
    "ErrorMessageSizeExceeded": _refused("The message is over the mailbox's limit.", "message_too_large"),
    "maxFileSizeExceeded": _refused("A file is over the limit.", "message_too_large"),
    "maxStreamSizeExceeded": _refused("A file is over the limit.", "message_too_large"),
    "malwareDetected": _refused("A file is infected.", "file_infected"),
    "virusSuspicious": _refused("A file is suspicious.", "file_infected"),
    "InvalidInternetMessageHeaderCollection": _refused("A header's name is not allowed.", "mail_rejected"),
    "InvalidInternetMessageHeader": _refused("A header's name is not allowed.", "mail_rejected"),
    "ErrorInvalidPropertySet": _refused("A property of the message is not valid.", "mail_rejected"),
    "ErrorInvalidRequest": _refused("The request is not valid.", "mail_rejected"),
    "ErrorInvalidExtendedProperty": _refused("A property of the message is not valid.", "mail_rejected"),
    "ErrorRequiredPropertyMissing": _refused("A property of the message is missing.", "mail_rejected"),
    "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize": _refused(
        "The file is too small for an upload session.", "mail_rejected"
    ),
    "RequestBodyRead": _refused("The request cannot be read.", "mail_rejected"),
    "ErrorExceededMaxRecipientLimit": _refused("Too many recipients.", "recipients_refused"),
    "ErrorInvalidRecipients": GraphCode(
        "A recipient is not valid; also answered at random.", Kind.REFUSED_AT_TIMES, "recipients_refused"
    ),
}
