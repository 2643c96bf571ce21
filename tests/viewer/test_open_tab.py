"""The tab that is open: what nobody sees waits until it is opened."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.support.browsers import Browser
from tests.support.standins import until
from viewer.page.tabs import parse_open_tab
from viewer.paint.resize import thumbnail
from viewer.panels.history import PICTURE


@pytest.mark.parametrize("label", ["Walk", "", "Größe"])
def test_the_label_of_the_open_tab_is_read(label: str) -> None:
    assert parse_open_tab(json.dumps([label])) == label


@pytest.mark.parametrize("message", ["", "[", "[]", "7", "[7]", '["a","b"]', "[null]", '["a"' * 99])
def test_what_the_script_would_not_send_is_ignored(message: str) -> None:
    assert parse_open_tab(message) is None


def opens(browser: Browser, tab: str) -> None:
    """The page says that a tab is open, and everything has come to rest."""
    browser.client.post(browser.client.display.tab_opened, tab)
    browser.rests()


def test_pictures_of_closed_tabs_wait_for_them(browser: Browser) -> None:
    display = browser.client.display
    opens(browser, "Settings")
    frame: Any = display.history._frame
    before = [display.walk.shown.picture, display.memory.target.shown.picture, frame.image]
    words = display.memory.explain.shown.table
    browser.presses("KeyW")
    until(lambda: browser.steps == 1)
    browser.rests()
    after = [display.walk.shown.picture, display.memory.target.shown.picture, frame.image]
    for one, other in zip(before, after, strict=True):
        assert_array_equal(one, other)
    assert display.memory.explain.shown.table == words

    newest = browser.session.memory.views[-1].rgb
    opens(browser, "Walk")
    assert not np.array_equal(display.walk.shown.picture, before[0])
    assert_array_equal(frame.image, before[2])
    opens(browser, "History")
    assert_array_equal(frame.image, thumbnail(newest, PICTURE))
    opens(browser, "Memory")
    until(lambda: display.memory.explain.shown.table != words)
    assert not np.array_equal(display.memory.target.shown.picture, before[1])


def test_a_key_that_asks_for_a_row_has_the_table_made_for_it(browser: Browser) -> None:
    browser.presses("KeyW")
    until(lambda: browser.steps == 1)
    opens(browser, "Walk")
    browser.presses("KeyJ")
    browser.rests()
    assert browser.client.debugger.pointed is not None
    assert " pointed" in browser.client.display.memory.explain.shown.table


def test_a_page_that_does_not_say_is_sent_everything(browser: Browser) -> None:
    opens(browser, "")
    words = browser.client.display.memory.explain.shown.table
    browser.presses("KeyW")
    until(lambda: browser.steps == 1)
    until(lambda: browser.client.display.memory.explain.shown.table != words)
