"""Predicted depth finds its scale again from how far the cameras moved, if they did."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.support.predictions import (
    EMPTY,
    FLAWS,
    SCALES,
    Spoilt,
    depth_errors,
    exact_depth,
    harmless,
    predicted,
    scale_errors,
    sources,
    walk_cameras,
)
from vmem.cameras import Cameras, invert_pose, rotation_y
from vmem.geometry.alignment.fit_views import UNTRUSTED, align


@pytest.mark.parametrize("flaw", FLAWS)
def test_scale_from_camera_motion(steps, world, flaw):
    """Memory is empty: one view takes its scale from the cameras, the others from that one."""
    how, allowed = FLAWS[flaw]
    walk = walk_cameras(world, "w")[1]
    exact = exact_depth(world, walk)
    given = predicted(walk, exact, how, origin=steps[0].c2w[0])
    result = align(given, walk, EMPTY)
    assert sources(result.report) == {"poses", "step"}
    errors = scale_errors(result.report, SCALES)
    print(f"{flaw}: scale errors {np.round(100 * errors, 2)} %")
    assert errors.max() < allowed
    assert np.median(depth_errors(harmless(result), exact)) < max(0.003, 1.5 * how.noise)


@pytest.mark.parametrize("seed", range(3))
def test_common_points_of_another_unit_with_outliers(steps, world, seed):
    """The two heads of a network need not agree on a unit, nor on every pixel."""
    walk = walk_cameras(world, "w w")[2]
    exact = exact_depth(world, walk)
    given = predicted(walk, exact, Spoilt(scale=2.0), origin=steps[0].c2w[0])
    assert given.points_world is not None
    rng = np.random.default_rng(seed)
    common = 3 * given.points_world
    wrong = rng.uniform(size=common.shape[:3]) < 0.2
    common[wrong] += rng.normal(size=(int(wrong.sum()), 3)).astype(np.float32) + 1
    result = align(replace(given, points_world=common), walk, EMPTY)
    assert result.report.views[0].source == "poses"
    errors = scale_errors(result.report, 2.0)
    print(f"scale errors {np.round(100 * errors, 2)} %")
    assert errors.max() < 0.01


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("astray", "allowed"), [(0.002, 0.02), (0.005, 0.05)])
def test_cameras_a_little_astray(steps, world, astray, allowed, seed):
    """Camera motion is as good as the network's cameras are against their baseline, here a third
    of the median depth."""
    walk = walk_cameras(world, "w w w")[3]
    exact = exact_depth(world, walk)
    given = predicted(
        walk, exact, Spoilt(scale=2.0, astray=astray, seed=seed), origin=steps[0].c2w[0]
    )
    result = align(given, walk, EMPTY)
    errors = scale_errors(result.report, 2.0)
    print(f"cameras astray by {astray}: scale errors {np.round(100 * errors, 2)} %")
    assert errors.max() < allowed


def turned_around(cameras: Cameras) -> Cameras:
    c2w = cameras.c2w.copy()
    c2w[:, :3, :3] = rotation_y(math.pi) @ c2w[:, :3, :3]
    return Cameras(c2w, cameras.K, cameras.hw)


def test_no_overlap_is_placed_by_camera_motion(world, memory, steps):
    """A step that looks the other way: the network has seen all since the first view."""
    away = turned_around(steps[3])
    c2w = away.c2w.copy()
    c2w[:, 2, 3] -= np.linspace(0, 0.3, len(c2w))
    away = Cameras(c2w, away.K, away.hw)
    exact = exact_depth(world, away)
    given = predicted(away, exact, Spoilt(scale=2.0), origin=steps[0].c2w[0])
    result = align(given, away, memory)
    assert sources(result.report) <= {"poses", "step"}
    assert all("no overlap with memory's surfels" in view.reason for view in result.report.views)
    assert scale_errors(result.report, 2.0).max() < 0.01


@pytest.mark.parametrize("turn", [0.0, 0.07])
def test_one_place_is_no_motion(world, memory, steps, turn):
    """Identical poses and pure rotation: memory tells the scale if it is seen, else nothing does,
    and in an empty memory it is a convention."""
    here = steps[2][3]
    c2w = np.stack([here.c2w] * 4)
    c2w[:, :3, :3] = [rotation_y(turn * i) @ here.c2w[:3, :3] for i in range(4)]
    still = Cameras(c2w, np.stack([here.K] * 4), here.hw)
    exact = exact_depth(world, still)
    given = predicted(still, exact, Spoilt(scale=2.0))
    seen = align(given, still, memory)
    assert sources(seen.report) == {"views"}
    assert scale_errors(seen.report, 2.0).max() < 0.002

    began = align(given, still, EMPTY)
    assert [view.source for view in began.report.views] == ["median", "step", "step", "step"]
    assert "too close together" in began.report.views[0].reason
    scales = [view.line.scale for view in began.report.views]
    assert np.ptp(scales) < 0.005 * scales[0]

    away = turned_around(still)
    exact = exact_depth(world, away)
    unseen = align(predicted(away, exact, Spoilt(scale=2.0)), away, memory, fallback=exact)
    assert sources(unseen.report) == {"fallback"}
    assert "too close together" in unseen.report.views[0].reason
    assert (unseen.maps.confidence <= UNTRUSTED).mean() > 0.9


def test_too_small_a_motion_tells_nothing(world, steps):
    """A hundredth of the median depth: the network's own error would be all there is."""
    here = steps[0][0]
    c2w = np.stack([here.c2w] * 4)
    c2w[:, 2, 3] += np.linspace(0, 0.01, 4)
    still = Cameras(c2w, np.stack([here.K] * 4), here.hw)
    result = align(predicted(still, exact_depth(world, still), Spoilt(scale=2.0)), still, EMPTY)
    assert result.report.views[0].source == "median"
    assert "too close together" in result.report.views[0].reason


def test_contradicting_motion_is_not_believed(world, steps):
    walk = walk_cameras(world, "w w")[2]
    exact = exact_depth(world, walk)
    given = predicted(walk, exact, Spoilt(scale=2.0), origin=steps[0].c2w[0])
    c2w = walk.c2w.copy()
    c2w[:, 0, 3], c2w[:, 2, 3] = walk.c2w[:, 2, 3], 0
    sideways = Cameras(c2w, walk.K, walk.hw)
    result = align(given, sideways, EMPTY)
    assert result.report.views[0].source == "median"
    assert "another way" in result.report.views[0].reason


def test_poses_alone_tell_scale_too(world, steps):
    """A network that gives cameras and no common points."""
    walk = walk_cameras(world, "w w")[2]
    exact = exact_depth(world, walk)
    origin = steps[0].c2w[0]
    poses = invert_pose(origin) @ walk.c2w
    poses[:, :3, 3] /= 2
    given = replace(
        predicted(walk, exact, Spoilt(scale=2.0)), points_world=None, poses=poses, origin=origin
    )
    result = align(given, walk, EMPTY)
    assert result.report.views[0].source == "poses"
    assert scale_errors(result.report, 2.0).max() < 0.002
    poses = np.full_like(poses, np.nan)
    result = align(replace(given, poses=poses), walk, EMPTY)
    assert result.report.views[0].source == "median"
