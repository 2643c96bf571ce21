"""The page's first moments, in a real browser and without viser: what is hidden, and until when."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Browser

from tests.support.walking import pixels
from viewer.server.page import with_our_head

pytestmark = pytest.mark.browser

PAGE = with_our_head(
    "<html><head><title>Viser</title></head><body><canvas></canvas><p>Connecting…</p></body></html>"
)
SEEN = """() => ['canvas', 'p'].map((name) =>
  document.querySelector(name).checkVisibility({visibilityProperty: true}))"""
TAB = "() => document.body.insertAdjacentHTML('beforeend', '<button role=tab>Walk</button>')"


def test_until_our_panel_comes_only_the_scene_is_seen(browser: Browser) -> None:
    page = browser.new_page()
    page.clock.install()
    page.set_content(PAGE)
    assert page.title() == "VMem Viewer"
    page.clock.run_for(5_000)
    assert page.evaluate(SEEN) == [True, False]
    page.evaluate(TAB)
    page.clock.run_for(200)
    assert page.evaluate(SEEN) == [True, False], "viser's own is still folding away"
    page.clock.run_for(300)
    assert page.evaluate(SEEN) == [True, True]
    page.close()


def test_where_no_panel_comes_the_page_is_shown_as_it_is(browser: Browser) -> None:
    page = browser.new_page()
    page.clock.install()
    page.set_content(PAGE)
    page.clock.run_for(11_000)
    assert page.evaluate(SEEN) == [True, False]
    page.clock.run_for(1_500)
    assert page.evaluate(SEEN) == [True, True]
    page.close()


@pytest.mark.parametrize(("dock", "folds"), [("<p data-dock-group></p>", 0), ("", 1)])
def test_on_a_phone_the_panel_is_folded_once(browser: Browser, dock: str, folds: int) -> None:
    page = browser.new_page()
    page.clock.install()
    row = "<div onclick='clicks++'><svg class='tabler-icon tabler-icon-cloud-check'></svg></div>"
    page.set_content(PAGE)
    page.evaluate("(html) => { window.clicks = 0; document.body.innerHTML += html; }", dock + row)
    page.evaluate(TAB)
    page.clock.run_for(1_000)
    assert page.evaluate("() => clicks") == folds
    page.close()


@pytest.mark.parametrize("walk", [None, "a walk"])
def test_who_is_new_is_shown_the_photo_at_once(browser: Browser, walk: str | None) -> None:
    """Before any other script has run, and until the picture shows it; not who has a walk."""
    photo = np.full((64, 64, 3), (200, 40, 40), np.uint8)
    page = browser.new_page(viewport={"width": 400, "height": 300})
    page.route("http://viewer.test/", lambda route: route.fulfill(body="<html></html>"))
    page.goto("http://viewer.test/")
    if walk is not None:
        page.evaluate("(walk) => localStorage.setItem('vmem-last-walk', walk)", walk)
    page.clock.install()
    page.unroute("http://viewer.test/")
    body = with_our_head("<html><head><title>Viser</title></head><body></body></html>", photo)
    page.route(
        "http://viewer.test/", lambda route: route.fulfill(body=body, content_type="text/html")
    )
    page.goto("http://viewer.test/")
    red = np.abs(pixels(page.screenshot())[150, 200] - (200, 40, 40)).max() < 12
    assert red == (walk is None)
    page.evaluate("() => { window.__vmemFirstPerson = { isSeen: true, drawn: ['photo'] }; }")
    page.clock.run_for(100)
    assert pixels(page.screenshot())[150, 200].max() < 60
    page.close()
