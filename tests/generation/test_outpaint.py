"""The mirrored world beyond the photo."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.preview_scenes import FLOOR, camera_at, room, texture
from vmem.cameras import Camera, default_K, pixel_rays, unproject
from vmem.generation.preview import outpaint
from vmem.generation.preview.fold import fold_directions, make_fold, photo_index
from vmem.generation.preview.outpaint import Beyond, extend, floor_height, render_depth
from vmem.generation.preview.warp import warp_depth
from vmem.types import View


def test_fold_is_the_identity_inside_the_photo() -> None:
    camera = camera_at(pitch=-0.2)
    fold = make_fold(camera, 0)
    rays = (pixel_rays(camera) @ camera.c2w[:3, :3].T).reshape(-1, 3)
    folded = fold_directions(fold, rays)
    uv, _ = photo_index(fold, folded.azimuth, folded.content_drop)
    rows, cols = np.indices(camera.hw)
    np.testing.assert_allclose(uv, np.stack([cols.ravel(), rows.ravel()], 1), atol=1e-3)


@pytest.mark.parametrize("side", [-1, 1])
def test_fold_mirrors_at_the_side_borders(side: int) -> None:
    camera = camera_at()
    fold = make_fold(camera, 5)
    border = side * math.atan((camera.hw[1] / 2 - 0.5) / camera.K[0, 0])
    circle = 2 * math.pi - 2 * abs(border)
    tile = circle * (np.diff(fold.tiles)[0 if side > 0 else -1])
    for beyond in (0.02, 0.1, 0.3):
        stretched = border + side * beyond * tile / (2 * abs(border))
        angles = np.array([border - side * beyond, stretched])
        directions = np.stack([np.sin(angles), np.full(2, 0.1), np.cos(angles)], axis=1)
        inside, outside = fold_directions(fold, directions).azimuth
        assert inside == pytest.approx(angles[0])
        assert outside == pytest.approx(inside)


@settings(max_examples=30, deadline=None)
@given(
    azimuth=st.floats(-math.pi, math.pi),
    drop=st.floats(-3, 3),
    pitch=st.floats(-0.4, 0.4),
    seed=st.integers(0, 9),
)
def test_fold_is_continuous_and_lands_in_the_photo(
    azimuth: float, drop: float, pitch: float, seed: int
) -> None:
    camera = camera_at(pitch=pitch)
    fold = make_fold(camera, seed)
    angles = azimuth + np.array([0.0, 1e-5])
    directions = np.stack([np.sin(angles), np.full(2, drop), np.cos(angles)], axis=1)
    folded = fold_directions(fold, directions)
    assert abs(np.diff(folded.azimuth)[0]) < 1e-3
    assert abs(np.diff(folded.content_drop)[0]) < 1e-3
    _, z = photo_index(fold, folded.azimuth, folded.content_drop)
    assert (z > 0).all()


def test_floor_below_the_photo_is_the_floor_plane() -> None:
    anchor = room()
    extension = extend(anchor, 0)
    assert extension.floor == pytest.approx(FLOOR, abs=1e-3)
    for yaw in (0.0, 2.0, -2.5):
        camera = camera_at((0.1, 0.05, -0.2), yaw=yaw, pitch=-1.0)
        depth = render_depth(extension, camera)
        assert (depth > 0).all()
        heights = unproject(depth, camera)[24:, :, 1]
        np.testing.assert_allclose(heights, FLOOR, atol=2e-3)


def test_floor_is_always_below_the_camera() -> None:
    camera = camera_at(pitch=0.6)
    depth = np.full(camera.hw, 2.0, np.float32)
    upwards = View(texture(camera.hw), camera, 0, depth, np.ones(camera.hw, np.float32))
    assert floor_height(upwards) > 0
    assert all((d > 0).all() for _, d in extend(upwards, 0).faces)


def test_scene_continues_across_the_photo_border() -> None:
    anchor = room()
    extension = extend(anchor, 0)
    wide = Camera(anchor.camera.c2w, default_K((96, 128), math.radians(80)), (96, 128))
    depth = render_depth(extension, wide)
    rgb = Beyond.at(extension, wide, depth, depth > 0).color()
    seen = warp_depth(anchor.depth, anchor.camera, wide).depth > 0
    columns = np.flatnonzero(seen[48])
    left, right = columns[0], columns[-1]
    for border in (left, right - 1):
        across = depth[20:60, border - 1 : border + 3]
        assert (across.max(axis=1) / across.min(axis=1) < 1.15).all()
    steps = np.abs(np.diff(rgb, axis=1)).mean(axis=(0, 2))
    assert max(steps[left - 1], steps[right]) < 2 * steps[left:right].max()


@pytest.mark.parametrize("position", [(0, 0, 0), (0.3, -0.2, 0.9)])
def test_faces_that_are_left_out_show_nothing(position, monkeypatch) -> None:
    extension = extend(room(), 0)
    left_out = 0
    for yaw, pitch in ((0.0, 0.0), (2.2, 0.3), (-1.0, -1.2), (0.7, 1.3)):
        camera = camera_at(position, yaw=yaw, pitch=pitch)
        depth = render_depth(extension, camera)
        left_out += sum(outpaint._is_out_of_sight(*face, camera) for face in extension.faces)
        with monkeypatch.context() as patch:
            patch.setattr(outpaint, "_is_out_of_sight", lambda *parts: False)
            np.testing.assert_array_equal(depth, render_depth(extension, camera))
    assert left_out >= 8  # of 24
