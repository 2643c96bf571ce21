"""Picking: the disk under a ray against a slow loop, the view under a pixel."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
import viser
import viser.transforms as vtf
from hypothesis import given
from hypothesis import strategies as st

from tests.support.standins import FakeCamera
from viewer.scene.picking import REACH, nearest_view, pick_surfel, pointer_ray
from vmem.cameras import Camera, default_K, rotation_x, rotation_y
from vmem.memory import MemorySnapshot
from vmem.types import Surfels, View

FORWARD = np.array([0.0, 0.0, 1.0])


def some_disks(seed: int, n: int = 40) -> Surfels:
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(n, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return Surfels(
        rng.uniform(-1, 1, (n, 3)).astype(np.float32),
        normal.astype(np.float32),
        rng.uniform(0.05, 0.6, n).astype(np.float32),
        np.zeros((n, 3), np.uint8),
    )


def disk(*position: float, normal: tuple[float, float, float] = (0, 0, -1)) -> Surfels:
    return Surfels(
        np.array([position], np.float32),
        np.array([normal], np.float32),
        np.array([0.5], np.float32),
        np.zeros((1, 3), np.uint8),
    )


def slow_hits(surfels: Surfels, origin: np.ndarray, direction: np.ndarray) -> dict[int, float]:
    """Distance along the ray for every disk that it meets; a clear hit or a clear miss only."""
    hits = {}
    for i in range(len(surfels)):
        normal, centre = surfels.normal[i].astype(float), surfels.position[i].astype(float)
        slope = float(normal @ direction)
        if slope == 0:
            continue
        t = float(normal @ (centre - origin)) / slope
        if t > 0 and np.linalg.norm(origin + t * direction - centre) <= surfels.radius[i]:
            hits[i] = t
    return hits


@given(st.integers(0, 2**32 - 1))
def test_the_nearest_disk_on_the_ray_is_picked(seed: int) -> None:
    rng = np.random.default_rng([seed, 1])
    surfels = some_disks(seed)
    for _ in range(8):
        origin, direction = rng.uniform(-1, 1, 3), rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        hits = slow_hits(surfels, origin, direction)
        picked = pick_surfel(surfels, origin, direction)
        if picked is None:
            assert all(near_the_rim(surfels, i, origin, t, direction) for i, t in hits.items())
        else:
            nearest = min(hits.values(), default=math.inf)
            assert hits.get(picked, nearest) <= nearest + 1e-3


def near_the_rim(
    surfels: Surfels, i: int, origin: np.ndarray, t: float, direction: np.ndarray
) -> bool:
    """Single precision may see it otherwise."""
    miss = float(np.linalg.norm(origin + t * direction - surfels.position[i]))
    return abs(miss - float(surfels.radius[i])) < 1e-3


def test_a_ray_meets_a_disk_from_either_side() -> None:
    for side in (-1, 1):
        surfels = disk(0, 0, 2, normal=(0, 0, side))
        assert pick_surfel(surfels, np.zeros(3), FORWARD) == 0


def test_what_lies_behind_beside_or_edge_on_is_not_met() -> None:
    assert pick_surfel(disk(0, 0, -2), np.zeros(3), FORWARD) is None
    assert pick_surfel(disk(0.6, 0, 2), np.zeros(3), FORWARD) is None
    assert pick_surfel(disk(0, 0, 2, normal=(0, 1, 0)), np.zeros(3), FORWARD) is None


def test_nothing_is_met_where_there_is_nothing() -> None:
    assert pick_surfel(Surfels.empty(), np.zeros(3), FORWARD) is None


def test_the_front_disk_hides_the_one_behind_it() -> None:
    surfels = Surfels.concatenate([disk(0, 0, 3), disk(0, 0, 2), disk(0, 0, 4)])
    assert pick_surfel(surfels, np.zeros(3), FORWARD) == 1
    assert pick_surfel(surfels, np.array([0.0, 0.0, 2.5]), FORWARD) == 0


# --- views ---------------------------------------------------------------------------------------


def memory_with_views_at(*positions: tuple[float, float, float]) -> MemorySnapshot:
    """A memory that is nothing but cameras."""
    hw = (4, 4)
    flat = np.ones(hw, np.float32)
    views = []
    for position in positions:
        c2w = np.eye(4)
        c2w[:3, 3] = position
        camera = Camera(c2w, default_K(hw), hw)
        views.append(View(np.zeros((*hw, 3), np.uint8), camera, 0, flat, flat))
    empty = MemorySnapshot.empty()
    return MemorySnapshot(empty.surfels, empty.link_surfel, empty.link_view, tuple(views), (), ())


def eye(rotation: np.ndarray | None = None, position: Any = (0, 0, 0)) -> viser.CameraHandle:
    """A window of 2:1 with a vertical field of view of 90 degrees."""
    camera = FakeCamera()
    camera.wxyz = vtf.SO3.from_matrix(np.eye(3) if rotation is None else rotation).wxyz
    camera.position = np.array(position, float)
    return cast(viser.CameraHandle, camera)


CENTRE = (0.5, 0.5)


def test_the_view_drawn_nearest_to_the_pointer_wins() -> None:
    memory = memory_with_views_at((0.3, 0, 2), (0.05, 0, 2), (-0.3, 0, 2))
    assert nearest_view(memory, eye(), CENTRE) == 1


@pytest.mark.parametrize(
    ("position", "pointer"),
    [
        # At 45 degrees up, a view stands on the window's upper border, whatever the aspect.
        ((0, -1, 1), (0.5, 0.0)),
        ((0, 1, 1), (0.5, 1.0)),
        # The window is twice as wide as high: 45 degrees to the side is a quarter of its width.
        ((1, 0, 1), (0.75, 0.5)),
        ((-2, 0, 1), (0.0, 0.5)),
    ],
)
def test_the_pointer_is_measured_over_the_window(
    position: tuple[float, float, float], pointer: tuple[float, float]
) -> None:
    memory = memory_with_views_at((0, 0, -1), position)
    assert nearest_view(memory, eye(), pointer) == 1


def test_a_view_out_of_reach_is_not_meant() -> None:
    height = 2 * math.tan(math.pi / 4)
    within, beyond = 0.9 * REACH * height, 1.1 * REACH * height
    assert nearest_view(memory_with_views_at((within, 0, 1)), eye(), CENTRE) == 0
    assert nearest_view(memory_with_views_at((0, within, 1)), eye(), CENTRE) == 0
    assert nearest_view(memory_with_views_at((beyond, 0, 1)), eye(), CENTRE) is None
    assert nearest_view(memory_with_views_at((0, beyond, 1)), eye(), CENTRE) is None


def test_views_behind_the_eye_or_in_it_are_not_meant() -> None:
    memory = memory_with_views_at((0, 0, -1), (0, 0, 0))
    assert nearest_view(memory, eye(), CENTRE) is None


def test_the_eye_may_stand_and_look_anywhere() -> None:
    rotation = rotation_y(2.0) @ rotation_x(-0.3)
    position = np.array([1.0, -2.0, 0.5])
    ahead = position + 3 * rotation[:, 2]
    aside = position + 3 * rotation[:, 2] + 1.0 * rotation[:, 0]
    memory = memory_with_views_at(tuple(aside), tuple(ahead))
    assert nearest_view(memory, eye(rotation, position), CENTRE) == 1
    # One to the side at a distance of three: a sixth of the height, so a twelfth of the width.
    assert nearest_view(memory, eye(rotation, position), (0.5 + 1 / 12, 0.5)) == 0


@given(
    st.floats(-3, 3), st.floats(-1.2, 1.2), st.floats(0.3, 1.4), st.floats(0, 1), st.floats(0, 1)
)
def test_the_ray_of_a_pixel_meets_what_is_drawn_there(turn, pitch, fov, x, y) -> None:
    eye = FakeCamera()
    rotation = rotation_y(turn) @ rotation_x(pitch)
    eye.position, eye.wxyz = np.array([0.3, -0.2, 1.0]), vtf.SO3.from_matrix(rotation).wxyz
    eye.fov = fov
    origin, direction = pointer_ray(cast(viser.CameraHandle, eye), (x, y))
    np.testing.assert_array_equal(origin, eye.position)
    local = rotation.T @ direction
    # Vertical field of view; pixels are square.
    across = local[:2] / local[2] / (2 * math.tan(fov / 2)) + [0.5 * eye.aspect, 0.5]
    np.testing.assert_allclose(across, [x * eye.aspect, y], atol=1e-6)
    assert np.linalg.norm(direction) == pytest.approx(1)
