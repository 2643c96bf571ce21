"""Depth of unknown scale is brought to memory's, and depth that is right is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.fakes import HALF, box_depth, box_photo
from vmem.cameras import MOVES, Camera, Cameras, apply_move, default_K, unproject
from vmem.geometry.alignment.rescale import rescaled
from vmem.geometry.layout.estimator import LayoutEstimator, estimate_layout
from vmem.memory import MemorySnapshot, ViewMemory, make_record
from vmem.types import AssociationConfig, Frames, PointMaps

HW = (48, 64)
CAMERA = Camera(np.eye(4), default_K(HW), HW)
ALL = np.ones(HW, bool)
Depth = NDArray[np.float32]


def wall(depth: float) -> Depth:
    return np.full(HW, depth, np.float32)


def remembered(depth: Depth, camera: Camera = CAMERA, sure: Depth | None = None) -> MemorySnapshot:
    """Memory of one view, where it is ``sure``."""
    memory = ViewMemory()
    confidence = np.ones_like(depth) if sure is None else sure
    maps = PointMaps(unproject(depth, camera)[None], depth[None], confidence[None])
    frames, cameras = Frames(np.zeros((1, *HW, 3), np.uint8)), Cameras.stack([camera])
    now, config = memory.snapshot(), AssociationConfig()
    memory.append(make_record(now, frames, cameras, maps, None, config))
    return memory.snapshot()


def estimated(camera: Camera, scale: float, noise: float) -> Depth:
    """The box's depth as an estimator might see it."""
    rng = np.random.default_rng(0)
    depth = box_depth(camera)
    return (scale * depth * (1 + noise * rng.normal(size=depth.shape))).astype(np.float32)


def test_a_scaled_and_noisy_view_is_brought_to_memory():
    memory = remembered(box_depth(CAMERA))
    turned = CAMERA.moved_to(apply_move(CAMERA.c2w, MOVES["d"], amount=1))
    depth = estimated(turned, 1.2, 0.02)
    found = rescaled(depth, ALL, turned, memory)
    assert np.median(found / depth) == pytest.approx(1 / 1.2, rel=0.01)
    np.testing.assert_allclose(found / depth, found[0, 0] / depth[0, 0], rtol=1e-5)
    assert np.median(np.abs(found / box_depth(turned) - 1)) < 0.03


def test_its_points_lie_on_the_walls_and_mostly_link():
    memory = remembered(box_depth(CAMERA))
    turned = CAMERA.moved_to(apply_move(CAMERA.c2w, MOVES["d"], amount=1))

    def taken_in(depth: Depth):
        maps = PointMaps(unproject(depth, turned)[None], depth[None], np.ones((1, *HW), np.float32))
        frames, cameras = Frames(np.zeros((1, *HW, 3), np.uint8)), Cameras.stack([turned])
        return make_record(memory, frames, cameras, maps, None, AssociationConfig())

    depth = estimated(turned, 1.2, 0.02)
    without, found = taken_in(depth), taken_in(rescaled(depth, ALL, turned, memory))
    seen = [len(one.link_surfel) - len(one.surfels) for one in (without, found)]
    assert seen[1] > 3 * seen[0]
    assert len(found.surfels) < 0.5 * len(without.surfels)
    beyond = (np.abs(found.surfels.position) / HALF).max(axis=1)
    assert np.median(np.abs(beyond - 1)) < 0.03


def test_a_flat_wall_tells_the_scale():
    found = rescaled(wall(2.5), ALL, CAMERA, remembered(wall(2.0)))
    np.testing.assert_allclose(found, 2.0, rtol=1e-3)


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.05])
def test_depth_that_is_right_on_the_whole_is_left_alone(noise):
    depth = estimated(CAMERA, 1.0, noise)
    assert rescaled(depth, ALL, CAMERA, remembered(box_depth(CAMERA))) is depth


def test_a_new_surface_over_a_part_of_the_view_does_not_pull_the_rest():
    depth = wall(2.0)
    depth[:, :28] = 1.2
    assert rescaled(depth, ALL, CAMERA, remembered(wall(2.0))) is depth


def test_too_little_overlap_is_not_fitted():
    depth, sure = wall(3.0), np.zeros(HW, np.float32)
    assert rescaled(depth, ALL, CAMERA, MemorySnapshot.empty()) is depth
    sure[:3, :20] = 1
    assert rescaled(depth, ALL, CAMERA, remembered(wall(2.0), sure=sure)) is depth


def test_layouts_of_new_frames_have_memorys_unit():
    photo = box_photo(HW)
    camera = LayoutEstimator.place(photo)
    layout = estimate_layout(photo, camera).depth
    frames, cameras = Frames(photo[None]), Cameras.stack([camera])
    memory = remembered(3 * layout, camera)
    maps = LayoutEstimator().estimate(frames, cameras, memory)
    np.testing.assert_allclose(maps.depth[0], 3 * layout, rtol=1e-3)
    np.testing.assert_array_equal(maps.points[0], unproject(maps.depth[0], camera))
    alone = LayoutEstimator().estimate(frames, cameras, MemorySnapshot.empty())
    np.testing.assert_array_equal(alone.depth[0], layout)


def test_only_usable_pixels_are_judged():
    depth, memory = wall(3.0), remembered(wall(2.0))
    assert rescaled(depth, ~ALL, CAMERA, memory) is depth
    depth[:, ::2] = np.nan
    depth[:, 1] = 0
    found = rescaled(depth, ALL, CAMERA, memory)
    np.testing.assert_allclose(found[:, 3::2], 2.0, rtol=1e-3)
    left = ALL.copy()
    left[:, 40:] = False
    wrong = np.where(left, 3.0, 9.0).astype(np.float32)
    assert rescaled(wrong, left, CAMERA, memory)[0, 0] == pytest.approx(2.0, rel=1e-3)
