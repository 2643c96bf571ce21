"""Walks remembered, queried and scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import cv2
import numpy as np

from vmem.arrays import F32
from vmem.cameras import MOVES, Camera, Cameras, apply_move, path_targets, unproject
from vmem.evaluation import metrics
from vmem.evaluation.truth import Look, Truth, look, looks, truth
from vmem.evaluation.walks import Walk, jumps
from vmem.memory import MemorySnapshot, ViewMemory, make_record
from vmem.progress import OnProgress, Progress, silent
from vmem.published.as_memory import published_memory
from vmem.raster import rasterize
from vmem.retrieval import STRATEGIES, SelectionConfig, retrieve
from vmem.types import AssociationConfig, Frames, PointMaps, View
from vmem.worlds.backend import World

TRUTH_SIDE = 48
"""Pixels along the longer side of the exact target views."""
DRAWN_SIDE = 96
"""Pixels along the longer side of the renders in which holes and leaks are counted."""
TRUTH = "(truth)"
NOISE_GRID = 9
"""Depth errors vary smoothly: random numbers on so many nodes a side, interpolated."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """A walk with the exact look of every view, the first one's included."""

    world: World
    walk: Walk
    looks: tuple[Look, ...]


@dataclass(frozen=True, eq=False)
class Query:
    """A question to a memory whose answer is known."""

    kind: str
    """"next" (the step that the walk takes next), "jump" (a place near an old view) or "sweep" (a
    long step there)."""
    memory: MemorySnapshot
    """What is asked."""
    targets: Cameras
    """What it is asked for."""
    truth: Truth
    """What the memory's views truly show of ``targets``."""


@dataclass(frozen=True)
class StrategyRow:
    """One strategy over many queries: mean true coverage and its worst tenth, the same for a second
    look at every pixel, and for views that show it sharply."""

    kind: str
    k: int
    strategy: str
    queries: int
    covered: float
    covered_worst: float
    twice: float
    sharp: float


@dataclass(frozen=True)
class AssociationRow:
    """One way of remembering: means over walks and test views."""

    merge: str
    points_per_frame: int
    noise: float
    surfels: float
    links: float
    holes: float
    leaks: float
    share_error: float
    top8: float


@dataclass(frozen=True)
class BatchRow:
    """One way of serving several targets at once: true coverage over all of them."""

    kind: str
    way: str
    covered: float
    covered_worst: float


def record(world: World, walk: Walk) -> Recorded:
    """Look along a walk."""
    cameras = [walk.start, *(camera for step in walk.steps for camera in step)]
    return Recorded(world, walk, tuple(look(world, camera) for camera in cameras))


def remember(
    recorded: Recorded, points_per_frame: int, noise: float = 0.0, *, bend_depth: bool = False
) -> list[MemorySnapshot]:
    """The memory after the first view and after every step.

    noise: standard deviation of the relative depth error, smooth over the frame, new in each.
    bend_depth: see AssociationConfig.
    """
    config = AssociationConfig(points_per_frame=points_per_frame, bend_depth=bend_depth)
    memory = ViewMemory()
    snapshots = []
    for views, maps in reconstructed(recorded, noise):
        cameras = Cameras.stack([view.camera for view in views])
        frames = Frames(np.stack([view.rgb for view in views]))
        memory.append(make_record(memory.snapshot(), frames, cameras, maps, None, config))
        snapshots.append(memory.snapshot())
    return snapshots


def remember_as_published(
    recorded: Recorded, points_per_frame: int, noise: float = 0.0
) -> MemorySnapshot:
    """The memory after the last step, of the same depth but filled by the published merge."""
    steps = (
        (
            tuple(
                View(look.rgb, look.camera, step, maps.depth[i], maps.confidence[i])
                for i, look in enumerate(seen)
            ),
            maps,
        )
        for step, (seen, maps) in enumerate(reconstructed(recorded, noise))
    )
    return published_memory(steps, points_per_frame)


MERGES: dict[str, Callable[[Recorded, int, float], MemorySnapshot]] = {
    "association": lambda recorded, points, noise: remember(recorded, points, noise)[-1],
    "association, bent": lambda recorded, points, noise: remember(
        recorded, points, noise, bend_depth=True
    )[-1],
    "reference": remember_as_published,
}
"""Ways to fill a memory, from points per frame and noise."""


def reconstructed(recorded: Recorded, noise: float) -> Iterator[tuple[tuple[Look, ...], PointMaps]]:
    """The looks of the first view and of every step, each with maps of noisy depth."""
    rng = np.random.default_rng(0)
    start = 0
    for n in (1, *(len(step) for step in recorded.walk.steps)):
        views = recorded.looks[start : start + n]
        start += n
        yield views, _maps(views, noise, rng)


def _maps(views: Sequence[Look], noise: float, rng: np.random.Generator) -> PointMaps:
    depth = np.stack([view.depth * _wobble(view.depth.shape, noise, rng) for view in views])
    points = [unproject(one, view.camera) for one, view in zip(depth, views, strict=True)]
    confidence = np.stack([view.hit for view in views]).astype(np.float32)
    return PointMaps(np.stack(points), depth, confidence)


def _wobble(hw: tuple[int, ...], noise: float, rng: np.random.Generator) -> F32:
    """(H, W) factors with mean about 1 and standard deviation ``noise``, smooth."""
    nodes = rng.standard_normal((NOISE_GRID, NOISE_GRID)).astype(np.float32)
    field = np.asarray(cv2.resize(nodes, (hw[1], hw[0]), interpolation=cv2.INTER_CUBIC))
    field /= max(float(field.std()), 1e-6)
    return np.clip(1 + noise * field, 0.5, 2).astype(np.float32)


def queries(
    recorded: Recorded, snapshots: Sequence[MemorySnapshot], seed: int, every: int = 3, n: int = 10
) -> Iterator[Query]:
    """Every ``every``-th step of the walk, ``n`` jumps and ``n`` sweeps from its end."""
    for step in range(2, len(recorded.walk.steps), every):
        yield _query("next", recorded, snapshots[step], recorded.walk.steps[step])
    for i, camera in enumerate(jumps(recorded.walk, recorded.world, seed, n)):
        end = apply_move(camera.c2w, MOVES["wadswad"[i % 7]])
        yield _query("jump", recorded, snapshots[-1], path_targets(camera, end, 4))
        side = -1 if i % 2 else 1
        end = apply_move(camera.c2w, replace(MOVES["d"], yaw=side), amount=10)
        yield _query("sweep", recorded, snapshots[-1], path_targets(camera, end, 4))


def _query(kind: str, recorded: Recorded, memory: MemorySnapshot, targets: Cameras) -> Query:
    seen = looks(recorded.world, targets, TRUTH_SIDE)
    return Query(kind, memory, targets, truth(seen, recorded.looks[: len(memory.views)]))


def compare_strategies(
    asked: Sequence[Query], ks: Sequence[int] = (4, 8), on_progress: OnProgress = silent
) -> list[StrategyRow]:
    """Every strategy of vmem.retrieval.strategies.coverage and, as a ceiling, the greedy choice by
    truth itself."""
    rows = []
    names = (*STRATEGIES, TRUTH)
    kinds = _kinds(asked)
    for kind in kinds:
        some = [query for query in asked if query.kind == kind]
        for k in ks:
            for name in names:
                if name == TRUTH:
                    orders = [metrics.best_order(q.truth.visible, k) for q in some]
                else:
                    orders = [retrieve(q.memory, q.targets, k, name).order for q in some]
                rows.append(_strategy_row(kind, k, name, some, orders))
                on_progress(Progress("strategies", len(rows), len(kinds) * len(ks) * len(names)))
    return rows


SETTINGS: dict[str, SelectionConfig] = {
    "coverage": SelectionConfig(),
    "second_look 0": SelectionConfig(second_look=0.0),
    "second_look 0.5": SelectionConfig(second_look=0.5),
    "near_tie 0": SelectionConfig(near_tie=0.0),
    "same_view 0.05": SelectionConfig(same_view=0.05),
}
"""What ``coverage`` could be set to."""


def compare_settings(
    asked: Sequence[Query], k: int = 4, on_progress: OnProgress = silent
) -> list[StrategyRow]:
    """``coverage`` with other settings."""
    rows = []
    kinds = _kinds(asked)
    for kind in kinds:
        some = [query for query in asked if query.kind == kind]
        for name, config in SETTINGS.items():
            orders = [retrieve(q.memory, q.targets, k, "coverage", config).order for q in some]
            rows.append(_strategy_row(kind, k, name, some, orders))
            on_progress(Progress("settings", len(rows), len(kinds) * len(SETTINGS)))
    return rows


def _strategy_row(
    kind: str, k: int, name: str, asked: Sequence[Query], orders: Sequence[tuple[int, ...]]
) -> StrategyRow:
    pairs = list(zip(asked, orders, strict=True))
    covered, worst = metrics.mean_and_worst_tenth(
        [metrics.true_coverage(q.truth.visible, order) for q, order in pairs]
    )
    twice = np.mean([metrics.true_coverage(q.truth.visible, order, 2) for q, order in pairs])
    sharp = np.mean([metrics.true_coverage(q.truth.sharp, order) for q, order in pairs])
    return StrategyRow(kind, k, name, len(asked), covered, worst, float(twice), float(sharp))


def _kinds(asked: Sequence[Query]) -> list[str]:
    return list(dict.fromkeys(query.kind for query in asked))


def judge_association(
    walks: Sequence[Recorded],
    points: Sequence[int],
    noises: Sequence[float],
    n: int = 10,
    on_progress: OnProgress = silent,
) -> list[AssociationRow]:
    """Remember every walk in every way and look at its memory from ``n`` places nearby."""
    tests = [_test_views(recorded, i, n) for i, recorded in enumerate(walks)]
    ways = list(product(points, noises, MERGES))
    rows = []
    for points_per_frame, noise, merge in ways:
        numbers = []
        for recorded, views in zip(walks, tests, strict=True):
            memory = MERGES[merge](recorded, points_per_frame, noise)
            size = (len(memory.surfels), len(memory.link_surfel))
            numbers += [(*size, *_quality(memory, *view)) for view in views]
        means = np.mean(numbers, axis=0)
        rows.append(AssociationRow(merge, points_per_frame, noise, *means.tolist()))
        on_progress(Progress("association", len(rows), len(ways)))
    return rows


TestView = tuple[Look, np.ndarray, np.ndarray]
"""An exact view, the pixels (H, W) bool that any stored view truly shows, true shares (V,)."""


def _test_views(recorded: Recorded, seed: int, n: int) -> list[TestView]:
    found = []
    for camera in jumps(recorded.walk, recorded.world, seed, n):
        target = looks(recorded.world, Cameras.stack([camera]), DRAWN_SIDE)[0]
        known = truth([target], recorded.looks)
        seen = np.zeros(target.depth.shape, bool)
        seen[target.hit] = known.visible.any(axis=0)
        found.append((target, seen, metrics.vote_shares(known.visible, known.weight)))
    return found


def _quality(
    memory: MemorySnapshot, target: Look, seen: np.ndarray, shares: np.ndarray
) -> tuple[float, float, float, float]:
    """(holes, leaks, share error, top-8 overlap) of a memory from one view."""
    drawn = rasterize(memory.surfels, target.camera)
    found = retrieve(memory, Cameras.stack([target.camera]), 4, "votes")
    return (
        metrics.holes(drawn, target, seen),
        metrics.leaks(drawn, target, seen),
        metrics.share_error(found.share, shares),
        metrics.top_overlap(found.share, shares),
    )


WAYS: dict[str, Callable[[Cameras], Cameras]] = {
    "every target": lambda targets: targets,
    "mean pose": lambda targets: Cameras.stack([mean_camera(targets)]),
    "last target": lambda targets: targets[-1:],
}


def mean_camera(targets: Cameras) -> Camera:
    """The camera half-way: mean position, mean rotation (by singular values)."""
    c2w = targets[0].c2w.copy()
    left, _, right = np.linalg.svd(targets.c2w[:, :3, :3].mean(axis=0))
    c2w[:3, :3] = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    c2w[:3, 3] = targets.c2w[:, :3, 3].mean(axis=0)
    return targets[0].moved_to(c2w)


def compare_batches(
    asked: Sequence[Query],
    strategies: Sequence[str] = ("votes", "coverage"),
    k: int = 4,
    on_progress: OnProgress = silent,
) -> list[BatchRow]:
    """Retrieve for all targets of a step in different ways; the truth is over all of them."""
    rows = []
    kinds = _kinds(asked)
    for kind in kinds:
        some = [query for query in asked if query.kind == kind]
        for name in strategies:
            for way, asked_for in WAYS.items():
                covered, worst = metrics.mean_and_worst_tenth(
                    [
                        metrics.true_coverage(
                            q.truth.visible, retrieve(q.memory, asked_for(q.targets), k, name).order
                        )
                        for q in some
                    ]
                )
                rows.append(BatchRow(kind, f"{name}, {way}", covered, worst))
                total = len(kinds) * len(strategies) * len(WAYS)
                on_progress(Progress("batches", len(rows), total))
    return rows
