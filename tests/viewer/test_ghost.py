"""The ghost camera: where it stands, and the way it flew, cut into steps."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from viewer.walk.ghost import MAX_FLIGHT_STEPS, Ghost
from vmem.arrays import F64
from vmem.cameras import MOVES, Camera, apply_move, default_K, rotation_angle

HW = (48, 48)
STEP, TURN = 0.1, math.radians(4)
"""One move, as the ghost is made."""

flights = st.lists(
    st.tuples(st.sampled_from(sorted(MOVES)), st.floats(0.02, 1.0)), min_size=1, max_size=120
)
"""Held keys, tick by tick: a move word and how much of it, at most one move."""


def start() -> Camera:
    return Camera(np.eye(4), default_K(HW), HW)


def flown(flight: list[tuple[str, float]]) -> tuple[Ghost, list[F64]]:
    """A ghost that flew, and every pose it had on its way."""
    ghost = Ghost(start())
    poses = [ghost.camera.c2w]
    for word, amount in flight:
        ghost.move(word, amount)
        poses.append(ghost.camera.c2w)
    return ghost, poses


def moves_between(a: F64, b: F64) -> float:
    """How many moves lead from one pose straight to another, whichever of both takes longer."""
    distance = float(np.linalg.norm(b[:3, 3] - a[:3, 3])) / STEP
    return max(distance, float(rotation_angle(a[:3, :3], b[:3, :3])) / TURN)


def along(poses: list[F64]) -> list[float]:
    """Moves flown until each pose, the first being 0."""
    between = [moves_between(a, b) for a, b in pairwise(poses)]
    return np.concatenate([[0.0], np.cumsum(between)]).tolist()


def on_the_way(point: F64, poses: list[F64], begin: int) -> int:
    """Index of the first pose from ``begin`` on that is ``point``; fails if there is none."""
    return next(i for i in range(begin, len(poses)) if np.array_equal(poses[i], point))


def test_a_new_ghost_has_gone_nowhere() -> None:
    ghost = Ghost(start())
    assert not ghost.away
    assert ghost.waypoints() == []


@pytest.mark.parametrize("word", sorted(MOVES))
def test_a_move_is_the_cameras_move_at_the_ghosts_own_strides(word: str) -> None:
    ghost = Ghost(start())
    ghost.step_size, ghost.turn_angle = 0.3, math.radians(10)
    ghost.move(word, 0.5)
    expected = apply_move(
        np.eye(4), MOVES[word], amount=0.5, step_size=0.3, turn_angle=math.radians(10)
    )
    np.testing.assert_array_equal(ghost.camera.c2w, expected)
    assert ghost.camera.hw == HW
    assert ghost.away


def test_place_goes_there_and_the_way_counts_as_flown() -> None:
    ghost = Ghost(start())
    goal = apply_move(np.eye(4), MOVES["w"])
    ghost.place(goal)
    np.testing.assert_array_equal(ghost.camera.c2w, goal)
    assert ghost.away
    assert len(ghost.waypoints()) == 1


def test_reset_leaves_no_way_behind() -> None:
    ghost, _ = flown([("w", 1.0), ("a", 1.0)])
    ghost.reset(ghost.camera)
    assert not ghost.away
    assert ghost.waypoints() == []


@pytest.mark.parametrize("word", sorted(MOVES))
@pytest.mark.parametrize("amount", [0.1, 0.5, 1.0])
def test_one_small_move_is_one_step(word: str, amount: float) -> None:
    ghost, _ = flown([(word, amount)])
    points = ghost.waypoints()
    assert len(points) == 1
    np.testing.assert_array_equal(points[0], ghost.camera.c2w)


@given(st.floats(0.05, 0.9), st.integers(1, 8))
def test_a_way_shorter_than_a_move_is_one_step_however_finely_flown(
    length: float, ticks: int
) -> None:
    ghost, _ = flown([("w", length / ticks)] * ticks)
    assert len(ghost.waypoints()) == 1


@pytest.mark.parametrize("word", ["w", "a", "t"])
def test_whole_moves_are_as_many_steps(word: str) -> None:
    for count in range(1, 15):
        ghost, poses = flown([(word, 1.0)] * count)
        points = ghost.waypoints()
        assert len(points) == count
        np.testing.assert_array_equal(points, poses[1:])


def test_turning_on_the_spot_is_cut_by_angle() -> None:
    ghost, _ = flown([("d", 0.25)] * 20)
    points = ghost.waypoints()
    assert len(points) == 5
    angles = [float(rotation_angle(np.eye(3), point[:3, :3])) for point in points]
    np.testing.assert_allclose(angles, TURN * np.arange(1, 6), atol=1e-6)


def test_there_and_back_is_walked_both_ways() -> None:
    ghost, _ = flown([("w", 0.5)] * 6 + [("s", 0.5)] * 6)
    assert not ghost.away
    depths = [float(point[2, 3]) for point in ghost.waypoints()]
    np.testing.assert_allclose(depths, [0.1, 0.2, 0.3, 0.2, 0.1, 0.0], atol=1e-9)


def test_a_little_there_and_back_is_nothing() -> None:
    ghost, _ = flown([("w", 0.25), ("s", 0.25)])
    assert ghost.waypoints() == []


def test_a_long_flight_takes_longer_strides() -> None:
    ghost, _ = flown([("w", 0.5)] * 400)
    points = ghost.waypoints()
    assert len(points) == MAX_FLIGHT_STEPS
    depths = np.array([point[2, 3] for point in points])
    np.testing.assert_allclose(depths, np.arange(1, 41) * 0.5, atol=1e-9)


def test_a_step_follows_the_strides_that_were_set() -> None:
    ghost = Ghost(start())
    ghost.step_size = 0.5
    for _ in range(3):
        ghost.move("w")
    np.testing.assert_allclose([point[2, 3] for point in ghost.waypoints()], [0.5, 1.0, 1.5])


@pytest.mark.parametrize(("rest", "count"), [(0.0, 2), (0.1, 2), (0.2, 2), (0.3, 3), (0.9, 3)])
def test_what_is_left_over_is_a_step_or_lengthens_the_last_one(rest: float, count: int) -> None:
    ghost, _ = flown([("w", 1.0), ("w", 1.0), ("w", rest)])
    depths = [float(point[2, 3]) for point in ghost.waypoints()]
    assert len(depths) == count
    assert depths[-1] == pytest.approx(0.1 * (2 + rest))


@example([("d", 1.0), ("d", 0.125)])
@given(flights)
def test_the_way_ends_at_the_ghost(flight: list[tuple[str, float]]) -> None:
    ghost, _ = flown(flight)
    points = ghost.waypoints()
    if points:
        np.testing.assert_array_equal(points[-1], ghost.camera.c2w)
    else:
        assert not ghost.away


@given(flights)
def test_waypoints_are_poses_of_the_way_in_order_and_few(flight: list[tuple[str, float]]) -> None:
    ghost, poses = flown(flight)
    points = ghost.waypoints()
    assert len(points) <= MAX_FLIGHT_STEPS
    begin = 0
    for point in points[:-1]:
        begin = on_the_way(point, poses, begin) + 1
    assert begin < len(poses)


@given(flights)
def test_waypoints_are_about_one_stride_apart(flight: list[tuple[str, float]]) -> None:
    ghost, poses = flown(flight)
    points = ghost.waypoints()
    lengths = along(poses)
    stride = max(1.0, lengths[-1] / MAX_FLIGHT_STEPS)
    begin, stops = 0, [0.0]
    for point in points[:-1]:
        begin = on_the_way(point, poses, begin + 1)
        stops.append(lengths[begin])
    stops.append(lengths[-1])
    apart = np.diff(stops)
    assert (apart[:-1] >= stride - 1e-6).all()
    # No tick is longer than a move: that much a stop may come late, the last a quarter more.
    assert (apart <= 2.25 * stride + 1e-6).all()
    if len(points) > 1:
        assert apart[-1] > 0.25 * stride - 1e-6
