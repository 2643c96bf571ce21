"""Who explains what, against sets of views kept by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from vmem.cameras import Camera, Cameras, default_K
from vmem.memory import LinkError, MemorySnapshot
from vmem.raster import SurfelBuffers
from vmem.retrieval import attribution, retrieve
from vmem.types import Reason, ReasonKind, Surfels, View

NOTHING = np.zeros((1, 1), np.float32)
CAMERA = Camera(np.eye(4), default_K((1, 1)), (1, 1))
VIEW = View(np.zeros((1, 1, 3), np.uint8), CAMERA, 0, NOTHING, NOTHING)


def surfels(n: int) -> Surfels:
    up = np.tile(np.array([0, 0, -1], np.float32), (n, 1))
    return Surfels(up, up, np.ones(n, np.float32), np.zeros((n, 3), np.uint8))


ALONE = MemorySnapshot(surfels(0), np.zeros(0, np.int32), np.zeros(0, np.int32), (VIEW,), (), ())
ANSWER = retrieve(ALONE, Cameras.stack([CAMERA]))
"""Of which everything that matters here is replaced."""


def made_up(seed: int, n: int, newer: int, n_views: int, later: int):
    """A memory that has grown by ``newer`` surfels and ``later`` views since the retrieval was
    made of its first ``n`` and ``n_views``; and who saw each surfel."""
    rng = np.random.default_rng(seed)
    saw = rng.random((n + newer, n_views + later)) < rng.uniform(0.1, 0.7)
    view, surfel = (part.astype(np.int32) for part in np.nonzero(saw.T))
    memory = MemorySnapshot(surfels(n + newer), surfel, view, (VIEW,) * (n_views + later), (), ())
    index = [rng.integers(-1, n, (3, 4)).astype(np.int32) for _ in range(2)]
    drawn = np.concatenate([one.ravel() for one in index])
    pixels = np.bincount(drawn[drawn >= 0], minlength=n).astype(np.float32)
    order = tuple(rng.permutation(n_views)[: rng.integers(0, n_views + 1)].tolist())
    nil, blank = np.zeros(n_views, np.float32), np.zeros((3, 4), np.float32)
    retrieval = replace(
        ANSWER,
        votes=nil,
        share=nil,
        coverage=nil,
        pose_distance=nil,
        rank=np.arange(n_views, dtype=np.int32),
        chosen=np.isin(np.arange(n_views), order),
        reasons=(Reason(ReasonKind.CHOSEN),) * n_views,
        order=order,
        surfel_weight=pixels * rng.uniform(0.1, 1, n).astype(np.float32),
        surfel_pixels=pixels,
        buffers=tuple(SurfelBuffers(one, blank, blank) for one in index),
        note="",
    )
    return memory, retrieval, [set(np.flatnonzero(row).tolist()) for row in saw]


grown = st.builds(
    made_up,
    st.integers(0, 2**31),
    st.integers(1, 30),
    st.integers(0, 10),
    st.integers(1, 8),
    st.integers(0, 4),
)


@given(grown)
def test_looks_are_counted_of_chosen_views_at_visible_surfels(made):
    memory, retrieval, saw = made
    visible = [s for s in range(len(retrieval.surfel_pixels)) if retrieval.surfel_pixels[s] > 0]
    assert_array_equal(attribution.visible_surfels(retrieval), visible)
    expected = [
        len(saw[s] & set(retrieval.order)) if s in visible else 0
        for s in range(len(retrieval.surfel_weight))
    ]
    assert_array_equal(attribution.chosen_looks(memory, retrieval), expected)
    every = np.arange(len(memory.surfels), dtype=np.int32)
    assert_array_equal(
        attribution.looks(memory, retrieval, every),
        [len(views & set(retrieval.order)) for views in saw],
    )
    unseen = [s for s in visible if not saw[s] & set(retrieval.order)]
    assert_array_equal(attribution.uncovered(memory, retrieval), unseen)


@given(grown)
def test_what_a_view_alone_explains_is_what_the_choice_lacks_without_it(made):
    memory, retrieval, saw = made
    alone = attribution.explained_alone(memory, retrieval)
    for view in range(len(memory.views)):
        others = set(retrieval.order) - {view}
        expected = [
            s
            for s in attribution.visible_surfels(retrieval).tolist()
            if view in saw[s] and not saw[s] & others
        ]
        found = attribution.only_explained_by(memory, retrieval, view)
        assert_array_equal(found, expected)
        if view < len(retrieval.votes):
            assert alone.surfels[view] == len(expected)
            assert alone.pixels[view] == retrieval.surfel_pixels[expected].sum()


@given(grown)
def test_owners_are_the_first_views(made):
    memory, _, saw = made
    nobody = len(memory.views)
    assert_array_equal(attribution.owners(memory), [min(views, default=nobody) for views in saw])


@given(grown)
def test_shares_of_the_picture_are_counted_pixel_by_pixel(made):
    memory, retrieval, saw = made
    covered = known = nothing = 0
    for buffers in retrieval.buffers:
        for s in buffers.index.ravel().tolist():
            if s < 0:
                nothing += 1
            elif saw[s] & set(retrieval.order):
                covered += 1
            else:
                known += 1
    shares = attribution.picture_shares(memory, retrieval)
    total = covered + known + nothing
    assert (shares.covered, shares.known, shares.nothing) == pytest.approx(
        (covered / total, known / total, nothing / total)
    )
    assert shares.covered + shares.known + shares.nothing == pytest.approx(1)


@given(grown)
def test_union_coverage_is_the_share_of_votes_that_chosen_views_explain(made):
    memory, retrieval, saw = made
    total = explained = 0.0
    for s, weight in enumerate(retrieval.surfel_weight.tolist()):
        total += weight
        explained += weight * bool(saw[s] & set(retrieval.order))
    expected = explained / total if total else 0.0
    assert attribution.union_coverage(memory, retrieval) == pytest.approx(expected, rel=1e-6)
    blind = replace(retrieval, surfel_weight=np.zeros_like(retrieval.surfel_weight))
    assert attribution.union_coverage(memory, blind) == 0


def test_a_grown_memory_says_the_same_of_an_old_step(walk: MemorySnapshot) -> None:
    """Old surfels have gained links since, but not from views that the step could choose."""
    for step in (1, 4, 7):
        retrieval = walk.retrievals[step]
        assert retrieval is not None
        then = walk.at_step(step - 1)
        assert len(then.views) == len(retrieval.votes) < len(walk.views)
        assert len(then.link_view) < len(walk.link_view)
        for ask in (attribution.chosen_looks, attribution.uncovered):
            assert_array_equal(ask(walk, retrieval), ask(then, retrieval))
        assert attribution.picture_shares(walk, retrieval) == attribution.picture_shares(
            then, retrieval
        )
        assert (attribution.chosen_looks(walk, retrieval) > 0).any()


def test_a_retrieval_of_another_memory_is_refused(walk: MemorySnapshot) -> None:
    retrieval, early = walk.retrievals[-1], walk.at_step(2)
    assert retrieval is not None
    for ask in (
        attribution.chosen_looks,
        attribution.uncovered,
        attribution.explained_alone,
        attribution.picture_shares,
        attribution.union_coverage,
    ):
        with pytest.raises(LinkError, match="not of this memory"):
            ask(early, retrieval)
    for view in (-1, len(walk.views)):
        with pytest.raises(LinkError, match="no view"):
            attribution.only_explained_by(walk, retrieval, view)


def test_an_empty_memory_has_no_owners() -> None:
    assert attribution.owners(MemorySnapshot.empty()).shape == (0,)
