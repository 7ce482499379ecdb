import re

from shared.api.pages.start import start_page


def test_the_page_may_call_its_own_origin_and_nothing_else() -> None:
    reply = start_page("the-nonce")

    assert (
        "connect-src 'self'; base-uri 'none'; form-action 'none'" in reply.headers["Content-Security-Policy"]
    )
    assert set(re.findall(r"<(?:script|style)[^>]* nonce=\"([^\"]*)\"", reply.body.decode())) == {"the-nonce"}


def test_the_page_names_the_cause_if_the_browser_blocks_cookies() -> None:
    text = start_page("n").body.decode()

    assert "This browser blocks cookies for this site" in text
    assert "consent_cookie_missing" in text


def test_every_link_gets_the_same_page() -> None:
    assert start_page("n") == start_page("n")
