"""What surer neighbours look through is no longer believed; frames seen in part are filled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.predictions import (
    EMPTY,
    HW,
    Spoilt,
    depth_errors,
    harmless,
    predicted,
    sources,
)
from vmem.geometry.alignment import fit_views as alignment
from vmem.geometry.alignment.cleaning import nearest
from vmem.geometry.alignment.fit_views import LOW, align
from vmem.geometry.alignment.predicted import Predicted, framed, mapped_confidence


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
