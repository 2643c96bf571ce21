"""``coverage`` against a slow oracle, and by example."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.evidence import (
    CONFIG,
    counts,
    evidences,
    gap,
    made_up,
    selected,
    views_of,
    voted,
)
from vmem.memory import LinkIndex
from vmem.retrieval import Evidence, SelectionConfig
from vmem.retrieval.strategies.coverage import SURFACE_SAMPLES
from vmem.types import ReasonKind


@given(evidences, counts, st.sampled_from([0.0, 0.05, 0.5]), st.sampled_from([0.0, 0.25, 1.0]))
def test_coverage_gains_nearly_the_most_at_every_turn(evidence, k, near_tie, second_look):
    config = SelectionConfig(near_tie=near_tie, second_look=second_look)
    selection = selected("coverage", replace(evidence, config=config), k)
    if not evidence.votes.any():
        return
    saw: list[set[int]] = [set() for _ in range(len(evidence))]
    for surfel in evidence.visible.tolist():
        for view in views_of(evidence, surfel):
            saw[view].add(surfel)
    total = float(evidence.pixels.sum())
    looks = dict.fromkeys(range(len(evidence.pixels)), 0)
    remaining = {view for view in range(len(evidence)) if saw[view]}

    def gain(view: int) -> float:
        return sum(float(evidence.pixels[s]) * second_look ** looks[s] for s in saw[view]) / total

    def new(view: int) -> float:
        return sum(float(evidence.pixels[s]) for s in saw[view] if not looks[s]) / total

    def apart(view: int, turn: int) -> bool:
        return all(gap(evidence, view, one) >= CONFIG.suppression for one in selection.order[:turn])

    for turn, view in enumerate(selection.order):
        best = max(gain(other) for other in remaining)
        pool = [other for other in remaining if gain(other) >= (1 - near_tie) * best]
        pool = [other for other in pool if apart(other, turn)] or pool
        found = max(pool, key=lambda other: (gain(other), -other))
        short = near_tie * float(evidence.coverage[found])
        like = [
            other
            for other in remaining
            if other <= found
            and (gap(evidence, other, found) < config.same_view or other == found)
            and gain(other) >= gain(found) - short
            and (apart(other, turn) or not apart(found, turn))
        ]
        assert view == min(like)
        if new(view) >= CONFIG.min_gain + 1e-5:
            assert selection.reasons[view].kind is ReasonKind.CHOSEN_ADDS
            assert selection.reasons[view].share == pytest.approx(new(view), abs=1e-5)
        elif new(view) < CONFIG.min_gain - 1e-5:
            assert selection.reasons[view].kind is ReasonKind.CHOSEN_AGAIN
        for surfel in saw[view]:
            looks[surfel] += 1
        remaining.discard(view)
    for view, reason in enumerate(selection.reasons):
        if not saw[view]:
            assert reason.kind is ReasonKind.NO_VISIBLE_SURFEL
        elif view in remaining:
            expected = {new(view) >= CONFIG.min_gain + slack for slack in (-1e-5, 1e-5)}
            assert (reason.kind is ReasonKind.BEYOND_K) in expected
            assert reason.kind in (ReasonKind.BEYOND_K, ReasonKind.ADDS_NOTHING)


def seen_by(saw: list[list[int]], x: list[float], n_surfels: int) -> Evidence:
    """Views in a row at ``x`` that saw these of ``n_surfels`` equal surfels."""
    evidence = voted(tuple(float(len(surfels)) for surfels in saw), tuple(x))
    links = [(surfel, view) for view, surfels in enumerate(saw) for surfel in surfels]
    surfel, view = np.array(links, np.int32).T
    return replace(
        evidence,
        visible=np.arange(n_surfels, dtype=np.int32),
        pixels=np.ones(n_surfels, np.float32),
        seen_by=LinkIndex.of(n_surfels, len(saw), surfel, view),
        coverage=np.array([len(surfels) / n_surfels for surfels in saw]),
    )


def chosen_for_coverage(
    saw: list[list[int]], x: list[float], n_surfels: int, k: int
) -> tuple[int, ...]:
    return selected("coverage", seen_by(saw, x, n_surfels), k).order


def test_coverage_takes_what_is_new_before_more_of_the_same():
    left, right = list(range(6)), list(range(6, 10))
    assert chosen_for_coverage([left, left, right], [0, 1, 2], 10, 2) == (0, 2)


def test_coverage_looks_twice_before_it_takes_a_scrap():
    most, scrap = list(range(9)), [9]
    assert chosen_for_coverage([scrap, most, most], [0, 1, 2], 10, 2) == (1, 2)


def test_coverage_prefers_the_oldest_of_views_that_gain_nearly_as_much():
    nearly, all_of_it = list(range(39)), list(range(40))
    assert chosen_for_coverage([nearly, all_of_it, all_of_it], [0, 0, 0], 40, 1) == (0,)
    assert chosen_for_coverage([nearly, all_of_it, all_of_it], [9, 0, 0], 40, 1) == (1,)
    half = list(range(20))
    assert chosen_for_coverage([half, all_of_it, all_of_it], [0, 0, 0], 40, 1) == (1,)


def test_coverage_prefers_views_apart_from_those_it_has():
    """Views 0 to 2 saw the same; 1 stands where 0 does, 2 a way off."""
    same = list(range(10))
    assert chosen_for_coverage([same, same, same], [0, 0.1, 9], 10, 2) == (0, 2)


@pytest.mark.parametrize("seed", range(4))
def test_coverage_on_a_sample_of_many_surfels_is_nearly_as_good(seed):
    evidence = made_up(seed, 60, 12000, 0.9)
    assert len(evidence.visible) > 4 * SURFACE_SAMPLES
    saw = np.zeros((len(evidence), len(evidence.pixels)), bool)
    for surfel in evidence.visible.tolist():
        saw[views_of(evidence, surfel), surfel] = True
    area = evidence.pixels / evidence.pixels.sum()
    everything = replace(CONFIG, second_look=0.0, near_tie=0.0)
    order = selected("coverage", replace(evidence, config=everything), 4).order
    best: list[int] = []
    for _ in range(4):
        uncovered = area * ~saw[best].any(axis=0)
        best.append(int(np.argmax(saw @ uncovered)))
    reached, possible = (area[saw[list(views)].any(axis=0)].sum() for views in (order, best))
    assert reached > 0.98 * possible
