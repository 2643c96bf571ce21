"""Sessions: opening, stepping, history as a tree; equal walks are equal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.fakes import CONFIG, BoxGenerator, BoxGeometry, box_photo, open_box
from vmem.cameras import Cameras
from vmem.errors import BackendError
from vmem.formats.photos import PhotoError
from vmem.formats.walk import ExportError
from vmem.memory import MemorySnapshot
from vmem.progress import Progress
from vmem.retrieval import retrieve
from vmem.session import ConfigError, Session, SessionConfig
from vmem.types import DEFAULT_STRATEGY, Frames, Provenance, View


def frames_of(session: Session) -> np.ndarray:
    return np.stack([view.rgb for view in session.memory.views])


def assert_same_memory(a: MemorySnapshot, b: MemorySnapshot) -> None:
    for name in ("position", "normal", "radius", "color"):
        np.testing.assert_array_equal(getattr(a.surfels, name), getattr(b.surfels, name))
    np.testing.assert_array_equal(a.link_surfel, b.link_surfel)
    np.testing.assert_array_equal(a.link_view, b.link_view)
    assert a.steps == b.steps
    for one, other in zip(a.views, b.views, strict=True):
        np.testing.assert_array_equal(one.rgb, other.rgb)
        np.testing.assert_array_equal(one.camera.c2w, other.camera.c2w)


# --- opening and stepping --------------------------------------------------------------------


def test_a_generator_that_can_prepares_for_the_photo():
    begun = []

    class Preparing(BoxGenerator):
        def prepare(self, anchor: View, *, seed: int) -> None:
            begun.append((anchor, seed))

    backend = replace(open_box().backend, generator=Preparing())
    session = Session.open(box_photo(), backend=backend, seed=5, config=CONFIG)
    assert begun == [(session.memory.views[0], 5)]
    session.move("w")
    assert len(begun) == 1


def test_the_photo_is_the_first_view(session):
    memory = session.memory
    (view,) = memory.views
    np.testing.assert_array_equal(view.rgb, box_photo())
    assert view.step == 0
    assert view.provenance is not None
    assert (view.provenance == Provenance.OBSERVED).all()
    assert memory.retrievals == (None,)
    assert len(memory.surfels) == len(memory.link_surfel) > 100
    assert session.history.head.label == "photo"


def test_a_step_adds_its_targets_as_views(session):
    targets = session.targets_to(session.camera.c2w)
    result = session.step(targets, label="here")
    memory = session.memory
    assert len(memory.views) == 1 + CONFIG.target_views
    for view, target in zip(memory.views[1:], targets, strict=True):
        np.testing.assert_array_equal(view.camera.c2w, target.c2w)
        assert view.step == 1
    assert result.node is session.history.head
    assert result.node.label == "here"
    assert result.record.views == memory.views[1:]
    assert memory.retrievals[1] is result.record.retrieval
    assert set(result.seconds) >= {"retrieve", "generate", "estimate", "associate", "commit"}
    assert min(result.seconds.values()) >= 0


def test_the_generator_gets_what_was_retrieved(session):
    contexts = []

    class Listener(BoxGenerator):
        def generate(self, context, targets, **rest):
            contexts.append(context)
            return super().generate(context, targets, **rest)

    session.backend = replace(session.backend, generator=Listener())
    for step in (1, 2, 3):
        before = session.memory
        record = session.move("a").record
        assert record.retrieval is not None
        expected = tuple(before.views[view] for view in record.retrieval.order)
        assert contexts[-1].views == expected
        assert contexts[-1].anchor is before.views[0]
        assert contexts[-1].step == step
    assert len(contexts[-1].views) == CONFIG.context_views


def test_stages_are_reported_in_order(session):
    reports: list[Progress] = []
    session.move("w", on_progress=reports.append)
    stages = list(dict.fromkeys(report.stage for report in reports))
    assert stages == ["retrieve", "generate", "geometry", "memory"]
    frames = [report.done for report in reports if report.stage == "generate"]
    assert frames == [1, 2, 3, 4]
    assert all(report.total == 4 for report in reports if report.stage == "generate")


def test_moves_come_back_to_where_they_began(session):
    for word in "wsaqed":
        session.move(word)
    np.testing.assert_allclose(session.camera.c2w, np.eye(4), atol=1e-9)


def test_loops_close():
    """After a turn of 60 degrees and back, the first views are context for the return to them."""
    session = open_box()
    for word in "a" * 15 + "d" * 15:
        session.move(word)
    memory = session.memory
    assert len(memory.views) == 1 + 30 * 4
    last = memory.retrievals[-1]
    assert last is not None
    assert last.strategy == DEFAULT_STRATEGY
    # Its targets lie up to 3 degrees off the photo, and so do the views that serve them best.
    assert max(last.order) < memory.steps[2].n_views, last.order
    assert retrieve(memory.at_step(29), last.targets, 4, "votes").chosen[0]
    home = session.retrieve(Cameras.stack([memory.views[0].camera]))
    assert home.order[0] == 0, home.order
    # The turn out paid for all surfels; the turn back found every one of them again.
    assert len(memory.surfels) <= 1.02 * memory.steps[15].n_surfels


def test_a_backend_without_a_scene_needs_a_photo(backend):
    with pytest.raises(BackendError, match="needs a photo"):
        Session.open(None, backend=backend)


def test_a_backend_with_its_own_scene_takes_no_photo(backend):
    frames = Frames(rgb=box_photo()[None])
    camera = BoxGeometry().place(box_photo())
    own = replace(backend, own_scene=lambda: (frames, camera))
    session = Session.open(None, backend=own, config=CONFIG)
    np.testing.assert_array_equal(session.memory.views[0].rgb, box_photo())
    with pytest.raises(BackendError, match="takes no photo"):
        Session.open(box_photo(), backend=own)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "seed must be a whole number between 0 and 4294967295, got -1"),
        ({"seed": 2**32}, "seed must be"),
        (
            {"context_views": 0},
            r"k \(context_views\) must be a whole number between 1 and 64, got 0",
        ),
        ({"context_views": 65}, r"context_views\) must be"),
        ({"target_views": 0}, "target_views must be"),
        ({"target_views": 1000}, "target_views must be"),
        ({"strategy": "luck"}, "unknown strategy 'luck': use one of votes"),
        ({"strategy": []}, r"unknown strategy \[\]"),
        ({"seed": 1.5}, "seed must be a whole number between 0 and 4294967295, got 1.5"),
        ({"seed": "5"}, "got '5'"),
        ({"target_views": 2.5}, "target_views must be a whole number"),
        ({"context_views": None}, r"context_views\) must be a whole number .*got None"),
        ({"sampler": 5}, "sampler must be a name or None, got 5"),
        ({"association": None}, "association must be an AssociationConfig, got None"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SessionConfig(**settings)


def test_opening_refuses_a_bad_seed(backend):
    with pytest.raises(ConfigError, match="seed"):
        Session.open(box_photo(), backend=backend, seed=-1)


@pytest.mark.parametrize("n", [1, 3, 7])
def test_any_number_of_targets(backend, n):
    config = replace(CONFIG, target_views=n)
    session = Session.open(box_photo(), backend=backend, config=config)
    session.move("w")
    assert len(session.memory.views) == 1 + n


# --- undo, redo, branches --------------------------------------------------------------------


def test_undo_and_redo(session):
    snapshots = [session.memory]
    for word in "wad":
        session.move(word)
        snapshots.append(session.memory)
    for expected in snapshots[2::-1]:
        assert session.undo()
        assert_same_memory(session.memory, expected)
    assert not session.undo()
    assert_same_memory(session.memory, snapshots[0])
    for expected in snapshots[1:]:
        assert session.redo()
        assert_same_memory(session.memory, expected)
    assert not session.redo()


def test_a_step_after_an_undo_starts_a_branch(session):
    session.move("w")
    session.move("a")
    left = session.memory
    session.undo()
    session.move("d")
    right = session.memory
    assert [node.label for node in session.history.nodes] == ["photo", "w", "a", "d"]
    assert session.history.head.id == 3
    assert not session.redo()

    session.switch(2)
    assert_same_memory(session.memory, left)
    session.switch(3)
    assert_same_memory(session.memory, right)
    session.undo()
    session.redo()
    assert session.history.head.id == 3, "redo returns to the branch that was left"
    session.switch(0)
    assert len(session.memory.views) == 1
    session.redo()
    session.redo()
    assert session.history.head.id == 3


def test_old_snapshots_survive_undo_and_branches(session):
    session.move("w")
    session.move("w")
    old = session.memory
    position, links = old.surfels.position.copy(), old.link_view.copy()
    session.undo()
    session.move("a")
    session.move("a")
    np.testing.assert_array_equal(old.surfels.position, position)
    np.testing.assert_array_equal(old.link_view, links)


def test_a_step_after_undo_equals_the_step_without_detour(session):
    session.move("w")
    session.move("d")
    session.undo()
    session.move("a")
    straight = open_box()
    straight.move("w")
    straight.move("a")
    assert_same_memory(session.memory, straight.memory)


# --- determinism -----------------------------------------------------------------------------


def walked(seed: int) -> Session:
    session = open_box(seed)
    for word in "waed":
        session.move(word)
    return session


def test_equal_seeds_give_equal_walks_and_others_do_not():
    first, again, other = walked(3), walked(3), walked(4)
    assert_same_memory(first.memory, again.memory)
    assert not np.array_equal(frames_of(first), frames_of(other))


def test_open_takes_paths_bytes_and_names(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)).save(path)
    for photo in (path, str(path), path.read_bytes()):
        session = Session.open(photo, backend="preview", seed=3, size=64)
        assert session.backend.name == "preview"
        assert session.memory.views[0].rgb.shape == (64, 64, 3)
    with pytest.raises(PhotoError):
        Session.open(tmp_path / "missing.png", backend="preview")
    with pytest.raises(BackendError):
        Session.open(path, backend="none of ours")
    session.export("walk", tmp_path / "out")
    assert (tmp_path / "out" / "walk.mp4").exists()
    with pytest.raises(ExportError):
        session.export("nothing", tmp_path / "out")
