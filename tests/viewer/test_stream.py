"""The server-rendered stream: what it draws, when, and that nothing stops or outlives it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import viser

import viewer.scene.stream
from tests.support.standins import FakeCamera, until
from viewer.page.backlog import Backlog
from viewer.scene.stream import (
    DEPTH_STRIDE,
    FAR,
    LEAST_SCALE,
    MOST_SCALE,
    PAGE,
    PictureSize,
    SurfelStream,
    draw,
    eye_camera,
)
from vmem.memory import MemorySnapshot
from vmem.raster import rasterize
from vmem.types import Surfels

WINDOW = (400, 200)


def wall() -> MemorySnapshot:
    """A patch of disks 2 units ahead."""
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 21), np.linspace(-0.5, 0.5, 21))
    position = np.stack([x.ravel(), y.ravel(), np.full(x.size, 2.0)], axis=1).astype(np.float32)
    normal = np.tile(np.array([0, 0, -1], np.float32), (len(position), 1))
    radius = np.full(len(position), 0.05, np.float32)
    surfels = Surfels(position, normal, radius, in_grey(0, len(position)))
    return replace(MemorySnapshot.empty(), surfels=surfels)


def in_grey(value: int, count: int = 21 * 21) -> np.ndarray:
    """The wall's colours."""
    return np.full((count, 3), value, np.uint8)


class FakeLink:
    """A link that is as far behind as it is told to be."""

    def __init__(self) -> None:
        self.outstanding = 0
        self.marks = 0

    def mark(self) -> None:
        self.marks += 1

    def wait(self, outstanding: int, timeout: float) -> None:
        threading.Event().wait(0.002)


class Screen:
    """A client handle that keeps the pictures it is sent."""

    def __init__(self) -> None:
        self.pictures: list[np.ndarray | None] = []
        self.camera = FakeCamera()
        self.buffer = SimpleNamespace(done=False)
        self._websock_connection = SimpleNamespace(get_message_buffer=lambda: self.buffer)
        self.scene = self

    def set_background_image(self, image: np.ndarray | None, **_: Any) -> None:
        self.pictures.append(image)

    @property
    def last(self) -> np.ndarray | None:
        return self.pictures[-1] if self.pictures else None

    def shows(self, value: int, width: int | None = None) -> bool:
        """Whether the middle of the last picture has that brightness, and that width."""
        image = self.last
        if image is None:
            return False
        h, w = image.shape[:2]
        return image[h // 2, w // 2, 0] == value and width in (None, w)


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


@pytest.fixture
def errors() -> list[Exception]:
    return []


@pytest.fixture
def stream(
    screen: Screen, link: FakeLink, errors: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> Iterator[SurfelStream]:
    """A stream that draws a wall of brightness 200 and has come to rest."""
    exits: list[int] = []
    monkeypatch.setattr(os, "_exit", exits.append)
    stream = SurfelStream(
        cast(viser.ClientHandle, screen), cast(Backlog, link), on_failed=errors.append
    )
    stream.show(wall(), in_grey(200))
    stream.start()
    until(lambda: screen.shows(200, WINDOW[0]))
    yield stream
    stream.stop()
    assert exits == []
    assert [t for t in threading.enumerate() if t.name.startswith("stream")] == []


def test_a_picture_has_the_colours_as_given_and_depth_for_every_fourth_pixel():
    memory, camera = wall(), eye_camera(1.0, np.eye(4), (61, 90))
    color = np.random.default_rng(0).integers(0, 255, (21 * 21, 3)).astype(np.uint8)
    picture = draw(memory, color, camera)
    buffers = rasterize(memory.surfels, camera)
    seen = buffers.index >= 0
    assert seen.any()
    assert not seen.all()
    np.testing.assert_array_equal(picture.color[seen], color[buffers.index[seen]])
    np.testing.assert_array_equal(np.unique(picture.color[~seen], axis=0), PAGE[None])
    thin = seen[::DEPTH_STRIDE, ::DEPTH_STRIDE]
    assert picture.depth.shape == thin.shape
    np.testing.assert_allclose(picture.depth[thin], 2.0, atol=2e-3)
    np.testing.assert_allclose(picture.depth[~thin], FAR, atol=1e-3)


def test_depth_survives_viser_with_its_lowest_byte_zero():
    picture = draw(wall(), in_grey(200), eye_camera(1.0, np.eye(4), (60, 90)))
    fixed = (picture.depth * 100_000).astype(np.uint32)
    assert set(np.unique(fixed % 256)) <= {0, 1}


def test_nothing_to_draw_is_an_empty_page():
    picture = draw(MemorySnapshot.empty(), in_grey(0, 0), eye_camera(1.0, np.eye(4), (6, 9)))
    assert (picture.color == PAGE).all()


def test_an_eye_sees_half_its_field_of_view_above_the_middle():
    camera = eye_camera(1.0, np.eye(4), (100, 300))
    top = (0 - camera.K[1, 2]) / camera.K[1, 1]
    assert np.isclose(np.arctan(-top), 0.5)
    assert camera.K[0, 0] == camera.K[1, 1]


def test_pictures_in_motion_are_smaller_and_never_too_small():
    size = PictureSize()
    assert size.of("high", (800, 400)) == (800, 400)
    assert size.of("high", (4000, 2000)) == (1920, 960)
    assert size.of("low_move", (800, 400)) == size.of("low_static", (800, 400)) == (400, 200)
    for _ in range(20):
        size.learn(10.0)
    assert size.of("low_move", (800, 400)) == (800 * LEAST_SCALE, 400 * LEAST_SCALE)
    for _ in range(40):
        size.learn(1e-4)
    assert size.of("low_move", (800, 400)) == (800 * MOST_SCALE, 400 * MOST_SCALE)
    assert size.of("high", (0, 0)) == (2, 2)


def test_a_move_is_drawn_coarsely_and_rest_sharply(stream: SurfelStream, screen: Screen) -> None:
    screen.pictures.clear()
    screen.camera.position = np.array([0.0, 0.0, 0.5])
    stream.moved()
    until(lambda: screen.pictures)
    first = screen.pictures[0]
    assert first is not None
    assert first.shape[1] <= MOST_SCALE * WINDOW[0]
    until(lambda: screen.shows(200, WINDOW[0]))
    count = len(screen.pictures)
    threading.Event().wait(0.6)
    assert len(screen.pictures) == count, "nothing is drawn anew at rest"


def test_new_colours_are_drawn_without_a_move(stream: SurfelStream, screen: Screen) -> None:
    stream.show(wall(), in_grey(90))
    until(lambda: screen.shows(90, WINDOW[0]))


def test_the_latest_wins_and_nobody_waits(
    stream: SurfelStream, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, gate, drawn = threading.Event(), threading.Event(), []

    def slow(memory: MemorySnapshot, color: np.ndarray, camera: Any) -> Any:
        entered.set()
        assert gate.wait(30)
        drawn.append(int(color[0, 0]))
        return draw(memory, color, camera)

    monkeypatch.setattr(viewer.scene.stream, "draw", slow)
    stream.show(wall(), in_grey(1))
    until(entered.is_set)
    for value in range(2, 60):  # all of these while the first is being drawn
        stream.show(wall(), in_grey(value))
        stream.moved()
    gate.set()
    until(lambda: screen.shows(59, WINDOW[0]))
    assert set(drawn) == {1, 59}


def test_a_failure_is_told_once_and_survived(
    stream: SurfelStream,
    screen: Screen,
    errors: list[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[int] = []

    def broken(*_: Any) -> Any:
        tries.append(1)
        raise TypeError("no such disk")

    monkeypatch.setattr(viewer.scene.stream, "draw", broken)
    for _ in range(4):
        before = len(tries)
        stream.moved()
        until(lambda before=before: len(tries) > before)
    assert [str(error) for error in errors] == ["no such disk"]
    monkeypatch.undo()
    assert stream.alive
    stream.show(wall(), in_grey(77))
    until(lambda: screen.shows(77))


def test_a_camera_that_cannot_be_is_not_followed(stream: SurfelStream, screen: Screen) -> None:
    screen.camera.image_height = 0
    stream.moved()
    screen.camera.position = np.array([np.nan, 0.0, 0.0])
    stream.moved()
    del screen.camera.wxyz
    stream.moved()
    stream.show(wall(), in_grey(33))
    until(lambda: screen.shows(33, WINDOW[0]))
    assert stream.alive


def test_nothing_that_is_shown_or_looked_from_ends_it(
    stream: SurfelStream, screen: Screen, errors: list[Exception]
) -> None:
    def fails(error: Exception) -> None:
        errors.append(error)
        raise RuntimeError("nobody listens")

    stream._on_failed = fails
    empty = MemorySnapshot.empty()
    nan = replace(wall().surfels, position=np.full((21 * 21, 3), np.nan, np.float32))
    shown = [
        (empty, in_grey(0, 0)),
        (wall(), in_grey(9, 3)),  # colours of another memory
        (wall(), in_grey(9)[:, :2]),
        (replace(empty, surfels=nan), in_grey(9)),
        (empty, in_grey(9)),
    ]
    eyes = [
        {"wxyz": np.full(4, np.nan)},
        {"wxyz": np.array([2.0, 0, 0, 1])},
        {"wxyz": np.zeros(4)},
        {"position": np.full(3, np.inf)},
        {"position": np.full(3, 1e300)},
        {"fov": np.nan},
        {"fov": 0.0},
        {"fov": 9.0},
        {"image_width": 0},
        {"image_width": 10**9, "image_height": 2},
        {"image_height": np.nan},
        {"image_height": None},
    ]
    for memory, color in shown:
        for eye in eyes:
            screen.camera = FakeCamera()
            vars(screen.camera).update(eye)
            stream.show(memory, color)
            fov, c2w, _ = stream._look()
            for size in (stream.picture_size("high"), stream.picture_size("low_move"), (1, 1)):
                tab = SimpleNamespace(viewer_width=size[0], viewer_height=size[1])
                picture, depth = stream.render_fn(SimpleNamespace(fov=fov, c2w=c2w), tab)
                assert picture.dtype == np.uint8
                assert np.isfinite(depth).all()
    tab = SimpleNamespace(viewer_width=0, viewer_height=0)
    stream.render_fn(SimpleNamespace(fov=np.nan, c2w=np.full((4, 4), np.nan)), tab)
    assert len(errors) == 1
    assert stream.alive
    screen.camera = FakeCamera()
    stream.show(wall(), in_grey(44))
    until(lambda: screen.shows(44, WINDOW[0]))


def test_a_page_that_lags_gets_fewer_pictures(
    stream: SurfelStream, screen: Screen, link: FakeLink
) -> None:
    link.outstanding = 2
    stream.moved()
    until(lambda: link.marks == stream.pictures)
    threading.Event().wait(0.3)
    count = stream.pictures
    for value in range(50, 60):
        stream.show(wall(), in_grey(value))
    threading.Event().wait(0.3)
    assert stream.pictures == count
    link.outstanding = 0
    until(lambda: screen.shows(59, WINDOW[0]))


def test_drawing_gives_way_while_frames_are_generated(
    stream: SurfelStream, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []

    def rest(seconds: float) -> bool:
        rests.append(seconds)
        return False

    monkeypatch.setattr(stream._closed, "wait", rest)
    stream.show(wall(), in_grey(10))
    until(lambda: screen.shows(10, WINDOW[0]))
    assert rests == []
    monkeypatch.setattr(stream, "_is_busy", lambda: True)
    stream.show(wall(), in_grey(20))
    until(lambda: screen.shows(20, WINDOW[0]) and rests)
    assert min(rests) > 0


def test_who_does_not_stream_does_not_load_nerfview():
    code = "import viewer.server.app, viewer.scene.stream, sys; sys.exit('nerfview' in sys.modules)"
    root = Path(viewer.scene.stream.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


def test_python_is_not_traced_while_drawing(
    stream: SurfelStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces: list[Any] = []

    def looked(*arguments: Any) -> Any:
        traces.append(sys.gettrace())
        return draw(*arguments)

    monkeypatch.setattr(viewer.scene.stream, "draw", looked)
    stream.moved()
    until(lambda: traces)
    assert set(traces) == {None}


def test_it_ends_when_the_browser_is_gone(stream: SurfelStream, screen: Screen) -> None:
    thread = stream._thread
    assert thread is not None
    screen.buffer.done = True
    count = len(screen.pictures)
    stream.moved()
    thread.join(10)
    assert not thread.is_alive()
    assert len(screen.pictures) == count


def test_stopping_takes_the_picture_away(stream: SurfelStream, screen: Screen) -> None:
    stream.stop()
    assert screen.last is None
    stream.show(wall(), in_grey(5))
    stream.moved()
    threading.Event().wait(0.3)
    assert screen.last is None


def test_without_nerfview_it_says_so(
    screen: Screen, link: FakeLink, errors: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "viewer.scene.stream_thread", None)
    stream = SurfelStream(
        cast(viser.ClientHandle, screen), cast(Backlog, link), on_failed=errors.append
    )
    stream.start()
    until(lambda: errors)
    assert isinstance(errors[0], ImportError)
    assert not stream.alive
    stream.stop()
