"""Saved walks: they go on as if they had never been closed, and nothing is lost or half written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vmem
from tests.support.fakes import CONFIG, BoxGeometry, box_backend, box_photo, forming_backend
from tests.support.resumed import STOP, assert_same_walk, walked
from vmem.backends import Backend, create_backend
from vmem.errors import BackendError
from vmem.session import Session, SessionClosed, SessionConfig
from vmem.store import StoreError, WalkFile, WalkHeld

WORDS = "w a | undo d 3=left 2 | w undo undo redo | e"
"""A branch, moves of the head over it and a name, with a stop at every place that differs."""
SMALL = SessionConfig(target_views=2, context_views=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "walk.vmem"


def open_box(path: Path | None, backend: Backend | None = None) -> Session:
    return Session.open(box_photo(), backend=backend or box_backend(), config=CONFIG, save=path)


def resumed(session: Session, backend: Backend | None = None) -> Session:
    """The session closed and opened again from its file."""
    assert session.file is not None
    session.close()
    return Session.resume(session.file.path, backend=backend)


# --- identity ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["preview", "world"])
def test_a_walk_that_was_stopped_is_the_walk_that_was_not(name: str, path: Path) -> None:
    photo = None if name == "world" else box_photo((64, 64))
    backend = create_backend(name, seed=3, size=64)

    def opened(save: Path | None) -> Session:
        return Session.open(photo, backend=backend, seed=3, config=SMALL, save=save)

    straight = walked(opened(None), WORDS.replace(STOP, ""), resumed)
    stopped = walked(opened(path), WORDS, resumed)
    assert_same_walk(straight, stopped)
    assert stopped.backend is not backend
    assert_same_walk(straight, resumed(stopped))


@pytest.fixture
def networks(tmp_path_factory, monkeypatch, one_thread) -> Iterator[Callable[[], Backend]]:
    """Makes the vmem backend on tiny networks with CUT3R's geometry; their caches are forgotten
    before each."""
    from tests.support.pretend_walk import EVALUATIONS, forget_networks, write_all
    from tests.support.released import environment
    from vmem.devices.settings import NetworkSettings
    from vmem.generation.diffusion.sampling.presets import PRESETS
    from vmem.geometry.cut3r.estimator import Cut3rEstimator

    files = write_all(tmp_path_factory.mktemp("released"))
    for variable, value in environment(files).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("VMEM_CUT3R", str(files / "cut3r"))
    for name, sampler in PRESETS.items():
        monkeypatch.setitem(PRESETS, name, replace(sampler, steps=EVALUATIONS))

    def make() -> Backend:
        forget_networks()
        geometry = Cut3rEstimator(NetworkSettings.from_environment(), size=64)
        return replace(create_backend("vmem", geometry="layout"), geometry=geometry)

    yield make
    forget_networks()


def test_networks_go_on_from_their_latents_and_state(networks, path: Path) -> None:
    from tests.support.released import CONFIG as OF_NETWORKS
    from tests.support.released import PHOTO

    config = replace(OF_NETWORKS, refuse=False, target_views=1, context_views=1)
    straight = Session.open(PHOTO, backend=networks(), config=config, save=path)
    straight.move("w")
    assert straight.file is not None
    straight.file.copy_to(path.with_name("stopped.vmem"))
    straight.move("d")
    stopped = Session.resume(path.with_name("stopped.vmem"), backend=networks())
    stopped.move("d")
    assert_same_walk(straight, stopped)
    last = stopped.memory.views[-1]
    assert last.latents
    assert last.geometry_state


def test_a_backend_of_networks_is_made_again_with_its_settings(networks, path, monkeypatch) -> None:
    from tests.support.released import CONFIG as OF_NETWORKS
    from tests.support.released import PHOTO

    monkeypatch.setenv("VMEM_CFG", "1.5")
    backend = create_backend("vmem", geometry="layout")
    session = Session.open(PHOTO, backend=backend, config=OF_NETWORKS, save=path)
    monkeypatch.setenv("VMEM_CFG", "2.5")
    again = resumed(session)
    assert again.backend.recipe is not None
    assert again.backend.recipe.networks.cfg == 1.5
    again.close()
    with pytest.raises(BackendError, match=r"the networks' cfg was 1\.5, here it is 2\.5"):
        vmem.resume(path, backend=create_backend("vmem", geometry="layout"))


def test_a_walk_saved_late_is_the_walk_saved_from_the_start(path: Path) -> None:
    words = "w a undo d 3=left 0 w 1 a"
    late = walked(open_box(None), words, resumed)
    before = late.memory
    late.keep(path)
    assert_same_walk(late, walked(open_box(path.with_name("b.vmem")), words, resumed))
    np.testing.assert_array_equal(late.memory.surfels.position, before.surfels.position)
    late.move("e")
    assert_same_walk(late, resumed(late, box_backend()))
    with pytest.raises(SessionClosed, match="closed"):
        late.keep(path)


# --- which backend -----------------------------------------------------------------------------


def test_another_backend_is_refused_and_says_in_what_it_differs(path: Path) -> None:
    world = create_backend("world", seed=1, size=64)
    Session.open(None, backend=world, seed=1, config=SMALL, save=path).close()
    with pytest.raises(BackendError, match="the backend was world, here it is preview"):
        vmem.resume(path, backend=create_backend("preview"))
    with pytest.raises(
        BackendError, match="the scene's seed was 1, here it is 2; the frames' side"
    ):
        vmem.resume(path, backend=create_backend("world", seed=2, size=128))
    with pytest.raises(BackendError, match="was exact, here it is one made by hand"):
        vmem.resume(path, backend=replace(world, geometry=BoxGeometry()))
    vmem.resume(path, backend=world).close()
    vmem.resume(path).close()


def test_a_backend_made_by_hand_has_to_be_given(path: Path) -> None:
    open_box(path).close()
    with pytest.raises(BackendError, match=r"a backend of its own \(box: .*give it to go on"):
        vmem.resume(path)
    with pytest.raises(BackendError, match="the backend was box, here it is forming"):
        vmem.resume(path, backend=forming_backend())
    assert vmem.resume(path, backend=box_backend()).config == CONFIG


# --- who may change it -------------------------------------------------------------------------


def test_one_that_looks_only_goes_anywhere_and_changes_nothing(path: Path) -> None:
    session = open_box(path)
    session.move("w")
    with pytest.raises(WalkHeld, match="is being written by process"):
        vmem.resume(path, backend=box_backend())
    looking = vmem.resume(path, backend=box_backend(), read_only=True)
    assert looking.read_only
    assert looking.undo()
    assert len(looking.memory.views) == 1
    for change in (
        lambda: looking.move("a"),
        lambda: looking.rename(0, "x"),
        lambda: looking.keep(path.with_name("other.vmem")),
    ):
        with pytest.raises(SessionClosed, match=r"walk\.vmem: it was opened to look only"):
            change()
    session.close()
    assert vmem.resume(path, backend=box_backend()).history.head.id == 1


def test_a_closed_walk_takes_no_step(path: Path) -> None:
    with open_box(path) as session:
        session.move("w")
    session.close()
    with pytest.raises(SessionClosed, match=r"was closed: open it again with vmem\.resume"):
        session.move("w")


def test_a_file_that_is_there_is_refused_before_anything_is_made(path: Path) -> None:
    path.write_bytes(b"mine")
    with pytest.raises(StoreError, match="exists already"):
        open_box(path)
    session = open_box(None)
    with pytest.raises(StoreError, match="exists already"):
        session.keep(path)
    assert path.read_bytes() == b"mine"
    session.move("w")


def test_a_damaged_walk_is_looked_at_and_goes_on_in_a_copy(path: Path) -> None:
    walked(open_box(path), "w a 1 d 0 1", resumed).close()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE part SET data = x'00' WHERE node = 2 AND kind = 'growth'")
    session = vmem.resume(path, backend=box_backend())
    assert [node.id for node in session.history.nodes] == [0, 1, 3]
    assert session.history.head.id == 1
    with pytest.raises(SessionClosed, match=r"it is damaged \(step 2 'a': .*copy_to"):
        session.move("w")
    session.switch(3)
    assert session.file is not None
    session.file.copy_to(path.with_name("copy.vmem"))
    copy = vmem.resume(path.with_name("copy.vmem"), backend=box_backend())
    copy.switch(2)  # numbered anew
    copy.move("w")
    straight = walked(open_box(None), "w d w", resumed)
    for one, other in zip(copy.memory.views, straight.memory.views, strict=True):
        np.testing.assert_array_equal(one.rgb, other.rgb)


# --- what fails --------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["a", "undo", "redo", "1", "0=x"])
def test_what_cannot_be_written_is_not_done(word: str, path: Path, monkeypatch) -> None:
    session = walked(open_box(path), "w d undo", resumed)
    memory, head, nodes = session.memory, session.history.head, session.history.nodes
    recent = [node.recent for node in nodes]

    def full(*arguments: object) -> None:
        raise StoreError("cannot write walk.vmem: the disk is full")

    with monkeypatch.context() as patched:
        for name in ("add", "move_head", "rename_node"):
            patched.setattr(WalkFile, name, full)
        with pytest.raises(StoreError, match="the disk is full"):
            walked(session, word, resumed)
    assert session.memory is memory
    assert (session.history.head, session.history.nodes) == (head, nodes)
    assert [node.recent for node in nodes] == recent
    assert not nodes[0].name
    walked(session, word, resumed)
    assert_same_walk(session, resumed(session, box_backend()))


def test_a_walk_that_cannot_be_saved_whole_leaves_no_file(path: Path, monkeypatch) -> None:
    session = walked(open_box(None), "w d", resumed)
    add = WalkFile.add

    def second_fails(file: WalkFile, node: int, *rest: object) -> None:
        if node == 2:
            raise StoreError("cannot write walk.vmem: the disk is full")
        add(file, node, *rest)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patched:
        patched.setattr(WalkFile, "add", second_fails)
        with pytest.raises(StoreError, match="the disk is full"):
            session.keep(path)
    assert list(path.parent.iterdir()) == []
    assert session.file is None
    session.move("a")
    session.keep(path)
    straight = walked(open_box(None), "w d a", resumed)
    assert_same_walk(straight, resumed(session, box_backend()))


def test_an_interrupt_after_the_commit_loses_nothing(path: Path, monkeypatch) -> None:
    session = open_box(path)
    add = WalkFile.add

    def interrupted(file: WalkFile, *step: object) -> None:
        add(file, *step)  # pyright: ignore[reportArgumentType]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(WalkFile, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.move("w")
    assert len(session.memory.steps) == 1
    session.move("d")
    again = resumed(session, box_backend())
    assert [node.label for node in again.history.nodes] == ["photo", "w", "d"]
    assert again.history.head.id == 2


def test_a_step_is_in_the_file_before_it_is_in_memory(path: Path, monkeypatch) -> None:
    session = open_box(path)
    add, seen = WalkFile.add, []

    def watched(file: WalkFile, *step: object) -> None:
        seen.append(len(session.memory.steps))
        add(file, *step)  # pyright: ignore[reportArgumentType]
        seen.append(len(session.memory.steps))

    monkeypatch.setattr(WalkFile, "add", watched)
    session.move("w")
    assert seen == [1, 1]
    assert len(session.memory.steps) == 2
