"""How much of what a target sees the chosen views truly show, and how long choosing takes.

The same evaluation as ``python -m vmem.evaluation`` (docs/retrieval.md), in one world.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks._metrics import Metric, Row, measured
from vmem.cameras import Camera, default_K, path_targets, pose_distance, rotation_y
from vmem.evaluation.report import Plan, questions, recordings
from vmem.evaluation.trials import compare_strategies
from vmem.memory import LinkIndex
from vmem.retrieval import STRATEGIES, Evidence

VIEWS = 300

METRICS = (
    Metric("select_*", "ms"),
    Metric("covered_*", "share", "higher", tolerance=0.02),
)


def run() -> Iterator[Row]:
    """Rows of output."""
    evidence = made_up_evidence()
    for name, strategy in STRATEGIES.items():
        if name == "reference":
            continue  # it draws a memory of its own: vmem.published
        for k in (4, 8):
            seconds = _least(lambda: strategy(evidence, k))  # noqa: B023
            yield measured(f"select_{name}_k{k}_{VIEWS}_views", 1e3 * seconds)
    yield from _covered(Plan(seeds=(1,), ks=(4,), places=6))


def _least(call: Callable[[], object]) -> float:
    call()
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _covered(plan: Plan) -> Iterator[Row]:
    for row in compare_strategies(questions(plan, recordings(plan)), plan.ks):
        name = "truth" if row.strategy == "(truth)" else row.strategy
        yield measured(f"covered_{row.kind}_{name}_k{row.k}", row.covered)


def made_up_evidence(surfels: int = 200_000, visible: int = 20_000, seen: int = 20) -> Evidence:
    """300 views along a circle; each visible surfel was seen by ``seen`` views in a row."""
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (VIEWS, 1, 1))
    for i, c2w in enumerate(poses):
        c2w[:3, :3] = rotation_y(0.02 * i)
        c2w[:3, 3] = np.sin(0.03 * i), 0, np.cos(0.03 * i)
    surfel = np.sort(rng.choice(surfels, visible, replace=False)).astype(np.int32)
    pixels = np.zeros(surfels, np.float32)
    pixels[surfel] = rng.integers(1, 6, visible)
    first = rng.integers(0, VIEWS, visible)
    link_view = (np.repeat(first, seen) + np.tile(np.arange(seen), visible)) % VIEWS
    link_surfel = np.repeat(surfel, seen)
    weight = pixels * rng.random(surfels, np.float32)
    hw = (192, 192)
    targets = path_targets(Camera(poses[10], default_K(hw), hw), poses[12], 4)
    return Evidence(
        votes=np.bincount(link_view, weight[link_surfel], VIEWS).astype(np.float32),
        coverage=np.bincount(link_view, pixels[link_surfel], VIEWS) / pixels.sum(),
        distance=pose_distance(poses[:, None], targets.c2w[None]).min(axis=1),
        poses=poses,
        visible=surfel,
        pixels=pixels,
        seen_by=LinkIndex.of(surfels, VIEWS, link_surfel, link_view.astype(np.int32)),
        K_normalized=np.tile(default_K((1, 1)), (VIEWS, 1, 1)),
        targets=targets,
    )
