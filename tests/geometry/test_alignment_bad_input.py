"""Predictions, cameras and fallbacks that are useless do no harm to the memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.predictions import (
    EMPTY,
    Spoilt,
    harmless,
    predicted,
    scale_errors,
    sources,
)
from vmem.geometry.alignment.fit_views import LOW, UNTRUSTED, AlignmentConfig, align
from vmem.memory import make_record
from vmem.types import MIN_CONFIDENCE, AssociationConfig, PointMapError


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


@pytest.mark.usefixtures("unchecked_shapes")
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
