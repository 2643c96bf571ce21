"""Predicted depth finds its scale again from what memory holds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.golden.published.alignment import Records, align_as_published
from tests.support.predictions import (
    EMPTY,
    FLAWS,
    HW,
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
from vmem.cameras import Camera, Cameras, default_K, unproject
from vmem.geometry.alignment.fit_views import LOW, AlignmentConfig, align
from vmem.geometry.alignment.predicted import Predicted
from vmem.geometry.alignment.robust_fit import robust_fit
from vmem.memory import ViewMemory, make_record
from vmem.types import AssociationConfig, Frames, PointMaps


@pytest.mark.parametrize("flaw", FLAWS)
def test_scale_from_memory(memory, cameras, truth, flaw):
    how, allowed = FLAWS[flaw]
    result = align(predicted(cameras, truth, how), cameras, memory)
    assert sources(result.report) == {"views"}
    errors = scale_errors(result.report, SCALES)
    print(f"{flaw}: scale errors {np.round(100 * errors, 2)} %")
    assert errors.max() < allowed
    assert np.median(depth_errors(harmless(result), truth)) < max(0.003, 1.5 * how.noise)


def test_scale_does_not_drift_along_a_walk(world):
    """Every step is aligned with what the ones before left of their noise. Fitted to drawn surfels
    instead, depth is 8 % too near after four steps, 16 % after five."""
    steps = walk_cameras(world, "w w a a a a")
    memory, off = ViewMemory(), np.inf
    unit = 1 / np.median(exact_depth(world, steps[0]))
    for k, cameras in enumerate(steps):
        exact = exact_depth(world, cameras)
        how = Spoilt(scale=2.0, noise=0.03, outliers=0.1, seed=k) if k else Spoilt()
        given = replace(predicted(cameras, exact, how), points_world=None)
        now = memory.snapshot()
        result = align(given, cameras, now)
        frames = Frames(np.zeros((*exact.shape, 3), np.uint8))
        config = AssociationConfig()
        memory.append(make_record(now, frames, cameras, result.maps, None, config))
        if k:
            assert sources(result.report) == {"views"}
        off = np.median(np.log(result.maps.depth / exact / unit))
    print(f"depth after the walk off by {off:.2%}")
    assert abs(off) < 0.015


def test_without_near_views_surfels_tell(memory, cameras, truth):
    """Views that are sure of nothing any more, as after a walk elsewhere and back."""
    blind = [replace(view, confidence=np.zeros_like(view.confidence)) for view in memory.views]
    known = replace(memory, views=tuple(blind))
    result = align(predicted(cameras, truth, Spoilt(scale=SCALES)), cameras, known)
    assert sources(result.report) == {"surfels"}
    assert scale_errors(result.report, SCALES).max() < 0.002


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize(("noise", "outliers", "allowed"), [(0, 0, 0.003), (0.02, 0.2, 0.03)])
def test_scale_and_shift(memory, cameras, truth, inverse, noise, outliers, allowed):
    how = Spoilt(scale=2.0, shift=0.2, inverse=inverse, noise=noise, outliers=outliers)
    config = AlignmentConfig(shift="inverse" if inverse else "depth")
    result = align(predicted(cameras, truth, how), cameras, memory, config=config)
    assert {view.line.inverse for view in result.report.views} == {inverse}
    errors = scale_errors(result.report, 2.0)
    shifts = np.array([view.line.shift for view in result.report.views])
    print(f"scale errors {np.round(100 * errors, 2)} %, shifts {np.round(shifts, 3)}")
    assert errors.max() < allowed
    assert np.abs(shifts - 0.2).max() < 0.015
    assert np.median(depth_errors(result.maps, truth)) < max(0.003, noise)


def test_a_noisy_flat_wall_is_no_contradiction_and_a_constant_is():
    rng = np.random.default_rng(0)
    slope = np.linspace(0.94, 1.06, 4000).astype(np.float32)
    noisy = (slope * np.exp(rng.normal(size=4000) * 0.05)).astype(np.float32)
    flat, one = np.full_like(slope, 2.0), np.ones_like(slope)
    assert robust_fit(noisy, slope, one).explained
    assert robust_fit(flat, one, one).explained
    assert not robust_fit(flat, slope, one).explained


def test_without_a_shift_none_is_found(memory, cameras, truth):
    config = AlignmentConfig(shift="depth")
    result = align(predicted(cameras, truth, Spoilt(scale=2.0)), cameras, memory, config=config)
    assert all(abs(view.line.shift) < 0.005 for view in result.report.views)


def test_the_photo_of_an_empty_memory_has_median_depth_1(steps, world):
    first = steps[0]
    exact = exact_depth(world, first)
    result = align(predicted(first, exact, Spoilt(scale=7.0)), first, EMPTY)
    assert sources(result.report) == {"median"}
    assert np.median(harmless(result).depth) == pytest.approx(1, rel=1e-3)


def test_a_photo_that_lacks_a_shift_takes_it_from_the_layout(steps, world):
    first = steps[0]
    exact = exact_depth(world, first)
    given = predicted(first, exact, Spoilt(scale=2.0, shift=0.3, inverse=True))
    config = AlignmentConfig(shift="inverse")
    result = align(given, first, EMPTY, fallback=exact, config=config)
    assert sources(result.report) == {"layout"}
    assert np.median(depth_errors(harmless(result), exact)) < 1e-3
    alone = align(given, first, EMPTY, config=config)
    assert "shift is unknown" in alone.report.views[0].reason


def test_points_lie_on_known_rays(memory, cameras, truth):
    """A network of another focal length gives its depth; direction is the known camera's."""
    given = predicted(cameras, truth, Spoilt(scale=3.0))
    wide = replace(given, points_self=given.points_self * np.array([1.4, 1.4, 1], np.float32))
    maps = align(wide, cameras, memory).maps
    for camera, points, depth in zip(cameras, maps.points, maps.depth, strict=True):
        local = points @ camera.w2c[:3, :3].T + camera.w2c[:3, 3]
        x = camera.K[0, 0] * local[..., 0] / local[..., 2] + camera.K[0, 2] - 0.5
        np.testing.assert_allclose(local[..., 2], depth, rtol=1e-4)
        np.testing.assert_allclose(x, np.broadcast_to(np.arange(HW[1]), HW), atol=1e-2)


def test_what_is_aligned_links_to_what_it_shows(memory, cameras, frames, truth):
    """Taken into memory, spoilt depth meets the surfels it should."""

    def links(maps):
        return len(make_record(memory, frames, cameras, maps, None, AssociationConfig()).link_view)

    given = predicted(cameras, truth, Spoilt(scale=SCALES, noise=0.01))
    aligned = align(given, cameras, memory).maps
    exact = align(predicted(cameras, truth, Spoilt()), cameras, memory).maps
    assert links(aligned) > 0.9 * links(exact)


def records_of(given: Predicted) -> Records:
    assert given.points_world is not None
    points = np.concatenate([given.points_self[:1], given.points_world[1:]])
    return Records(points, given.confidence)


def reference_error(given: Predicted, cameras: Cameras, truth) -> float:
    """Median |log| of published depth over the true one."""
    depth = align_as_published(records_of(given), cameras.c2w, niter=1).state.depth
    return float(np.median(np.abs(np.log(depth / truth))))


def lowered(given: Predicted, views: slice) -> Predicted:
    """``given`` with confidence 2 in some views: below what the published PnP asks for, but not
    below what can be used."""
    confidence = given.confidence.copy()
    confidence[views] = 2.0
    return replace(given, confidence=confidence)


@pytest.mark.parametrize("views", [slice(1, 2), slice(1, None)], ids=["one", "all"])
def test_low_confidence_breaks_the_published_scale_and_not_ours(memory, steps, truth, views):
    cameras = steps[2]
    exact = np.stack([view.depth for view in memory.views[-4:]])
    given = lowered(predicted(cameras, exact, Spoilt(scale=2.0)), views)
    theirs = reference_error(given, cameras, exact)
    for known in (memory, EMPTY):
        ours = align(given, cameras, known)
        mine = float(np.median(depth_errors(ours.maps, exact)))
        print(f"factor off: published {math.exp(theirs):.3g}, ours {1 + mine:.4f}")
        assert mine < 0.002
        assert theirs > 50 * mine
        assert theirs > 0.05


def test_a_loose_likeness_is_no_fit():
    """Depth that follows memory, but everywhere a third off, or half of it elsewhere."""
    rng = np.random.default_rng(0)
    camera = Cameras.stack([Camera(np.eye(4), default_K(HW), HW)])
    depth = np.broadcast_to(np.geomspace(1, 10, HW[1], dtype=np.float32), (1, *HW))
    memory = ViewMemory()
    maps = PointMaps(unproject(depth[0], camera[0])[None], depth, np.ones_like(depth))
    frames = Frames(np.zeros((1, *HW, 3), np.uint8))
    memory.append(make_record(memory.snapshot(), frames, camera, maps, None, AssociationConfig()))
    loose = depth * np.exp(
        rng.choice([-0.35, 0.35], depth.shape) + rng.normal(size=depth.shape) / 5
    )
    result = align(predicted(camera, loose.astype(np.float32), Spoilt()), camera, memory.snapshot())
    assert result.report.views[0].source == "fallback"
    assert "contradicts memory's surfels" in result.report.views[0].reason
    result = align(predicted(camera, depth, Spoilt(scale=2.0)), camera, memory.snapshot())
    assert scale_errors(result.report, 2.0).max() < 0.01


def test_a_view_of_nonsense_leaves_the_others_alone(memory, cameras, truth):
    rng = np.random.default_rng(0)
    given = predicted(cameras, truth, Spoilt(scale=2.0))
    points = given.points_self.copy()
    points[1] = rng.uniform(0.1, 1000, points[1].shape)
    result = align(replace(given, points_self=points), cameras, memory)
    alone = align(given, cameras, memory)
    assert result.report.views[1].source == "fallback"
    assert (harmless(result).confidence[1] <= LOW).all()
    for i in (0, 2, 3):
        assert result.report.views[i] == alone.report.views[i]
