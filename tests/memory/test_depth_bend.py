"""Depth that errs smoothly: the error is seen through, what is new is not."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.fakes import box_colour, box_depth
from vmem.arrays import F32
from vmem.cameras import MOVES, Camera, apply_move, default_K, unproject
from vmem.memory import Association, associate, grid_size
from vmem.memory.association import interpolated
from vmem.memory.depth_bend import STRAIGHT, bend
from vmem.memory.spawn import cell_centres
from vmem.types import AssociationConfig, Surfels

HW = (96, 128)
CAMERA = Camera(np.eye(4), default_K(HW), HW)
PLAIN = AssociationConfig(points_per_frame=3072)
BENDING = replace(PLAIN, bend_depth=True)
GRID = grid_size(HW, PLAIN.points_per_frame)


def smooth(seed: int, deviation: float, nodes: int = 6) -> F32:
    """(H, W) factors about 1 that change gently."""
    nodes_ = np.random.default_rng(seed).standard_normal((nodes, nodes)).astype(np.float32)
    field = np.asarray(cv2.resize(nodes_, HW[::-1], interpolation=cv2.INTER_CUBIC))
    return np.exp(deviation * field / field.std()).astype(np.float32)


def wall(depth: float) -> F32:
    return np.full(HW, depth, np.float32)


def taken_in(
    memory: Surfels, depth: F32, config: AssociationConfig, camera: Camera = CAMERA
) -> Association:
    points = unproject(depth, camera)
    return associate(memory, points, depth, np.ones_like(depth), box_colour(points), camera, config)


def sampled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(gh * gw,) which samples of the grid lie in ``mask`` (H, W)."""
    return mask[np.ix_(*cell_centres(HW, GRID))].ravel()


def spawned_at(found: Association) -> NDArray[np.bool_]:
    """(gh * gw,) which samples of the grid became surfels."""
    local = found.spawned.position @ CAMERA.w2c[:3, :3].T
    xy = local @ CAMERA.resized(GRID).K.T
    at = np.zeros(GRID, bool)
    at[(xy[:, 1] / xy[:, 2]).astype(int), (xy[:, 0] / xy[:, 2]).astype(int)] = True
    return at.ravel()


# --- the field itself ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("deviation", [0.01, 0.03, 0.07])
def test_a_smooth_error_is_found(seed, deviation):
    truth = box_depth(CAMERA)
    measured = truth / smooth(seed, deviation)
    found = bend(measured, truth)
    assert found.field is not None
    error = np.abs(np.log(found.applied(measured) / truth))
    assert np.median(error) < 0.25 * np.median(np.abs(np.log(measured / truth)))
    assert found.residual == pytest.approx(np.median(error), rel=0.01)


def test_the_error_is_found_under_noise_and_with_parts_missing():
    truth = box_depth(CAMERA)
    rng = np.random.default_rng(0)
    field = smooth(1, 0.04)
    measured = (truth / field * (1 + 0.005 * rng.standard_normal(HW))).astype(np.float32)
    known = truth.copy()
    known[:, :70] = 0
    known[60:70, 90:100] = np.nan
    found = bend(measured, known)
    assert found.field is not None
    error = np.abs(np.log(found.applied(measured)[:, 74:] / truth[:, 74:]))
    assert np.median(error) < 0.008
    # Far from all that is known there is nothing to go by.
    assert np.abs(np.log(found.applied(measured) / measured))[:, :8].max() < 0.005


def test_exact_depth_and_depth_that_is_wrong_in_parts_are_left_alone():
    truth = box_depth(CAMERA)
    assert bend(truth, truth).field is None
    wrong = truth.copy()
    wrong[:, :80] *= 0.9
    assert bend(wrong, truth).field is None


def test_what_is_not_smooth_is_left_alone():
    rng = np.random.default_rng(0)
    noise = np.exp(0.04 * rng.standard_normal(HW)).astype(np.float32)
    found = bend(wall(2.0) * noise, wall(2.0))
    assert found.field is None
    assert found.residual > 0.02


def test_too_little_overlap_is_not_judged():
    known = np.zeros(HW, np.float32)
    assert bend(wall(2.0), known) is STRAIGHT
    known[:9, :] = 2.1
    assert bend(wall(2.0), known) is STRAIGHT


def test_interpolation_is_exact_on_a_plane_and_nan_beyond():
    row, column = np.indices((5, 7)).astype(np.float32)
    plane = 1 + 2 * column - 3 * row
    rng = np.random.default_rng(0)
    x, y = (rng.uniform(-2, end, 500).astype(np.float32) for end in (8, 6))
    got = interpolated(plane, x, y)
    inside = (x >= 0) & (x < 6) & (y >= 0) & (y < 4)
    np.testing.assert_allclose(got[inside], (1 + 2 * x - 3 * y)[inside], atol=1e-4)
    assert np.isnan(got[~inside]).all()
    plane[2, 3] = np.nan
    assert np.isnan(interpolated(plane, x[:1] * 0 + 2.5, y[:1] * 0 + 1.5)).all()


# --- association ------------------------------------------------------------------------------


def test_exact_depth_is_taken_in_as_ever():
    memory = taken_in(Surfels.empty(), box_depth(CAMERA), BENDING).spawned
    for word, amount in (("d", 3), ("w", 4), ("q", 2)):
        moved = CAMERA.moved_to(apply_move(CAMERA.c2w, MOVES[word], amount=amount))
        plain = taken_in(memory, box_depth(moved), PLAIN, moved)
        found = taken_in(memory, box_depth(moved), BENDING, moved)
        assert found.bend.field is None
        np.testing.assert_array_equal(found.seen, plain.seen)
        np.testing.assert_array_equal(found.spawned.position, plain.spawned.position)


@pytest.mark.parametrize("deviation", [0.02, 0.05])
def test_a_surface_seen_again_with_another_smooth_error_is_not_remembered_twice(deviation):
    truth = box_depth(CAMERA)
    memory = taken_in(Surfels.empty(), truth * smooth(1, deviation), BENDING).spawned
    depth = truth * smooth(2, deviation)
    plain = taken_in(memory, depth, PLAIN)
    found = taken_in(memory, depth, BENDING)
    assert len(found.spawned) < 0.3 * len(plain.spawned)
    assert len(found.spawned) < 0.1 * len(memory)
    assert len(found.seen) > 0.85 * len(memory)


def test_points_and_depth_stay_as_estimated():
    truth = box_depth(CAMERA)
    memory = taken_in(Surfels.empty(), truth, BENDING).spawned
    turned = CAMERA.moved_to(apply_move(CAMERA.c2w, MOVES["d"], amount=3))
    depth = box_depth(turned) * smooth(2, 0.03)
    found = taken_in(memory, depth, BENDING, turned)
    assert found.bend.field is not None
    given = {tuple(point) for point in unproject(depth, turned).reshape(-1, 3)}
    assert len(found.spawned) > 0
    assert {tuple(point) for point in found.spawned.position} <= given


SHAPES = {
    "box": np.s_[30:70, 40:90],
    "pole": np.s_[:, 60:66],
    "half": np.s_[:, 70:],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("deviation", [0.0, 0.01, 0.02])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_stands_a_tenth_in_front_of_a_wall_still_spawns(shape, deviation, seed):
    memory = taken_in(Surfels.empty(), wall(2.0), BENDING).spawned
    there = np.zeros(HW, bool)
    there[SHAPES[shape]] = True
    depth = np.where(there, np.float32(1.8), wall(2.0)) * smooth(seed, deviation)
    found = taken_in(memory, depth.astype(np.float32), BENDING)
    new = spawned_at(found)
    assert new[sampled(there)].mean() > 0.9
    assert new[sampled(~there)].mean() < 0.05


def test_the_residual_widens_the_tolerance_only_so_far():
    rough = np.exp(0.02 * np.random.default_rng(0).standard_normal(HW)).astype(np.float32)
    memory = taken_in(Surfels.empty(), wall(2.0), BENDING).spawned
    depth = wall(2.0) * smooth(3, 0.08) * rough
    wide = taken_in(memory, depth, BENDING)
    narrow = taken_in(memory, depth, replace(BENDING, bent_tolerance=0.0))
    assert wide.bend.residual == narrow.bend.residual > 0.0114
    assert len(wide.spawned) < len(narrow.spawned)
