import pytest

from shared.mail_address import check_mail_address


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("reports@contoso.com", "reports@contoso.com"),
        ("Reports@CONTOSO.com", "Reports@contoso.com"),
        ("o'brien+bi@mail.contoso.co.uk", "o'brien+bi@mail.contoso.co.uk"),
        ("büro@bücher.de", "büro@bücher.de"),
    ],
)
def test_a_full_address_is_kept_with_its_domain_in_lower_case(given: str, kept: str) -> None:
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
