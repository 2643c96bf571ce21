"""Warping a view through its depth, and closing the holes that remain."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.preview_scenes import camera_at
from vmem.cameras import Camera, pixel_rays, unproject
from vmem.generation.preview.inpaint import fill_from_background, push_pull
from vmem.generation.preview.warp import NEAR, index_homography, tear_ratio, warp_depth


def test_plane_moves_by_focal_times_translation_over_depth() -> None:
    source = camera_at()
    target = camera_at((0.1, -0.05, 0))
    warp = warp_depth(np.full(source.hw, 2.0, np.float32), source, target)
    shift = source.K[0, 0] * np.array([0.1, -0.05]) / 2.0
    row, col = 20, 30
    np.testing.assert_allclose(warp.uv[row, col], (col + shift[0], row + shift[1]), atol=1e-4)
    np.testing.assert_allclose(warp.depth[row, col], 2.0, rtol=1e-6)


def test_magnified_source_has_lower_density() -> None:
    source = camera_at()
    warp = warp_depth(np.full(source.hw, 2.0, np.float32), source, camera_at((0, 0, 1.0)))
    np.testing.assert_allclose(warp.density[20:28, 28:36], 0.25, rtol=1e-3)


def slow_warp(depth: np.ndarray, source: Camera, target: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Per pixel, the nearest of all triangles of all whole cells, by ray-triangle intersection:
    z-depth, infinite where there is none, and the point that is hit."""
    points = unproject(depth.astype(np.float32), source).astype(np.float64)
    rays = pixel_rays(target) @ target.c2w[:3, :3].T
    in_front = (points - target.position) @ target.c2w[:3, 2] >= NEAR
    out = np.full(target.hw, np.inf)
    for i, j in np.ndindex(depth.shape[0] - 1, depth.shape[1] - 1):
        corners = [(i + k // 2, j + k % 2) for k in range(4)]
        for triangle in (corners[:3], corners[:0:-1]):
            if not all(in_front[corner] for corner in triangle):
                continue
            p, q, r = (points[corner] for corner in triangle)
            if np.cross(q - p, r - p) @ (p - target.position) <= 0:
                continue  # seen from behind
            for pixel in np.ndindex(*target.hw):
                system = np.stack([p - q, p - r, rays[pixel]], axis=1)
                beta, gamma, t = np.linalg.solve(system, p - target.position)
                if beta >= -1e-9 and gamma >= -1e-9 and beta + gamma <= 1 + 1e-9:
                    out[pixel] = min(out[pixel], t)
    return out, target.position + np.where(np.isfinite(out), out, 0)[..., None] * rays


@pytest.mark.parametrize(
    ("position", "yaw"),
    [((0.13, 0.07, 0.21), 0.05), ((0, 0, 1.6), 0), ((-0.1, 0, -0.4), 0.3), ((0.6, 0, 1.7), 0.9)],
)
def test_rasterizer_agrees_with_ray_casting(
    position: tuple[float, float, float], yaw: float
) -> None:
    source = camera_at(hw=(6, 7))
    rng = np.random.default_rng(3)
    depth = 2 + 0.1 * cv2.GaussianBlur(rng.standard_normal((6, 7)), (0, 0), 1.0)
    assert depth.max() / depth.min() < tear_ratio(source)
    target = camera_at(position, yaw=yaw, hw=(9, 8))
    slow, points = slow_warp(depth, source, target)
    fast = warp_depth(depth.astype(np.float32), source, target)
    covered = np.isfinite(slow)
    assert covered.sum() > 10
    np.testing.assert_allclose(fast.depth[covered], slow[covered], rtol=1e-4)
    in_source = points[covered] @ source.w2c[:3, :3].T + source.w2c[:3, 3]
    index = (in_source @ source.K.T)[:, :2] / in_source[:, 2:] - 0.5
    np.testing.assert_allclose(fast.uv[covered], index, atol=1e-2)


def test_homography_agrees_with_projection() -> None:
    source, target = camera_at((0.2, 0, 0), yaw=0.3), camera_at((0, 0.1, -0.5), pitch=0.2)
    linear, offset = index_homography(source, target)
    depth = np.full(source.hw, 1.7, np.float32)
    world = np.append(unproject(depth, source)[10, 20].astype(np.float64), 1.0)
    expected = target.K @ (target.w2c @ world)[:3]
    got = 1.7 * linear @ (20, 10, 1) + offset
    np.testing.assert_allclose(got[2], expected[2], rtol=1e-5)
    np.testing.assert_allclose(got[:2] / got[2] + 0.5, expected[:2] / expected[2], atol=1e-3)


def test_invalid_depth_is_absent() -> None:
    camera = camera_at()
    depth = np.full(camera.hw, 2.0, np.float32)
    depth[10:14, 10:14] = np.nan
    depth[20:24, 20:24] = 0
    depth[30:34, 20:24] = np.inf
    depth[30:34, 30:34] = -1
    warp = warp_depth(depth, camera, camera)
    assert (warp.depth[11:13, 11:13] == 0).all()
    assert (warp.depth[21:23, 21:23] == 0).all()
    assert (warp.depth[31:33, 21:23] == 0).all()
    assert (warp.depth[31:33, 31:33] == 0).all()
    assert np.isfinite(warp.depth).all()


@settings(max_examples=25, deadline=None)
@given(
    h=st.integers(1, 40), w=st.integers(1, 40), share=st.floats(0.001, 0.9), seed=st.integers(0, 99)
)
def test_push_pull_keeps_the_known_and_fills_the_rest(
    h: int, w: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    known = rng.random((h, w)) < share
    known[rng.integers(h), rng.integers(w)] = True
    values = rng.uniform(50, 200, (h, w, 2)).astype(np.float32)
    filled = push_pull(values, known)
    assert (filled[known] == values[known]).all()
    assert filled.min() >= values[known].min() - 0.01
    assert filled.max() <= values[known].max() + 0.01


def test_hole_between_near_and_far_continues_the_far_side() -> None:
    rgb = np.zeros((40, 60, 3), np.float32)
    depth = np.ones((40, 60), np.float32)
    rgb[:, 30:] = 200
    depth[:, 30:] = 3
    known = np.ones((40, 60), bool)
    known[:, 27:33] = False
    filled, filled_depth = fill_from_background(rgb, depth, known)
    assert filled[20, 29:33].min() > 150
    assert filled_depth[20, 29:33].min() > 2


def test_nothing_known_is_still_an_answer() -> None:
    known = np.zeros((5, 6), bool)
    rgb, depth = fill_from_background(
        np.ones((5, 6, 3), np.float32), np.zeros((5, 6), np.float32), known
    )
    assert np.isfinite(rgb).all()
    assert (depth > 0).all()
