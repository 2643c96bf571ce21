"""A step's geometry with a memory of 5, 50 and 200 views: its cost must not grow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks._metrics import Metric, Row, measured
from benchmarks._scenes import HW, beside, house, spoilt, stored, stroll
from vmem.cameras import Cameras
from vmem.geometry.alignment.fit_views import align
from vmem.memory import ViewMemory, make_record
from vmem.raster import Blocks, rasterize
from vmem.types import AssociationConfig, Frames, StepRecord

VIEWS = (5, 50, 200)
SURFELS = 200_000
STEP = 4
"""New frames."""
ROUNDS = 7
SHOWN = 256
"""Longer side at which the network is shown frames: its cost is the same at any number of views."""
PARTS = ("network", "align", "merge")

METRICS = (
    Metric("geometry.*.*.ms", "ms"),
    Metric("geometry.*_over_*", "ratio", tolerance=0.3),
)


def run() -> Iterator[Row]:
    """Wall ms of a step of four frames of 512 x 288: ``network`` (tiny and random, on one thread,
    from the state that the newest view keeps), ``align`` (alignment and cleaning), ``merge``
    (association, and the commit to memory); ``cost`` is all three, ``cost_cpu`` in CPU time of all
    threads. Ratios are medians of those within a round.

    What a random network says cannot be aligned: in its place stands the surfels' depth at a wrong
    scale, with noise and outliers. ``rest`` is all but the network, whose constant cost would hide
    growth of the others.
    """
    import torch

    from vmem.geometry.cut3r.config import Cut3rConfig
    from vmem.geometry.cut3r.estimator import Cut3rEstimator
    from vmem.geometry.cut3r.loading import Network
    from vmem.geometry.cut3r.network import Cut3r
    from vmem.progress import CancelToken, silent

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = Network(Cut3r(Cut3rConfig(**TINY)), torch.device("cpu"))
    estimator = Cut3rEstimator(size=SHOWN, borrow=lambda on_progress, cancel: nullcontext(network))
    surfels, walk = house(SURFELS), stroll(max(VIEWS))
    blocks = Blocks.of(surfels)
    seen = [rasterize(surfels, camera, "cpu", blocks) for camera in walk]
    new = Cameras.stack([beside(walk[i]) for i in range(STEP)])
    depth = np.stack([rasterize(surfels, camera, "cpu", blocks).depth for camera in new])
    given = spoilt(new, depth, np.random.default_rng(0))
    frames = Frames(np.random.default_rng(1).integers(0, 255, (STEP, *HW, 3), np.uint8))
    config = AssociationConfig(bend_depth=True)

    def record_of(n: int) -> StepRecord:
        """The first n views, all surfels that they saw, their links, and a state of n views."""
        which = [np.unique(one.index[one.index >= 0]) for one in seen[:n]]
        shown = np.unique(np.concatenate(which))
        links = [np.searchsorted(shown, one).astype(np.int32) for one in which]
        views = stored(walk[:n], [one.depth for one in seen[:n]])
        return StepRecord(
            views,
            surfels[shown],
            np.concatenate(links),
            np.repeat(np.arange(n, dtype=np.int32), [len(one) for one in links]),
            None,
        )

    def with_state(record: StepRecord) -> StepRecord:
        memory = ViewMemory()
        memory.append(record)
        _, kept, _ = estimator.predict(frames, new, memory.snapshot(), silent, CancelToken())
        kept = replace(kept, seen=len(record.views))
        last = replace(record.views[-1], geometry_state=kept.to_arrays())
        return replace(record, views=(*record.views[:-1], last))

    def step(record: StepRecord) -> list[float]:
        memory = ViewMemory()
        memory.append(record)
        before = memory.snapshot()
        _ = before.blocks
        times, cpu = [time.perf_counter()], time.process_time()
        _, kept, remarks = estimator.predict(frames, new, before, silent, CancelToken())
        assert not remarks, remarks
        times.append(time.perf_counter())
        maps = replace(align(given, new, before).maps, state=kept.to_arrays())
        times.append(time.perf_counter())
        memory.append(make_record(before, frames, new, maps, None, config))
        times.append(time.perf_counter())
        cpu = time.process_time() - cpu
        return [1e3 * float(spent) for spent in (*np.diff(times), cpu)]

    records = [with_state(record_of(n)) for n in VIEWS]
    for record in records:
        step(record)
    # One turn of each, so that whatever else slows the machine slows all alike.
    spent = np.array([[step(record) for record in records] for _ in range(ROUNDS)])
    torch.set_num_threads(threads)
    whole = {
        "cost": spent[..., :3].sum(axis=-1),
        "rest": spent[..., 1:3].sum(axis=-1),
        "cost_cpu": spent[..., 3],
    }
    shown = {name: spent[..., k] for k, name in enumerate(PARTS)} | whole
    for i, n in enumerate(VIEWS):
        for name, ms in shown.items():
            yield measured(f"geometry.{name}.{n}.ms", float(np.median(ms[:, i])))
    for i, n in enumerate(VIEWS[1:], start=1):
        for name, ms in whole.items():
            ratio = float(np.median(ms[:, i] / ms[:, 0]))
            yield measured(f"geometry.{name}_{n}_over_{VIEWS[0]}", ratio)


TINY: dict[str, Any] = {
    "enc_embed_dim": 48,
    "enc_depth": 2,
    "enc_num_heads": 4,
    "dec_embed_dim": 32,
    "dec_depth": 3,
    "dec_num_heads": 2,
    "state_dec_num_heads": 4,
    "state_size": 20,
    "local_mem_size": 6,
    "ray_enc_depth": 1,
    "dpt_layer_dims": (8, 12, 16, 24),
    "dpt_feature_dim": 16,
    "dpt_last_dim": 8,
}
