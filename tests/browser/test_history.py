"""The History tab in a real browser: steps are gone to, named, unfolded and compared by clicks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator

from tests.support.desk import Desk
from tests.support.walking import pixels, session_of

pytestmark = pytest.mark.browser


@pytest.fixture
def history(desk: Desk) -> Iterator[Desk]:
    """The walk with its History tab open; afterwards it stands where it stood."""
    home = session_of(desk.workspace).history.head.id
    size = desk.page.viewport_size
    desk.page.set_viewport_size({"width": 860, "height": 1100})
    desk.page.get_by_role("tab", name="History").click()
    row(desk, home).wait_for()
    yield desk
    desk.client.commands.unfold("all")
    desk.client.commands.switch(home)
    desk.until(lambda: session_of(desk.workspace).history.head.id == home)
    desk.page.get_by_role("tab", name="Memory").click()
    assert size is not None
    desk.page.set_viewport_size(size)


def row(desk: Desk, step: int) -> Locator:
    """The line of a step."""
    return desk.page.locator(".vmem-step", has=desk.page.locator(f"[data-vmem='step:{step}']"))


def head(desk: Desk) -> int:
    return session_of(desk.workspace).history.head.id


def test_the_tree_leads_to_steps_and_compares_them(history: Desk, artifacts: Path) -> None:
    page, home = history.page, head(history)
    current = page.locator(".vmem-step[aria-current]")
    color = "(e) => getComputedStyle(e).color"
    assert row(history, home).evaluate(color) == current.evaluate(color) == "rgb(255, 176, 46)"
    picture = row(history, home).locator("[role=img]")
    assert pixels(picture.screenshot()).std() > 5, "a thumbnail is there"

    row(history, 3).locator("[data-vmem='step:3']").click()
    history.until(lambda: head(history) == 3)
    page.locator(".vmem-step.head [data-vmem='step:3']").wait_for()
    page.get_by_role("button", name="redo").click()
    history.until(lambda: head(history) == 4)
    page.locator(".vmem-step.head [data-vmem='step:4']").wait_for()

    page.locator("xpath=//label[.='Name']/following::*[self::input or self::textarea][1]").fill(
        "at the <door>"
    )
    page.get_by_role("button", name="Name the present step").click()
    row(history, 4).locator("b", has_text="at the <door>").wait_for()
    assert session_of(history.workspace).history.node(4).name == "at the <door>"

    row(history, home).locator("[data-vmem^='versus']").click()
    told = page.locator(".vmem-versus")
    told.wait_for()
    assert told.locator("img").count() == 2
    assert f"Step {home} goes on from step 4, by {home - 4} steps." in told.inner_text()
    page.screenshot(path=artifacts / "history.png")
    row(history, home).locator("[data-vmem^='versus']").click()
    told.wait_for(state="detached")
