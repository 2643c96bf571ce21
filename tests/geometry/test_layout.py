"""The layout from one photo: synthetic rooms are recovered, and any photo gives a usable scene."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vmem.arrays import F64, U8
from vmem.cameras import (
    Camera,
    Cameras,
    check_pose,
    default_K,
    pixel_rays,
    rotation_x,
    rotation_y,
    unproject,
)
from vmem.geometry.layout.estimator import Layout, LayoutEstimator, Region, estimate_layout
from vmem.geometry.layout.level_grid import LevelRays
from vmem.geometry.layout.shape import MAX_STEP, Limits, close_tears, limit_walls
from vmem.memory import MemorySnapshot
from vmem.types import Frames

NO_MEMORY = MemorySnapshot.empty()


# --- a painter of rooms ----------------------------------------------------------------------


@dataclass(frozen=True)
class Room:
    """Distances from the camera to each face, in camera heights; yaw of its depth axis."""

    left: float = 1.4
    right: float = 1.8
    back: float = 3.5
    ceiling: float = 0.8
    yaw: float = 0.0


def camera_at(hw: tuple[int, int], pitch: float = 0.0, roll: float = 0.0) -> Camera:
    c, s = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_x(math.radians(pitch)) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return Camera(c2w, default_K(hw), hw)


def paint(room: Room, camera: Camera) -> tuple[U8, F64]:
    """Photo (H, W, 3) and depth (H, W) of a tiled room, twofold supersampled."""
    h, w = camera.hw
    fine = camera.resized((2 * h, 2 * w))
    rays = pixel_rays(fine) @ camera.c2w[:3, :3].T @ rotation_y(room.yaw)
    low = np.array([-room.left, -room.ceiling, -50.0])
    high = np.array([room.right, 1.0, room.back])
    with np.errstate(divide="ignore"):
        reach = np.where(rays > 0, high / rays, low / rays)
    face, depth = reach.argmin(-1), reach.min(-1)
    x, y, z = np.moveaxis(rays * depth[..., None], -1, 0)

    def joints(along: F64, period: float) -> Any:
        return np.abs((along + 100) % period - period / 2) < 0.01

    floor = (face == 1) & (rays[..., 1] > 0)
    colour = np.empty((*face.shape, 3))
    colour[face == 0] = (190, 185, 170)
    colour[face == 1] = (235, 232, 225)
    colour[face == 2] = (205, 200, 190)
    colour[floor] = (150, 105, 60)
    dark = np.where(
        floor,
        joints(x, 0.35) | joints(z, 0.9),
        np.select(
            [face == 0, face == 2],
            [joints(z, 0.8) | joints(y, 0.9), joints(x, 0.7)],
            joints(x, 0.8),
        ),
    )
    colour[dark] *= 0.6
    photo = cv2.resize(colour.astype(np.uint8), (w, h), interpolation=cv2.INTER_AREA)
    return photo.astype(np.uint8), depth.reshape(h, 2, w, 2).mean((1, 3))


def paint_street(camera: Camera) -> U8:
    """A grey street under a blue sky, a brick house on the right."""
    rays = pixel_rays(camera) @ camera.c2w[:3, :3].T
    house_x, house_height = 1.5, 2.0
    with np.errstate(divide="ignore"):
        to_house = np.where(rays[..., 0] > 0, house_x / rays[..., 0], np.inf)
        to_ground = np.where(rays[..., 1] > 0, 1 / rays[..., 1], np.inf)
    y, z = to_house * rays[..., 1], to_house * rays[..., 2]
    photo = np.full((*camera.hw, 3), (110, 160, 235), np.uint8)
    house = (to_house < to_ground) & (y > -house_height) & (z < 9)
    y, z = np.nan_to_num(y, posinf=0, neginf=0), np.nan_to_num(z, posinf=0)
    joint = (np.abs(y) % 0.25 < 0.03) | (z % 0.5 < 0.04)
    photo[house] = (160, 80, 60)
    photo[house & joint] = (110, 60, 50)
    photo[(to_ground < to_house) & np.isfinite(to_ground)] = (95, 95, 95)
    return photo


# --- what every layout must be ---------------------------------------------------------------


def steepest(depth: NDArray[Any]) -> float:
    """Largest ratio of neighbouring depths."""
    logs = np.log(depth.astype(np.float64))
    return math.exp(max(np.abs(np.diff(logs, axis=axis)).max() for axis in (0, 1)))


def assert_usable(layout: Layout, camera: Camera) -> None:
    depth = layout.depth
    assert depth.shape == layout.label.shape == camera.hw
    assert depth.dtype == np.float32
    assert layout.label.dtype == np.uint8
    assert np.isfinite(depth).all()
    assert np.median(depth) == pytest.approx(1, abs=1e-6)
    assert depth.min() >= 0.15 - 1e-6
    assert steepest(depth) <= MAX_STEP + 1e-4
    assert layout.floor_y > camera.position[1]


def assert_floor_is_plane(layout: Layout, camera: Camera) -> None:
    height = unproject(layout.depth, camera)[..., 1]
    np.testing.assert_allclose(height[layout.label == Region.FLOOR], layout.floor_y, rtol=1e-5)


# --- rooms -----------------------------------------------------------------------------------

TILTS = [(0, 0), (-15, 0), (-6, 3), (10, -2), (-22, 0)]
ROOMS = [Room(1, 2.5, 5, 1.2), Room(2, 1, 2.5, 0.7, math.radians(20)), Room(3, 2, 4, 1.5, 0.7)]


@pytest.mark.parametrize(("pitch", "roll"), TILTS)
def test_pitch_and_roll_are_recovered(pitch: float, roll: float) -> None:
    photo, _ = paint(ROOMS[1], camera_at((192, 192), pitch, roll))
    expected = camera_at((192, 192), pitch, roll).c2w
    placed = LayoutEstimator().place(photo)
    assert placed.hw == (192, 192)
    np.testing.assert_array_equal(placed.K, default_K((192, 192)))
    np.testing.assert_array_equal(placed.position, 0)
    error = np.arccos(np.clip(placed.c2w[1, :3] @ expected[1, :3], -1, 1))
    assert math.degrees(error) < 1.5


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("pitch", [0, -15])
def test_room_is_recovered(room: Room, pitch: float) -> None:
    camera = camera_at((192, 192), pitch)
    photo, truth = paint(room, camera)
    layout = estimate_layout(photo, camera)
    assert layout.kind == "box"
    assert_usable(layout, camera)
    assert_floor_is_plane(layout, camera)
    error = np.abs(layout.depth * np.median(truth) / truth - 1)
    assert np.median(error) < 0.08
    assert layout.floor_y == pytest.approx(1 / np.median(truth), rel=0.1)


def test_walls_and_ceiling_of_a_room_are_planes() -> None:
    camera = camera_at((192, 192), -8, 2)
    photo, _ = paint(ROOMS[0], camera)
    layout = estimate_layout(photo, camera)
    points = unproject(layout.depth, camera).astype(np.float64)
    ceiling = points[layout.label == Region.CEILING]
    assert np.ptp(ceiling[:, 1]) < 1e-4
    walls = [label for label in np.unique(layout.label) if label >= Region.WALL]
    assert len(walls) >= 2
    for label in walls:
        on_wall = points[layout.label == label]
        _, spread, axes = np.linalg.svd(on_wall - on_wall.mean(0), full_matrices=False)
        assert spread[2] / math.sqrt(len(on_wall)) < 1e-4
        assert abs(axes[2, 1]) < 1e-2


def test_size_of_the_photo_hardly_matters() -> None:
    depths = []
    for side in (144, 288):
        camera = camera_at((side, side), -10)
        layout = estimate_layout(paint(ROOMS[2], camera)[0], camera)
        depths.append(cv2.resize(layout.depth, (96, 96), interpolation=cv2.INTER_AREA))
    assert np.median(np.abs(depths[0] / depths[1] - 1)) < 0.1


def test_camera_away_from_the_origin_keeps_the_floor_below_it() -> None:
    camera = camera_at((128, 128), -15)
    photo, _ = paint(ROOMS[0], camera)
    c2w = camera.c2w.copy()
    c2w[:3, :3] = rotation_y(0.7) @ c2w[:3, :3]
    c2w[:3, 3] = (0.3, -0.2, 0.5)
    moved = camera.moved_to(c2w)
    here, there = estimate_layout(photo, camera), estimate_layout(photo, moved)
    np.testing.assert_allclose(there.depth, here.depth, rtol=1e-4)
    assert there.floor_y == pytest.approx(here.floor_y - 0.2, rel=1e-4)
    assert_floor_is_plane(there, moved)


def test_street_has_a_far_sky_and_a_plane_floor() -> None:
    camera = camera_at((160, 240), -2)
    photo = paint_street(camera)
    layout = estimate_layout(photo, camera)
    assert layout.kind == "curtain"
    assert_usable(layout, camera)
    assert_floor_is_plane(layout, camera)
    sky = layout.label == Region.SKY
    blue = photo[..., 2] == 235
    above = LevelRays.of(camera).v < 0
    assert (sky & blue).sum() > 0.9 * (blue & above).sum()
    assert not (sky & ~cv2.dilate(blue.astype(np.uint8), np.ones((7, 7))).astype(bool)).any()
    assert np.median(layout.depth[sky]) > layout.depth[~sky].max()
    # The house stands on the right, so it comes nearer to that side.
    row = layout.depth[camera.hw[0] // 2 - 2]
    assert row[-10] < 0.7 * row[camera.hw[1] // 2]


# --- any photo -------------------------------------------------------------------------------


def odd_photo(name: str, hw: tuple[int, int]) -> U8:
    h, w = hw
    y, x = np.mgrid[:h, :w] / max(hw)
    photo = np.full((h, w, 3), 128.0)
    if name == "black":
        photo[:] = 0
    elif name == "white":
        photo[:] = 255
    elif name == "noise":
        photo = np.random.default_rng(0).integers(0, 256, (h, w, 3)).astype(float)
    elif name == "sky":
        photo = np.dstack([90 + 60 * y, 140 + 60 * y, 210 + 40 * y])
    elif name == "stripes":
        photo[np.sin(x * 60) > 0] = 250
    elif name == "checks":
        photo[(np.sin(x * 40) > 0) ^ (np.sin(y * 40) > 0)] = 20
    elif name == "halves":
        photo[h // 2 :] = 60
    elif name == "tower":
        photo[:] = (100, 150, 230)
        photo[h // 10 :, int(w * 0.4) : int(w * 0.6)] = (120, 90, 70)
        photo[int(h * 0.85) :] = (90, 120, 60)
    elif name == "flower":
        photo[:] = (60, 120, 50)
        photo[np.hypot(y - y.mean(), x - x.mean()) < 0.3] = (230, 60, 120)
    return photo.astype(np.uint8)


ODD = ["black", "white", "grey", "noise", "sky", "stripes", "checks", "halves", "tower", "flower"]


@pytest.mark.parametrize(
    ("name", "hw"),
    [(name, hw) for i, name in enumerate(ODD) for hw in ((64, 64), ((96, 200), (200, 96))[i % 2])],
)
def test_any_photo_gives_a_usable_scene(name: str, hw: tuple[int, int]) -> None:
    photo = odd_photo(name, hw)
    camera = LayoutEstimator().place(photo)
    layout = estimate_layout(photo, camera)
    assert_usable(layout, camera)
    assert_floor_is_plane(layout, camera)


@pytest.mark.parametrize("name", ["black", "white", "grey", "noise"])
def test_photo_without_structure_is_flat(name: str) -> None:
    photo = odd_photo(name, (144, 144))
    camera = LayoutEstimator().place(photo)
    layout = estimate_layout(photo, camera)
    assert_usable(layout, camera)
    assert_floor_is_plane(layout, camera)
    assert layout.kind == "flat"
    assert layout.depth.max() < 4 * layout.depth.min()
    assert {Region.FLOOR, Region.WALL} == set(np.unique(layout.label))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    height=st.integers(20, 150),
    width=st.integers(20, 150),
    pitch=st.floats(-85, 85),
    roll=st.floats(-20, 20),
    blocks=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
)
def test_patchwork_at_any_tilt_gives_a_usable_scene(
    height: int, width: int, pitch: float, roll: float, blocks: int, seed: int
) -> None:
    patches = np.random.default_rng(seed).integers(0, 256, (blocks, blocks, 3)).astype(np.uint8)
    photo = cv2.resize(patches, (width, height), interpolation=cv2.INTER_NEAREST)
    camera = camera_at((height, width), pitch, roll)
    layout = estimate_layout(photo.astype(np.uint8).reshape(height, width, 3), camera)
    assert_usable(layout, camera)


def draw_from_opencv() -> list[float]:
    return cv2.randu(np.zeros(4), np.array([0.0]), np.array([1.0])).ravel().tolist()


def test_same_photo_gives_the_same_layout_and_leaves_random_numbers_alone() -> None:
    camera = camera_at((128, 128), -12)
    photo, _ = paint(ROOMS[0], camera)
    np.random.seed(7)  # noqa: NPY002 -- the global generator is what must stay untouched
    cv2.setRNGSeed(7)
    expected = (np.random.random(), draw_from_opencv())  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    cv2.setRNGSeed(7)
    first = estimate_layout(photo, camera)
    drawn = (np.random.random(), draw_from_opencv())  # noqa: NPY002
    second = estimate_layout(photo, camera)
    assert drawn == expected
    np.testing.assert_array_equal(first.depth, second.depth)
    np.testing.assert_array_equal(first.label, second.label)


def test_photo_of_another_size_than_the_camera_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(64, 64, 3\)"):
        estimate_layout(np.zeros((32, 64, 3), np.uint8), camera_at((64, 64)))


# --- the estimator ---------------------------------------------------------------------------


@pytest.mark.parametrize("pitch", [-60, -40, 40, 60])
@pytest.mark.parametrize("roll", [-20, 20])
def test_place_clamps_extreme_tilt(pitch: float, roll: float) -> None:
    photo, _ = paint(ROOMS[1], camera_at((160, 160), pitch, roll))
    camera = LayoutEstimator().place(photo)
    check_pose(camera.c2w)
    down = camera.c2w[1, :3]
    assert abs(math.asin(-down[2])) <= math.radians(30) + 1e-9
    assert abs(math.atan2(down[0], down[1])) <= math.radians(8) + 1e-9
    assert camera.c2w[0, 2] == pytest.approx(0, abs=1e-12), "yaw must be zero"


def test_place_takes_a_photo_without_lines_as_level() -> None:
    placed = LayoutEstimator().place(odd_photo("sky", (80, 90)))
    np.testing.assert_array_equal(placed.c2w, np.eye(4))


def test_estimate_lays_out_photos_and_says_where_the_sky_is() -> None:
    camera = camera_at((96, 128), -2)
    photo = paint_street(camera)
    cameras = Cameras.stack([camera, camera])
    maps = LayoutEstimator().estimate(Frames(np.stack([photo, photo])), cameras, NO_MEMORY)
    layout = estimate_layout(photo, camera)
    assert maps.points.shape == (2, 96, 128, 3)
    assert maps.points.dtype == maps.depth.dtype == maps.confidence.dtype == np.float32
    np.testing.assert_array_equal(maps.depth[1], layout.depth)
    np.testing.assert_array_equal(maps.points[0], unproject(layout.depth, camera))
    np.testing.assert_array_equal(maps.confidence[0] == 0, layout.label == Region.SKY)
    assert (maps.confidence == 0).any()


def test_estimate_carries_the_depth_that_frames_bring() -> None:
    rng = np.random.default_rng(3)
    cameras = Cameras.stack([camera_at((12, 16), -5), camera_at((12, 16), 9)])
    depth = rng.uniform(0.5, 3, (2, 12, 16)).astype(np.float32)
    depth[0, 0, :4] = (0, -1, np.nan, np.inf)
    frames = Frames(rng.integers(0, 256, (2, 12, 16, 3)).astype(np.uint8), depth=depth)
    maps = LayoutEstimator().estimate(frames, cameras, NO_MEMORY)
    assert np.isfinite(maps.points).all()
    assert (maps.confidence[0, 0, :4] == 0).all()
    good = maps.confidence > 0
    assert good.sum() == depth.size - 4
    np.testing.assert_array_equal(maps.confidence[good], 1)
    np.testing.assert_array_equal(maps.depth[good], depth[good])
    np.testing.assert_array_equal(maps.points[1], unproject(depth[1], cameras[1]))


# --- limits ----------------------------------------------------------------------------------


@given(st.lists(st.floats(1e-3, 10), min_size=2, max_size=40), st.floats(1, 30))
def test_limited_walls_are_the_smallest_within_the_limits(wall: list[float], slope: float) -> None:
    step, limits = 0.01, Limits(far=0.05, slope=slope)
    given_wall = np.array(wall)
    limited = limit_walls(given_wall, step, limits)
    assert (limited >= given_wall * (1 - 1e-9)).all()
    assert limited.min() >= limits.far * (1 - 1e-9)
    assert np.abs(np.diff(np.log(limited))).max() <= slope * step * (1 + 1e-6)
    offset = np.abs(np.subtract.outer(np.arange(len(wall)), np.arange(len(wall))))
    reach = np.log(np.maximum(given_wall, limits.far)) - slope * step * offset
    np.testing.assert_allclose(np.log(limited), reach.max(1), atol=1e-9)


def test_closing_tears_touches_only_what_lies_too_far_behind() -> None:
    depth = np.ones((20, 30))
    depth[:8] = 5
    closed = close_tears(depth)
    assert steepest(closed) <= MAX_STEP * (1 + 1e-9)
    np.testing.assert_array_equal(closed[8:], 1)
    np.testing.assert_allclose(closed[7], MAX_STEP)
    gentle = np.linspace(1, 2, 30) * np.ones((20, 1))
    np.testing.assert_array_equal(close_tears(gentle), gentle)
