"""The test browser is as strict as a real one.

A consent that passes only in a lenient client would fail for a person.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from tests.emulator_tests.conftest import Emulator
from tests.local_stack.browser_client import BrowserClient
from tests.local_stack.certificates import LocalAuthority
from tests.local_stack.cookies import CookieJar
from tests.local_stack.microsoft365.contoso import ADA, REPORTS, UMA
from tests.local_stack.serving import Server, serve

HERE = "https://localhost:1/page"
THERE = "https://127.0.0.1:2/page"


def jar(*headers: str, url: str = HERE) -> CookieJar:
    cookies = CookieJar()
    cookies.store(url, list(headers))
    return cookies


# Cookies


def test_cookies_belong_to_a_host_regardless_of_its_port() -> None:
    cookies = jar("a=1; Path=/")

    assert cookies.header("https://localhost:99/", "GET", "") == "a=1"
    assert cookies.header(THERE, "GET", "") == ""


@pytest.mark.parametrize(
    ("same_site", "method", "initiator", "sent"),
    [
        ("Lax", "GET", THERE, True),
        ("Lax", "POST", THERE, False),
        ("Lax", "POST", HERE, True),
        ("Lax", "POST", "https://localhost:99/", True),
        ("Strict", "GET", THERE, False),
        ("Strict", "GET", "", True),
        ("None", "POST", THERE, True),
    ],
)
def test_same_site_decides_what_travels_across_sites(
    same_site: str, method: str, initiator: str, *, sent: bool
) -> None:
    cookies = jar(f"a=1; Path=/; Secure; SameSite={same_site}")

    assert bool(cookies.header(HERE, method, initiator)) is sent


def test_without_same_site_a_cookie_is_lax() -> None:
    assert jar("a=1; Path=/").header(HERE, "POST", THERE) == ""


@pytest.mark.parametrize(
    "header",
    [
        "__Host-a=1; Path=/",
        "__Host-a=1; Secure",
        "__Host-a=1; Secure; Path=/api",
        "__Host-a=1; Secure; Path=/; Domain=localhost",
        "__secure-a=1; Path=/",
        "a=1; Path=/; SameSite=None",
        "a=1; Path=/; Domain=elsewhere",
    ],
)
def test_a_cookie_that_breaks_its_own_promise_is_dropped(header: str) -> None:
    assert jar(header).names("localhost") == []


def test_a_valid_host_prefixed_cookie_is_stored() -> None:
    assert jar("__Host-a=1; Secure; Path=/; SameSite=None").names("localhost") == ["__Host-a"]


APP = "https://app-test.azurewebsites.net/api/consent/start"


@pytest.mark.parametrize(
    ("attributes", "kept"),
    [
        ("__Host-a=1; Secure; Path=/", ["__Host-a"]),
        ("__Host-a=1; domain=; path=/; secure", ["__Host-a"]),
        ("__Host-a=1; domain=app-test.azurewebsites.net; path=/; secure", []),
        ("__Secure-a=1; domain=; path=/; secure", ["__Secure-a"]),
        ("__Secure-a=1; domain=app-test.azurewebsites.net; path=/; secure", ["__Secure-a"]),
        ("__Secure-a=1; domain=azurewebsites.net; path=/; secure", []),
    ],
)
def test_a_domain_ends_host_cookies_and_leaves_secure_ones(attributes: str, kept: list[str]) -> None:
    assert jar(attributes, url=APP).names("app-test.azurewebsites.net") == kept
    assert jar(attributes, url=APP).names("other.azurewebsites.net") == []


def test_a_sibling_host_can_set_a_cookie_in_addition_to_that_of_the_host() -> None:
    cookies = jar(
        "__Secure-a=planted; Domain=contoso-apps.example; Path=/; Secure",
        url="https://wiki.contoso-apps.example/",
    )
    mailer = "https://mailer.contoso-apps.example/api/consent/callback"
    cookies.store(mailer, ["__Secure-a=own; Domain=mailer.contoso-apps.example; Path=/api/consent; Secure"])

    assert cookies.header(mailer, "GET", "") == "__Secure-a=own; __Secure-a=planted"


def test_a_cookie_is_ended_only_by_one_of_the_same_domain_and_path() -> None:
    cookies = jar("__Secure-a=1; domain=app-test.azurewebsites.net; path=/api; secure", url=APP)
    for path, left in (("/", ["__Secure-a"]), ("/api", [])):
        ended = f"__Secure-a=; max-age=0; domain=app-test.azurewebsites.net; path={path}; secure"
        cookies.store(APP, [ended])

        assert cookies.names("app-test.azurewebsites.net") == left


def test_secure_cookies_are_neither_taken_nor_sent_without_tls() -> None:
    assert jar("a=1; Path=/; Secure", url="http://localhost:1/").names("localhost") == []
    assert jar("a=1; Path=/; Secure").header("http://localhost:1/", "GET", "") == ""


def test_a_cookie_is_sent_only_below_its_path() -> None:
    cookies = jar("a=1; Path=/api")

    assert cookies.header("https://localhost/api/x", "GET", "") == "a=1"
    assert cookies.header("https://localhost/apis", "GET", "") == ""


def test_without_a_path_a_cookie_is_sent_only_below_the_page_that_set_it() -> None:
    cookies = jar("a=1", url="https://localhost/api/consent/start")

    assert cookies.header("https://localhost/api/consent/callback", "GET", "") == "a=1"
    assert cookies.header("https://localhost/", "GET", "") == ""


def test_a_cookie_ends_with_a_max_age_of_zero_or_a_date_in_the_past() -> None:
    for ended in ("a=; Path=/; Max-Age=0", "a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"):
        cookies = jar("a=1; Path=/")
        cookies.store(HERE, [ended])

        assert cookies.names("localhost") == []


# Walking


@dataclass
class Site:
    """A server that records requests and returns configured responses."""

    seen: list[tuple[str, str, dict[str, str], dict[str, str]]] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/form", self.form)
        app.router.add_route("*", "/seen", self.note)
        app.router.add_route("*", "/loop", self.loop)
        return app

    async def form(self, request: web.Request) -> web.Response:
        text = (
            '<form method="post" action="/seen"><input type="hidden" name="a" value="&quot;1&quot;">'
            '<input type="checkbox" name="box" value="yes"><textarea name="why">because</textarea>'
            '<button name="decision" value="go">Go</button></form>'
        )
        return web.Response(text=text, content_type="text/html")

    async def note(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.seen.append((request.method, request.path_qs, form, dict(request.headers)))
        return web.Response(text="seen", content_type="text/html")

    async def loop(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/loop"})


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def served(site: Site, local_authority: LocalAuthority) -> Iterator[Server]:
    with serve(site.app(), local_authority.server_context(), "localhost") as server:
        yield server


@pytest.fixture
def browser(local_authority: LocalAuthority) -> BrowserClient:
    return BrowserClient(local_authority.ca_file)


def test_a_form_is_submitted_as_it_is_filled_in(served: Server, site: Site, browser: BrowserClient) -> None:
    browser.open(f"{served.url}/form")
    browser.press("decision", "go")
    browser.open(f"{served.url}/form")
    browser.press("decision", "go", tick=("box",))

    assert [form for _, _, form, _ in site.seen] == [
        {"a": '"1"', "why": "because", "decision": "go"},
        {"a": '"1"', "why": "because", "decision": "go", "box": "yes"},
    ]
    assert site.seen[0][3]["Sec-Fetch-Site"] == "same-origin"
    assert site.seen[0][3]["Origin"] == served.url


def test_a_button_that_is_not_there_cannot_be_pressed(served: Server, browser: BrowserClient) -> None:
    browser.open(f"{served.url}/form")

    for press in (browser.accept, browser.cancel, lambda: browser.choose(ADA)):
        with pytest.raises(LookupError):
            press()


def test_redirects_end_somewhere(served: Server, browser: BrowserClient) -> None:
    with pytest.raises(LookupError, match="Too many redirects"):
        browser.open(f"{served.url}/loop")


def test_a_certificate_of_an_untrusted_authority_is_refused(
    served: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = LocalAuthority.create(tmp_path_factory.mktemp("stranger"))

    with pytest.raises(OSError, match="certificate verify failed"):
        BrowserClient(stranger.ca_file).open(f"{served.url}/form")


def test_nothing_is_on_the_screen_before_the_first_visit(browser: BrowserClient) -> None:
    with pytest.raises(LookupError):
        _ = browser.page


# Consenting


def test_after_a_consent_the_callback_is_a_cross_site_post(emulator: Emulator) -> None:
    _, page = emulator.sign_in(REPORTS, "Mail.Send")

    assert (page.status, page.url) == (200, emulator.redirect_uri)
    method, headers = emulator.callback.requests[-1]
    assert (method, headers["Sec-Fetch-Site"], headers["Origin"]) == ("POST", "cross-site", emulator.entra)


def test_a_person_declines(emulator: Emulator) -> None:
    _, page = emulator.sign_in(REPORTS, "Mail.Send", accept=False)

    assert page.url == emulator.redirect_uri
    assert emulator.callback.responses[-1]["error"] == "access_denied"


def test_an_account_that_is_not_on_the_list_is_typed_in(emulator: Emulator) -> None:
    _, page = emulator.sign_in("stranger@contoso.com", "Mail.Send")

    assert "AADSTS50034" in page.text


def test_a_walk_ends_on_the_page_that_has_no_way_on(emulator: Emulator) -> None:
    _, page = emulator.sign_in(UMA, "Mail.ReadWrite")

    assert page.title == "Need admin approval"


def test_the_callback_can_be_held_back_and_posted_by_another_browser(emulator: Emulator) -> None:
    holding = emulator.browser(posts_by_itself=False)
    emulator.sign_in(REPORTS, "Mail.Send", browser=holding)
    assert emulator.callback.responses == []

    form = holding.page.forms[0]
    emulator.browser().post(form.action, form.fields, initiator=holding.page.url)

    assert emulator.callback.responses == [form.fields]


def test_the_history_contains_every_step(emulator: Emulator) -> None:
    browser = emulator.browser()
    emulator.sign_in(REPORTS, "Mail.Send", browser=browser)

    assert [method for method, _ in browser.history] == ["GET", "POST", "POST", "POST"]
    assert browser.history[-1] == ("POST", emulator.redirect_uri)
