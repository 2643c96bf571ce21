"""Strategies against slow oracles, on made-up evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmem.cameras import Camera, Cameras, default_K, pose_distance, rotation_x, rotation_y
from vmem.retrieval import retrieve
from vmem.selection import (
    FRUSTUM_DEPTHS,
    FRUSTUM_END,
    FRUSTUM_GRID,
    NOTHING_VISIBLE,
    STRATEGIES,
    SURFACE_SAMPLES,
    Evidence,
    Selection,
    SelectionConfig,
    frustum_overlap,
)

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
        K_normalized=np.tile(default_K((1, 1)), (n_views, 1, 1)),
        targets=Cameras.stack([Camera(np.eye(4), default_K((8, 8)), (8, 8))]),
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


@given(evidences, counts, st.sampled_from(sorted(set(STRATEGIES) - {"reference"})))
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
            assert gap(evidence, view, by) < suppression + 1e-9
        elif not reason.startswith("chosen"):
            assert reason == "beyond K"
            assert all(gap(evidence, view, one) > suppression - 1e-9 for one in selection.order)


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
    assert chosen(1).reasons == ("chosen", suppressed, "beyond K", "no visible surfel")
    assert chosen(2).reasons == ("chosen", suppressed, "chosen", "no visible surfel")
    # The near-duplicate still serves where nothing else does.
    assert chosen(3).order == (0, 2, 1)
    assert chosen(4).reasons == ("chosen", "chosen", "chosen", "no visible surfel")


# --- coverage --------------------------------------------------------------------------------


@given(evidences, counts, st.sampled_from([0.0, 0.05, 0.5]), st.sampled_from([0.0, 0.3, 1.0]))
def test_coverage_gains_nearly_the_most_at_every_turn(evidence, k, near_tie, second_look):
    config = SelectionConfig(near_tie=near_tie, second_look=second_look)
    selection = STRATEGIES["coverage"](evidence, k, config)
    if not evidence.votes.any():
        return
    saw: list[set[int]] = [set() for _ in range(len(evidence))]
    for surfel, view in zip(evidence.link_surfel, evidence.link_view, strict=True):
        saw[view].add(int(surfel))
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
            assert selection.reasons[view].startswith("chosen: adds ")
            percent = float(selection.reasons[view].split()[2])
            assert percent == pytest.approx(100 * new(view), abs=0.51)
        elif new(view) < CONFIG.min_gain - 1e-5:
            assert selection.reasons[view] == "chosen: a second look at surface already covered"
        for surfel in saw[view]:
            looks[surfel] += 1
        remaining.discard(view)
    for view, reason in enumerate(selection.reasons):
        if not saw[view]:
            assert reason == "no visible surfel"
        elif view in remaining:
            expected = {new(view) >= CONFIG.min_gain + slack for slack in (-1e-5, 1e-5)}
            assert (reason == "beyond K") in expected
            assert (reason == "adds nothing that chosen views lack") != (reason == "beyond K")


def seen_by(saw: list[list[int]], x: list[float], n_surfels: int) -> Evidence:
    """Views in a row at ``x`` that saw these of ``n_surfels`` equal surfels."""
    evidence = voted(tuple(float(len(surfels)) for surfels in saw), tuple(x))
    links = [(surfel, view) for view, surfels in enumerate(saw) for surfel in surfels]
    surfel, view = np.array(links, np.int32).T
    return replace(
        evidence,
        link_surfel=surfel,
        link_view=view,
        pixels=np.ones(n_surfels, np.float32),
        coverage=np.array([len(surfels) / n_surfels for surfels in saw]),
    )


def chosen_for_coverage(
    saw: list[list[int]], x: list[float], n_surfels: int, k: int
) -> tuple[int, ...]:
    return STRATEGIES["coverage"](seen_by(saw, x, n_surfels), k, CONFIG).order


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
    assert len(np.unique(evidence.link_surfel)) > 4 * SURFACE_SAMPLES
    saw = np.zeros((len(evidence), len(evidence.pixels)), bool)
    saw[evidence.link_view, evidence.link_surfel] = True
    area = evidence.pixels / evidence.pixels.sum()
    everything = replace(CONFIG, second_look=0.0, near_tie=0.0)
    order = STRATEGIES["coverage"](evidence, 4, everything).order
    best: list[int] = []
    for _ in range(4):
        uncovered = area * ~saw[best].any(axis=0)
        best.append(int(np.argmax(saw @ uncovered)))
    reached, possible = (area[saw[list(views)].any(axis=0)].sum() for views in (order, best))
    assert reached > 0.98 * possible


# --- fov -------------------------------------------------------------------------------------


def seeing(poses: list[np.ndarray], targets: list[np.ndarray], depth: float = 1.0) -> Evidence:
    """Views and targets of one lens; only ``fov`` and ``pose`` can use this evidence."""
    hw = (48, 64)
    K = np.tile(default_K(hw), (len(targets), 1, 1))
    evidence = made_up(0, len(poses), 4, 0.9)
    stacked = np.stack(poses)
    return replace(
        evidence,
        poses=stacked,
        distance=pose_distance(stacked[:, None], np.stack(targets)[None]).min(axis=1),
        K_normalized=np.tile(Camera(targets[0], K[0], hw).resized((1, 1)).K, (len(poses), 1, 1)),
        targets=Cameras(np.stack(targets), K, hw),
        target_depth=depth,
    )


def pose_at(turn: float = 0.0, x: float = 0.0, z: float = 0.0, pitch: float = 0.0) -> np.ndarray:
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_y(turn) @ rotation_x(pitch)
    c2w[:3, 3] = x, 0, z
    return c2w


angles = st.floats(-3.1, 3.1)
places = st.floats(-1e3, 1e3)


@given(angles, places, places, st.floats(-1.2, 1.2), st.floats(0.05, 50))
def test_a_frustum_holds_itself_and_nothing_of_its_opposite(turn, x, z, pitch, depth):
    here, behind = pose_at(turn, x, z, pitch), pose_at(turn, x, z, pitch)
    behind[:3, :3] = behind[:3, :3] @ rotation_y(np.pi)
    evidence = seeing([here, behind], [here], depth)
    np.testing.assert_array_equal(frustum_overlap(evidence), [1, 0])
    assert STRATEGIES["fov"](evidence, 2, CONFIG).order == (0, 1)


@given(st.lists(st.tuples(angles, st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=6))
def test_frustum_overlap_equals_a_loop_over_samples(where):
    poses = [pose_at(*one) for one in where]
    evidence = seeing(poses, [pose_at(), pose_at(0.5, 0.3)], 1.3)
    inside = np.zeros(len(poses))
    h, w = evidence.targets.hw
    n = 0
    for target in evidence.targets:
        for row, column, depth in np.ndindex(FRUSTUM_GRID, FRUSTUM_GRID, len(FRUSTUM_DEPTHS)):
            x = (column + 0.5) * w / FRUSTUM_GRID - target.K[0, 2]
            y = (row + 0.5) * h / FRUSTUM_GRID - target.K[1, 2]
            z = FRUSTUM_DEPTHS[depth] * 1.3
            ray = np.array([x / target.K[0, 0], y / target.K[1, 1], 1])
            point = target.c2w[:3, :3] @ (z * ray) + target.position
            n += 1
            for view, c2w in enumerate(poses):
                p = target.K @ (np.linalg.inv(c2w) @ [*point, 1])[:3]
                if 0 < p[2] <= FRUSTUM_END * 1.3:
                    inside[view] += 0 <= p[0] / p[2] <= w and 0 <= p[1] / p[2] <= h
    np.testing.assert_allclose(frustum_overlap(evidence), inside / n, atol=2 / n)


def test_fov_reasons_by_example():
    """One view of half the target, the target's own pose, and one that looks away."""
    selection = STRATEGIES["fov"](
        seeing([pose_at(0.5), pose_at(), pose_at(np.pi), pose_at(0.1)], [pose_at()]), 2, CONFIG
    )
    assert selection.order == (1, 3)
    assert selection.ranking == (1, 3, 0, 2)
    assert selection.reasons[1] == "chosen: its frustum holds 100 % of the target's"
    assert selection.reasons[0] == "beyond K"
    assert selection.reasons[2] == "its frustum misses the target's"


def test_fov_of_equals_takes_the_nearest():
    """So far off to the side nobody sees anything; the nearer still comes first."""
    evidence = seeing([pose_at(x=90), pose_at(x=40), pose_at(x=60)], [pose_at()])
    assert STRATEGIES["fov"](evidence, 3, CONFIG).order == (1, 2, 0)


def test_retrieve_gives_fov_its_frustums(walk):
    for view in (0, 7, 20):
        found = retrieve(walk, Cameras.stack([walk.views[view].camera]), 3, "fov")
        same = pose_distance(walk.views[found.order[0]].camera.c2w, walk.views[view].camera.c2w)
        assert same < 1e-3
        assert found.reasons[found.order[0]] == "chosen: its frustum holds 100 % of the target's"
