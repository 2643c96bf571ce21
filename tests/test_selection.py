"""Strategies against slow oracles, on made-up evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmem.cameras import pose_distance, rotation_y
from vmem.selection import NOTHING_VISIBLE, STRATEGIES, Evidence, Selection, SelectionConfig

CONFIG = SelectionConfig()


def made_up(seed: int, n_views: int, n_surfels: int, visible: float) -> Evidence:
    """Random links, of which about a share ``visible`` of the surfels shows in the query."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 40, n_surfels) * (rng.random(n_surfels) < visible)
    weight = pixels * rng.uniform(0.1, 1, n_surfels)
    saw = rng.random((n_surfels, n_views)) < rng.uniform(0.05, 0.6, n_views)
    saw &= (pixels > 0)[:, None]
    surfel, view = (part.astype(np.int32) for part in np.nonzero(saw))
    poses = np.tile(np.eye(4), (n_views, 1, 1))
    for pose in poses:
        # Coarse steps, so that some views nearly coincide.
        pose[:3, :3] = rotation_y(0.04 * rng.integers(0, 6))
        pose[:3, 3] = 0.1 * rng.integers(0, 3, 3)
    return Evidence(
        votes=np.bincount(view, weight[surfel], n_views).astype(np.float32),
        coverage=np.bincount(view, pixels[surfel], n_views) / max(1, pixels.sum()),
        distance=pose_distance(poses, np.eye(4)),
        poses=poses,
        link_surfel=surfel,
        link_view=view,
        pixels=pixels.astype(np.float32),
    )


evidences = st.builds(
    made_up,
    st.integers(0, 2**31),
    st.integers(1, 14),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.2, 0.9]),
)
counts = st.integers(1, 16)


def usable(evidence: Evidence) -> int:
    """How many views a strategy that looks at surfels can choose from."""
    voted = int((evidence.votes > 0).sum())
    return voted or len(evidence)


def gap(evidence: Evidence, a: int, b: int) -> float:
    return float(pose_distance(evidence.poses[a], evidence.poses[b]))


@given(evidences, counts, st.sampled_from(sorted(STRATEGIES)))
def test_every_selection_is_complete(evidence, k, name):
    selection = STRATEGIES[name](evidence, k, CONFIG)
    by_surfels = name in ("votes", "coverage")
    assert len(selection.order) == min(k, usable(evidence) if by_surfels else len(evidence))
    assert len(set(selection.order)) == len(selection.order)
    assert sorted(selection.ranking) == list(range(len(evidence)))
    assert len(selection.reasons) == len(evidence)
    chosen = {view for view, reason in enumerate(selection.reasons) if reason.startswith("chosen")}
    assert chosen == set(selection.order)
    assert all(selection.reasons)
    nothing = by_surfels and not evidence.votes.any()
    assert selection.note == (NOTHING_VISIBLE if nothing else "")


@given(evidences, counts)
def test_temporal_takes_the_newest(evidence, k):
    order = STRATEGIES["temporal"](evidence, k, CONFIG).order
    newest_first = list(range(len(evidence)))[::-1]
    assert list(order) == newest_first[:k]


@given(evidences, counts)
def test_pose_takes_the_nearest_and_the_older_of_equals(evidence, k):
    order = STRATEGIES["pose"](evidence, k, CONFIG).order
    by_distance = sorted(range(len(evidence)), key=lambda view: (evidence.distance[view], view))
    assert list(order) == by_distance[:k]


@given(evidences, counts)
def test_nothing_visible_takes_the_nearest(evidence, k):
    if evidence.votes.any():
        return
    nearest = STRATEGIES["pose"](evidence, k, CONFIG)
    for name in ("votes", "coverage"):
        assert STRATEGIES[name](evidence, k, CONFIG).order == nearest.order


# --- votes -----------------------------------------------------------------------------------


def votes_oracle(evidence: Evidence, k: int, config: SelectionConfig) -> list[int]:
    """Best voted first, none nearer than the threshold to another, which is lowered at need; of
    near-duplicates with nearly equal votes the oldest."""
    candidates = sorted(range(len(evidence)), key=lambda view: (-evidence.votes[view], view))
    candidates = [view for view in candidates if evidence.votes[view] > 0]
    order: list[int] = []
    threshold = config.suppression

    def apart(view: int) -> bool:
        return all(gap(evidence, view, other) >= threshold for other in order)

    while len(order) < min(k, len(candidates)):
        for view in candidates:
            if view in order or not apart(view) or len(order) == k:
                continue
            equals = [
                older
                for older in range(view)
                if older not in order
                and apart(older)
                and gap(evidence, older, view) < threshold
                and evidence.votes[older] >= (1 - config.near_tie) * evidence.votes[view]
            ]
            order.append(min([*equals, view]))
        threshold = threshold / 2 if threshold > 1e-3 else -1.0
    return order


@given(evidences, counts, st.sampled_from([0.0, 0.05, 0.3, 5.0]), st.sampled_from([0, 0.05, 0.5]))
def test_votes_suppresses_near_duplicates(evidence, k, suppression, near_tie):
    config = SelectionConfig(suppression=suppression, near_tie=near_tie)
    selection = STRATEGIES["votes"](evidence, k, config)
    if not evidence.votes.any():
        return
    assert list(selection.order) == votes_oracle(evidence, k, config)
    by_votes = sorted(range(len(evidence)), key=lambda view: (-evidence.votes[view], view))
    assert list(selection.ranking) == by_votes
    for view, reason in enumerate(selection.reasons):
        if evidence.votes[view] == 0:
            assert reason == "no visible surfel"
        elif reason.startswith("suppressed"):
            by = int(reason.split()[-1])
            assert by in selection.order
            assert f"{gap(evidence, view, by):.2f} rad" in reason
        else:
            assert reason.startswith("chosen") or reason == "beyond K"


def voted(votes: tuple[float, ...], x: tuple[float, ...]) -> Evidence:
    """Views that stand in a row at ``x`` with these votes."""
    poses = np.tile(np.eye(4), (len(x), 1, 1))
    poses[:, 0, 3] = x
    return replace(made_up(0, len(x), 4, 0.9), votes=np.array(votes, np.float32), poses=poses)


def test_the_oldest_of_near_duplicates_with_nearly_equal_votes_is_chosen():
    evidence = voted((9.0, 9.3, 9.4, 5.0), (0.0, 0.1, 0.2, 0.3))
    selection = STRATEGIES["votes"](evidence, 1, CONFIG)
    assert selection.order == (0,)
    assert selection.reasons[2] == "suppressed: 0.02 rad from view 0"
    assert STRATEGIES["votes"](voted((8.0, 9.3, 9.4), (0, 0.1, 0.2)), 1, CONFIG).order == (1,)
    assert STRATEGIES["votes"](voted((9.3, 9.4), (0, 9)), 1, CONFIG).order == (1,)


def test_votes_reasons_by_example():
    """Four views: two almost alike, one apart, one blind; two may be chosen."""
    evidence = voted((9, 8, 3, 0), (0.0, 0.2, 5.0, 9.0))

    def chosen(k: int) -> Selection:
        return STRATEGIES["votes"](evidence, k, CONFIG)

    suppressed = "suppressed: 0.02 rad from view 0"
    assert chosen(1).reasons == ("chosen", "beyond K", "beyond K", "no visible surfel")
    assert chosen(2).reasons == ("chosen", suppressed, "chosen", "no visible surfel")
    # The near-duplicate still serves where nothing else does.
    assert chosen(3).order == (0, 2, 1)
    assert chosen(4).reasons == ("chosen", "chosen", "chosen", "no visible surfel")


# --- coverage --------------------------------------------------------------------------------


@given(evidences, counts)
def test_coverage_adds_most_at_every_turn(evidence, k):
    selection = STRATEGIES["coverage"](evidence, k, CONFIG)
    if not evidence.votes.any():
        return
    saw: list[set[int]] = [set() for _ in range(len(evidence))]
    for surfel, view in zip(evidence.link_surfel, evidence.link_view, strict=True):
        saw[view].add(int(surfel))
    total = float(evidence.pixels.sum())
    covered: set[int] = set()
    remaining = {view for view in range(len(evidence)) if saw[view]}

    def gain(view: int) -> float:
        return sum(float(evidence.pixels[surfel]) for surfel in saw[view] - covered) / total

    for turn, view in enumerate(selection.order):
        best = max(gain(other) for other in remaining)
        if best >= CONFIG.min_gain + 1e-6:
            assert gain(view) == pytest.approx(best, abs=1e-6)
            percent = 100 * gain(view)
            assert selection.reasons[view].startswith("chosen: adds ")
            assert float(selection.reasons[view].split()[2]) == pytest.approx(percent, abs=0.51)
            covered |= saw[view]
        elif best < CONFIG.min_gain - 1e-6:
            assert selection.reasons[view] == "chosen: a second look at surface already covered"
            chosen = selection.order[:turn]

            def spread(other: int, chosen: tuple[int, ...] = chosen) -> float:
                nearest = min((gap(evidence, other, one) for one in chosen), default=np.inf)
                return min(nearest, CONFIG.suppression) * float(evidence.votes[other])

            most = max(spread(other) for other in remaining)
            assert spread(view) == pytest.approx(most, abs=1e-6)
        remaining.discard(view)
    for view, reason in enumerate(selection.reasons):
        if not saw[view]:
            assert reason == "no visible surfel"
        elif view in remaining:
            expected = {gain(view) >= CONFIG.min_gain + slack for slack in (-1e-6, 1e-6)}
            assert (reason == "beyond K") in expected
            assert (reason == "adds nothing that chosen views lack") != (reason == "beyond K")
