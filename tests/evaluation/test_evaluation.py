"""Truth and metrics on cases worked out by hand, walks that keep their word, loop closure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmem.cameras import Camera, Cameras, default_K, pose_distance, rotation_y
from vmem.evaluation import __main__ as command
from vmem.evaluation import metrics, trials, walks
from vmem.evaluation import report as report_module
from vmem.evaluation.report import Plan, Report, evaluate, table, tables
from vmem.evaluation.truth import Look, looks, sees, truth
from vmem.progress import OnProgress, Progress
from vmem.raster import SurfelBuffers
from vmem.retrieval import retrieve
from vmem.worlds.backend import PLANS, World, are_free, is_free, make_world, start_camera

HW = (48, 48)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(1)


def camera(x: float = 0.0, z: float = 0.0, turn: float = 0.0, hw: tuple[int, int] = HW) -> Camera:
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_y(turn)
    c2w[:3, 3] = x, 0, z
    return Camera(c2w, default_K(hw), hw)


def wall(seen_from: Camera, depth: float) -> Look:
    """A wall that fills the image, parallel to it."""
    full = np.full(seen_from.hw, depth, np.float32)
    rgb = np.zeros((*seen_from.hw, 3), np.uint8)
    return Look(
        seen_from, rgb, full, np.ones(seen_from.hw, bool), np.ones(seen_from.hw, np.float32)
    )


# --- truth -----------------------------------------------------------------------------------


def test_a_view_sees_what_is_at_its_own_depth_and_nothing_else():
    view = wall(camera(), 2.0)
    points = np.array([[0, 0, 2], [0, 0, 2.03], [0, 0, 2.1], [0, 0, 1.9], [0, 0, -2], [5, 0, 2.0]])
    assert sees(view, points).tolist() == [True, True, False, False, False, False]
    assert sees(view, points, tolerance=0.1).tolist() == [True, True, True, True, False, False]


def test_a_slanted_plane_is_seen_between_its_pixels():
    """A floor that falls away: neighbouring pixels differ by far more than the tolerance."""
    here = camera(hw=(24, 24))
    rows = (np.arange(24) + 0.5 - here.K[1, 2]) / here.K[1, 1]
    depth = np.where(rows > 0.02, 0.3 / np.maximum(rows, 0.02), 50.0).astype(np.float32)
    view = wall(here, 1.0)
    view = Look(here, view.rgb, np.tile(depth[:, None], (1, 24)), view.hit, view.cosine)
    z = np.linspace(0.8, 4.0, 200)
    floor = np.stack([np.zeros_like(z), np.full_like(z, 0.3), z], axis=1)
    assert sees(view, floor).all()
    assert not sees(view, floor - (0, 0.1, 0)).any()


def test_truth_of_a_wall_before_and_behind():
    """The same wall from here, from aside, from behind it, and hidden by a nearer wall."""
    target = wall(camera(), 2.0)
    far = wall(camera(z=-2), 4.0)
    half = wall(camera(x=2 * np.tan(np.radians(27))), 2.0)
    views = [target, half, wall(camera(z=4, turn=np.pi), 1.0), wall(camera(), 1.0), far]
    known = truth([target], views)
    assert known.visible.mean(axis=1).tolist() == [1, 0.5, 0, 0, 1]
    assert known.sharp.mean(axis=1).tolist() == [1, 0.5, 0, 0, 0]
    np.testing.assert_allclose(known.weight, 1 / 3, rtol=1e-6)
    both = truth([target, wall(camera(x=50), 2.0)], views)
    assert both.visible.mean(axis=1).tolist() == [0.5, 0.25, 0, 0, 0.5]


def test_every_look_sees_itself_but_for_edges(world):
    target, again = (looks(world, Cameras.stack([start_camera(world, HW)]), 48) for _ in range(2))
    assert truth(target, again).visible.mean() == 1
    finer = looks(world, Cameras.stack([start_camera(world, (96, 96))]), 96)
    seen = np.zeros(target[0].hit.shape, bool)
    seen[target[0].hit] = truth(target, finer).visible[0]
    assert seen[target[0].hit].mean() > 0.95
    # Away from edges that hide something, it sees itself.
    near, far = (edge(target[0].depth, np.ones((3, 3))) for edge in (cv2.erode, cv2.dilate))
    assert seen[target[0].hit & (far < 1.1 * near)].mean() > 0.97
    away = looks(world, Cameras.stack([camera(turn=np.pi)]), 48)
    assert truth(target, away).visible.mean() == 0


# --- metrics ---------------------------------------------------------------------------------

VISIBLE = np.array([[1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0]], bool)
"""Three views, five pixels, the last of which nobody ever saw."""


def test_true_coverage_by_hand():
    assert metrics.true_coverage(VISIBLE, ()) == 0
    assert metrics.true_coverage(VISIBLE, (0,)) == 0.5
    assert metrics.true_coverage(VISIBLE, (0, 1)) == 0.75
    assert metrics.true_coverage(VISIBLE, (2, 1, 0)) == 1
    assert metrics.true_coverage(VISIBLE, (0, 1), looks=2) == 1
    assert metrics.true_coverage(VISIBLE, (0, 2), looks=2) == 0
    assert metrics.true_coverage(VISIBLE[:, 4:], (0,)) == 1
    assert metrics.best_order(VISIBLE, 2) == (0, 1)
    assert metrics.best_order(VISIBLE, 9) == (0, 1, 2)


@given(st.integers(0, 999), st.integers(1, 6), st.integers(1, 30), st.integers(1, 4))
def test_more_views_never_cover_less(seed, n_views, n_pixels, k):
    visible = np.random.default_rng(seed).random((n_views, n_pixels)) < 0.3
    order = metrics.best_order(visible, k)
    assert len(set(order)) == len(order) == min(k, n_views)
    covered = [metrics.true_coverage(visible, order[:n]) for n in range(len(order) + 1)]
    assert covered == sorted(covered)
    # Greedy choice reaches at least 1 - 1/e of every choice, and its first view is the best one.
    alone = max(metrics.true_coverage(visible, (view,)) for view in range(n_views))
    assert covered[1] == alone


def test_shares_by_hand():
    shares = metrics.vote_shares(VISIBLE, np.array([1.0, 2, 1, 4, 9]))
    np.testing.assert_allclose(shares, [0.3, 0.3, 0.4])
    assert metrics.vote_shares(VISIBLE & False, np.ones(5)).tolist() == [0, 0, 0]
    assert metrics.share_error(shares, shares) == 0
    assert metrics.share_error(np.array([1.0, 0]), np.array([0, 1.0])) == 2
    few, many = np.array([5.0, 4, 3, 2, 1]), np.array([5.0, 1, 3, 2, 4])
    assert metrics.top_overlap(few, many, 2) == 0.5
    assert metrics.top_overlap(few, many, 3) == pytest.approx(2 / 3)
    assert metrics.top_overlap(few, many) == 1


def test_holes_and_leaks_by_hand():
    target = wall(camera(hw=(2, 3)), 2.0)
    target.hit[0, 0] = False
    index = np.array([[0, -1, 1], [2, 3, -1]], np.int32)
    depth = np.array([[1, 0, 2.05], [2.5, 1.5, 0]], np.float32)
    drawn = SurfelBuffers(index, depth, np.ones_like(depth))
    seen = np.ones((2, 3), bool)
    # Of five solid pixels two are empty; one surfel is too far, one too near, one 2.5 % off.
    assert metrics.holes(drawn, target, seen) == pytest.approx(2 / 5)
    assert metrics.leaks(drawn, target, seen) == pytest.approx(2 / 5)
    seen[0, 1] = seen[1, 0] = False
    assert metrics.holes(drawn, target, seen) == pytest.approx(1 / 3)
    assert metrics.leaks(drawn, target, seen) == pytest.approx(1 / 3)
    assert metrics.holes(drawn, target, seen & False) == 0
    assert metrics.leaks(drawn, target, seen & False) == 0


def test_the_worst_tenth_is_the_mean_of_the_lowest():
    assert metrics.mean_and_worst_tenth([1.0]) == (1, 1)
    values = [float(value) for value in range(20, 0, -1)]
    assert metrics.mean_and_worst_tenth(values) == (10.5, 1.5)


# --- walks -----------------------------------------------------------------------------------


def all_walks(world: World) -> list[walks.Walk]:
    return [
        walks.there_and_back(world, HW, 4),
        walks.through_rooms(world, HW, 0),
        walks.out_home_out(world, HW, 0),
    ]


def test_walks_are_smooth_and_free(world):
    for walk in all_walks(world):
        before = walk.start
        for step in walk.steps:
            assert len(step) == 4
            assert pose_distance(before.c2w, step[-1].c2w) < walks.TURN + 0.1 * walks.STRIDE + 0.05
            for one in step:
                assert is_free(world, one.position, 0.02), (walk.name, one.position)
            before = step[-1]


@pytest.mark.parametrize("plan", PLANS)
def test_the_walk_around_every_plan_is_smooth_and_free(plan):
    world = make_world(0, plan)
    walk = walks.around(world, HW)
    before = walk.start
    for step in walk.steps:
        assert pose_distance(before.c2w, step[-1].c2w) < walks.TURN + 0.1 * walks.STRIDE + 0.05
        assert are_free(world, step.c2w[:, :3, 3], 0.02).all()
        before = step[-1]
    np.testing.assert_allclose(before.position, walk.start.position, atol=1e-9)


def test_walks_come_back(world):
    turns, rooms, revisit = all_walks(world)
    np.testing.assert_allclose(turns.steps[-1][-1].c2w, turns.start.c2w, atol=1e-9)
    np.testing.assert_allclose(rooms.start.c2w, start_camera(world, HW).c2w)
    places = np.stack([step[-1].position for step in revisit.steps])
    away = np.linalg.norm(places, axis=1)
    far = int(np.argmax(away > 0.9 * away.max()))
    assert away[far] > 0.3
    # In between it is home again, and at the end once more out.
    assert away[far:-1].min() < walks.STRIDE
    assert np.linalg.norm(places[-1] - places[far]) < walks.STRIDE


def test_jumps_are_free_and_near_the_walk(world):
    walk = walks.out_home_out(world, HW, 0)
    stored = np.concatenate([step.c2w for step in walk.steps])
    for one in walks.jumps(walk, world, 3, 20):
        assert is_free(world, one.position)
        assert pose_distance(stored, one.c2w).min() < 0.6 + 0.1 * 0.3


# --- trials ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(world: World) -> trials.Recorded:
    return trials.record(world, walks.there_and_back(world, HW, 5))


def test_memories_grow_with_the_walk_and_noise_is_of_its_size(recorded):
    snapshots = trials.remember(recorded, 2304)
    assert [len(one.views) for one in snapshots] == [1 + 4 * i for i in range(11)]
    exact = [view.depth for view in recorded.looks]
    for noise in (0.0, 0.05):
        views = trials.remember(recorded, 2304, noise)[-1].views
        error = [np.std(view.depth / one) for view, one in zip(views, exact, strict=True)]
        np.testing.assert_allclose(error, noise, atol=0.002)


def test_the_mean_camera_is_half_way():
    pair = Cameras.stack([camera(0, 0, 0.2), camera(1, 2, 0.6)])
    expected = camera(0.5, 1, 0.4)
    np.testing.assert_allclose(trials.mean_camera(pair).c2w, expected.c2w, atol=1e-9)
    alone = trials.mean_camera(pair[:1])
    np.testing.assert_allclose(alone.c2w, pair.c2w[0], atol=1e-9)


def test_comparisons_hold_every_strategy_and_stay_below_the_truth(recorded):
    asked = list(trials.queries(recorded, trials.remember(recorded, 2304), 0, n=2))
    assert {query.kind for query in asked} == {"next", "jump", "sweep"}
    rows = trials.compare_strategies(asked, (4,))
    by_kind: dict[str, dict[str, trials.StrategyRow]] = {}
    for row in rows:
        by_kind.setdefault(row.kind, {})[row.strategy] = row
    for named in by_kind.values():
        assert set(named) == {*trials.STRATEGIES, "(truth)"}
        for row in named.values():
            assert 0 <= row.covered_worst <= row.covered <= 1
            # Greedy by truth is not optimal, but nearly so.
            assert row.covered <= named["(truth)"].covered + 0.02
    batches = trials.compare_batches(asked, ("votes",))
    assert len(batches) == 3 * len(trials.WAYS)
    rows_of_votes = {kind: named["votes"].covered for kind, named in by_kind.items()}
    for row in batches:
        if row.way == "votes, every target":
            assert row.covered == pytest.approx(rows_of_votes[row.kind])


def only_merges(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(trials, "MERGES", {name: trials.MERGES[name] for name in names})


def test_exact_depth_remembers_better_than_noise(recorded, monkeypatch):
    only_merges(monkeypatch, "association")
    rows = trials.judge_association([recorded], (2304,), (0.0, 0.1), n=3)
    exact, noisy = rows
    assert (exact.points_per_frame, exact.noise) == (2304, 0.0)
    assert exact.surfels < noisy.surfels
    assert exact.leaks < noisy.leaks
    assert exact.share_error < noisy.share_error
    assert exact.holes < 0.03


def test_smooth_errors_that_are_seen_through_fill_memory_less(recorded, monkeypatch):
    only_merges(monkeypatch, "association", "association, bent")
    rows = trials.judge_association([recorded], (2304,), (0.05,), n=3)
    plain, bent = rows
    assert bent.surfels < 0.5 * plain.surfels
    assert bent.leaks < plain.leaks
    assert bent.holes < 0.03


@pytest.mark.parametrize("strategy", ["votes", "coverage"])
def test_coming_back_retrieves_the_first_views(recorded, strategy):
    """Turned away and back: the views of the way out, the first of all included."""
    memory = trials.remember(recorded, 2304)[-2]
    home = recorded.walk.steps[-1]
    found = retrieve(memory, home, 4, strategy)
    assert found.order[0] == 0, found.order
    way_out = 1 + 4 * len(recorded.walk.steps) // 2
    assert all(view < way_out for view in found.order), found.reasons


# --- report ----------------------------------------------------------------------------------

TINY = Plan((1,), 48, turns=2, rooms=0.5, out=0.3, ks=(2,), points=(576,), noises=(0.0,), places=1)


@pytest.fixture(scope="module")
def kept() -> Iterator[None]:
    """Worlds, walks, memories and queries are made once for all reports of this file."""
    asked: dict[object, list[trials.Query]] = {}

    def queries(recorded, snapshots, seed, n):
        key = (recorded, seed, n)
        if key not in asked:
            asked[key] = list(trials.queries(recorded, snapshots, seed=seed, n=n))
        return asked[key]

    names = ("make_world", "there_and_back", "through_rooms", "out_home_out", "record", "remember")
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(report_module, name, cache(getattr(report_module, name)))
        patch.setattr(report_module, "queries", queries)
        yield


@pytest.mark.every  # takes ten seconds or more
def test_the_report_holds_a_row_for_everything_planned(kept):
    stages: list[str] = []
    report = evaluate(TINY, lambda progress: stages.append(progress.stage))
    assert list(dict.fromkeys(stages)) == [
        "walk",
        "queries",
        "strategies",
        "settings",
        "batches",
        "association",
    ]
    kinds, names = {"next", "jump", "sweep"}, {*trials.STRATEGIES, "(truth)"}
    assert {(row.kind, row.strategy) for row in report.strategies} == {
        (kind, name) for kind in kinds for name in names
    }
    assert sum(row.queries for row in report.strategies) % len(names) == 0
    assert len(report.batches) == len(kinds) * 2 * len(trials.WAYS)
    assert [(row.merge, row.points_per_frame) for row in report.association] == [
        (merge, 576) for merge in trials.MERGES
    ]
    assert json.loads(json.dumps(report.to_json()))["plan"]["side"] == 48
    text = tables(report)
    assert len(report.settings) == len(kinds) * len(trials.SETTINGS)
    parts = (report.strategies, report.settings, report.batches, report.association)
    rows = sum(len(part) + 1 for part in parts)
    assert sum(line.startswith("| ") for line in text.splitlines()) == rows


@pytest.mark.parametrize("part", ["strategies", "settings", "batches", "association"])
def test_parts_are_made_alone(kept, part, monkeypatch):
    monkeypatch.setattr(trials, "STRATEGIES", ("votes",))
    for named in ("SETTINGS", "MERGES"):
        first = dict(list(getattr(trials, named).items())[:1])
        monkeypatch.setattr(trials, named, first)
    stages: list[Progress] = []
    alone = part == "association"
    plan = replace(TINY, only=(part,), seeds=(1, 2) if alone else (1,))
    report = evaluate(plan, stages.append)
    assert [name for name in report.to_json() if name != "plan" and getattr(report, name)] == [part]
    last = {one.stage: one for one in stages}
    # Association is judged in the first world alone: the other one's walks are left out.
    assert set(last) == {"walk", part} | (set() if alone else {"queries"})
    assert last["walk"].total == 3
    assert all(one.done == one.total for one in last.values())


def test_tables_by_example():
    row = trials.AssociationRow("reference", 2304, 0.02, 12345.6, 99.5, 0.01, 0.5, 0.25, 1.0)
    assert table([row]).splitlines() == [
        "| merge | points per frame | noise | surfels | links "
        "| holes | leaks | share error | top8 |",
        "|---|---|---|---|---|---|---|---|---|",
        "| reference | 2304 | 0.020 | 12,346 | 99.500 | 0.010 | 0.500 | 0.250 | 1.000 |",
    ]


def test_the_command_passes_its_plan_on_and_prints(monkeypatch, capsys):
    row = trials.BatchRow("next", "votes, last target", 0.5, 0.25)

    def evaluated(plan: Plan, on_progress: OnProgress) -> Report:
        on_progress(Progress("walk", 1, 3))
        return Report(plan, (), (), (row,), ())

    monkeypatch.setattr(command, "evaluate", evaluated)
    monkeypatch.setattr("sys.argv", ["evaluation", "--seeds", "3", "4", "--side", "96", "--json"])
    assert command.main() == 0
    shown = capsys.readouterr()
    printed = json.loads(shown.out)
    assert (printed["plan"]["seeds"], printed["plan"]["side"]) == ([3, 4], 96)
    assert printed["batches"] == [
        {"kind": "next", "way": "votes, last target", "covered": 0.5, "covered_worst": 0.25}
    ]
    assert shown.err == "walk 1/3\n"
    monkeypatch.setattr("sys.argv", ["evaluation"])
    assert command.main() == 0
    assert "| next | votes, last target | 0.500 | 0.250 |" in capsys.readouterr().out


def test_an_interrupt_ends_quietly(monkeypatch, capsys):
    def interrupted(plan: Plan, on_progress: OnProgress) -> Report:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "evaluate", interrupted)
    monkeypatch.setattr("sys.argv", ["evaluation", "--only", "association", "batches"])
    assert command.main() == 130
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "interrupted\n")
