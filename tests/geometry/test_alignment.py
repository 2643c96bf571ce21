"""Predicted depth finds its scale again, and what cannot be placed does no harm."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.support.predictions import (
    HW,
    Spoilt,
    exact_depth,
    exact_frames,
    predicted,
    remembered,
    walk_cameras,
)
from vmem.cameras import Camera, Cameras, default_K, invert_pose, rotation_y, unproject
from vmem.geometry.alignment import fit_views as alignment
from vmem.geometry.alignment.cleaning import nearest
from vmem.geometry.alignment.fit_views import LOW, UNTRUSTED, AlignmentConfig, align
from vmem.geometry.alignment.predicted import Predicted, framed, mapped_confidence
from vmem.geometry.alignment.robust_fit import robust_fit
from vmem.memory import MemorySnapshot, ViewMemory, make_record
from vmem.published.alignment import Records, align_reference
from vmem.types import MIN_CONFIDENCE, AssociationConfig, Frames, PointMapError, PointMaps
from vmem.worlds.backend import make_world

EMPTY = MemorySnapshot.empty()
SCALES = (0.2, 1.0, 5.0, 30.0)
"""One for each view of the step."""

FLAWS = {
    "scale alone": (Spoilt(scale=SCALES), 0.002),
    "smooth noise": (Spoilt(scale=SCALES, noise=0.03), 0.02),
    "outliers": (Spoilt(scale=SCALES, outliers=0.2), 0.003),
    "low patch": (Spoilt(scale=SCALES, patch=0.4), 0.003),
    "all of it": (Spoilt(scale=SCALES, noise=0.03, outliers=0.2, patch=0.4), 0.03),
}
"""Flaws and the largest relative error of a view's scale that they may leave."""


@pytest.fixture(scope="module")
def world():
    return make_world(0)


@pytest.fixture(scope="module")
def steps(world) -> list[Cameras]:
    return walk_cameras(world, "w w a")


@pytest.fixture(scope="module")
def memory(world, steps) -> MemorySnapshot:
    return remembered(world, steps[:3])


@pytest.fixture(scope="module")
def cameras(steps) -> Cameras:
    """The step to be aligned: it turns away a little from all that memory holds."""
    return steps[3]


@pytest.fixture(scope="module")
def frames(world, cameras) -> Frames:
    return exact_frames(world, cameras)


@pytest.fixture(scope="module")
def truth(world, cameras):
    return exact_depth(world, cameras)


def scale_errors(report, scales) -> np.ndarray:
    """(T,) relative errors."""
    found = np.array([view.line.scale for view in report.views])
    return np.abs(found / np.broadcast_to(scales, len(found)) - 1)


def depth_errors(maps, truth) -> np.ndarray:
    """Relative, of all pixels that may enter memory."""
    sure = maps.confidence >= MIN_CONFIDENCE
    return np.abs(maps.depth[sure] / truth[sure] - 1)


def sources(report) -> set[str]:
    return {view.source for view in report.views}


def harmless(result, hw=HW):
    """Nothing in it can hurt whoever takes it into memory."""
    maps = result.maps
    maps.validated((len(result.report.views), *hw))
    assert np.isfinite(maps.points).all()
    assert np.isfinite(maps.depth).all()
    assert ((maps.confidence >= 0) & (maps.confidence <= 1)).all()
    assert str(result.report).startswith("alignment: view 0 by ")
    return maps


# --- the truth is found again ------------------------------------------------------------------


@pytest.mark.parametrize("flaw", FLAWS)
def test_scale_from_memory(memory, cameras, truth, flaw):
    how, allowed = FLAWS[flaw]
    result = align(predicted(cameras, truth, how), cameras, memory)
    assert sources(result.report) == {"views"}
    errors = scale_errors(result.report, SCALES)
    print(f"{flaw}: scale errors {np.round(100 * errors, 2)} %")
    assert errors.max() < allowed
    assert np.median(depth_errors(harmless(result), truth)) < max(0.003, 1.5 * how.noise)


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


# --- one view's nonsense is its own ------------------------------------------------------------


def records_of(given: Predicted) -> Records:
    assert given.points_world is not None
    points = np.concatenate([given.points_self[:1], given.points_world[1:]])
    return Records(points, given.confidence)


def reference_error(given: Predicted, cameras: Cameras, truth) -> float:
    """Median |log| of published depth over the true one."""
    depth = align_reference(records_of(given), cameras.c2w, niter=1).state.depth
    return float(np.median(np.abs(np.log(depth / truth))))


def lowered(given: Predicted, views: slice) -> Predicted:
    """The same, of confidence 2 in some views: below what the published PnP asks for, but not
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


# --- cleaning ----------------------------------------------------------------------------------


def with_floater(given: Predicted, confidence: float) -> tuple[Predicted, tuple]:
    """View 0 with something at half its depth in the middle, as sure as said."""
    points, sure = given.points_self.copy(), given.confidence.copy()
    middle = (0, slice(40, 52), slice(40, 52))
    points[middle] *= 0.5
    sure[middle] = confidence
    return replace(given, points_self=points, confidence=sure), middle


def test_what_surer_neighbours_look_through_is_cleaned(memory, cameras, truth):
    plain = predicted(cameras, truth, Spoilt(scale=2.0))
    before = align(plain, cameras, memory).maps.confidence
    given, middle = with_floater(plain, confidence=4.0)
    after = align(given, cameras, memory).maps.confidence
    assert (after[middle] == 0).mean() > 0.9
    outside = np.ones_like(before, bool)
    outside[middle] = False
    assert (after[outside] >= before[outside] - 1e-6).mean() > 0.99


def test_what_is_surer_than_its_neighbours_stays(cameras, truth):
    plain = predicted(cameras, truth, Spoilt(scale=2.0, confidence=5.0))
    given, middle = with_floater(plain, confidence=50.0)
    after = align(given, cameras, EMPTY).maps.confidence
    assert (after[middle] > 0.9).mean() > 0.9


def test_exact_views_lose_nothing(memory, cameras, truth):
    given = predicted(cameras, truth, Spoilt(scale=2.0))
    maps = align(given, cameras, memory).maps
    assert (maps.confidence == 0).mean() < 0.02


@pytest.mark.parametrize("stored", [5, 200])
def test_neighbours_do_not_grow_with_memory(memory, cameras, truth, stored, monkeypatch):
    views = (memory.views * (stored // len(memory.views) + 1))[:stored]
    grown = replace(memory, views=views)
    compared = []
    real = alignment.cleaned
    monkeypatch.setattr(alignment, "cleaned", lambda *a: compared.append(len(a[2])) or real(*a))
    align(predicted(cameras, truth, Spoilt()), cameras, grown)
    assert compared == [4] * len(cameras)


def test_nearest_in_pose():
    poses = np.tile(np.eye(4), (20, 1, 1))
    poses[:, 0, 3] = np.random.default_rng(0).permutation(20)
    found = nearest(np.eye(4), poses, 3)
    assert poses[found, 0, 3].tolist() == [0, 1, 2]
    assert len(nearest(np.eye(4), poses[:2], 3)) == 2
    assert len(nearest(np.eye(4), poses[:0], 3)) == 0


# --- the whole frame ---------------------------------------------------------------------------


def test_confidence_is_monotone_and_bounded():
    raw = np.array([np.nan, -3, 1, 1.2, 3, 30, 1e6, np.inf], np.float32)
    mapped = mapped_confidence(raw)
    assert mapped[[0, 1, 2, 7]].tolist() == [0, 0, 0, 0]
    assert mapped[4] == pytest.approx(0.5)
    assert (np.diff(mapped[2:7]) > 0).all()
    assert mapped.max() < 1


def cropped(given: Predicted) -> Predicted:
    """The middle three quarters of the height, at two thirds of the size."""
    rows = slice(HW[0] // 8, HW[0] - HW[0] // 8)
    points = given.points_self[:, rows][:, 1::3, 1::3]
    return Predicted(points, given.confidence[:, rows][:, 1::3, 1::3], (0, 0.125, 1, 0.875))


def test_a_crop_fills_the_frame_from_memory(memory, cameras, truth):
    whole = predicted(cameras, truth, Spoilt(scale=2.0))
    result = align(cropped(whole), cameras, memory, fallback=np.full_like(truth, 9.0))
    maps = harmless(result)
    assert sources(result.report) == {"views"}
    beyond = np.r_[0 : HW[0] // 8, HW[0] - HW[0] // 8 : HW[0]]
    sure, depth = maps.confidence[:, beyond], maps.depth[:, beyond]
    # Cleaning may have taken some of it back.
    assert (sure <= LOW).all()
    shown = sure > 0
    assert shown.mean() > 0.5
    assert np.median(np.abs(depth[shown] / truth[:, beyond][shown] - 1)) < 0.01
    assert np.median(depth_errors(maps, truth)) < 0.01


def test_a_crop_in_an_empty_memory_leaves_the_rest_unsure(cameras, truth):
    given = cropped(predicted(cameras, truth, Spoilt(scale=2.0)))
    maps = align(given, cameras, EMPTY, fallback=np.full_like(truth, 9.0)).maps
    assert (maps.confidence[:, : HW[0] // 8] == 0).all()
    assert (maps.depth[:, : HW[0] // 8] == 9).all()


def test_depth_is_not_mixed_across_edges():
    points = np.ones((1, 8, 8, 3), np.float32)
    points[:, :, 4:] = 5
    depth = framed(Predicted(points, np.full((1, 8, 8), 9, np.float32)), (24, 24)).depth
    assert set(np.unique(depth)) == {1.0, 5.0}


# --- bad input ---------------------------------------------------------------------------------


def fallback_of(truth):
    return np.full_like(truth, 3.0)


def kept_fallback(result, truth):
    """Every view keeps the caller's depth and enters nothing into a memory that contradicts it."""
    maps = harmless(result)
    assert sources(result.report) == {"fallback"}
    assert all(view.reason for view in result.report.views)
    np.testing.assert_array_equal(maps.depth, fallback_of(truth))
    assert (maps.confidence <= LOW).all()


def spoil_nan(given):
    return replace(given, points_self=np.full_like(given.points_self, np.nan))


def spoil_infinite(given):
    return replace(given, points_self=np.full_like(given.points_self, np.inf))


def spoil_confidence(given):
    return replace(given, confidence=np.full_like(given.confidence, np.nan))


def spoil_low(given):
    return replace(given, confidence=np.full_like(given.confidence, 1.01))


def spoil_constant(given):
    return replace(given, points_self=np.full_like(given.points_self, 2.0))


def spoil_behind(given):
    return replace(given, points_self=-given.points_self)


def spoil_zero(given):
    return replace(given, points_self=np.zeros_like(given.points_self))


SPOILERS = [
    spoil_nan,
    spoil_infinite,
    spoil_confidence,
    spoil_low,
    spoil_constant,
    spoil_behind,
    spoil_zero,
]


@pytest.mark.parametrize("spoil", SPOILERS)
def test_useless_predictions_keep_the_fallback(memory, cameras, truth, spoil):
    given = spoil(predicted(cameras, truth, Spoilt()))
    kept_fallback(align(given, cameras, memory, fallback=fallback_of(truth)), truth)


@pytest.mark.parametrize("spoil", SPOILERS)
@pytest.mark.parametrize("shift", ["none", "depth", "inverse"])
def test_useless_predictions_of_an_empty_memory(cameras, truth, spoil, shift):
    given = spoil(predicted(cameras, truth, Spoilt()))
    config = AlignmentConfig(shift=shift)
    harmless(align(given, cameras, EMPTY, fallback=fallback_of(truth), config=config))
    harmless(align(given, cameras, EMPTY, config=config))


@pytest.mark.parametrize("spoil", SPOILERS)
def test_useless_predictions_without_a_fallback(memory, cameras, truth, spoil):
    """What memory shows is all that is known, and may be linked to."""
    given = spoil(predicted(cameras, truth, Spoilt()))
    maps = harmless(align(given, cameras, memory))
    sure = maps.confidence >= MIN_CONFIDENCE
    assert sure.any()
    assert np.median(np.abs(maps.depth[sure] / truth[sure] - 1)) < 0.01


def test_some_nan_are_only_their_own(memory, cameras, truth):
    given = predicted(cameras, truth, Spoilt(scale=2.0))
    points = given.points_self.copy()
    points[:, ::3, ::2] = np.nan
    result = align(replace(given, points_self=points), cameras, memory)
    assert (harmless(result).confidence[:, ::3, ::2] == 0).all()
    assert scale_errors(result.report, 2.0).max() < 0.002


@pytest.mark.parametrize("value", [1e-38, 1e-12, 1e12, 1e38])
@pytest.mark.parametrize("known", ["memory", "empty"])
def test_absurd_depth_never_reaches_memory(memory, cameras, frames, truth, value, known):
    """Disks must be finite and larger than nothing, or the step would fail in memory."""
    before = memory if known == "memory" else EMPTY
    given = predicted(cameras, truth, Spoilt(scale=2.0))
    points, fallback = given.points_self.copy(), fallback_of(truth)
    points[:, ::5] = value
    points[2] = value
    fallback[:, ::7] = value
    result = align(replace(given, points_self=points), cameras, before, fallback=fallback)
    maps = harmless(result)
    record = make_record(before, frames, cameras, maps, None, AssociationConfig())
    record.surfels.validated()
    assert scale_errors(result.report, result.report.views[0].line.scale)[[1, 3]].max() < 0.01


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


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -100.0])
@pytest.mark.parametrize("known", ["memory", "empty"])
def test_impossible_intrinsics(memory, cameras, truth, value, known):
    K = cameras.K.copy()
    K[1, 0, 0] = value
    bad = Cameras(cameras.c2w, K, cameras.hw)
    now = memory if known == "memory" else EMPTY
    given = predicted(cameras, truth, Spoilt(scale=2.0))
    result = align(given, bad, now, fallback=fallback_of(truth))
    assert result.report.views[1].source == "fallback"
    assert "impossible camera" in result.report.views[1].reason
    assert (harmless(result).confidence[1] == 0).all()
    good = [0, 2, 3]
    assert all(result.report.views[i].source != "fallback" for i in good)


def test_impossible_poses(memory, cameras, truth):
    c2w = cameras.c2w.copy()
    c2w[2] = np.nan
    given = predicted(cameras, truth, Spoilt(scale=2.0))
    result = align(given, Cameras(c2w, cameras.K, cameras.hw), memory)
    assert (harmless(result).confidence[2] == 0).all()
    assert scale_errors(result.report, 2.0)[[0, 1, 3]].max() < 0.002


def test_sky_alone(memory, cameras, truth):
    """What is not solid is far and unsure."""
    given = predicted(cameras, np.full_like(truth, 100.0), Spoilt(confidence=1.1))
    kept_fallback(align(given, cameras, memory, fallback=fallback_of(truth)), truth)


def test_a_bad_fallback_is_not_trusted_either(cameras, truth):
    given = spoil_nan(predicted(cameras, truth, Spoilt()))
    bad = fallback_of(truth)
    bad[:, :10], bad[:, 10:20], bad[:, 20:30] = np.nan, -1, np.inf
    maps = harmless(align(given, cameras, EMPTY, fallback=bad))
    assert (maps.confidence[:, :30] == 0).all()
    assert (maps.confidence[0, 30:] == np.float32(LOW)).all()
    assert (maps.confidence[1:] <= UNTRUSTED).all()


def test_wrong_shapes_are_errors(memory, cameras, truth):
    given = predicted(cameras, truth, Spoilt())
    with pytest.raises(PointMapError, match="confidence"):
        align(replace(given, confidence=given.confidence[:2]), cameras, memory)
    with pytest.raises(PointMapError, match="points_world"):
        align(replace(given, points_world=given.points_self[:1]), cameras, memory)
    with pytest.raises(PointMapError, match="window"):
        align(replace(given, window=(0, 0.9, 1, 0.1)), cameras, memory)
    with pytest.raises(PointMapError, match="fallback"):
        align(given, cameras, memory, fallback=truth[:1])


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
