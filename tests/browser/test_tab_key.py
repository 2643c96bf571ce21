"""Which walk a tab shows, in a real browser and without viser: keys through reloads, duplicates,
closed browsers, and a walk that was opened elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from shaders import load
from viewer.page.identity import ELSEWHERE, TAKE_BACK, parse_identity
from viewer.server.page import with_our_head

pytestmark = pytest.mark.browser

ADDRESS = "http://127.0.0.1:9/"
"""Nothing listens there: the page is answered for by the test."""
HTML = with_our_head("<html><head><title>Viser</title></head><body><p>a walk</p></body></html>")
TELL = f"""() => new Promise((said) => {{
  window.__viserMutable = {{ sendMessage: (message) => said(message) }};
  ({load("identity.js")})({{ channel: "here", listen: true }});
}})"""


@pytest.fixture(scope="module")
def tabs(browser: Browser) -> Iterator[BrowserContext]:
    """A browser whose tabs all show our page."""
    context = browser.new_context()
    context.route(f"{ADDRESS}**", lambda route: route.fulfill(body=HTML, content_type="text/html"))
    yield context
    context.close()


@pytest.fixture(autouse=True)
def _closed(tabs: BrowserContext) -> Iterator[None]:
    yield
    for page in tabs.pages:
        page.close()


def opened(tabs: BrowserContext) -> Page:
    page = tabs.new_page()
    page.goto(ADDRESS)
    return page


def key(page: Page) -> str:
    return page.evaluate("() => window.__vmemTab.ready")


def said(page: Page) -> Any:
    """What the page tells Python."""
    message = page.evaluate(TELL)
    assert (message["type"], message["uuid"]) == ("GuiUpdateMessage", "here")
    return parse_identity(message["updates"]["value"])


def test_a_reload_keeps_the_key_and_is_another_page(tabs: BrowserContext) -> None:
    page = opened(tabs)
    before = said(page)
    assert before.key == key(page)
    for _ in range(3):
        page.reload()
        after = said(page)
        assert after.key == before.key
        assert after.page != before.page
        assert not after.elsewhere
    page.goto("about:blank")
    page.go_back()
    assert key(page) == before.key


def test_tabs_never_share_a_key_and_a_duplicate_gets_its_own(tabs: BrowserContext) -> None:
    one, other = opened(tabs), opened(tabs)
    with one.expect_popup() as copied:
        one.evaluate("() => { window.open(location.href); }")  # with a copy of sessionStorage
    copy = copied.value
    copy.wait_for_load_state()
    assert len({key(one), key(other), key(copy)}) == 3
    own = key(copy)
    copy.reload()
    assert key(copy) == own


def test_a_browser_that_was_closed_finds_its_last_walk_once(tabs: BrowserContext) -> None:
    page = opened(tabs)
    last = key(page)
    page.close()
    keys = [key(opened(tabs)), key(opened(tabs))]
    assert keys[0] == last
    assert keys[1] != last


def test_of_two_tabs_that_come_at_once_one_finds_it(tabs: BrowserContext) -> None:
    page = opened(tabs)
    last = key(page)
    page.close()
    opener = tabs.new_page()
    opener.goto("about:blank")
    with tabs.expect_page() as first:
        opener.evaluate(f"() => {{ window.open('{ADDRESS}', '_blank', 'noopener'); }}")
    second = opened(tabs)
    assert sorted([key(first.value) == last, key(second) == last]) == [False, True]


def test_a_walk_that_was_opened_elsewhere_is_covered_until_it_is_taken_back(
    tabs: BrowserContext,
) -> None:
    page = opened(tabs)
    before = key(page)
    page.evaluate(f"({load('elsewhere.js')})", {"words": ELSEWHERE, "back": TAKE_BACK})
    assert page.get_by_text(ELSEWHERE).is_visible()
    assert said(page).elsewhere
    assert key(opened(tabs)) == before, "it does not speak for the walk any more"
    with page.expect_navigation():
        page.get_by_role("button", name=TAKE_BACK).click()
    after = said(page)
    assert (after.key, after.elsewhere) == (before, False)
    assert page.get_by_text(ELSEWHERE).count() == 0


@pytest.mark.parametrize("missing", ["sessionStorage", "localStorage", "BroadcastChannel"])
def test_what_a_browser_forbids_costs_no_key(missing: str, browser: Browser) -> None:
    page = browser.new_page()
    page.add_init_script(
        f"Object.defineProperty(window, '{missing}', {{ get() {{ throw new Error('no'); }} }})"
        if missing != "BroadcastChannel"
        else "delete window.BroadcastChannel"
    )
    page.route(f"{ADDRESS}**", lambda route: route.fulfill(body=HTML, content_type="text/html"))
    page.goto(ADDRESS)
    assert said(page).key == key(page)
    page.close()
