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
from viewer.scene.frustums import half_size
from viewer.scene.picking import (
    REACH,
    nearest_view,
    pick_frustum,
    pick_surfel,
    pointer_ray,
)
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


# --- the frustum that was clicked ---------------------------------------------------------------


def some_frustums(seed: int, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Poses (n, 4, 4) all about, and sizes (n, 3)."""
    rng = np.random.default_rng(seed)
    poses = np.stack([np.eye(4)] * n)
    for pose in poses:
        turn = rotation_y(rng.uniform(-math.pi, math.pi)) @ rotation_x(rng.uniform(-1, 1))
        pose[:3, :3], pose[:3, 3] = turn, rng.uniform(-1, 1, 3)
    return poses, rng.uniform(0.02, 0.3, (n, 3))


def ray_to(eye: np.ndarray, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return eye, (point - eye) / np.linalg.norm(point - eye)


def distance_to_picture(pose, size, origin, direction) -> float:
    """Where a ray meets the picture of one frustum; infinity if it does not."""
    corner = pose[:3, :3] @ (size * [-1, -1, 1]) + pose[:3, 3]
    across, down = pose[:3, 0] * 2 * size[0], pose[:3, 1] * 2 * size[1]
    try:
        u, v, t = np.linalg.solve(np.stack([across, down, -direction], axis=1), origin - corner)
    except np.linalg.LinAlgError:
        return math.inf
    return t if t > 0 and 0 <= u <= 1 and 0 <= v <= 1 else math.inf


@given(st.integers(0, 10_000), st.floats(-0.9, 0.9), st.floats(-0.9, 0.9))
def test_the_nearest_picture_on_the_ray_is_clicked_or_a_line_before_it(
    seed: int, x: float, y: float
) -> None:
    poses, sizes = some_frustums(seed)
    wanted = seed % len(poses)
    eye = np.array([0.0, 0.0, -3.0])
    point = poses[wanted, :3, :3] @ (sizes[wanted] * [x, y, 1]) + poses[wanted, :3, 3]
    origin, direction = ray_to(eye, point)
    found = pick_frustum(poses, sizes, origin, direction)
    distances = [
        distance_to_picture(*one, origin, direction) for one in zip(poses, sizes, strict=True)
    ]
    if found != np.argmin(distances):
        assert distance_to_lines(poses[found], sizes[found], origin, direction) < 0.005


def distance_to_lines(pose, size, origin, direction) -> float:
    """Smallest angle between a ray and the lines of one frustum, point by point."""
    a, b, c, d = np.array([(-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)]) * size
    eye = np.zeros(3)
    lines = [(a, b), (b, c), (c, d), (d, a), (eye, a), (eye, b), (eye, c), (eye, d)]
    lines.append((size * [0, -1.2, 1], size * [0, -1.0, 1]))
    smallest = math.inf
    for start, stop in lines:
        for share in np.linspace(0, 1, 200):
            at = pose[:3, :3] @ (start + share * (stop - start)) + pose[:3, 3] - origin
            cosine = at @ direction / np.linalg.norm(at)
            smallest = min(smallest, math.acos(np.clip(cosine, -1, 1)))
    return smallest


@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
def test_a_line_is_clicked_where_no_picture_is(seed: int, share: float) -> None:
    poses, sizes = some_frustums(seed, 1)
    poses = np.concatenate([poses, poses])
    poses[1, :3, 3] += [0, 5, 0]
    point = poses[0, :3, :3] @ (share * sizes[0] * [1, 1, 1]) + poses[0, :3, 3]
    assert pick_frustum(poses, sizes[[0, 0]], *ray_to(np.array([0.0, 0, -3]), point)) == 0


def test_a_frustum_has_the_size_that_viser_gives_one() -> None:
    camera = Camera(np.eye(4), default_K((60, 90)), (60, 90))
    half_width, half_height, depth = half_size(camera, 0.03)
    assert half_height / depth == pytest.approx(math.tan(camera.fov[0] / 2))
    assert half_width / half_height == pytest.approx(1.5)
    assert half_width * half_height * depth / 3 == pytest.approx(0.03**3)
