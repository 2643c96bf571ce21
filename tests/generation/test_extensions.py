"""A photo's continuation is made once, in the background if it was begun in time."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.preview_scenes import camera_at, room
from vmem.cameras import path_targets
from vmem.generation import Context, Prepares
from vmem.generation.preview import extensions
from vmem.generation.preview.extensions import Extensions
from vmem.generation.preview.generator import PreviewGenerator
from vmem.generation.preview.outpaint import Extension, extend
from vmem.progress import Cancelled, CancelToken
from vmem.types import View

PATIENCE = 20.0


class Gate:
    """In place of extend: counts its calls and holds them until it is opened."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun = threading.Event()
        self.open = threading.Event()

    def __call__(self, anchor: View, seed: int) -> Extension:
        self.calls += 1
        self.begun.set()
        assert self.open.wait(PATIENCE)
        return extend(anchor, seed)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    monkeypatch.setattr(extensions, "extend", gate)
    yield gate
    gate.open.set()
    _let_threads_end()


def _let_threads_end() -> None:
    for thread in threading.enumerate():
        if thread.name == "photo's extension":
            thread.join(PATIENCE)
            assert not thread.is_alive()


@contextmanager
def in_thread(call: Callable[[], object]) -> Iterator[list[object]]:
    """``call`` runs beside the block; its result or exception is in the list afterwards."""
    out: list[object] = []

    def run() -> None:
        try:
            out.append(call())
        except BaseException as error:
            out.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield out
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_step_that_comes_early_waits_for_what_was_begun(gate: Gate) -> None:
    anchor, made = room(), Extensions()
    made.start(anchor, 0)
    made.start(anchor, 0)
    assert gate.begun.wait(PATIENCE)
    with in_thread(lambda: made.get(anchor, 0, CancelToken())) as got:
        assert not got
        gate.open.set()
    assert isinstance(got[0], Extension)
    assert made.get(anchor, 0, CancelToken()) is got[0]
    assert gate.calls == 1


def test_each_anchor_and_seed_has_its_own(gate: Gate) -> None:
    gate.open.set()
    anchor, made = room(), Extensions()
    first = made.get(anchor, 0, CancelToken())
    assert made.get(anchor, 1, CancelToken()) is not first
    assert made.get(room(), 0, CancelToken()) is not first
    assert gate.calls == 3


def test_waiting_can_be_cancelled_and_the_work_is_not_lost(gate: Gate) -> None:
    anchor, made, cancel = room(), Extensions(), CancelToken()
    made.start(anchor, 0)
    assert gate.begun.wait(PATIENCE)
    cancel.cancel()
    with pytest.raises(Cancelled):
        made.get(anchor, 0, cancel)
    gate.open.set()
    assert isinstance(made.get(anchor, 0, CancelToken()), Extension)
    assert gate.calls == 1


def test_a_failure_in_the_background_is_raised_by_the_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(anchor: View, seed: int) -> Extension:
        raise MemoryError("no room")

    monkeypatch.setattr(extensions, "extend", fail)
    anchor, generator = room(), PreviewGenerator()
    generator.prepare(anchor, seed=0)
    _let_threads_end()
    targets = path_targets(anchor.camera, camera_at(yaw=0.3).c2w, 1)
    with pytest.raises(MemoryError, match="no room"):
        generator.generate(Context((anchor,), anchor, 1), targets, seed=0)
    monkeypatch.setattr(extensions, "extend", extend)
    generator.generate(Context((anchor,), anchor, 1), targets, seed=0)


def test_a_failure_is_raised_by_all_who_wait_and_tried_again_after(gate: Gate) -> None:
    def fail(anchor: View, seed: int) -> Extension:
        gate.begun.set()
        assert gate.open.wait(PATIENCE)
        raise MemoryError("no room")

    anchor, made = room(), Extensions()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extensions, "extend", fail)
        made.start(anchor, 0)
        assert gate.begun.wait(PATIENCE)
        with in_thread(lambda: made.get(anchor, 0, CancelToken())) as got:
            gate.open.set()
        _let_threads_end()
    assert isinstance(got[0], MemoryError)
    assert isinstance(made.get(anchor, 0, CancelToken()), Extension)


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_keeps_a_closed_walks_photo(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(anchor: View, seed: int) -> Extension:
        raise MemoryError("no room")

    if fails:
        monkeypatch.setattr(extensions, "extend", fail)
    anchor, made = room(), Extensions()
    made.start(anchor, 0)
    _let_threads_end()
    gone = weakref.ref(anchor)
    del anchor
    gc.collect()
    assert gone() is None


def test_frames_are_the_same_whoever_made_the_extension() -> None:
    anchor = room()
    targets = path_targets(anchor.camera, camera_at((0.1, 0, 0), yaw=0.8).c2w, 2)
    prepared, other = PreviewGenerator(), PreviewGenerator()
    assert isinstance(prepared, Prepares)
    prepared.prepare(anchor, seed=3)
    context = Context((anchor,), anchor, 1)
    one, two = (made.generate(context, targets, seed=3) for made in (prepared, other))
    for name in ("rgb", "depth", "provenance", "age", "confidence"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()
