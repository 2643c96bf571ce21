"""What a browser's page is told of memory over the walker's picture, and what its clicks do."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from viser._messages import RunJavascriptMessage

from tests.support.browsers import Browser
from tests.support.standins import Recorder, until
from viewer.page.pointing import PointerEvent

CALL = re.compile(r"__vmemFirstPerson\?\.([\w.]+)\(config\)\)\((.*)\) } catch", re.DOTALL)


def told(heard: list[Any]) -> dict[str, dict[str, Any]]:
    """Operation -> the last configuration that the picture was called with."""
    scripts = [one.source for one in heard if isinstance(one, RunJavascriptMessage)]
    calls = [found.groups() for found in map(CALL.search, scripts) if found]
    return {operation: json.loads(config) for operation, config in calls}


@pytest.fixture
def walker(browser: Browser) -> Browser:
    """A browser after two steps, whose page shows the walker's picture."""
    browser.presses("KeyW")
    browser.presses("KeyW")
    browser.rests()
    while browser.workspace.settings.layout != "picture":
        browser.presses("Tab")
        browser.rests()
    return browser


def test_heat_comes_with_a_legend_and_goes_with_it(walker: Browser, recorder: Recorder) -> None:
    with recorder.listening() as heard:
        walker.presses("KeyH")
        walker.rests()
    said = told(heard)
    assert said["overlay.legend"]["title"] == "votes"
    assert {"heat.views", "heat.show"} <= set(said)
    with recorder.listening() as heard:
        walker.presses("KeyH", shift=True)
        walker.rests()
    said = told(heard)
    assert said["overlay.show"] == {"on": False}
    assert said["overlay.legend"] == {}
    assert "heat.hide" in said
    # Who asks for heat wants to see it.
    with recorder.listening() as heard:
        walker.presses("KeyH")
        walker.rests()
    said = told(heard)
    assert said["overlay.show"] == {"on": True}
    assert said["overlay.legend"]["title"] == "support"
    assert "heat.show" in said


def test_chosen_views_and_the_map_are_there_without_heat(
    walker: Browser, recorder: Recorder
) -> None:
    with recorder.listening() as heard:
        walker.presses("KeyH", shift=True)
        walker.presses("KeyH", shift=True)
        walker.rests()
    retrieval = walker.client.debugger.retrieval
    assert retrieval is not None
    assert not {"heat.show", "heat.views"} & set(told(heard))
    with recorder.listening() as heard:
        walker.client.commands.undo()
        walker.rests()
        walker.client.display.in_picture.settle(np.inf)
    said = told(heard)
    views = walker.session.memory.views
    assert said["overlay.chosen"]["newest"][1] == len(views) - 1
    assert said["overlay.plan"]["keep"] == len(views)
    assert said["overlay.plan"]["add"] == []


def test_a_chosen_view_is_pointed_at_and_stood_at(walker: Browser, recorder: Recorder) -> None:
    point = walker.client.actions.point
    with recorder.listening() as heard:
        walker.client.post(point, PointerEvent("enter", "strip:0", (0.5, 0.5), 1))
        until(lambda: "heat.show" in told(heard))
    assert walker.client.debugger.pointed == 0
    said = told(heard)
    assert said["overlay.chosen"]["pointed"] == 0
    # What it alone explains is seen in the picture, though no heat is chosen.
    assert said["overlay.legend"]["title"] == "view 0"
    with recorder.listening() as heard:
        walker.client.post(point, PointerEvent("enter", "first-person", (0.5, 0.5), 2))
        walker.client.post(point, PointerEvent("click", "strip:0", (0.5, 0.5), 3))
        until(lambda: {"heat.hide", "pose"} <= set(told(heard)))
    assert walker.client.debugger.pointed is None
    assert told(heard)["pose"]["position"] == [0, 0, 0]
    np.testing.assert_allclose(walker.place, walker.session.memory.views[0].camera.c2w)


def test_a_click_on_the_map_stands_there(walker: Browser, recorder: Recorder) -> None:
    walker.client.post(walker.client.display.in_picture.settle, np.inf)
    walker.rests()
    plan = walker.client.display.picture.overlay.plan
    assert plan is not None
    place = np.array([0.0, 0.7])
    x, z = (place - plan.low) / plan.side
    event = PointerEvent("click", "plan", (float(x), float(1 - z)), 1)
    with recorder.listening() as heard:
        walker.client.post(walker.client.actions.point, event)
        walker.rests()
    np.testing.assert_allclose(told(heard)["pose"]["position"], [0, 0, 0.7], atol=1e-9)
    np.testing.assert_allclose(walker.place[:3, 3], [0, 0, 0.7], atol=1e-9)


def test_in_the_memorys_own_layout_nothing_is_said(browser: Browser, recorder: Recorder) -> None:
    with recorder.listening() as heard:
        browser.presses("KeyW")
        browser.presses("KeyH")
        browser.rests()
    assert not {"heat.show", "overlay.chosen", "overlay.plan"} & set(told(heard))


def test_views_that_an_undo_has_taken_are_not_shown(walker: Browser, recorder: Recorder) -> None:
    """The picture goes ahead; what else is shown follows."""
    display, retrieval = walker.client.display, walker.client.debugger.retrieval
    assert retrieval is not None
    with recorder.listening() as heard:
        display.picture.show_memory(walker.session.memory.at_step(0))
        display.in_picture.show_chosen(retrieval, 1)
        assert "overlay.chosen" not in told(heard)
        display.picture.show_memory(walker.session.memory)
        display.in_picture.show_chosen(retrieval, 1)
    assert told(heard)["overlay.chosen"]["pointed"] == 1
