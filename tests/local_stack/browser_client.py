"""A test browser that follows links, keeps cookies and submits forms."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urldefrag, urljoin, urlsplit

import requests

from tests.local_stack.cookies import CookieJar, site
from tests.local_stack.forms import Button, Form, read_forms
from tests.local_stack.loopback import loopback_session

#: A callback waits almost a minute for a permission that does not come.
TIMEOUT_SECONDS = 75
MAX_HOPS = 20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_POSTS_ITS_FRAGMENT = re.compile(r"fetch\(location\.pathname, \{ method: \"POST\"")
_SUBMITS_ITSELF = re.compile(r"document\.forms\[0\]\.submit\(\)")


@dataclass(frozen=True)
class Page:
    """The page that the browser is on."""

    status: int
    url: str
    text: str
    headers: dict[str, str]
    forms: list[Form]

    @property
    def title(self) -> str:
        """The page's title."""
        found = re.search(r"<title>(.*?)</title>", self.text, re.DOTALL)
        return found[1] if found else ""

    @property
    def submits_itself(self) -> bool:
        """Whether a script posts the first form as soon as the page is there."""
        return bool(self.forms and _SUBMITS_ITSELF.search(self.text))

    @property
    def fragment(self) -> dict[str, str]:
        """Return what a page script posts after reading the fragment.

        The script follows the response.
        """
        found = dict(parse_qsl(urlsplit(self.url).fragment))
        return found if _POSTS_ITS_FRAGMENT.search(self.text) else {}

    def form_with(self, name: str, value: str) -> Form | None:
        """Find the form with a given button."""
        wanted = Button(name, value)
        return next((form for form in self.forms if wanted in form.buttons), None)


class BrowserClient:
    """A browser with a person who uses it.

    Attributes:
        page: the current page.
        history: every requested URL, with its method.
        posts_by_itself: whether scripts run that submit forms; if not, a test submits the form itself.
    """

    def __init__(self, ca_file: Path | str, *, posts_by_itself: bool = True) -> None:
        self._session = loopback_session(ca_file)
        self.cookies = CookieJar()
        self.posts_by_itself = posts_by_itself
        self.history: list[tuple[str, str]] = []
        self._page: Page | None = None

    @property
    def page(self) -> Page:
        """Return the current page; LookupError before the first visit."""
        if self._page is None:
            raise LookupError("Nothing has been opened yet.")
        return self._page

    def open(self, url: str) -> Page:
        """Open a URL and follow its redirects."""
        return self._go("GET", url, {}, initiator="")

    def choose(self, account: str) -> Page:
        """Pick an account on the sign-in page by its tile or the field.

        Raises:
            LookupError: the page asks for no account.
        """
        form = self.page.form_with("account", account)
        if form is not None:
            return self.submit(form, Button("account", account))
        form = next((f for f in self.page.forms if "account" in f.fields), None)
        if form is None:
            raise LookupError(f"{self.page.url} asks for no account: {self.page.title}")
        form.fields["account"] = account
        return self.submit(form)

    def accept(self, *, for_everybody: bool = False) -> Page:
        """Press Accept.

        Raises:
            LookupError: there is no such button.
        """
        return self.press("decision", "accept", tick=("everybody",) if for_everybody else ())

    def cancel(self) -> Page:
        """Press Cancel, or leave an approval page that has a way back.

        Raises:
            LookupError: there is neither.
        """
        value = "cancel" if self.page.form_with("decision", "cancel") else "return"
        return self.press("decision", value)

    def press(self, name: str, value: str, tick: tuple[str, ...] = ()) -> Page:
        """Press a button after ticking boxes.

        Raises:
            LookupError: there is no such button, or no such box.
        """
        form = self.page.form_with(name, value)
        if form is None:
            raise LookupError(f"{self.page.url} has no button {value!r}: {self.page.title}")
        for box in tick:
            form.fields[box] = form.boxes[box]
        return self.submit(form, Button(name, value))

    def submit(self, form: Form, button: Button | None = None) -> Page:
        """Submit a form of the page on the screen."""
        fields = dict(form.fields)
        if button is not None and button.name:
            fields[button.name] = button.value
        here = self.page.url
        return self._go(form.method.upper(), urljoin(here, form.action or here), fields, initiator=here)

    def post(self, url: str, fields: dict[str, str], *, initiator: str = "") -> Page:
        """Post fields to a URL as a page at `initiator`, such as an attacker's."""
        return self._go("POST", url, fields, initiator)

    def consent(
        self, start_url: str, account: str, *, accept: bool = True, for_everybody: bool = False
    ) -> Page:
        """Complete a consent: open, pick the account, Accept or Cancel, return.

        If the app shows its confirmation page to another account, this presses Continue. It ends early on a
        page that has neither button, such as an error or an approval page.
        """
        self.open(start_url)
        if any(button.name == "account" for form in self.page.forms for button in form.buttons):
            self.choose(account)
        if self.page.form_with("decision", "accept"):
            _ = self.accept(for_everybody=for_everybody) if accept else self.cancel()
        return (
            self.press("decision", "continue") if self.page.form_with("decision", "continue") else self.page
        )

    def _go(self, method: str, url: str, fields: dict[str, str], initiator: str) -> Page:
        for _ in range(MAX_HOPS):
            response = self._request(method, url, fields, initiator)
            if response.status_code in _REDIRECTS and "Location" in response.headers:
                url = urljoin(url, response.headers["Location"])
                if response.status_code not in {307, 308}:
                    method, fields = "GET", {}
                continue
            self._page = _read(response, url)
            if self._page.fragment:
                here = urldefrag(url).url
                response = self._request("POST", here, self._page.fragment, initiator=here)
                method, url, fields, initiator = "GET", response.json()["location"], {}, here
                continue
            if not (self._page.submits_itself and self.posts_by_itself):
                return self._page
            form, initiator = self._page.forms[0], url
            method, url, fields = form.method.upper(), urljoin(url, form.action), dict(form.fields)
        raise LookupError(f"Too many redirects, the last one to {urlsplit(url).path}")

    def _request(self, method: str, url: str, fields: dict[str, str], initiator: str) -> requests.Response:
        self.history.append((method, urldefrag(url).url))
        headers = {
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
            "Accept": "text/html,*/*;q=0.8",
        }
        headers["Sec-Fetch-Site"] = _relation(initiator, url)
        if initiator:
            headers["Referer"] = f"{_origin(initiator)}/"
            if method == "POST":
                headers["Origin"] = _origin(initiator)
        if cookies := self.cookies.header(url, method, initiator):
            headers["Cookie"] = cookies
        response = self._session.request(
            method,
            url,
            params=fields if method == "GET" else None,
            data=fields if method == "POST" else None,
            headers=headers,
            allow_redirects=False,
            timeout=TIMEOUT_SECONDS,
        )
        # This session must not keep what a browser would have refused.
        self._session.cookies.clear()
        self.cookies.store(url, response.raw.headers.getlist("Set-Cookie"))
        return response


def _origin(url: str) -> str:
    place = urlsplit(url)
    return f"{place.scheme}://{place.netloc}"


def _relation(initiator: str, url: str) -> str:
    if not initiator:
        return "none"
    if _origin(initiator) == _origin(url):
        return "same-origin"
    return "same-site" if site(initiator) == site(url) else "cross-site"


def _read(response: requests.Response, url: str) -> Page:
    html = "html" in response.headers.get("Content-Type", "")
    forms = read_forms(response.text) if html else []
    return Page(response.status_code, url, response.text, dict(response.headers), forms)
