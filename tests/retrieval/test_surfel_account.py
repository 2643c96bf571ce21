"""Asking a surfel: against its links in the log and the pinhole formula, one by one."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import box_depth
from vmem.memory import MemorySnapshot
from vmem.retrieval.explain import NoSurfelError, account


def one_surfel(walk: MemorySnapshot, position: tuple[float, float, float]) -> MemorySnapshot:
    """The walk's views, all of which claim to have seen the one surfel that there is."""
    alone = replace(
        walk.surfels[:1],
        position=np.array([position], np.float32),
        normal=np.array([[0, 0, -1]], np.float32),
    )
    views = np.arange(len(walk.views), dtype=np.int32)
    ends = tuple(replace(end, n_surfels=1) for end in walk.steps)
    return MemorySnapshot(alone, np.zeros_like(views), views, walk.views, ends, walk.retrievals)


@given(which=st.floats(0, 1, exclude_max=True))
def test_an_account_says_what_the_log_says(walk, which):
    surfel = int(which * len(walk.surfels))
    told = account(walk, surfel)
    assert told.surfel == surfel
    np.testing.assert_array_equal(told.position, walk.surfels.position[surfel])
    np.testing.assert_array_equal(told.normal, walk.surfels.normal[surfel])
    assert told.color == tuple(walk.surfels.color[surfel])
    assert told.radius == walk.surfels.radius[surfel]
    views = [sighting.view for sighting in told.sightings]
    assert views == sorted(walk.link_view[walk.link_surfel == surfel].tolist())
    # What made it also was the first to see it.
    assert told.step == walk.views[views[0]].step
    assert told.step + told.age == len(walk.steps) - 1
    for sighting in told.sightings:
        camera = walk.views[sighting.view].camera
        local = np.linalg.inv(camera.c2w) @ (*told.position, 1.0)
        x, y, w = camera.K @ local[:3]
        np.testing.assert_allclose(sighting.pixel, (x / w, y / w), atol=1e-6)
        assert sighting.depth == pytest.approx(local[2])
        to_eye = camera.position - told.position
        slant = np.dot(to_eye, told.normal) / np.linalg.norm(to_eye)
        assert sighting.cosine == pytest.approx(slant, abs=1e-6)


def test_the_marked_pixel_shows_the_surfel(walk):
    """In the views that made them, the box itself is where surfels are said to be."""
    for surfel in range(0, len(walk.surfels), 97):
        first = account(walk, surfel).sightings[0]
        assert first.inside
        camera = walk.views[first.view].camera
        column, row = (math.floor(at) for at in first.pixel)
        assert box_depth(camera)[row, column] == pytest.approx(first.depth, rel=0.1)
        assert first.cosine > 0


def test_steps_end_where_their_surfels_do(walk):
    bounds = [0, *(end.n_surfels for end in walk.steps)]
    for step, (start, stop) in enumerate(pairwise(bounds)):
        if start < stop:
            assert {account(walk, start).step, account(walk, stop - 1).step} == {step}


def test_what_lies_outside_or_behind_is_said_to(walk):
    ahead, aside, behind = (
        account(one_surfel(walk, at), 0).sightings[0] for at in ((0, 0, 1), (9, 0, 1), (0, 0, -1))
    )
    h, w = walk.views[0].camera.hw
    assert ahead.inside
    assert ahead.pixel == pytest.approx((w / 2, h / 2))
    assert ahead.cosine == pytest.approx(1)
    assert not aside.inside
    assert aside.pixel[0] > w
    assert not behind.inside
    assert np.isnan(behind.pixel).all()
    assert (behind.depth, behind.cosine) == pytest.approx((-1, -1))


@pytest.mark.parametrize("surfel", [-1, 10**7])
def test_a_surfel_that_is_not_there_is_an_error(walk, surfel):
    with pytest.raises(NoSurfelError, match=f"no surfel {surfel}: this memory holds"):
        account(walk, surfel)
    with pytest.raises(ValueError, match="holds 0"):
        account(MemorySnapshot.empty(), 0)
