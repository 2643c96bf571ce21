"""Links sorted by surfel, against lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmem.memory import LinkError, LinkIndex
from vmem.memory import growing_links as growing
from vmem.memory.links import SHORT_VIEWS, extended, truncated
from vmem.raster import SurfelBuffers
from vmem.retrieval.tally import tally


def log(rng: np.random.Generator, n_surfels: int, n_views: int, n: int):
    surfel = rng.integers(0, max(1, n_surfels), n if n_surfels else 0, np.int32)
    return surfel, rng.integers(0, n_views, len(surfel), np.int32)


def rows(index: LinkIndex) -> list[list[int]]:
    return [index.views[a:b].tolist() for a, b in zip(index.start[:-1], index.stop, strict=True)]


@given(st.integers(0, 2**31), st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_grown_or_made_at_once_rows_are_the_views_in_order(seed, steps):
    rng = np.random.default_rng(seed)
    index, expected, n_surfels = LinkIndex.empty(), [], 0
    surfels, views = [], []
    for step, new in enumerate(steps):
        n_surfels += new
        expected += [[] for _ in range(new)]
        surfel, view = log(rng, n_surfels, step + 1, int(rng.integers(0, 60)))
        for s, v in zip(surfel, view, strict=True):
            expected[s].append(v)
        index = extended(index, n_surfels, step + 1, surfel, view)
        surfels.append(surfel)
        views.append(view)
    anew = LinkIndex.of(n_surfels, len(steps), np.concatenate(surfels), np.concatenate(views))
    for one in (index, anew):
        assert one.start[0] == 0
        assert one.start[-1] == len(one.views)
        assert rows(one) == expected


@given(st.integers(0, 2**31), st.integers(0, 30), st.integers(0, 30), st.integers(0, 80))
def test_shortened_rows_are_those_before_and_grow_again(seed, before, new, n_links):
    rng = np.random.default_rng(seed)
    surfel, view = log(rng, before, 3, n_links)
    index = LinkIndex.of(before, 3, surfel, view)
    # A later step may name any surfel, and views that were there before.
    later = log(rng, before + new, 5, n_links)
    grown = extended(index, before + new, 5, *later)
    short = truncated(grown, before, 3, later[0])
    assert rows(short) == rows(index)
    twice = truncated(truncated(grown, before, 3, later[0]), 0, 0, surfel)
    assert rows(twice) == []
    again = log(rng, before + new, 4, n_links)
    assert rows(extended(short, before + new, 4, *again)) == rows(
        extended(index, before + new, 4, *again)
    )


@given(st.integers(0, 2**31), st.lists(st.integers(0, 40), min_size=1, max_size=12), st.data())
def test_grown_in_place_rows_are_those_made_anew_and_older_ones_stay(seed, steps, data):
    """Also after a truncation, and with a buffer that is soon full."""
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growing, "SPARE_LINKS", data.draw(st.sampled_from([0, 100, 4096])))
        owner, n_surfels = growing.GrowingLinks(), 0
        made: list[tuple[LinkIndex, list[list[int]]]] = []
        index, plain, last = LinkIndex.empty(), LinkIndex.empty(), None
        for step, new in enumerate(steps):
            if last is not None and data.draw(st.booleans()):
                n_surfels = len(last[0].stop)
                index = truncated(index, n_surfels, step, last[2])
                plain, last = last[0], None
            n_before, before = n_surfels, plain
            n_surfels += new
            surfel, view = log(rng, n_surfels, step + 1, int(rng.integers(0, 90)))
            plain = extended(plain, n_surfels, step + 1, surfel, view)
            index = owner.extended(index, n_surfels, step + 1, surfel, view)
            last = before, n_before, surfel
            made.append((index, rows(plain)))
        for one, expected in made:
            assert rows(one) == expected
            assert one.start[-1] == len(one.views)


def test_growing_copies_only_what_is_new():
    owner, n = growing.GrowingLinks(), 1000
    surfel = np.arange(n, dtype=np.int32)
    index = owner.extended(LinkIndex.empty(), n, 1, surfel, surfel * 0)
    second = owner.extended(index, n + 1, 2, surfel[:5], surfel[:5] * 0 + 1)
    assert np.shares_memory(index.views, second.views)
    with pytest.raises(LinkError, match="names surfel 1005"):
        owner.extended(second, n + 1, 2, np.array([1005], np.int32), surfel[:1])
    with pytest.raises(LinkError, match="cannot shrink"):
        owner.extended(second, n - 1, 2, surfel[:0], surfel[:0])
    assert rows(second)[:6] == [[0, 1]] * 5 + [[0]]
    # An index that is not the newest is copied: another one's rows may lie behind its own.
    branch = owner.extended(index, n, 2, surfel[:2], surfel[:2] * 0)
    assert not np.shares_memory(branch.views, second.views)
    assert rows(second)[:3] == [[0, 1]] * 3


def test_shortening_takes_back_the_wider_type():
    surfel = np.arange(3, dtype=np.int32)
    index = LinkIndex.of(3, SHORT_VIEWS, surfel, surfel)
    grown = extended(index, 3, SHORT_VIEWS + 1, surfel[:1], np.array([SHORT_VIEWS], np.int32))
    short = truncated(grown, 3, SHORT_VIEWS, surfel[:1])
    assert short.views.dtype == np.uint16
    assert rows(short) == [[0], [1], [2]]


def test_more_views_than_two_bytes_count():
    surfel = np.arange(3, dtype=np.int32)
    index = LinkIndex.of(3, SHORT_VIEWS, surfel, surfel)
    assert index.views.dtype == np.uint16
    index = extended(index, 3, SHORT_VIEWS + 1, surfel[:1], np.array([SHORT_VIEWS], np.int32))
    assert index.views.tolist() == [0, SHORT_VIEWS, 1, 2]


@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(0, 80), st.integers(0, 3))
def test_a_tally_equals_loops(seed, n_surfels, n_links, n_buffers):
    rng = np.random.default_rng(seed)
    n_views = 6
    surfel, view = log(rng, n_surfels, n_views, n_links)
    shape = (5, 7)
    buffers = [
        SurfelBuffers(
            rng.integers(-1, n_surfels, shape, np.int32),
            rng.uniform(0, 4, shape).astype(np.float32),
            rng.uniform(0, 1, shape).astype(np.float32),
        )
        for _ in range(n_buffers)
    ]
    weight, pixels = np.zeros(n_surfels), np.zeros(n_surfels)
    for buffer in buffers:
        for at in np.ndindex(shape):
            if buffer.index[at] >= 0:
                weight[buffer.index[at]] += buffer.cosine[at] / (1 + buffer.depth[at])
                pixels[buffer.index[at]] += 1
    found = tally(buffers, LinkIndex.of(n_surfels, n_views, surfel, view), n_views)
    np.testing.assert_allclose(found.surfel_weight, weight, rtol=1e-5)
    np.testing.assert_array_equal(found.surfel_pixels, pixels)
    np.testing.assert_allclose(found.votes, np.bincount(view, weight[surfel], n_views), rtol=1e-5)
    np.testing.assert_allclose(found.pixels, np.bincount(view, pixels[surfel], n_views))
    assert sorted(found.visible.tolist()) == np.flatnonzero(pixels).tolist()


def test_no_surfels_no_votes():
    nothing = SurfelBuffers(
        np.full((2, 2), -1, np.int32), np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)
    )
    found = tally([nothing], LinkIndex.empty(), 3)
    assert found.votes.tolist() == [0, 0, 0]
    assert len(found.visible) == 0
