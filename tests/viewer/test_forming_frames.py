"""Frames that form: where they stand, what they replace, and that nothing of them stays."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
import viser
from numpy.testing import assert_array_equal
from PIL import Image

import viewer.page.backlog
from tests.support.fakes import FormingGenerator, box_photo, forming_backend, open_box
from tests.support.standins import (
    FakeHandle,
    assert_same,
    labelled,
    others,
    pictures,
    set_quietly,
    until,
)
from viewer.browser.client import Client
from viewer.paint.resize import thumbnail
from viewer.scene.billboards import PIXELS
from viewer.settings import Settings
from viewer.walk.source import Source
from viewer.walk.workspace import Workspace
from vmem.arrays import U8
from vmem.cameras import MOVES, Camera, apply_move
from vmem.devices.settings import SAMPLERS
from vmem.errors import VMemError
from vmem.progress import CancelToken, Progress
from vmem.session import Session

FRAMES = np.random.default_rng(1).integers(0, 255, (4, 12, 12, 3), np.uint8)


class Steps:
    """Lets a generator go on step by step; cancelling gets through."""

    def __init__(self) -> None:
        self.allowed = threading.Semaphore(0)
        self.error: Exception | None = None

    def __call__(self, step: int, cancel: CancelToken) -> None:
        while not self.allowed.acquire(timeout=0.01):
            cancel.check()
        if self.error is not None:
            raise self.error

    def allow(self, count: int = 1) -> None:
        self.allowed.release(count)


class Watched:
    """A client, and what its browser would see."""

    def __init__(self, server: viser.ViserServer, client: Client, steps: Steps) -> None:
        self.server, self.client, self.steps = server, client, steps

    @property
    def session(self) -> Session:
        assert self.client.workspace.session is not None
        return self.client.workspace.session

    @property
    def generator(self) -> FormingGenerator:
        return cast(FormingGenerator, self.session.backend.generator)

    @property
    def notes(self) -> list[tuple[str, str]]:
        return cast(FakeHandle, self.client.handle).notifications

    @property
    def said(self) -> str:
        return self.client.display.walk.shown.stage

    def rests(self) -> None:
        until(lambda: not self.client.workspace.worker.busy)
        self.shows()

    def shows(self) -> None:
        """Until what was begun to be shown is."""
        done = threading.Event()
        self.client.post(done.set)
        until(done.is_set)

    def forms(self, word: str, steps: int) -> tuple[Camera, U8]:
        """Begin a step, wait until so many of its steps are shown; what then stands where."""
        memory = self.session.memory
        self.client.commands.move(word)
        scene = self.client.display.scene
        for _ in range(steps):
            seen = scene.forming
            self.steps.allow()
            until(lambda seen=seen: scene.forming is not None and scene.forming is not seen)
        self.shows()
        assert self.session.memory is memory
        assert scene.forming is not None
        return scene.forming


@pytest.fixture
def watched(server: viser.ViserServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """A browser that has opened the box and walked one step."""
    steps = Steps()
    monkeypatch.setattr(
        "viewer.walk.workspace.create_backend",
        lambda name, *, seed, size, geometry: forming_backend(steps),
    )
    photo = io.BytesIO()
    Image.fromarray(box_photo()).save(photo, "PNG")
    workspace = Workspace(Settings(mode="step", layout="memory", size=64))
    client = Client(cast(viser.ClientHandle, FakeHandle(server)), workspace)
    client.commands.open(Source("box", photo.getvalue()))
    until(lambda: workspace.session is not None)
    watched = Watched(server, client, steps)
    watched.rests()
    steps.allow(FormingGenerator.STEPS)
    client.commands.move("w")
    until(lambda: len(watched.session.memory.steps) == 2)
    watched.rests()
    yield watched
    client.leave()
    workspace.close()
    assert "Something went wrong" not in [title for title, _ in watched.notes]


def test_a_step_is_seen_forming_and_ends_as_what_memory_has(
    watched: Watched, server: viser.ViserServer
) -> None:
    old = pictures(server)
    camera, frames = watched.forms("a", 1)
    stop = apply_move(watched.session.camera.c2w, MOVES["a"])
    np.testing.assert_allclose(camera.c2w, stop, atol=1e-12)
    (forming,) = pictures(server).values()
    assert_array_equal(forming[0], thumbnail(frames[-1], PIXELS))
    panel = watched.client.display.walk.shown.picture
    assert_array_equal(panel[:288, :288], thumbnail(frames[-1], 288))
    assert "denoising 1/5" in watched.said

    watched.steps.allow(FormingGenerator.STEPS - 1)
    until(lambda: len(watched.session.memory.steps) == 3)
    watched.rests()
    new = pictures(server)
    newest = watched.session.memory.views[-1].rgb
    assert_array_equal(new["/billboards/frame"][0], thumbnail(newest, PIXELS))
    assert (new["/billboards/frame"][1] != old["/billboards/frame"][1]).any()
    panel = watched.client.display.walk.shown.picture
    assert_array_equal(panel[:288, :288], thumbnail(newest, 288))


def test_escape_brings_the_earlier_billboards_back(
    watched: Watched, server: viser.ViserServer
) -> None:
    memory = watched.session.memory
    before, around = pictures(server), others(server)
    panel = watched.client.display.walk.shown.picture
    watched.forms("d", 2)
    assert len(pictures(server)) == 1
    watched.client.commands.cancel()
    watched.rests()
    assert watched.session.memory is memory
    assert_same(pictures(server), before)
    assert_array_equal(watched.client.display.walk.shown.picture, panel)
    assert others(server).keys() == around.keys()
    assert others(server)["/ghost"] == around["/ghost"], "the ghost is back as well"
    assert "nothing was changed" in watched.said


@pytest.mark.parametrize("long", [False, True])
def test_a_failure_is_told_in_full_and_changes_nothing(
    watched: Watched, server: viser.ViserServer, monkeypatch: pytest.MonkeyPatch, long: bool
) -> None:
    modals: list[str] = []
    real = server.gui.add_modal
    monkeypatch.setattr(server.gui, "add_modal", lambda title: modals.append(title) or real(title))
    memory, before = watched.session.memory, pictures(server)
    text = "the GPU is out of memory" + ": it has 12 GB & needs more.\nUse --preset fast" * long
    watched.forms("w", 1)
    watched.steps.error = VMemError(text)
    watched.steps.allow()
    watched.rests()
    assert watched.session.memory is memory
    assert_same(pictures(server), before)
    assert text in watched.said
    failed = [body for title, body in watched.notes if title == "step w failed"]
    if not long:
        assert (failed, modals) == ([text], [])
        return
    assert (failed, modals) == ([], ["step w failed"])
    assert watched.client.notifications.window_is_open
    watched.client.commands.cancel()
    watched.rests()
    assert not watched.client.notifications.window_is_open


def test_a_page_that_lags_gets_the_latest_frames_only(
    watched: Watched, server: viser.ViserServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("FIRST_LOST_AFTER", "LOST_AFTER"):
        monkeypatch.setattr(viewer.page.backlog, patience, 1e6)
    backlog = watched.client.display.backlog
    shown: list[U8] = []
    real = watched.client.display.scene.show_forming

    def counted(camera: Any, frames: U8) -> None:
        shown.append(frames)
        real(camera, frames)

    monkeypatch.setattr(watched.client.display.scene, "show_forming", counted)
    backlog.mark()
    watched.client.commands.move("w")
    watched.steps.allow(4)
    until(lambda: "denoising 4/5" in watched.said)
    assert shown == []
    backlog.answered(str(backlog.last_mark))
    until(lambda: shown)
    until(lambda: backlog.outstanding == 1)  # they have a mark of their own
    latest = watched.client.display.forming_frames
    assert latest is not None
    assert shown[-1] is latest[1]
    assert len(shown) == 1
    watched.steps.allow()


def test_colours_and_forming_frames_go_together_behind_one_mark(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    display = watched.client.display
    watched.rests()
    sent: list[str] = []
    monkeypatch.setattr(display.memory, "show_colors", lambda heat, painted: sent.append("heat"))
    monkeypatch.setattr(
        display.scene, "show_forming", lambda camera, frames: sent.append("forming")
    )
    monkeypatch.setattr(display.backlog, "mark", lambda: sent.append("mark"))

    def both() -> None:
        display.heat.request()
        display.forming.request()
        display.forming_frames = (watched.session.camera, FRAMES)

    watched.client.post(both)
    until(lambda: "mark" in sent)
    watched.shows()
    assert sent == ["heat", "forming", "mark"]


def test_a_page_that_is_reloaded_in_the_middle_sees_the_rest_forming(
    watched: Watched, server: viser.ViserServer
) -> None:
    watched.forms("w", 1)
    workspace = watched.client.workspace
    watched.client.leave()
    server.scene.reset()
    server.gui.reset()
    again = Client(cast(viser.ClientHandle, FakeHandle(server)), workspace)
    scene = again.display.scene
    until(lambda: scene.forming is not None and len(pictures(server)) == 1)
    formed = scene.forming
    watched.steps.allow()
    until(lambda: scene.forming is not formed and len(pictures(server)) == 1)
    watched.steps.allow(FormingGenerator.STEPS)
    until(lambda: len(pictures(server)) == 2 and not workspace.worker.busy)
    again.leave()


# --- the sampler ---------------------------------------------------------------------------------


def test_the_presets_are_those_that_there_are() -> None:
    from vmem.generation.diffusion.sampling.presets import PRESETS as REAL

    assert tuple(REAL) == SAMPLERS


def test_a_preset_counts_from_the_next_step_on_and_is_shown(
    watched: Watched, server: viser.ViserServer
) -> None:
    assert watched.generator.used == ["balanced"], "the walk's own setting, not the generator's"
    sampler = labelled(server, "Sampler")
    assert not sampler.disabled
    watched.client.commands.set_preset("fast")
    watched.steps.allow(FormingGenerator.STEPS)
    watched.client.commands.move("w")
    until(lambda: len(watched.session.memory.steps) == 3)
    watched.rests()
    assert watched.generator.used == ["balanced", "fast"]
    where = watched.client.display.walk.shown.place
    assert where.endswith("forming: a test's own scene out of noise · sampler: fast")
    assert "sampler: fast" in watched.client.display.session.shown


def test_a_sampler_that_was_chosen_before_is_not_named_any_more(watched: Watched) -> None:
    for made, preset in enumerate(("fast", "reference"), start=3):
        watched.client.commands.set_preset(preset)
        watched.steps.allow(FormingGenerator.STEPS)
        watched.client.commands.move("w")
        until(lambda made=made: len(watched.session.memory.steps) == made)
        watched.rests()
    label = "forming: a test's own scene out of noise · sampler: reference"
    until(lambda: watched.client.display.walk.shown.place.endswith(label))


def test_where_nothing_samples_there_is_no_sampler_to_choose(
    server: viser.ViserServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(Settings(mode="step", layout="memory", size=64, backend="preview"))
    workspace.session = open_box()
    monkeypatch.setattr("viewer.browser.actions.resolve", lambda name: (name, "asked for"))
    client = Client(cast(viser.ClientHandle, FakeHandle(server)), workspace)
    sampler = labelled(server, "Sampler")
    until(lambda: client.debugger.retrieval is not None)
    assert sampler.disabled
    client.commands.set_next("vmem", 64, 0)
    until(lambda: not sampler.disabled)
    assert workspace.settings.backend == "vmem"
    client.leave()
    workspace.close()


def test_a_backend_that_cannot_run_is_explained_and_the_walk_stays(
    watched: Watched, server: viser.ViserServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = "the vmem backend needs weights:\n  visit https://example.org/weights, then\n  <login>"

    def refuse(name: str) -> tuple[str, str]:
        raise VMemError(advice)

    monkeypatch.setattr("viewer.browser.actions.resolve", refuse)
    pages: list[str] = []
    real = server.gui.add_html
    monkeypatch.setattr(server.gui, "add_html", lambda text: pages.append(text) or real(text))
    session = watched.session
    backend = labelled(server, "Backend")
    set_quietly(backend, "vmem")
    watched.client.commands.set_next("vmem", 192, 3)
    until(lambda: pages)
    watched.rests()
    assert "needs weights:\n  visit" in pages[0]
    assert "href='https://example.org/weights'" in pages[0]
    assert "&lt;login&gt;" in pages[0]
    settings = watched.client.workspace.settings
    assert (settings.backend, settings.size, settings.seed) == ("auto", 192, 3)
    assert backend.value == "auto"
    assert watched.session is session


# --- reports -------------------------------------------------------------------------------------


def test_pictures_do_not_make_two_reports_different() -> None:
    assert Progress("denoise", 1, 2, FRAMES) == Progress("denoise", 1, 2)
    assert "frames" not in repr(Progress("denoise", 1, 2, FRAMES))
