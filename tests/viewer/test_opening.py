"""A browser that comes before the kernels: the photo is shown flat, then as surfels."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import viser

from tests.support.browsers import Browser, a_photo
from tests.support.fakes import box_backend, box_photo
from tests.support.standins import PATIENCE, Recorder, nodes, sent, until
from viewer.first_person.backdrop import make_backdrop
from viewer.first_person.opening import flat_view
from viewer.scene.flat_photo import FlatPhoto
from viewer.settings import Settings
from viewer.walk.preparation import Preparation
from viewer.walk.source import Source
from viewer.walk.workspace import Workspace
from vmem.cameras import default_K
from vmem.formats.photos import load_photo

SIZE = 64


def test_the_flat_photo_fills_the_view_of_its_camera(server: viser.ViserServer) -> None:
    h, w = 40, 60
    FlatPhoto(server.scene).show(np.zeros((h, w, 3), np.uint8))
    picture = nodes(server, "/opening")["/opening"]
    half = np.array([picture.render_width, picture.render_height, 0]) / 2
    for sign, corner in (((-1, -1, 0), (0, 0)), ((1, 1, 0), (w, h))):
        x, y, z = default_K((h, w)) @ (np.array(picture.position) + half * sign)
        np.testing.assert_allclose((x / z, y / z), corner, atol=1e-4)


def test_a_photo_is_sent_once_and_goes_without_a_trace(
    server: viser.ViserServer, recorder: Recorder
) -> None:
    flat, photo = FlatPhoto(server.scene), box_photo()
    before = nodes(server, "/")
    flat.show(photo)
    with recorder.listening() as heard:
        flat.show(photo)
        assert not heard
        flat.show(box_photo())
        assert sent(heard, "ImageMessage") == ["/opening"]
    flat.show(None)
    assert nodes(server, "/").keys() == before.keys()


class Held:
    """A preparation of which each stage waits to be let go."""

    def __init__(self) -> None:
        self.go = {name: threading.Event() for name in ("open", "ask", "step", "explain")}
        self.failing = False
        self.preparation = Preparation({name: self._work(name) for name in self.go})
        self.preparation.start()

    def _work(self, name: str):
        def work() -> None:
            assert self.go[name].wait(PATIENCE)
            if self.failing:
                raise ValueError("no compiler")

        return work

    def let(self, *names: str) -> None:
        for name in names:
            self.go[name].set()


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.preparation.stop()
    held.let(*held.go)


@pytest.fixture
def early(
    server: viser.ViserServer, held: Held, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Browser]:
    """A browser that has asked for the box before any kernel is there."""
    monkeypatch.setattr(
        "viewer.walk.workspace.create_backend", lambda name, *, seed, size, geometry: box_backend()
    )
    workspace = Workspace(Settings(size=SIZE, mode="step"), held.preparation)
    browser = Browser(server, workspace)
    photo = a_photo()
    browser.client.commands.open(Source("box", photo, decoded=load_photo(photo, SIZE)))
    until(lambda: nodes(server, "/opening"))
    yield browser
    browser.client.leave()
    workspace.close()


def stage(browser: Browser) -> str:
    return browser.client.display.walk.shown.stage


def test_the_photo_is_flat_until_it_can_be_asked(
    early: Browser, held: Held, server: viser.ViserServer
) -> None:
    picture = nodes(server, "/opening")["/opening"]
    until(lambda: "preparing kernels (slow the first time) 0/2" in stage(early))
    np.testing.assert_array_equal(picture.image, load_photo(a_photo(), SIZE).rgb)
    held.let("open")
    until(lambda: "1/2" in stage(early))
    assert early.workspace.session is None
    assert not nodes(server, "/surfels/")
    held.let("ask")
    until(lambda: nodes(server, "/surfels/") and not nodes(server, "/opening"))
    until(lambda: stage(early).startswith("**prepare the first step**"))
    early.presses("KeyW")
    until(lambda: early.workspace.worker.waiting == 1)
    assert early.steps == 0, "a step waits for its kernels"
    held.let("step")
    until(lambda: early.steps == 1)
    early.rests()
    assert stage(early) == "*ready*"


def test_a_reloaded_page_is_shown_the_flat_photo_too(
    early: Browser, held: Held, server: viser.ViserServer
) -> None:
    early.client.leave()
    server.scene.reset()
    server.gui.reset()
    again = Browser(server, early.workspace)
    assert nodes(server, "/opening"), "before anything else"
    until(lambda: "preparing kernels (slow the first time) 0/2" in stage(again))
    held.let("open", "ask", "step")
    until(lambda: nodes(server, "/surfels/") and not nodes(server, "/opening"))
    again.client.leave()


def test_with_the_kernels_the_opening_fails_and_says_why(
    early: Browser, held: Held, server: viser.ViserServer
) -> None:
    held.failing = True
    held.let("open")
    until(lambda: early.handle.notifications)
    assert "ValueError: no compiler" in early.handle.notifications[0][1]
    until(lambda: not nodes(server, "/opening"))
    assert early.workspace.session is None


def test_the_flat_photo_of_an_opening_that_was_cancelled_goes(
    early: Browser, server: viser.ViserServer
) -> None:
    early.presses("Escape")
    until(lambda: not nodes(server, "/opening"))
    assert early.workspace.session is None


def calls(heard: list[Any], operation: str) -> list[dict[str, Any]]:
    """What the first-person picture was told by one of its operations, in order."""
    found = []
    for message in heard:
        source = getattr(message, "source", "")
        if f"__vmemFirstPerson?.{operation}(config)" in source:
            found.append(json.loads(re.findall(r"\)\((\{.*\})\) \}", source)[0]))
    return found


def test_the_picture_has_the_photo_then_the_views_then_the_backdrop(
    early: Browser, held: Held, recorder: Recorder
) -> None:
    files = early.client.display.picture._files
    early.workspace.settings.layout = "picture"
    photo = early.workspace.opening
    assert photo is not None
    shown: list[bool] = []
    with recorder.listening() as heard:
        early.client.post(early.client.display.picture.show_opening, None)
        early.client.post(early.client.display.picture.show_opening, photo.rgb)
        early.client.post(shown.append, True)
        until(lambda: shown)
        openings = calls(heard, "opening")
        address = openings[-1]["address"]
        flat = files.content(address)
        held.let("open", "ask", "step")
        until(lambda: calls(heard, "backdrop"))
    session = early.workspace.session
    assert session is not None
    assert flat == flat_view(photo.rgb)
    assert files.content(address) is None, "the flat photo has gone"
    assert calls(heard, "opening") == openings, "the page lets it go by itself, with the first view"
    [opened], [views] = calls(heard, "opened"), calls(heard, "views")
    np.testing.assert_allclose(opened["c2w"], session.camera.c2w.T.ravel())
    assert len(views["add"]) == 1
    [backdrop] = calls(heard, "backdrop")
    content = files.content(backdrop["address"])
    assert content == make_backdrop(session.memory.views[0], session.config.seed).jpeg()
    early.client.leave()
    assert files.content(backdrop["address"]) is None
