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
    from tests.emulator_tests.conftest import Emulator

SHARED = ("Mail.Send", "Mail.Send.Shared", "Mail.ReadWrite.Shared")


def test_a_new_draft_is_returned_with_all_properties_and_its_location(emulator: Emulator) -> None:
    header = {"name": "x-report", "value": "4711"}
    response = client(emulator).request(
        "POST", "/messages", json=a_message(internetMessageHeaders=[header]), headers=IMMUTABLE
    )
    draft = response.json()

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
    assert response.headers["Location"].startswith(f"{emulator.graph}/v1.0/me/messages('")


def test_sessions_and_chunks_name_their_context(emulator: Emulator) -> None:
    caller = client(emulator)
    session = caller.session_for(caller.draft(), 6_000_000).json()
    chunk = caller.put(session["uploadUrl"], bytes_of(3_000_000), 0, 6_000_000).json()

    assert session["@odata.context"].endswith("#microsoft.graph.uploadSession")
    assert "/AttachmentSessions/$entity" in chunk["@odata.context"]


@pytest.mark.parametrize("code", sorted(CODES | EXCHANGE))
def test_each_published_code_can_be_returned(emulator: Emulator, code: str) -> None:
    emulator.system.faults.add("sendMail", code)

    assert refused(client(emulator).send_mail()) == ((CODES | EXCHANGE)[code], code)
    assert emulator.system.mails() == []


@pytest.mark.parametrize("code", sorted(DETAILED))
def test_a_detailed_code_is_inside_a_general_one(emulator: Emulator, code: str) -> None:
    emulator.system.faults.add("sendMail", code)
    error = client(emulator).send_mail().json()["error"]

    assert (error["code"], error["innerError"]["code"]) == (DETAILED[code], code)
    assert {"date", "request-id", "client-request-id"} <= error["innerError"].keys()


def test_the_upload_host_puts_detailed_codes_inside_general_ones_too(emulator: Emulator) -> None:
    caller = client(emulator)
    url = caller.session_for(caller.draft(), 6_000_000).json()["uploadUrl"]
    emulator.system.faults.add("uploadChunk", "fragmentOverlap")

    error = caller.put(url, bytes_of(3_000_000), 0, 6_000_000).json()["error"]

    assert (error["code"], error["innerError"]) == ("invalidRange", {"code": "fragmentOverlap"})


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_each_documented_status_comes_as_json_as_a_page_and_empty(emulator: Emulator, status: int) -> None:
    for button in (f"HTTP {status}", f"HTTP {status} page", f"HTTP {status} empty"):
        emulator.system.faults.add("sendMail", button)
    responses = [client(emulator).send_mail() for _ in range(3)]

    assert {response.status_code for response in responses} == {status}
    assert responses[0].json()["error"]["code"] == STATUSES[status]
    assert responses[1].text.startswith("<html>")
    assert responses[2].content == b""


@pytest.mark.parametrize(
    ("button", "status"),
    [("conditional access", 403), ("conditional access page", 403), ("token revoked", 401)],
)
def test_any_call_can_get_a_claims_challenge(emulator: Emulator, button: str, status: int) -> None:
    emulator.system.faults.add("lookup", button)
    response = client(emulator).request("GET", "/messages")
    encoded = response.headers["WWW-Authenticate"].partition('claims="')[2].rstrip('"')

    assert response.status_code == status
    assert base64.b64decode(encoded).decode() == CLAIMS


def test_conditional_access_wants_claims_in_every_token(emulator: Emulator) -> None:
    emulator.system.behaviour.wanted_claims, emulator.system.behaviour.wanted_claims_status = CLAIMS, 403
    without = client(emulator).send_mail()
    token = emulator.system.graph_token(REPORTS, "Mail.Send", claims_request=CLAIMS)
    with_them = client(emulator).request(
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
def test_a_right_on_an_address_counts_after_a_while(emulator: Emulator, right: str) -> None:
    emulator.system.grant_consent(ADA, *SHARED)
    emulator.system.clock.advance(timedelta(hours=2))
    for known in ("send_as", "send_on_behalf"):
        emulator.system.directory.revoke(known, on=FINANCE, to=ADA)
    emulator.system.behaviour.rights_lag = 3600
    emulator.system.directory.grant(right, on=FINANCE, to=ADA)  # type: ignore[arg-type]
    caller, message = client(emulator, ADA, *SHARED), a_message(**{"from": a_recipient(FINANCE)})

    early = caller.send_mail(message)
    emulator.system.clock.advance(timedelta(minutes=61))

    assert refused(early) == (403, "ErrorSendAsDenied")
    assert client(emulator, ADA, *SHARED).send_mail(message).status_code == 202


def test_access_to_another_mailbox_counts_after_a_while(emulator: Emulator) -> None:
    emulator.system.grant_consent(ADA, *SHARED)
    emulator.system.clock.advance(timedelta(hours=2))
    emulator.system.directory.revoke("full_access", on=FINANCE, to=ADA)
    emulator.system.behaviour.rights_lag = 3600
    emulator.system.directory.grant("full_access", on=FINANCE, to=ADA)
    path = f"/users/{FINANCE}"

    early = client(emulator, ADA, *SHARED, root=path).request("GET", "/messages")
    emulator.system.clock.advance(timedelta(minutes=61))
    later = client(emulator, ADA, *SHARED, root=path).request("GET", "/messages")

    assert refused(early) == (403, "ErrorAccessDenied")
    assert later.status_code == 200


def test_a_consent_counts_at_graph_after_a_while_though_the_token_names_it(emulator: Emulator) -> None:
    emulator.system.behaviour.rights_lag = 600
    emulator.system.grant_consent(REPORTS, "Mail.Send")

    early = client(emulator, REPORTS, "Mail.Send").send_mail()
    emulator.system.clock.advance(timedelta(minutes=11))

    assert refused(early) == (403, "ErrorAccessDenied")
    assert client(emulator, REPORTS, "Mail.Send").send_mail().status_code == 202


def test_a_role_of_the_app_counts_at_graph_after_a_while(emulator: Emulator) -> None:
    emulator.system.behaviour.rights_lag = 600
    emulator.system.consents.grant_application(CLIENT_ID, CONTOSO, ["Mail.Send"])
    early = app_client(emulator, "Mail.Send").send_mail()
    emulator.system.clock.advance(timedelta(minutes=11))

    assert refused(early) == (403, "ErrorAccessDenied")
    assert app_client(emulator, "Mail.Send").send_mail().status_code == 202


def test_exchange_permissions_of_an_app_count_after_a_delay(emulator: Emulator) -> None:
    emulator.system.behaviour.rights_lag = 7200
    emulator.system.directory.change_app(CLIENT_ID, exchange_roles=frozenset({REPORTS}))
    early = app_client(emulator).send_mail()
    emulator.system.clock.advance(timedelta(minutes=121))
    later = app_client(emulator).send_mail()
    emulator.system.directory.change_app(CLIENT_ID, exchange_roles=frozenset())
    left = app_client(emulator).send_mail()
    emulator.system.clock.advance(timedelta(minutes=121))

    assert refused(early) == (403, "ErrorAccessDenied")
    assert (later.status_code, left.status_code) == (202, 202)
    assert refused(app_client(emulator).send_mail()) == (401, "NoPermissionsInAccessToken")


def test_an_access_policy_counts_after_a_while(emulator: Emulator) -> None:
    emulator.system.consents.grant_application(CLIENT_ID, CONTOSO, ["Mail.Send"])
    emulator.system.directory.change_app(CLIENT_ID, mailbox_scope=frozenset({ADA}))
    emulator.system.clock.advance(timedelta(hours=3))
    emulator.system.behaviour.rights_lag = 7200
    emulator.system.directory.change_app(CLIENT_ID, mailbox_scope=frozenset({ADA, REPORTS}))
    emulator.system.directory.change_app(CLIENT_ID, name="Renamed")
    early = app_client(emulator, "Mail.Send").send_mail()
    emulator.system.clock.advance(timedelta(minutes=121))

    assert refused(early) == (403, "ErrorAccessDenied")
    assert app_client(emulator, "Mail.Send").send_mail().status_code == 202


# Tokens


def test_an_opaque_token_is_readable_only_by_graph(emulator: Emulator) -> None:
    emulator.system.behaviour.opaque_tokens = True
    token = emulator.system.graph_token(REPORTS, "Mail.Send")

    with pytest.raises(jwt.DecodeError):
        jwt.decode(token, options={"verify_signature": False})
    response = client(emulator).request(
        "POST", "/sendMail", json={"message": a_message()}, headers={"Authorization": f"Bearer {token}"}
    )
    assert response.status_code == 202
    assert token in emulator.system.tokens.issued


# Limits


def test_calls_over_the_limit_are_refused_for_ten_minutes_after_the_oldest(emulator: Emulator) -> None:
    emulator.system.behaviour.calls_limit = 3
    caller = client(emulator)
    statuses = [caller.request("GET", "/messages").status_code for _ in range(3)]
    over = caller.request("GET", "/messages")
    emulator.system.clock.advance(timedelta(seconds=600))

    assert statuses == [200, 200, 200]
    assert refused(over) == (429, "ApplicationThrottled")
    assert 598 <= int(over.headers["Retry-After"]) <= 600
    assert client(emulator).request("GET", "/messages").status_code == 200


def test_the_limit_of_calls_is_microsofts() -> None:
    from tests.local_stack.microsoft365.behaviour import Behaviour

    assert (Behaviour().calls_limit, Behaviour().calls_window) == (10_000, 600)
    assert Behaviour().upload_window == 300


def test_uploads_over_the_limit_are_refused_and_reading_uploads_nothing(emulator: Emulator) -> None:
    emulator.system.behaviour.upload_limit = 5_000_000
    caller = client(emulator)
    draft = caller.draft()
    url = caller.session_for(draft, 9_000_000).json()["uploadUrl"]
    first = caller.put(url, bytes_of(3_000_000), 0, 9_000_000)
    second = caller.put(url, bytes_of(3_000_000), 3_000_000, 9_000_000)

    assert first.status_code == 200
    assert second.status_code == 429
    assert int(second.headers["Retry-After"]) <= 300
    emulator.system.clock.advance(timedelta(seconds=301))
    assert caller.put(url, bytes_of(3_000_000), 3_000_000, 9_000_000).status_code == 200


def test_mails_over_the_limit_are_refused_for_a_minute_after_the_oldest(emulator: Emulator) -> None:
    emulator.system.behaviour.mails_limit = 2
    caller = client(emulator)
    sent = [caller.send_mail(a_message()) for _ in range(4)]

    assert [response.status_code for response in sent] == [202, 202, 429, 429]
    assert refused(sent[2]) == (429, "ApplicationThrottled")
    assert 55 <= int(sent[3].headers["Retry-After"]) <= 60
    assert caller.request("GET", "/messages").status_code == 200
    # The refused ones did not count.
    emulator.system.clock.advance(timedelta(seconds=60))
    assert caller.send_mail(a_message()).status_code == 202


def test_another_mailbox_has_limits_of_its_own(emulator: Emulator) -> None:
    emulator.system.behaviour.calls_limit = 1

    assert client(emulator, REPORTS).request("GET", "/messages").status_code == 200
    assert client(emulator, ADA).request("GET", "/messages").status_code == 200


@pytest.mark.parametrize(("subject", "status", "kept"), [("cut", 201, 255), ("kept", 201, 300)])
def test_a_long_subject_is_cut_or_stored(emulator: Emulator, subject: str, status: int, kept: int) -> None:
    emulator.system.behaviour.long_subject = subject  # type: ignore[assignment]
    response = client(emulator).request("POST", "/messages", json=a_message(subject="x" * 300))

    assert (response.status_code, len(response.json()["subject"])) == (status, kept)


def test_a_long_subject_may_be_refused(emulator: Emulator) -> None:
    emulator.system.behaviour.long_subject = "refused"

    assert refused(client(emulator).send_mail(a_message(subject="x" * 256))) == (400, "ErrorInvalidRequest")
    assert client(emulator).send_mail(a_message(subject="x" * 255)).status_code == 202


def test_a_message_has_250_files_at_most(emulator: Emulator) -> None:
    caller = client(emulator)
    files = [a_file(b"x", name=f"{number}.txt") for number in range(250)]
    draft = caller.draft(attachments=files)

    assert refused(caller.attach(draft, b"x")) == (400, "ErrorInvalidRequest")
    assert refused(caller.send_mail(a_message(attachments=[*files, a_file(b"x")])))[0] == 400
    assert caller.send_mail(a_message(attachments=files)).status_code == 202


def test_looking_for_a_property_takes_too_long_in_a_large_mailbox(emulator: Emulator) -> None:
    emulator.system.behaviour.large_mailbox = True
    wanted = f"singleValueExtendedProperties/Any(ep: ep/id eq '{KEY_ID}' and ep/value eq 'k')"

    assert refused(client(emulator).request("GET", "/messages", params={"$filter": wanted})) == (
        504,
        "UnknownError",
    )
    assert client(emulator).request("GET", "/messages").status_code == 200


def test_the_control_route_sets_effects_of_the_vocabulary_by_name(emulator: Emulator) -> None:
    body = json.dumps({"operation": "sendMail", "effect": "ErrorMailboxMoveInProgress"})
    response = emulator.session().post(f"{emulator.graph}/_control/faults", data=body, timeout=5)

    assert response.status_code == 200
    assert refused(client(emulator).send_mail()) == (409, "ErrorMailboxMoveInProgress")
