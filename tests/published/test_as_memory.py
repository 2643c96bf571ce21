"""A memory filled the published way: the published lists, and disks that our rasterizer draws."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden.published.memory import PublishedMemory
from vmem.cameras import Camera, default_K, rotation_y, to_opengl
from vmem.evaluation import trials, walks
from vmem.memory import MemorySnapshot, grid_size
from vmem.published.as_memory import (
    PUBLISHED_POINTS,
    as_surfels,
    published_memory,
    shrink_factor,
)
from vmem.published.surfels import Disks, PublishedConfig, downsample
from vmem.raster import rasterize
from vmem.retrieval import retrieve
from vmem.types import PointMaps, View
from vmem.worlds.backend import make_world

SIDE = 80


@pytest.fixture(scope="module")
def recorded() -> trials.Recorded:
    world = make_world(1)
    return trials.record(world, walks.there_and_back(world, (SIDE, SIDE), 2))


def as_steps(recorded: trials.Recorded, noise: float) -> list[tuple[tuple[View, ...], PointMaps]]:
    """What the memory is made of, as the trials make it."""
    found = []
    for seen, maps in trials.reconstructed(recorded, noise):
        views = tuple(
            View(one.rgb, one.camera, len(found), maps.depth[i], maps.confidence[i])
            for i, one in enumerate(seen)
        )
        found.append((views, maps))
    return found


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_it_is_the_published_memory_frame_by_frame(recorded, noise):
    """Against the published memory itself, which takes in frame 0 with its first step and is given
    the maps of all frames anew in every step."""
    points = 400
    steps = as_steps(recorded, noise)
    memory = published_memory(steps, points)

    shrink = shrink_factor((SIDE, SIDE), points)
    views = [view for new, _ in steps for view in new]
    maps = [
        [
            downsample(one, shrink)
            for _, of_step in steps
            for one in (of_step.points, of_step.depth, of_step.confidence)[part]
        ]
        for part in range(3)
    ]
    poses = to_opengl(np.stack([view.camera.c2w for view in views]))
    expected = PublishedMemory(poses[0], PublishedConfig(shrink_factor=shrink))
    for end in memory.steps[1:]:
        expected.add_step(
            poses[len(expected) : end.n_views],
            *(np.stack(part[: end.n_views]) for part in maps),
            focals=[view.camera.K[0, 0] for view in views[: end.n_views]],
        )

    np.testing.assert_array_equal(memory.surfels.position, expected.disks.position)
    seen_by: list[list[int]] = [[] for _ in range(len(memory.surfels))]
    for surfel, view in zip(memory.link_surfel.tolist(), memory.link_view.tolist(), strict=True):
        seen_by[surfel].append(view)
    assert seen_by == expected.timesteps
    assert max(map(len, seen_by)) > 5
    assert len(memory.views) == len(views)


def test_density_is_the_published_one_or_ours():
    """Whole strides; at the settings of the tables exactly as many samples as ours."""
    assert round(1 / shrink_factor((384, 512), PUBLISHED_POINTS)) == 20
    for hw, points, grid in (
        ((384, 512), PUBLISHED_POINTS, (19, 25)),
        ((288, 288), PUBLISHED_POINTS, (22, 22)),
        ((288, 288), 2304, (48, 48)),
        ((288, 288), 5184, (72, 72)),
        ((288, 288), 9216, (96, 96)),
    ):
        assert downsample(np.zeros(hw, np.float32), shrink_factor(hw, points)).shape == grid
        if points != PUBLISHED_POINTS:
            assert grid_size(hw, points) == grid
    assert shrink_factor((10, 10), 1000) == 1


def test_disks_are_drawn_from_where_they_were_seen_and_dead_ones_never():
    hw = (24, 24)
    here = Camera(np.eye(4), default_K(hw), hw)
    behind = np.eye(4)
    behind[:3, :3], behind[:3, 3] = rotation_y(np.pi), (0, 0, 4)
    away = np.array([0, 0, 1], np.float32)
    normal = np.stack([away, 2 * away, 0 * away, np.nan * away, away])
    position = np.array([[x, 0, 2] for x in (-0.8, -0.4, 0, 0.4, 0.8)], np.float32)
    disks = Disks(position, normal, np.full(5, 0.15, np.float32))
    surfels = as_surfels(disks)
    assert len(surfels) == 5
    front = rasterize(surfels, here)
    assert set(np.unique(front.index)) == {-1, 0, 1, 4}
    np.testing.assert_allclose(front.depth[front.index >= 0], 2, rtol=1e-6)
    assert (front.cosine[front.index >= 0] > 0).all()
    assert (rasterize(surfels, here.moved_to(behind)).index == -1).all()


def test_published_memories_answer_as_ours_do(recorded):
    """Same views, same truth: only what fills the memory differs."""
    tests = trials.judge_association([recorded], (400, 1600), (0.0,), n=2)
    assert [(row.merge, row.points_per_frame) for row in tests] == [
        (merge, points) for points in (400, 1600) for merge in trials.MERGES
    ]
    by_merge = {(row.merge, row.points_per_frame): row for row in tests}
    for row in tests:
        assert 0 <= row.holes < 1
        assert 0 <= row.leaks < 1
        assert 0 < row.surfels < row.links
    coarse, fine = by_merge["reference", 400], by_merge["reference", 1600]
    assert coarse.surfels < fine.surfels
    # Disks of half the spacing leave gaps, ours do not.
    assert fine.holes > by_merge["association", 1600].holes
    memory: MemorySnapshot = trials.remember_as_published(recorded, 400)
    home = recorded.walk.steps[-1]
    assert 0 in retrieve(memory, home, 4, "coverage").order
