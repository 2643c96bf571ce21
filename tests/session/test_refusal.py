"""Steps that would only harm memory are refused, and leave everything as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vmem
from tests.session.test_transactions import BrokenGenerator, BrokenGeometry, State
from tests.support.fakes import CONFIG, HALF, HW, box_backend, box_photo, open_box
from vmem.arrays import U8
from vmem.cameras import MOVES, Camera, apply_move, default_K, rotation_y
from vmem.memory import MemorySnapshot
from vmem.session import Session, StepRefused
from vmem.session.refusal import CLEARANCE, refusal_of_frame, refusal_of_pose
from vmem.types import Frames, Provenance, SurfelBuffers, Surfels

ASSETS = Path(vmem.__file__).parents[1] / "assets"
WALL = float(HALF[2])


def at(x: float, y: float, z: float, turn: float = 0.0) -> Camera:
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_y(turn)
    c2w[:3, 3] = (x, y, z)
    return Camera(c2w, default_K(HW), HW)


def assert_refused(session: Session, camera: Camera, match: str) -> None:
    before, count, stored = State.of(session), session.refused, len(session.memory.retrievals)
    with pytest.raises(StepRefused, match=match):
        session.step(camera)
    before.assert_kept(session)
    assert session.refused == count + 1
    assert len(session.memory.retrievals) == stored


# --- poses -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def at_wall() -> Session:
    """A session that has walked to 0.05 units from the wall ahead."""
    session = open_box()
    for z in (1.0, 2.0, 2.7, WALL - 0.05):
        session.step(at(0, 0, z))
    return session


@pytest.mark.parametrize("away", [0.5, 0.9, -0.5, -0.9])
def test_a_pose_upon_a_surface_is_refused(at_wall, away):
    match = "from a surface of memory, nearer than 0.02|leads through a surface"
    assert_refused(at_wall, at(0, 0, WALL - away * CLEARANCE), match)


def test_a_way_through_a_wall_is_refused(at_wall):
    assert_refused(at_wall, at(0, 0, WALL + 0.06), "leads through a surface that memory holds")


def test_each_target_is_reached_from_the_one_before(at_wall):
    ways = vmem.Cameras.stack([at(0, 0, 2.8), at(0, 0, WALL + 0.1)])
    with pytest.raises(StepRefused, match="leads through a surface"):
        at_wall.step(ways)


def test_who_keeps_clear_is_not_refused(at_wall):
    memory = at_wall.memory
    for camera in (at(0, 0, WALL - 1.5 * CLEARANCE), at(0, 0, WALL - 0.05, turn=1.0), at(0, 0, 0)):
        assert refusal_of_pose(memory, camera) is None


def with_disk_at(memory: MemorySnapshot, z: float) -> MemorySnapshot:
    """A memory of one disk across the z axis."""
    disk = Surfels(
        np.array([[0, 0, z]], np.float32),
        np.array([[0, 0, -1]], np.float32),
        np.array([0.3], np.float32),
        np.zeros((1, 3), np.uint8),
    )
    return replace(MemorySnapshot.empty(), surfels=disk, views=memory.views)


def test_who_is_too_near_may_turn_and_leave_but_not_come_nearer(at_wall):
    """A surface can become known that is nearer than the walker would have gone."""
    x, y, z = at_wall.memory.views[-1].camera.position
    memory = with_disk_at(at_wall.memory, z + 0.01)
    assert refusal_of_pose(memory, at(x, y, z, turn=0.3)) is None
    assert refusal_of_pose(memory, at(x, y, z - 0.1)) is None
    assert "nearer than" in str(refusal_of_pose(memory, at(x, y, z + 0.005)))
    assert "leads through" in str(refusal_of_pose(memory, at(x, y, z + 0.06)))


def test_a_config_can_take_everything(at_wall):
    at_wall.config = replace(at_wall.config, refuse=False)
    at_wall.step(at(0, 0, WALL - CLEARANCE / 2))
    at_wall.undo()
    at_wall.config = replace(at_wall.config, refuse=True)


# --- frames ----------------------------------------------------------------------------------


def painted(colour: object):
    """What makes frames of one colour of good ones."""
    return lambda good: Frames(np.full_like(good.rgb, np.array(colour, np.uint8)))


@pytest.mark.parametrize(
    ("colour", "match"),
    [
        ((0, 0, 0), "100% of the frame is black"),
        ((90, 200, 90), "is one flat colour"),
    ],
)
@pytest.mark.parametrize("place", [at(0, 0, 0.2), at(0, 0, 0.2, turn=np.pi)], ids=["known", "new"])
def test_frames_of_one_colour_are_refused(session, colour, match, place):
    session.backend = replace(session.backend, generator=BrokenGenerator(painted(colour)))
    assert_refused(session, place, match)


def test_a_frame_that_nothing_shows_is_refused(session):
    unknown = BrokenGenerator(lambda good: replace(good, unknown=np.full(1, 0.3, np.float32)))
    session.backend = replace(session.backend, generator=unknown)
    assert_refused(session, at(0, 0, 0.2), "30% of the frame shows neither memory nor")


def flat_answer(rgb: U8, session: Session, shown: bool = True, **said) -> str | None:
    """Of a frame where the first camera looks; ``shown``: whether memory shows anything there."""
    memory, camera = session.memory, session.memory.views[0].camera
    drawn = vmem.render(memory, camera)
    if not shown:
        drawn = SurfelBuffers(np.full_like(drawn.index, -1), drawn.depth, drawn.cosine)
    return refusal_of_frame(rgb, memory, drawn, memory.views, **said)


def test_a_wall_of_one_colour_may_fill_the_frame():
    white = np.full((*HW, 3), 235, np.uint8)
    session = Session.open(white, backend=box_backend(), config=CONFIG)
    assert flat_answer(white, session) is None
    assert flat_answer(white - 20, session) is None
    assert flat_answer(white - 100, session) is not None
    # Memory says what must be there, whatever else the context shows.
    sky = box_photo().copy()
    sky[:12] = 60, 110, 200
    session = Session.open(sky, backend=box_backend(), config=CONFIG)
    assert flat_answer(np.full_like(sky, sky[0, 0]), session) is not None


def test_a_sky_may_fill_the_frame_where_memory_shows_nothing():
    sky = box_photo().copy()
    sky[:12] = 60, 110, 200
    session = Session.open(sky, backend=box_backend(), config=CONFIG)
    assert flat_answer(np.full_like(sky, sky[0, 0]), session, shown=False) is None
    assert flat_answer(np.full_like(sky, 30), session, shown=False) is not None


def test_flat_frames_that_were_not_invented_are_believed_unless_black(session):
    where = np.full(HW, Provenance.REOBSERVED, np.uint8)
    flat = np.full((*HW, 3), (250, 10, 250), np.uint8)
    assert flat_answer(flat, session, provenance=where) is None
    assert flat_answer(flat, session, provenance=where * 0) is not None
    assert flat_answer(flat * 0, session, provenance=where) is not None


# --- depth -----------------------------------------------------------------------------------


def test_a_frame_that_shows_what_lies_behind_a_wall_is_refused(session):
    """From outside the box, which is drawn as if its near wall were not there."""
    session.step(at(0, 0, 0.5))
    assert_refused(session, at(0, 0, WALL + 1, turn=np.pi), "shows what lies behind surfaces")


def test_a_frame_upon_a_surface_that_memory_did_not_know_is_refused(session):
    near = BrokenGeometry(lambda good: replace(good, depth=good.depth * np.float32(1e-3)))
    session.backend = replace(session.backend, geometry=near)
    assert_refused(session, at(0, 0, 0.2), "100% of the frame is nearer than 0.02 units")


# --- a photo ---------------------------------------------------------------------------------


def test_a_walk_goes_on_in_a_photo_and_ends_at_its_floor():
    session = vmem.open(ASSETS / "hotel_room.jpg", backend="preview", size=96)

    def go(words: str) -> None:
        for word in words:
            session.step(session.camera.moved_to(apply_move(session.camera.c2w, MOVES[word])))

    go("wdwqa")
    assert session.refused == 0
    with pytest.raises(StepRefused):
        go("ffffff")
    before = State.of(session)
    with pytest.raises(StepRefused):
        go("f")
    before.assert_kept(session)
    go("rs")
    assert session.refused == 2
