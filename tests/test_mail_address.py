import pytest

from shared.mail_address import address_key, check_mail_address
from tests.cpu import grows_linearly


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("reports@contoso.com", "reports@contoso.com"),
        ("Reports@CONTOSO.com", "Reports@contoso.com"),
        ("o'brien+bi@mail.contoso.co.uk", "o'brien+bi@mail.contoso.co.uk"),
        ("büro@bücher.de", "büro@bücher.de"),
        ("a@xn--bcher-kva.de", "a@xn--bcher-kva.de"),
        ("a@XN--BCHER-KVA.de", "a@xn--bcher-kva.de"),
        ("cfo@contoso.local", "cfo@contoso.local"),
    ],
)
def test_a_full_address_is_returned_with_its_domain_in_lower_case(given: str, kept: str) -> None:
    assert check_mail_address(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        "",
        "reports",
        "reports@",
        "@contoso.com",
        "a@b@contoso.com",
        "reports@contoso",
        "reports@contoso.com\r\nBcc: eve@fabrikam.com",
        "Reports <reports@contoso.com>",
        "reports@127.0.0.1",
        "a" * 65 + "@contoso.com",
    ],
)
def test_anything_else_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="not a full mail address"):
        check_mail_address(given)


@pytest.mark.parametrize(
    ("given", "explanation"),
    [
        ("cfo@contoso.com ", "it begins or ends with a space"),
        (" cfo@contoso.com", "it begins or ends with a space"),
        ("a@contoso.com,b@contoso.com", "it is a list; give each address on its own"),
        ("a@contoso.com; b@contoso.com", "it is a list; give each address on its own"),
        ("CFO <cfo@contoso.com>", "give the display name as a member of its own"),
        ("a@b@contoso.com", "it has more than one @"),
        ("a b@contoso.com", "it has a space inside"),
    ],
)
def test_a_common_mistake_is_named(given: str, explanation: str) -> None:
    with pytest.raises(ValueError, match=explanation):
        check_mail_address(given)


@pytest.mark.parametrize(
    "given",
    [
        "ada\u200b@contoso.com",
        "ada@cont\u00adoso.com",
        "\u202eada@contoso.com",
        "a\u200dda@contoso.com",
        "ada@a.com\x85",
    ],
)
def test_an_invisible_character_is_refused_and_named(given: str) -> None:
    with pytest.raises(ValueError, match=r"not a full mail address: the character U\+"):
        check_mail_address(given)


@pytest.mark.parametrize("text", ["a", "a@", "a.", "@", "@a.", "ä", "a@b.c "])
def test_a_long_text_is_refused_before_it_is_parsed(text: str) -> None:
    def check(long: str) -> None:
        with pytest.raises(ValueError, match="not a full mail address"):
            check_mail_address(long)

    grows_linearly(check, lambda size: text * (size // len(text)))


def test_a_long_text_is_compared_without_being_parsed() -> None:
    grows_linearly(address_key, lambda size: "A@" * (size // 2))
    assert address_key("A@" * 200) == "a@" * 200
