"""The effect of every possible response of Graph on a mail."""

from __future__ import annotations

import json
from datetime import timedelta
from http import HTTPStatus

import pytest

from shared.adapters.graph_error_codes import GENERAL_CODES, GRAPH_CODES, Kind
from shared.adapters.graph_error_mapping import graph_error
from shared.adapters.http import HttpResponse
from shared.deliveries.status import DeliveryStatus
from shared.errors import OutcomeUnknownError, ProblemError, RejectedError
from shared.sending.retry_policy import AttemptContext, decide_retry
from tests.exchange_online import a_sender
from tests.fakes import NOON

STATUSES = range(400, 600)
#: https://learn.microsoft.com/graph/errors, the codes of both tables.
PUBLISHED = frozenset(
    {
        "accessDenied",
        "activityLimitReached",
        "extensionError",
        "generalException",
        "invalidRange",
        "invalidRequest",
        "itemNotFound",
        "malwareDetected",
        "nameAlreadyExists",
        "notAllowed",
        "notSupported",
        "resourceModified",
        "resyncRequired",
        "serviceNotAvailable",
        "syncStateNotFound",
        "quotaLimitReached",
        "unauthenticated",
        "accessRestricted",
        "cannotSnapshotTree",
        "childItemCountExceeded",
        "entityTagDoesNotMatch",
        "fragmentLengthMismatch",
        "fragmentOutOfOrder",
        "fragmentOverlap",
        "invalidAcceptType",
        "invalidParameterFormat",
        "invalidPath",
        "invalidQueryOption",
        "invalidStartIndex",
        "lockMismatch",
        "lockNotFoundOrAlreadyExpired",
        "lockOwnerMismatch",
        "malformedEntityTag",
        "maxDocumentCountExceeded",
        "maxFileSizeExceeded",
        "maxFolderCountExceeded",
        "maxFragmentLengthExceeded",
        "maxItemCountExceeded",
        "maxQueryLengthExceeded",
        "maxStreamSizeExceeded",
        "parameterIsTooLong",
        "parameterIsTooSmall",
        "pathIsTooLong",
        "pathTooDeep",
        "propertyNotUpdateable",
        "provisioningNotAllowed",
        "resourceBeingProvisioned",
        "resyncApplyDifferences",
        "resyncUploadDifferences",
        "serviceReadOnly",
        "throttledRequest",
        "tooManyResultsRequested",
        "tooManyTermsInQuery",
        "totalAffectedItemCountExceeded",
        "truncationNotAllowed",
        "uploadSessionFailed",
        "uploadSessionIncomplete",
        "uploadSessionNotFound",
        "virusSuspicious",
        "zeroOrFewerResultsRequested",
    }
)
#: After these, the outcome of a mail is unknown.
UNSURE = {500, 502, 504}
NOT_JSON = [b"", b"<html><body>Error</body></html>", b"\xff\xfe", b"[]", b'{"error": "denied"}']


def error_response(status: int, code: str) -> HttpResponse:
    body = json.dumps({"error": {"code": code, "message": "m", "innerError": {"request-id": "r"}}})
    return HttpResponse(status, {"request-id": "r"}, body.encode())


def first_status(error: ProblemError) -> DeliveryStatus:
    """Return the status of a mail after this error in its first attempt."""
    return decide_retry(error, AttemptContext(NOON, 1, NOON, None, 0.5)).status


def test_every_published_code_is_in_a_table() -> None:
    assert PUBLISHED - GRAPH_CODES.keys() - GENERAL_CODES == set()
    assert GRAPH_CODES.keys() & GENERAL_CODES == set()


@pytest.mark.parametrize("code", ["ErrorSomethingNew", "UnknownError", *NOT_JSON], ids=repr)
def test_only_a_response_known_to_concern_the_message_rejects_it(code: str | bytes) -> None:
    for status in STATUSES:
        response = (
            error_response(status, code)
            if isinstance(code, str)
            else HttpResponse(status, {"request-id": "r"}, code)
        )
        error = graph_error(response, a_sender())

        if status == HTTPStatus.CONTENT_TOO_LARGE:
            assert first_status(error) is DeliveryStatus.REJECTED
        elif status == HTTPStatus.INSUFFICIENT_STORAGE:
            assert first_status(error) is DeliveryStatus.DEFERRED
        else:
            assert first_status(error) in {DeliveryStatus.DEFERRED, DeliveryStatus.UNKNOWN}
            assert not isinstance(error, RejectedError)


@pytest.mark.parametrize("code", ["ErrorSomethingNew", "UnknownError", b"<html>Error</html>"], ids=repr)
def test_a_response_that_defers_a_mail_is_named(code: str | bytes) -> None:
    for status in STATUSES:
        response = (
            error_response(status, code)
            if isinstance(code, str)
            else HttpResponse(status, {"request-id": "r"}, code)
        )
        error = graph_error(response, a_sender(), is_send=False)

        assert (code if isinstance(code, str) else f"HTTP {status}") in error.params.values()


@pytest.mark.parametrize(
    "status", [400, 401, 402, 403, 404, 405, 406, 409, 411, 413, 415, 416, 422, 451, 499]
)
@pytest.mark.parametrize("body", [b"", b"<html>Denied</html>"])
def test_a_page_of_another_server_ends_no_mail_at_once(status: int, body: bytes) -> None:
    """Such as the 413 of nginx for more than 1 MB, which is its default."""
    assert first_status(graph_error(HttpResponse(status, {}, body), a_sender())) is DeliveryStatus.DEFERRED


@pytest.mark.parametrize("code", GRAPH_CODES)
def test_only_a_refusal_of_the_message_ends_a_mail_at_once(code: str) -> None:
    for status in STATUSES:
        ended = first_status(graph_error(error_response(status, code), a_sender())) is DeliveryStatus.REJECTED

        assert ended is (GRAPH_CODES[code].kind is Kind.REFUSED)


@pytest.mark.parametrize("code", [code for code, found in GRAPH_CODES.items() if found.kind is Kind.NO_RIGHT])
def test_a_repeated_refusal_of_the_mailbox_ends_no_mail(code: str) -> None:
    error = graph_error(error_response(403, code), a_sender())
    moment = NOON
    for attempt in range(1, 10):
        again = decide_retry(
            error, AttemptContext(moment, attempt, NOON, None, 0.5, refusals=attempt)
        ).next_attempt_at
        assert again is not None
        assert again - moment >= timedelta(minutes=5)
        moment = again
    confirmed = decide_retry(error, AttemptContext(moment, 10, NOON, None, 0.5, sender_refused=True))

    assert confirmed.status is DeliveryStatus.WAITING_FOR_MICROSOFT365
    assert confirmed.next_attempt_at is None


@pytest.mark.parametrize("status", sorted(UNSURE))
@pytest.mark.parametrize(
    "code", ["", "UnknownError", "ErrorSomethingNew", "serviceNotAvailable", "accessDenied2"]
)
def test_a_response_after_a_possible_send_leaves_the_outcome_unknown(status: int, code: str) -> None:
    assert isinstance(graph_error(error_response(status, code), a_sender()), OutcomeUnknownError)
    assert not isinstance(
        graph_error(error_response(status, code), a_sender(), is_send=False), OutcomeUnknownError
    )


@pytest.mark.parametrize("body", NOT_JSON)
def test_a_call_that_submits_nothing_leaves_no_outcome_open(body: bytes) -> None:
    for status in STATUSES:
        error = graph_error(HttpResponse(status, {"request-id": "r"}, body), a_sender(), is_send=False)

        assert not isinstance(error, OutcomeUnknownError)
