import pytest

from shared.settings.scopes import (
    granted_scopes,
    mail_scopes,
    missing_scopes,
    requested_and_granted,
    scopes_for,
)
from shared.settings.tenant import RequestedSender


def test_only_mail_send_is_requested() -> None:
    assert scopes_for(RequestedSender("ada@contoso.com")) == ("Mail.Send",)


def test_large_files_need_to_write_to_the_mailbox() -> None:
    wanted = RequestedSender("ada@contoso.com", large_file_attachments=True)

    assert scopes_for(wanted) == ("Mail.Send", "Mail.ReadWrite")


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("", set()),
        ("Mail.Send", {"Mail.Send"}),
        ("openid profile email offline_access Mail.Send", {"Mail.Send"}),
        (
            "https://graph.microsoft.com/Mail.Send https://graph.microsoft.us/User.Read",
            {"Mail.Send", "User.Read"},
        ),
    ],
)
def test_granted_permissions_are_read_by_their_short_names(scope: str, granted: set[str]) -> None:
    assert granted_scopes(scope) == granted


def test_missing_permissions_are_found_regardless_of_case() -> None:
    assert missing_scopes(["Mail.Send", "Mail.ReadWrite"], ["mail.send"]) == ("Mail.ReadWrite",)


def test_only_permissions_of_this_app_are_requested_again() -> None:
    granted = {"User.Read", "mail.send", "Mail.Read", "Mail.Send.Shared", "Calendars.Read"}

    assert mail_scopes(granted) == ("Mail.Send.Shared", "mail.send")


def test_what_was_granted_beyond_the_request_is_not_used() -> None:
    granted = {"User.Read", "mail.send", "Mail.ReadWrite"}

    assert requested_and_granted(["Mail.Send", "Mail.Send.Shared"], granted) == {"Mail.Send"}
