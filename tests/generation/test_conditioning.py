"""Conditioning: rays that are our cameras' rays, worlds that may stand anywhere, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from vmem.cameras import Cameras, default_K, pixel_rays, to_opengl
from vmem.generation.diffusion.checks import NotFiniteError
from vmem.generation.diffusion.conditioning import (
    Conditioned,
    ConditioningError,
    centred,
    condition,
    default_K_normalized,
    fill_slots,
    network_cameras,
    normalised_K,
    plucker,
    world_scale,
)

HW = (5, 7)
"""Size of the latents; their image is eight times as large."""
IMAGE = (8 * HW[0], 8 * HW[1])
RULES = ["reference", "repaired"]


def random_cameras(seed: int, n: int = 8, reach: float = 2.0) -> Cameras:
    rng = np.random.default_rng(seed)
    c2w = np.tile(np.eye(4), (n, 1, 1))
    c2w[:, :3, :3] = Rotation.from_quat(rng.normal(size=(n, 4))).as_matrix()
    c2w[:, :3, 3] = rng.uniform(-reach, reach, (n, 3))
    K = np.tile(default_K(IMAGE), (n, 1, 1))
    K[:, 0, 0] *= rng.uniform(0.7, 1.4, n)
    K[:, :2, 2] *= rng.uniform(0.8, 1.2, (n, 2))
    return Cameras(c2w, K, IMAGE)


def conditioned(cameras: Cameras, n_context: int = 3, **options) -> Conditioned:
    c2w, K = network_cameras(cameras)
    known = np.arange(len(cameras)) < n_context
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(n_context, 4, *HW, generator=generator)
    embeddings = torch.randn(n_context, 6, generator=generator)
    return condition(c2w, K, known, latents, embeddings, HW, **options)


cameras_of = st.integers(0, 10**6).map(random_cameras)


# --- rays ------------------------------------------------------------------------------------


@given(cameras_of, st.sampled_from(RULES))
def test_pluecker_rays_are_the_rays_of_our_cameras(cameras, rule):
    """Directions and moments, in the first camera's frame, scaled as the world was."""
    made = conditioned(cameras, rule=rule)
    first = cameras[0]
    for i, camera in enumerate(cameras):
        seen = camera.resized(HW)  # one ray for each latent, through its centre
        world = pixel_rays(seen) @ camera.c2w[:3, :3].T
        d = world @ first.c2w[:3, :3]
        d /= np.linalg.norm(d, axis=-1, keepdims=True)
        o = (camera.position - first.position) @ first.c2w[:3, :3] * made.scale
        got = made.c.dense[i].numpy().transpose(1, 2, 0)
        np.testing.assert_allclose(got[..., :3], d, atol=1e-5)
        np.testing.assert_allclose(got[..., 3:], np.cross(o, d), atol=1e-5 * (1 + made.scale))


@given(cameras_of)
def test_directions_have_length_one_and_moments_stand_on_them(cameras):
    c2w, K = network_cameras(cameras)
    rays = plucker(np.linalg.inv(to_opengl(c2w)), K, HW)
    d, m = rays[:, :3], rays[:, 3:]
    np.testing.assert_allclose(np.linalg.norm(d, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose((d * m).sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(m[0], 0, atol=1e-12)


@given(cameras_of)
def test_flipping_axes_twice_changes_nothing(cameras):
    c2w, K = network_cameras(cameras)
    np.testing.assert_array_equal(to_opengl(c2w), cameras.c2w)
    h, w = cameras.hw
    np.testing.assert_allclose(K * np.array([[w], [h], [1]]), cameras.K, rtol=1e-15)


def test_default_intrinsics_are_the_cameras_own_for_square_images():
    K = default_K((576, 576)) / np.array([[576], [576], [1]])
    np.testing.assert_allclose(default_K_normalized(), K[None], rtol=1e-12)


@pytest.mark.parametrize("hw", [(480, 640), (640, 480)])
def test_default_intrinsics_span_the_longer_side(hw):
    h, w = hw
    K = default_K_normalized(1.0, w / h)[0] * np.array([[w], [h], [1]])
    f = 0.5 * max(hw) / np.tan(0.5)
    np.testing.assert_allclose(K, [[f, 0, w / 2], [0, f, h / 2], [0, 0, 1]])


# --- where the world stands ------------------------------------------------------------------


@given(cameras_of, st.integers(0, 10**6), st.sampled_from(RULES))
def test_moving_the_whole_world_rigidly_changes_nothing(cameras, seed, rule):
    motion = random_cameras(seed, n=1, reach=5.0).c2w[0]
    before = conditioned(cameras, rule=rule)
    after = conditioned(Cameras(motion @ cameras.c2w, cameras.K, cameras.hw), rule=rule)
    assert after.scale == pytest.approx(before.scale, rel=1e-9)
    for side in ("c", "uc"):
        for name in ("crossattn", "replace", "concat", "dense"):
            a, b = getattr(getattr(before, side), name), getattr(getattr(after, side), name)
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@given(cameras_of, st.floats(0.01, 100))
def test_the_repaired_rule_does_not_know_the_unit_of_length(cameras, unit):
    scaled = cameras.c2w.copy()
    scaled[:, :3, 3] *= unit
    before = conditioned(cameras, rule="repaired")
    after = conditioned(Cameras(scaled, cameras.K, cameras.hw), rule="repaired")
    torch.testing.assert_close(before.c.dense, after.c.dense, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(before.c2ws, after.c2ws, rtol=1e-4, atol=1e-5)


def positions(*xyz: tuple[float, float, float]) -> np.ndarray:
    c2w = np.tile(np.eye(4), (len(xyz), 1, 1))
    c2w[:, :3, 3] = xyz
    return c2w


def test_a_far_camera_moves_the_published_centre_but_not_the_repaired():
    line = [(0.1 * i, 0.0, 0.0) for i in range(7)]
    c2w = positions(*line, (1000, 0, 0))
    assert centred(c2w, "reference")[0, 0, 3] == pytest.approx(-(2.1 + 1000) / 8)
    assert centred(c2w, "repaired")[0, 0, 3] == pytest.approx(-0.3)


def test_a_first_camera_in_the_middle_blows_the_published_world_up():
    c2w = positions((2e-5, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0))
    assert world_scale(centred(c2w, "reference"), "reference") > 1e4
    assert world_scale(centred(c2w, "repaired"), "repaired") == pytest.approx(5**0.5, rel=1e-3)


@pytest.mark.parametrize("rule", RULES)
def test_cameras_at_one_place(rule):
    c2w = centred(positions(*[(3.0, 1.0, 2.0)] * 8), rule)
    np.testing.assert_array_equal(c2w[:, :3, 3], 0)
    assert world_scale(c2w, rule) == 2


def test_nothing_given_is_changed():
    c2w, K = network_cameras(random_cameras(3))
    known = np.arange(8) < 2
    latents, embeddings = torch.ones(2, 4, *HW), torch.ones(2, 6)
    before = c2w.copy(), K.copy(), known.copy()
    condition(c2w, K, known, latents, embeddings, HW)
    for kept, now in zip(before, (c2w, K, known), strict=True):
        np.testing.assert_array_equal(kept, now)
    assert bool((latents == 1).all())
    assert bool((embeddings == 1).all())


# --- pixel intrinsics ------------------------------------------------------------------------


def test_pixel_intrinsics_of_a_wide_image():
    """The published rule divides by the wrong side, the repaired by the right one."""
    K = np.array([[[30.0, 0, 28], [0, 30, 20], [0, 0, 1]]])  # 40 x 56 pixels
    right = normalised_K(K, HW, "repaired")
    np.testing.assert_allclose(right[0, :2, 2], 0.5)
    np.testing.assert_allclose(normalised_K(K, HW)[0, :2, 2], [28 / 40, 20 / 56])
    np.testing.assert_array_equal(normalised_K(right, HW), right)


def test_a_principal_point_outside_the_image():
    K = np.array([[[30.0, 0, 500], [0, 30, 20], [0, 0, 1]]])
    with pytest.raises(ConditioningError, match="principal points"):
        normalised_K(K, HW)


# --- slots -----------------------------------------------------------------------------------


@given(st.integers(1, 7), st.integers(1, 7))
def test_targets_are_padded_with_the_last(n_context, n_targets):
    context, targets = random_cameras(1, n_context), random_cameras(2, n_targets)
    if n_context + n_targets > 8:
        with pytest.raises(ConditioningError, match="8"):
            fill_slots(context, targets, 8)
        return
    cameras, known = fill_slots(context, targets, 8)
    assert known.tolist() == [True] * n_context + [False] * (8 - n_context)
    rest = cameras.c2w[~known]
    np.testing.assert_array_equal(cameras.c2w[known], context.c2w)
    np.testing.assert_array_equal(rest[:n_targets], targets.c2w)
    assert all((pose == targets.c2w[-1]).all() for pose in rest[n_targets:])


def test_context_of_another_size_is_seen_at_the_targets_size():
    context = random_cameras(1, 2).resized((400, 560))
    cameras, _ = fill_slots(context, random_cameras(2, 3), 8)
    assert cameras.hw == IMAGE
    np.testing.assert_allclose(cameras.K[:2], random_cameras(1, 2).K)


# --- bad input -------------------------------------------------------------------------------


def given_parts(n_context: int = 3) -> dict:
    c2w, K = network_cameras(random_cameras(0))
    return {
        "c2w_opengl": c2w,
        "K": K,
        "is_context": np.arange(8) < n_context,
        "latents": torch.zeros(n_context, 4, *HW),
        "embeddings": torch.zeros(n_context, 6),
        "hw": HW,
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"latents": torch.zeros(2, 4, *HW)}, "3 context frames, but there are 2 latents"),
        ({"embeddings": torch.zeros(4, 6)}, "and 4 embeddings"),
        ({"is_context": np.zeros(8, bool)}, "at least one context view"),
        ({"is_context": np.zeros(5, bool)}, r"mask \(N,\)"),
        ({"is_context": np.ones(8, np.int64)}, "boolean mask"),
        ({"K": np.ones((7, 3, 3))}, r"\(7, 3, 3\)"),
        ({"c2w_opengl": np.full((8, 4, 4), np.nan)}, "finite"),
        ({"latents": torch.zeros(3, 4, 9, 9)}, "another size"),
        ({"embeddings": torch.zeros(3, 1, 6)}, r"embeddings \(C, D\)"),
    ],
)
def test_parts_that_do_not_fit(changed, message):
    parts = given_parts() | changed
    with pytest.raises(ConditioningError, match=message):
        condition(**parts)


@pytest.mark.parametrize("name", ["latents", "embeddings"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_in_the_context_names_what_and_where(name, bad):
    parts = given_parts()
    parts[name][1].fill_(bad)
    with pytest.raises(NotFiniteError, match=rf"context {name}: .*frames 1 of 3"):
        condition(**parts)
