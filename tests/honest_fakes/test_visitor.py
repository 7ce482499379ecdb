from tests.honest_fakes.conftest import Stand
from tests.local_stack.microsoft365.contoso import REPORTS


def test_a_person_consents_and_the_answer_comes_back_as_a_cross_site_post(stand: Stand) -> None:
    _, page = stand.sign_in(REPORTS, "Mail.Send")

    assert (page.status, page.url) == (200, stand.redirect_uri)
    method, headers = stand.callback.requests[-1]
    assert (method, headers["Sec-Fetch-Site"], headers["Origin"]) == ("POST", "cross-site", stand.entra)
