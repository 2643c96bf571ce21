"""The rasterizer against a ray caster that tries every disk for every pixel in float64."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from vmem.cameras import Camera, CameraError, default_K, pixel_rays
from vmem.raster import NEAR, RasterError, SurfelBuffers, cpu, rasterize
from vmem.types import Surfels

SIZES = [(32, 32), (24, 45), (41, 17)]
SLACK = 2e-3
"""Float32 may decide otherwise where a ray passes a rim, or two disks are this close in depth."""


def cast(surfels: Surfels, camera: Camera, slack: float) -> tuple[np.ndarray, np.ndarray]:
    """(S, H, W) f64: which rays meet which disks, and at what depth.

    A positive ``slack`` counts near misses as hits, a negative one counts scarce hits as misses.
    """
    rays = pixel_rays(camera) @ camera.c2w[:3, :3].T
    normal = surfels.normal.astype(np.float64)
    offset = surfels.position.astype(np.float64) - camera.position
    plane = np.sum(normal * offset, axis=1)[:, None, None]
    slope = np.einsum("sc,hwc->shw", normal, rays)
    depth = plane / np.where(slope == 0, np.nan, slope)
    away = np.linalg.norm(depth[..., None] * rays - offset[:, None, None], axis=-1)
    reach = surfels.radius[:, None, None] * (1 + slack) + slack * depth
    hit = (plane < slack) & (away <= reach) & (depth * (1 + slack) > NEAR)
    return hit, depth


def assert_drawn_as_cast(surfels: Surfels, camera: Camera) -> SurfelBuffers:
    """Every pixel shows a disk that its ray meets, and none that is met lies before it."""
    drawn = rasterize(surfels, camera)
    assert drawn.index.shape == drawn.depth.shape == drawn.cosine.shape == camera.hw
    assert (drawn.index.dtype, drawn.depth.dtype, drawn.cosine.dtype) == ("i4", "f4", "f4")
    may_hit, depth = cast(surfels, camera, SLACK)
    must_hit, _ = cast(surfels, camera, -SLACK)
    exact_hit, _ = cast(surfels, camera, 0.0)

    some = drawn.index >= 0
    rows, columns = np.nonzero(some)
    shown = drawn.index[some]
    assert may_hit[shown, rows, columns].all(), "a disk is shown that the ray misses"
    surely_nearest = np.where(must_hit, depth, np.inf).min(axis=0, initial=np.inf)
    assert np.isinf(surely_nearest[~some]).all(), "a disk is missing"
    shown_depth = depth[shown, rows, columns]
    assert (shown_depth <= surely_nearest[some] * (1 + SLACK)).all(), "a nearer disk is missing"

    np.testing.assert_allclose(drawn.depth[some], shown_depth, rtol=1e-4)
    assert not drawn.depth[~some].any()
    assert not drawn.cosine[~some].any()
    rays = pixel_rays(camera) @ camera.c2w[:3, :3].T
    toward_eye = -rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    cosine = np.sum(surfels.normal[shown] * toward_eye[some], axis=1)
    np.testing.assert_allclose(drawn.cosine[some], cosine, atol=1e-5)
    assert (drawn.cosine[some] > -1e-5).all()

    if len(surfels):
        depth_exact = np.where(exact_hit, depth, np.inf)
        expected = np.where(exact_hit.any(axis=0), depth_exact.argmin(axis=0), -1)
        assert (drawn.index == expected).mean() > 0.98
    return drawn


def random_surfels(rng: np.random.Generator, n: int, spread: float, largest: float) -> Surfels:
    normal = rng.normal(size=(n, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return Surfels(
        rng.uniform(-spread, spread, (n, 3)).astype(np.float32),
        normal.astype(np.float32),
        np.exp(rng.uniform(math.log(0.01), math.log(largest), n)).astype(np.float32),
        rng.integers(0, 256, (n, 3), np.uint8),
    )


def random_camera(rng: np.random.Generator) -> Camera:
    """Any pose near the origin, any of the sizes, an off-centre principal point, fx unlike fy."""
    hw = SIZES[rng.integers(len(SIZES))]
    c2w = np.eye(4)
    c2w[:3, :3] = Rotation.random(None, rng).as_matrix()
    c2w[:3, 3] = rng.uniform(-0.5, 0.5, 3)
    K = default_K(hw, rng.uniform(0.5, 1.8))
    K[0, 0] *= rng.uniform(0.8, 1.2)
    K[:2, 2] += rng.uniform(-0.4, 0.4, 2) * hw[::-1]
    return Camera(c2w, K, hw)


def disks(*rows: tuple[tuple[float, ...], tuple[float, ...], float]) -> Surfels:
    """Surfels from (position, normal, radius)."""
    position, normal, radius = zip(*rows, strict=True)
    direction = np.array(normal, np.float64)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return Surfels(
        np.array(position, np.float32),
        direction.astype(np.float32),
        np.array(radius, np.float32),
        np.zeros((len(rows), 3), np.uint8),
    )


HW = (33, 41)
CAMERA = Camera(np.eye(4), default_K(HW, 1.2), HW)
TOWARD = (0.0, 0.0, -1.0)


# --- against the ray caster ------------------------------------------------------------------


@given(st.integers(0, 2**31), st.integers(0, 120), st.sampled_from([0.5, 2.0, 6.0]))
def test_random_scenes(seed, n, spread):
    rng = np.random.default_rng(seed)
    assert_drawn_as_cast(random_surfels(rng, n, spread, 1.0), random_camera(rng))


@given(st.integers(0, 2**31))
def test_disks_so_large_that_the_camera_stands_among_them(seed):
    rng = np.random.default_rng(seed)
    assert_drawn_as_cast(random_surfels(rng, 12, 0.8, 20.0), random_camera(rng))


@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(0.03, 2), st.floats(0.05, 5))
def test_one_disk_at_any_slant(yaw, pitch, z, radius):
    normal = Rotation.from_euler("YX", [yaw, pitch]).apply(TOWARD)
    assert_drawn_as_cast(disks(((0.02, -0.03, z), tuple(normal), radius)), CAMERA)


@pytest.mark.parametrize(
    "surfels",
    [
        pytest.param(disks(((0, 0.1, 0), (0, -1, 0), 5)), id="floor-under-the-camera"),
        pytest.param(disks(((0, 0.1, -0.5), (0, -1, -0.01), 3)), id="floor-centred-behind"),
        pytest.param(disks(((0.05, 0, 0), (-1, 0, 0), 2)), id="wall-beside-the-camera"),
        pytest.param(disks(((0, 0, NEAR), (-0.3, 0, -1), 1)), id="centre-on-the-near-plane"),
        pytest.param(disks(((0, 0, 0.5), (0, 1, -0.2), 1)), id="through-the-near-plane"),
        pytest.param(disks(((0, 0, 0.021), TOWARD, 9)), id="just-beyond-the-near-plane"),
    ],
)
def test_disks_about_the_near_plane(surfels):
    drawn = assert_drawn_as_cast(surfels, CAMERA)
    assert (drawn.index == 0).any()
    assert (drawn.depth[drawn.index == 0] > NEAR * (1 - SLACK)).all()


@pytest.mark.parametrize(
    "surfels",
    [
        pytest.param(Surfels.empty(), id="no-surfels"),
        pytest.param(disks(((0, 0, -2), (0, 0, 1), 1)), id="behind-the-camera"),
        pytest.param(disks(((0, 0, 2), (0, 0, 1), 1)), id="seen-from-its-back"),
        pytest.param(disks(((0, 0, 2), (1, 0, 0), 1)), id="edge-on"),
        pytest.param(disks(((0, 0, 0), (0, 1, 0), 1)), id="camera-in-its-plane"),
        pytest.param(disks(((0, 0, 0.01), TOWARD, 1)), id="before-the-near-plane"),
        pytest.param(disks(((9, 0, 2), TOWARD, 1)), id="beside-the-image"),
        pytest.param(disks(((0, 0, 2), TOWARD, 1e-6)), id="smaller-than-a-pixel"),
    ],
)
def test_disks_that_no_pixel_sees(surfels):
    # An even size, so that no ray runs exactly along the axis.
    camera = CAMERA.resized((32, 40))
    assert (assert_drawn_as_cast(surfels, camera).index == -1).all()


# --- which disk wins -------------------------------------------------------------------------


def test_the_nearer_disk_wins_whatever_the_order():
    near, far = ((0, 0, 1), TOWARD, 0.3), ((0, 0, 2), TOWARD, 5)
    assert rasterize(disks(near, far), CAMERA).index[16, 20] == 0
    assert rasterize(disks(far, near), CAMERA).index[16, 20] == 1
    assert rasterize(disks(far, near), CAMERA).index[0, 0] == 0


def test_crossing_disks_change_places_where_they_meet():
    crossing = disks(((0, 0, 2), (0.5, 0, -1), 4), ((0, 0, 2), (-0.5, 0, -1), 4))
    index = assert_drawn_as_cast(crossing, CAMERA).index
    assert (index[:, :20] == 0).all()
    assert (index[:, 21:] == 1).all()


def test_of_equal_disks_the_first_wins():
    rng = np.random.default_rng(0)
    once = random_surfels(rng, 40, 2.0, 1.0)
    camera = random_camera(rng)
    twice = Surfels.concatenate([once, once])
    np.testing.assert_array_equal(rasterize(twice, camera).index, rasterize(once, camera).index)


def test_impossible_cameras_are_refused():
    with pytest.raises(CameraError):
        Camera(np.full((4, 4), np.nan), default_K(HW), HW)
    with pytest.raises(CameraError):
        Camera(np.eye(4), default_K(HW), (0, 5))


@pytest.mark.parametrize("focal", [0.0, -5.0, np.nan, np.inf])
def test_degenerate_intrinsics_are_refused(focal):
    K = default_K(HW)
    K[0, 0] = focal
    with pytest.raises(CameraError):
        Camera(np.eye(4), K, HW)


@pytest.mark.parametrize(
    "wrong", [np.diag([2.0, 2, 2, 1]), np.diag([1.0, 1, -1, 1]), np.zeros((4, 4))]
)
def test_poses_that_are_not_rigid_are_refused(wrong):
    with pytest.raises(CameraError):
        Camera(wrong, default_K(HW), HW)


def test_a_camera_inside_a_disk_sees_what_lies_before_it():
    inside = disks(((0, 0, 0), TOWARD, 1), ((0, 0, 1), TOWARD, 3))
    assert (assert_drawn_as_cast(inside, CAMERA).index == 1).all()


@given(st.integers(0, 2**31))
def test_the_order_of_insertion_does_not_show(seed):
    """Only which of several disks at one depth, to float32, is named: the first, always."""
    rng = np.random.default_rng(seed)
    surfels, camera = random_surfels(rng, 400, 2.0, 1.0), random_camera(rng)
    drawn = rasterize(surfels, camera, "cpu")
    order = rng.permutation(len(surfels))
    again = rasterize(surfels[order], camera, "cpu")
    np.testing.assert_array_equal(again.index >= 0, drawn.index >= 0)
    np.testing.assert_allclose(again.depth, drawn.depth, rtol=1e-5)
    named = np.where(again.index >= 0, order[again.index], -1)
    other = named != drawn.index
    assert other.mean() <= 1e-2
    twice = rasterize(Surfels.concatenate([surfels, surfels[order]]), camera, "cpu")
    np.testing.assert_array_equal(twice.index[~other], drawn.index[~other])
    np.testing.assert_array_equal(rasterize(surfels, camera, "cpu").index, drawn.index)


# --- threads ---------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_any_number_of_threads_draws_the_same(monkeypatch, threads):
    rng = np.random.default_rng(threads)
    surfels = random_surfels(rng, 300, 2.0, 1.0)
    surfels = Surfels.concatenate([surfels, surfels[::-1]])  # ties across slices
    cameras = [random_camera(rng) for _ in range(4)]
    alone = [rasterize(surfels, camera) for camera in cameras]
    monkeypatch.setattr(cpu, "SURFELS_A_THREAD", 50)
    monkeypatch.setattr(cpu, "SURFELS_ALONE", 50)
    monkeypatch.setattr(cpu, "thread_count", lambda: threads)
    for camera, expected in zip(cameras, alone, strict=True):
        got = rasterize(surfels, camera)
        np.testing.assert_array_equal(got.index, expected.index)
        np.testing.assert_array_equal(got.depth, expected.depth)


def test_many_threads_may_draw_at_once(monkeypatch):
    monkeypatch.setattr(cpu, "SURFELS_A_THREAD", 50)
    monkeypatch.setattr(cpu, "SURFELS_ALONE", 50)
    monkeypatch.setattr(cpu, "thread_count", lambda: 3)
    rng = np.random.default_rng(1)
    surfels = random_surfels(rng, 400, 2.0, 1.0)
    cameras = [random_camera(rng) for _ in range(48)]
    serial = [rasterize(surfels, camera).index for camera in cameras]
    with ThreadPoolExecutor(8) as threads:
        parallel = list(threads.map(lambda camera: rasterize(surfels, camera).index, cameras))
    for got, expected in zip(parallel, serial, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_an_unknown_engine_is_refused():
    camera = Camera(np.eye(4), default_K((8, 8)), (8, 8))
    with pytest.raises(RasterError, match="abacus"):
        rasterize(Surfels.empty(), camera, backend="abacus")
    assert (rasterize(Surfels.empty(), camera, backend="cpu").index == -1).all()
