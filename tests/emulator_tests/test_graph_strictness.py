"""The local Graph is as strict and as slow as the real one."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import jwt
import pytest

from tests.emulator_tests.test_graph import (
    IMMUTABLE,
    KEY_ID,
    a_file,
    a_message,
    a_recipient,
    app_client,
    bytes_of,
    client,
    refused,
)
from tests.local_stack.microsoft365 import FAULT_EFFECTS, Effect
from tests.local_stack.microsoft365.contoso import ADA, CLIENT_ID, CONTOSO, FINANCE, REPORTS
from tests.local_stack.microsoft365.vocabulary import CLAIMS, CODES, DETAILED, EXCHANGE, STATUSES

if TYPE_CHECKING:
    from tests.emulator_tests.conftest import Stand

SHARED = ("Mail.Send", "Mail.Send.Shared", "Mail.ReadWrite.Shared")


def test_a_new_draft_is_returned_with_all_properties_and_its_location(stand: Stand) -> None:
    header = {"name": "x-report", "value": "4711"}
    answer = client(stand).ask(
        "POST", "/messages", json=a_message(internetMessageHeaders=[header]), headers=IMMUTABLE
    )
    draft = answer.json()

    assert {
        "lastModifiedDateTime",
        "receivedDateTime",
        "sentDateTime",
        "conversationId",
        "conversationIndex",
        "webLink",
        "categories",
        "inferenceClassification",
        "isDeliveryReceiptRequested",
        "isReadReceiptRequested",
        "flag",
    } <= draft.keys()
    assert "internetMessageHeaders" not in draft
    assert answer.headers["Location"].startswith(f"{stand.graph}/v1.0/me/messages('")


def test_sessions_and_chunks_name_their_context(stand: Stand) -> None:
    caller = client(stand)
    session = caller.session_for(caller.draft(), 6_000_000).json()
    chunk = caller.put(session["uploadUrl"], bytes_of(3_000_000), 0, 6_000_000).json()

    assert session["@odata.context"].endswith("#microsoft.graph.uploadSession")
    assert "/AttachmentSessions/$entity" in chunk["@odata.context"]


@pytest.mark.parametrize("code", sorted(CODES | EXCHANGE))
def test_each_published_code_can_be_answered(stand: Stand, code: str) -> None:
    stand.system.faults.add("sendMail", code)

    assert refused(client(stand).send_mail()) == ((CODES | EXCHANGE)[code], code)
    assert stand.system.mails() == []


@pytest.mark.parametrize("code", sorted(DETAILED))
def test_a_detailed_code_is_inside_a_general_one(stand: Stand, code: str) -> None:
    stand.system.faults.add("sendMail", code)
    error = client(stand).send_mail().json()["error"]

    assert (error["code"], error["innerError"]["code"]) == (DETAILED[code], code)
    assert {"date", "request-id", "client-request-id"} <= error["innerError"].keys()


def test_the_upload_host_puts_detailed_codes_inside_general_ones_too(stand: Stand) -> None:
    caller = client(stand)
    url = caller.session_for(caller.draft(), 6_000_000).json()["uploadUrl"]
    stand.system.faults.add("uploadChunk", "fragmentOverlap")

    error = caller.put(url, bytes_of(3_000_000), 0, 6_000_000).json()["error"]

    assert (error["code"], error["innerError"]) == ("invalidRange", {"code": "fragmentOverlap"})


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_each_documented_status_comes_as_json_as_a_page_and_empty(stand: Stand, status: int) -> None:
    for button in (f"HTTP {status}", f"HTTP {status} page", f"HTTP {status} empty"):
        stand.system.faults.add("sendMail", button)
    answers = [client(stand).send_mail() for _ in range(3)]

    assert {answer.status_code for answer in answers} == {status}
    assert answers[0].json()["error"]["code"] == STATUSES[status]
    assert answers[1].text.startswith("<html>")
    assert answers[2].content == b""


@pytest.mark.parametrize(
    ("button", "status"),
    [("conditional access", 403), ("conditional access page", 403), ("token revoked", 401)],
)
def test_a_claims_challenge_can_be_answered_to_any_call(stand: Stand, button: str, status: int) -> None:
    stand.system.faults.add("lookup", button)
    answer = client(stand).ask("GET", "/messages")
    encoded = answer.headers["WWW-Authenticate"].partition('claims="')[2].rstrip('"')

    assert answer.status_code == status
    assert base64.b64decode(encoded).decode() == CLAIMS


def test_conditional_access_wants_claims_in_every_token(stand: Stand) -> None:
    stand.system.behaviour.wanted_claims, stand.system.behaviour.wanted_claims_status = CLAIMS, 403
    without = client(stand).send_mail()
    token = stand.system.graph_token(REPORTS, "Mail.Send", claims_request=CLAIMS)
    with_them = client(stand).ask(
        "POST", "/sendMail", json={"message": a_message()}, headers={"Authorization": f"Bearer {token}"}
    )

    assert refused(without) == (403, "accessDenied")
    assert 'error="insufficient_claims"' in without.headers["WWW-Authenticate"]
    assert with_them.status_code == 202


def test_every_effect_of_the_vocabulary_has_a_name() -> None:
    names = {*CODES, *DETAILED, *EXCHANGE, *(f"HTTP {status}" for status in STATUSES)}

    assert names <= FAULT_EFFECTS.keys()
    assert all(isinstance(effect, Effect) for effect in FAULT_EFFECTS.values())


# Rights that count after a while


@pytest.mark.parametrize("right", ["send_as", "send_on_behalf"])
def test_a_right_on_an_address_counts_after_a_while(stand: Stand, right: str) -> None:
    stand.system.grant_consent(ADA, *SHARED)
    stand.system.clock.advance(timedelta(hours=2))
    for known in ("send_as", "send_on_behalf"):
        stand.system.directory.revoke(known, on=FINANCE, to=ADA)
    stand.system.behaviour.rights_lag = 3600
    stand.system.directory.grant(right, on=FINANCE, to=ADA)  # type: ignore[arg-type]
    caller, message = client(stand, ADA, *SHARED), a_message(**{"from": a_recipient(FINANCE)})

    early = caller.send_mail(message)
    stand.system.clock.advance(timedelta(minutes=61))

    assert refused(early) == (403, "ErrorSendAsDenied")
    assert client(stand, ADA, *SHARED).send_mail(message).status_code == 202


def test_access_to_another_mailbox_counts_after_a_while(stand: Stand) -> None:
    stand.system.grant_consent(ADA, *SHARED)
    stand.system.clock.advance(timedelta(hours=2))
    stand.system.directory.revoke("full_access", on=FINANCE, to=ADA)
    stand.system.behaviour.rights_lag = 3600
    stand.system.directory.grant("full_access", on=FINANCE, to=ADA)
    path = f"/users/{FINANCE}"

    early = client(stand, ADA, *SHARED, root=path).ask("GET", "/messages")
    stand.system.clock.advance(timedelta(minutes=61))
    later = client(stand, ADA, *SHARED, root=path).ask("GET", "/messages")

    assert refused(early) == (403, "ErrorAccessDenied")
    assert later.status_code == 200


def test_a_consent_counts_at_graph_after_a_while_though_the_token_names_it(stand: Stand) -> None:
    stand.system.behaviour.rights_lag = 600
    stand.system.grant_consent(REPORTS, "Mail.Send")

    early = client(stand, REPORTS, "Mail.Send").send_mail()
    stand.system.clock.advance(timedelta(minutes=11))

    assert refused(early) == (403, "ErrorAccessDenied")
    assert client(stand, REPORTS, "Mail.Send").send_mail().status_code == 202


def test_a_role_of_the_app_counts_at_graph_after_a_while(stand: Stand) -> None:
    stand.system.behaviour.rights_lag = 600
    stand.system.consents.grant_application(CLIENT_ID, CONTOSO, ["Mail.Send"])
    early = app_client(stand, "Mail.Send").send_mail()
    stand.system.clock.advance(timedelta(minutes=11))

    assert refused(early) == (403, "ErrorAccessDenied")
    assert app_client(stand, "Mail.Send").send_mail().status_code == 202


def test_exchange_permissions_of_an_app_count_after_a_delay(stand: Stand) -> None:
    stand.system.behaviour.rights_lag = 7200
    stand.system.directory.change_app(CLIENT_ID, exchange_roles=frozenset({REPORTS}))
    early = app_client(stand).send_mail()
    stand.system.clock.advance(timedelta(minutes=121))
    later = app_client(stand).send_mail()
    stand.system.directory.change_app(CLIENT_ID, exchange_roles=frozenset())
    left = app_client(stand).send_mail()
    stand.system.clock.advance(timedelta(minutes=121))

    assert refused(early) == (403, "ErrorAccessDenied")
    assert (later.status_code, left.status_code) == (202, 202)
    assert refused(app_client(stand).send_mail()) == (401, "NoPermissionsInAccessToken")


def test_an_access_policy_counts_after_a_while(stand: Stand) -> None:
    stand.system.consents.grant_application(CLIENT_ID, CONTOSO, ["Mail.Send"])
    stand.system.directory.change_app(CLIENT_ID, mailbox_scope=frozenset({ADA}))
    stand.system.clock.advance(timedelta(hours=3))
    stand.system.behaviour.rights_lag = 7200
    stand.system.directory.change_app(CLIENT_ID, mailbox_scope=frozenset({ADA, REPORTS}))
    stand.system.directory.change_app(CLIENT_ID, name="Renamed")
    early = app_client(stand, "Mail.Send").send_mail()
    stand.system.clock.advance(timedelta(minutes=121))

    assert refused(early) == (403, "ErrorAccessDenied")
    assert app_client(stand, "Mail.Send").send_mail().status_code == 202


# Tokens


def test_an_opaque_token_is_readable_only_by_graph(stand: Stand) -> None:
    stand.system.behaviour.opaque_tokens = True
    token = stand.system.graph_token(REPORTS, "Mail.Send")

    with pytest.raises(jwt.DecodeError):
        jwt.decode(token, options={"verify_signature": False})
    answer = client(stand).ask(
        "POST", "/sendMail", json={"message": a_message()}, headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 202
    assert token in stand.system.tokens.issued


# Limits


def test_calls_over_the_limit_are_refused_for_ten_minutes_after_the_oldest(stand: Stand) -> None:
    stand.system.behaviour.calls_limit = 3
    caller = client(stand)
    statuses = [caller.ask("GET", "/messages").status_code for _ in range(3)]
    over = caller.ask("GET", "/messages")
    stand.system.clock.advance(timedelta(seconds=600))

    assert statuses == [200, 200, 200]
    assert refused(over) == (429, "ApplicationThrottled")
    assert 598 <= int(over.headers["Retry-After"]) <= 600
    assert client(stand).ask("GET", "/messages").status_code == 200


def test_the_limit_of_calls_is_microsofts() -> None:
    from tests.local_stack.microsoft365.behaviour import Behaviour

    assert (Behaviour().calls_limit, Behaviour().calls_window) == (10_000, 600)
    assert Behaviour().upload_window == 300


def test_uploads_over_the_limit_are_refused_and_reading_uploads_nothing(stand: Stand) -> None:
    stand.system.behaviour.upload_limit = 5_000_000
    caller = client(stand)
    draft = caller.draft()
    url = caller.session_for(draft, 9_000_000).json()["uploadUrl"]
    first = caller.put(url, bytes_of(3_000_000), 0, 9_000_000)
    second = caller.put(url, bytes_of(3_000_000), 3_000_000, 9_000_000)

    assert first.status_code == 200
    assert second.status_code == 429
    assert int(second.headers["Retry-After"]) <= 300
    stand.system.clock.advance(timedelta(seconds=301))
    assert caller.put(url, bytes_of(3_000_000), 3_000_000, 9_000_000).status_code == 200


def test_mails_over_the_limit_are_refused_for_a_minute_after_the_oldest(stand: Stand) -> None:
    stand.system.behaviour.mails_limit = 2
    caller = client(stand)
    sent = [caller.send_mail(a_message()) for _ in range(4)]

    assert [answer.status_code for answer in sent] == [202, 202, 429, 429]
    assert refused(sent[2]) == (429, "ApplicationThrottled")
    assert 55 <= int(sent[3].headers["Retry-After"]) <= 60
    assert caller.ask("GET", "/messages").status_code == 200
    # The refused ones did not count.
    stand.system.clock.advance(timedelta(seconds=60))
    assert caller.send_mail(a_message()).status_code == 202


def test_another_mailbox_has_limits_of_its_own(stand: Stand) -> None:
    stand.system.behaviour.calls_limit = 1

    assert client(stand, REPORTS).ask("GET", "/messages").status_code == 200
    assert client(stand, ADA).ask("GET", "/messages").status_code == 200


@pytest.mark.parametrize(("subject", "status", "kept"), [("cut", 201, 255), ("kept", 201, 300)])
def test_a_long_subject_is_cut_or_stored(stand: Stand, subject: str, status: int, kept: int) -> None:
    stand.system.behaviour.long_subject = subject  # type: ignore[assignment]
    answer = client(stand).ask("POST", "/messages", json=a_message(subject="x" * 300))

    assert (answer.status_code, len(answer.json()["subject"])) == (status, kept)


def test_a_long_subject_may_be_refused(stand: Stand) -> None:
    stand.system.behaviour.long_subject = "refused"

    assert refused(client(stand).send_mail(a_message(subject="x" * 256))) == (400, "ErrorInvalidRequest")
    assert client(stand).send_mail(a_message(subject="x" * 255)).status_code == 202


def test_a_message_has_250_files_at_most(stand: Stand) -> None:
    caller = client(stand)
    files = [a_file(b"x", name=f"{number}.txt") for number in range(250)]
    draft = caller.draft(attachments=files)

    assert refused(caller.attach(draft, b"x")) == (400, "ErrorInvalidRequest")
    assert refused(caller.send_mail(a_message(attachments=[*files, a_file(b"x")])))[0] == 400
    assert caller.send_mail(a_message(attachments=files)).status_code == 202


def test_looking_for_a_property_takes_too_long_in_a_large_mailbox(stand: Stand) -> None:
    stand.system.behaviour.large_mailbox = True
    wanted = f"singleValueExtendedProperties/Any(ep: ep/id eq '{KEY_ID}' and ep/value eq 'k')"

    assert refused(client(stand).ask("GET", "/messages", params={"$filter": wanted})) == (504, "UnknownError")
    assert client(stand).ask("GET", "/messages").status_code == 200


def test_the_control_route_sets_effects_of_the_vocabulary_by_name(stand: Stand) -> None:
    body = json.dumps({"operation": "sendMail", "effect": "ErrorMailboxMoveInProgress"})
    answer = stand.session().post(f"{stand.graph}/_control/faults", data=body, timeout=5)

    assert answer.status_code == 200
    assert refused(client(stand).send_mail()) == (409, "ErrorMailboxMoveInProgress")
