"""Accessibility of both pages in every state, light and dark, with axe."""

from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped] # it ships no types
from playwright.sync_api import BrowserContext, Page

from tests.browser.page_states import consent_pages, open_state, settings_states
from tests.local_stack.stack import LocalStack

type Scheme = Literal["light", "dark"]

SCHEMES: tuple[Scheme, ...] = ("light", "dark")
CONSENT_PAGES = consent_pages()
SETTINGS_STATES = settings_states()
#: The others take minutes; `make interop` looks at all of them.
QUICK = {"completed, at_microsoft", "ended with consent_declined", "another account", "enabled", "deliveries"}


def state_params(states: dict[str, Any]) -> list[Any]:
    return [
        pytest.param(name, id=name, marks=() if name in QUICK else pytest.mark.interop) for name in states
    ]


def violations(page: Page) -> list[str]:
    """Return the violations that axe finds, with the elements."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html']} {node['failureSummary']}" for rule in found for node in rule["nodes"]
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("state", state_params(CONSENT_PAGES))
def test_axe_finds_nothing_on_the_pages_of_the_consent_window(
    context: BrowserContext, state: str, scheme: Scheme
) -> None:
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    page.set_content(CONSENT_PAGES[state])

    assert violations(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("state", state_params(SETTINGS_STATES))
def test_axe_finds_nothing_on_the_settings_page(
    context: BrowserContext, stack: LocalStack, state: str, scheme: Scheme
) -> None:
    page = context.new_page()
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    open_state(page, SETTINGS_STATES[state], stack)

    assert violations(page) == []


def test_axe_would_find_a_text_that_is_too_pale(context: BrowserContext) -> None:
    page = context.new_page()
    page.set_content(CONSENT_PAGES["completed, at_microsoft"].replace("<p>", '<p style="color: #999">', 1))

    assert [each.partition(":")[0] for each in violations(page)] == ["color-contrast"]
