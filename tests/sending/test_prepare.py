"""The route of a mail, by its sizes and permissions."""

from __future__ import annotations

import pytest

from shared.errors import ConfigurationError, RejectedError
from shared.mail.attachments import SizedFile
from shared.mail.message import Attachment
from shared.sending.prepare import LARGEST_FILE_BYTES, MAX_REQUEST_BYTES, Route, choose_route, encoded_size
from tests.exchange_online import READ_WRITE, a_sender

SEND_ALONE = frozenset({"Mail.Send"})


def files(*sizes: int) -> list[SizedFile]:
    file = Attachment(name="a.bin", content_type="application/octet-stream", blob="a.bin")
    return [SizedFile(file, size) for size in sizes]


@pytest.mark.parametrize("scopes", [SEND_ALONE, READ_WRITE])
@pytest.mark.parametrize(
    ("message_bytes", "sizes"), [(500, []), (500, [2_900_000]), (3_900_000, []), (500, [100_000] * 20)]
)
def test_what_fits_one_request_travels_in_one(
    scopes: frozenset[str], message_bytes: int, sizes: list[int]
) -> None:
    assert choose_route(message_bytes, files(*sizes), a_sender(scopes), 35) is Route.ONE_REQUEST


@pytest.mark.parametrize("sizes", [[2_930_000], [3_000_000], [2_000_000, 2_000_000], [26_000_000]])
def test_what_does_not_travels_as_a_draft(sizes: list[int]) -> None:
    assert choose_route(500, files(*sizes), a_sender(READ_WRITE), 35) is Route.DRAFT


@pytest.mark.parametrize("sizes", [[2_930_000], [3_000_000], [2_000_000, 2_000_000]])
def test_a_large_mail_without_the_permission_is_refused_naming_who_acts(sizes: list[int]) -> None:
    with pytest.raises(RejectedError) as caught:
        choose_route(500, files(*sizes), a_sender(SEND_ALONE), 35)

    assert caught.value.code == "large_file_attachments_off"
    assert "large file attachments, which are turned off. A workspace admin" in caught.value.problem.detail


def test_the_permission_is_not_case_sensitive() -> None:
    sender = a_sender(frozenset({"mail.send", "mail.readwrite"}))

    assert choose_route(500, files(4_000_000), sender, 35) is Route.DRAFT


def test_a_mail_over_the_limit_waits_and_names_the_command_that_raises_it() -> None:
    limit = 35 * 1024 * 1024
    fitting = limit // 4 * 3 - 3_000

    assert choose_route(500, files(fitting), a_sender(), 35) is Route.DRAFT
    with pytest.raises(ConfigurationError) as caught:
        choose_route(500, files(fitting + 6_000), a_sender(), 35)

    assert caught.value.code == "message_too_large"
    assert (
        "Set-Mailbox -Identity ada@contoso.com -MaxSendSize 150MB -MaxReceiveSize 150MB"
        in caught.value.problem.detail
    )
    assert "sets MAILBOX_MESSAGE_LIMIT_MB to 36, which this mail needs." in caught.value.problem.detail


def test_the_limit_that_is_named_is_one_that_suffices() -> None:
    one_file = files(120_000_000)
    with pytest.raises(ConfigurationError) as caught:
        choose_route(500, one_file, a_sender(), 150)

    assert caught.value.problem.detail.startswith("The mail, 152.6 MB with its files encoded,")
    assert caught.value.params["needed"] == "153"
    assert "more than the 150 MB that Exchange can be set to" in caught.value.problem.detail
    assert choose_route(500, one_file, a_sender(), 153) is Route.DRAFT


def test_what_no_setting_can_make_possible_is_the_schedulers_to_change() -> None:
    two_files = files(90_000_000, 90_000_000)
    for sender in (a_sender(), a_sender(SEND_ALONE)):
        with pytest.raises(RejectedError) as caught:
            choose_route(500, two_files, sender, 210)

        assert caught.value.code == "message_over_maximum"
        assert caught.value.problem.who_acts == "caller"
        assert "needs a message size limit of 229 MB, and the highest setting is 210" in str(caught.value)


def test_large_files_are_not_advised_to_a_mail_that_they_would_not_help() -> None:
    with pytest.raises(RejectedError, match="file_too_large"):
        choose_route(500, files(LARGEST_FILE_BYTES + 1), a_sender(SEND_ALONE), 210)
    with pytest.raises(RejectedError) as caught:
        choose_route(500, files(40_000_000), a_sender(SEND_ALONE), 35)

    assert caught.value.code == "large_file_attachments_off"
    assert "sets MAILBOX_MESSAGE_LIMIT_MB to 51." in caught.value.problem.detail


def test_many_files_count_together_and_after_encoding() -> None:
    sizes = [3_000_000] * 9

    assert sum(sizes) < 35 * 1024 * 1024 < sum(map(encoded_size, [*sizes, 1_000_000]))
    with pytest.raises(ConfigurationError, match="message_too_large"):
        choose_route(500, files(*sizes, 1_000_000), a_sender(), 35)


def test_no_file_may_exceed_150_mb_even_if_the_mailbox_allows_more() -> None:
    assert choose_route(500, files(LARGEST_FILE_BYTES), a_sender(), 210) is Route.DRAFT
    with pytest.raises(RejectedError, match="file_too_large"):
        choose_route(500, files(LARGEST_FILE_BYTES + 1), a_sender(), 210)


def test_a_text_that_no_request_carries_is_refused() -> None:
    with pytest.raises(RejectedError, match="body_too_large") as caught:
        choose_route(MAX_REQUEST_BYTES + 1, [], a_sender(), 35)

    assert "has 3,900,001 bytes" in str(caught.value)
    assert "At most 3,900,000 bytes are sent." in str(caught.value)


def test_the_limit_is_that_of_the_sending_mailbox_not_of_the_from_address() -> None:
    with pytest.raises(ConfigurationError) as raised:
        choose_route(500, files(30_000_000), a_sender(READ_WRITE, "finance@contoso.com"), 35)

    assert raised.value.code == "message_too_large"
    assert raised.value.params["address"] == "ada@contoso.com"
