"""The panorama behind the picture: one mapping, soft, the photo's colours at its borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from viewer.first_person.backdrop import (
    BLURS,
    DIM,
    MOST_BYTES,
    Backdrop,
    beyond_border,
    blurred,
    border_distance,
    dimming,
    doubled,
    make_backdrop,
    panorama_directions,
    panorama_position,
)
from vmem.arrays import F64, U8
from vmem.cameras import Camera, default_K, pixel_rays, rotation_x, rotation_y
from vmem.types import View

SHAPE = (128, 256)
SIDE = 96


def smooth_photo(seed: int) -> U8:
    """(SIDE, SIDE, 3) without detail finer than the backdrop's least blur."""
    row, column = np.indices((SIDE, SIDE)) / SIDE
    rng = np.random.default_rng(seed)
    a, b, c = rng.uniform(-6, 6, (3, 3))
    return (127 + 100 * np.sin(a * row[..., None] + b * column[..., None] + c)).astype(np.uint8)


def a_view(seed: int = 0, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> View:
    c2w = np.eye(4)
    tilted = np.array(
        [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    )
    c2w[:3, :3] = rotation_y(yaw) @ rotation_x(pitch) @ tilted
    c2w[:3, 3] = 0.3, 0.1, -0.2
    camera = Camera(c2w, default_K((SIDE, SIDE)), (SIDE, SIDE))
    depth = np.full((SIDE, SIDE), 2.0, np.float32)
    return View(smooth_photo(seed), camera, 0, depth, np.ones_like(depth))


def looked_up(panorama: U8, directions: F64) -> F64:
    """(n, 3) colours of the pixels that directions lie in."""
    h, w = panorama.shape[:2]
    column, row = np.floor(panorama_position(directions) * (w, h)).astype(int).T
    return panorama[np.clip(row, 0, h - 1), column % w].astype(float)


def border_rays(view: View) -> tuple[F64, F64]:
    """World directions of the photo's outermost pixels, and their colours."""
    rays = pixel_rays(view.camera) @ view.camera.c2w[:3, :3].T
    outermost = np.ones((SIDE, SIDE), bool)
    outermost[1:-1, 1:-1] = False
    return rays[outermost], view.rgb[outermost].astype(float)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=3).filter(lambda d: np.linalg.norm(d) > 0.1))
def test_a_direction_is_found_where_it_is_shown(direction: list[float]) -> None:
    h, w = 64, 128
    x, y = panorama_position(np.array([direction]))[0]
    assert 0 <= x <= 1
    assert 0 <= y <= 1
    shown = panorama_directions((h, w))[min(int(y * h), h - 1), int(x * w) % w]
    unit = np.array(direction) / np.linalg.norm(direction)
    assert np.arccos(np.clip(shown @ unit, -1, 1)) < 0.71 * 2 * np.pi / w + 1e-6


def test_pixel_centres_come_back_and_the_middle_looks_ahead() -> None:
    directions = panorama_directions(SHAPE)
    h, w = SHAPE
    position = panorama_position(directions.reshape(-1, 3)).reshape(h, w, 2)
    assert_allclose(position[..., 0], np.broadcast_to((np.arange(w) + 0.5) / w, SHAPE))
    assert_allclose(position[..., 1].T, np.broadcast_to((np.arange(h) + 0.5) / h, (w, h)))
    assert_allclose(directions[h // 2, w // 2], [0, 0, 1], atol=0.02)
    assert directions[h // 2, 3 * w // 4, 0] > 0.99, "to the right of the middle is the right"
    assert directions[-1, 0, 1] > 0.99, "the last row looks down"


@settings(max_examples=20, deadline=None)
@given(st.floats(-3, 3), st.floats(-0.7, 0.7), st.floats(-0.3, 0.3))
def test_beyond_the_border_begins_at_the_border(yaw: float, pitch: float, roll: float) -> None:
    camera = a_view(0, yaw, pitch, roll).camera
    edge = np.linspace(-1, 1, 9) * np.tan(camera.fov[0] / 2)
    side = np.full(9, edge[-1])
    border = np.stack([np.r_[edge, edge, side, -side], np.r_[side, -side, edge, edge]], axis=1)
    rays = np.column_stack([border, np.ones(len(border))]) @ camera.c2w[:3, :3].T
    assert_allclose(beyond_border(camera, rays), 0, atol=1e-9)
    ahead = camera.c2w[:3, 2]
    assert (beyond_border(camera, 0.1 * rays + ahead) < 0).all()
    assert (beyond_border(camera, rays - 0.9 * ahead) > 0).all()
    assert_allclose(beyond_border(camera, -ahead[None]), np.pi - camera.fov[0] / 2)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 100), st.floats(-3, 3), st.floats(-0.5, 0.5), st.floats(-0.2, 0.2))
def test_the_photos_colours_go_on_across_its_borders(
    seed: int, yaw: float, pitch: float, roll: float
) -> None:
    view = a_view(seed, yaw, pitch, roll)
    made = make_backdrop(view, seed, SHAPE)
    rays, colors = border_rays(view)
    ahead = view.camera.c2w[:3, 2]
    outwards = rays / np.linalg.norm(rays, axis=1, keepdims=True) - ahead
    for by in (0.0, 0.03):  # on the border, and about a degree and a half beyond
        off = np.abs(looked_up(made.rgb, rays + by * outwards) - colors)
        assert off.mean() < 6
        assert np.quantile(off, 0.95) < 18
    assert_allclose(made.centre, view.camera.position)


def test_it_is_the_same_again_and_leaves_the_view_alone() -> None:
    view = a_view()
    before = view.rgb.copy(), view.depth.copy()
    made, again, other = (make_backdrop(view, seed, SHAPE) for seed in (3, 3, 4))
    assert_array_equal(made.rgb, again.rgb)
    assert (made.rgb != other.rgb).any(), "the widths of the mirrored tiles vary with the seed"
    assert_array_equal(view.rgb, before[0])
    assert_array_equal(view.depth, before[1])


def test_far_from_the_photo_it_is_dim_and_without_detail() -> None:
    view = a_view()
    made = make_backdrop(view, 0, SHAPE)
    beyond = beyond_border(view.camera, panorama_directions(SHAPE).reshape(-1, 3)).reshape(SHAPE)
    far = beyond > np.radians(60)
    assert made.rgb[far].mean() < 0.8 * view.rgb.mean()
    assert made.rgb[far].min() > 20
    steps = np.abs(np.diff(made.rgb.astype(int), axis=1, append=made.rgb[:, :1].astype(int)))
    assert steps[far].max() <= 8, "the last column too, which meets the first one"
    assert_allclose(dimming(np.array([-0.5, 0.0, 3.0])), [1, 1, DIM], rtol=1e-6)


@pytest.mark.parametrize("row", [16, 24, 40])
def test_a_blurred_point_is_a_round_spot(row: int) -> None:
    """Against the Gaussian of the angle between directions, up to where the circles get narrow."""
    shape, sigma = (64, 128), 0.12
    point = np.zeros((*shape, 1), np.float32)
    point[row, 5] = 1
    spot = blurred(point, sigma)[..., 0]
    directions = panorama_directions(shape)
    angle = np.arccos(np.clip(directions @ directions[row, 5], -1, 1))
    wanted = np.exp(-0.5 * (angle / sigma) ** 2)
    assert_allclose(spot / spot.max(), wanted, atol=0.06)
    assert_allclose(spot.sum(), 1, rtol=1e-4)


def test_a_blur_goes_over_the_poles_and_keeps_what_is_even() -> None:
    shape = (32, 64)
    point = np.zeros((*shape, 1), np.float32)
    point[0] = 1
    spread = blurred(point, 0.3)[..., 0]
    assert_allclose(spread, spread[:, :1].repeat(64, axis=1), atol=1e-5)
    assert (np.diff(spread[:8, 0]) < 0).all()
    even = np.full((*shape, 3), 77.0, np.float32)
    for sigma in BLURS:
        assert_allclose(blurred(even, float(sigma)), even, rtol=1e-4)


def test_twice_the_pixels_show_the_same_directions() -> None:
    """The first column and the last one too, between which it closes."""
    coarse, fine = (
        panorama_directions(shape).astype(np.float32) for shape in ((32, 64), (64, 128))
    )
    assert_allclose(doubled(coarse)[1:-1], fine[1:-1], atol=0.01)
    assert_allclose(doubled(coarse[..., 2])[1:-1], fine[1:-1, :, 2], atol=0.01)


def test_the_border_is_as_far_as_its_surfaces() -> None:
    view = a_view()
    corner = np.linalg.norm(pixel_rays(view.camera)[0, 0])
    assert 2 < border_distance(view) < 2 * corner
    depth = np.where(np.indices((SIDE, SIDE))[0] < 40, np.nan, 5).astype(np.float32)
    half = View(view.rgb, view.camera, 0, depth, view.confidence)
    assert 5 < border_distance(half) < 5 * corner
    nothing = View(view.rgb, view.camera, 0, np.zeros_like(depth), view.confidence)
    assert border_distance(nothing) == 1.0


def test_the_file_is_small_whatever_is_shown() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (192, 384, 3)).astype(np.uint8)
    even = np.full_like(noise, 90)
    for rgb in (noise, noise // 2 + even // 2, even):
        made = Backdrop(rgb, np.zeros(3), 1.0).jpeg()
        assert len(made) < MOST_BYTES
        assert made[:2] == b"\xff\xd8"
