"""A preview step against the preview as it was before its speed was worked on.

Time: sessions beside each other, step by step in one run, on a photo of ``assets``. Frames: both
generators walk from the same first views, four photos and an exact depth, with the same context.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

import vmem.session.making
from benchmarks._baselines.preview import PreviewBefore, check_maps_before
from benchmarks._metrics import Metric, Row, measured
from benchmarks._preview_walk import Walk, psnr, sharpness
from vmem.arrays import U8
from vmem.backends import create_backend
from vmem.generation import Generator
from vmem.generation.preview.generator import PreviewGenerator
from vmem.session import Session, SessionConfig
from vmem.types import View
from vmem.worlds.backend import WorldGeometry

ASSETS = Path(__file__).parent.parent / "assets"
PHOTOS = ("hotel_room", "garden_path", "pagoda", "quay")
WARM_UP = ("w", "a", "w")
STEPS = ("w", "a", "d", "w", "w", "a", "d", "w")
AWAY, BACK = ("a",) * 6 + ("w",) * 2, ("s",) * 2 + ("d",) * 6
WORLD_SEED = 3

METRICS = (
    Metric("preview.*.ms", "ms"),
    Metric("preview.*.cpu_ms", "ms"),
    Metric("preview.*.ratio_before", "ratio"),
    Metric("preview.*.cpu_ratio_before", "ratio"),
    Metric("preview.frame288.part_of_four", "ratio"),
    Metric("preview.psnr_before.least", "dB", "higher", tolerance=0.5),
    Metric("preview.sharpness_before.least", "ratio", "higher", tolerance=0.01),
    Metric("preview.sharpness_before.most", "ratio", tolerance=0.01),
    Metric("preview.home_psnr_gain.least", "dB", "higher", tolerance=0.1),
)


def run() -> Iterator[Row]:
    """Ratios are now over before."""
    four = _Pair("hotel_room", 288, 4).walk()
    one = _Pair("hotel_room", 288, 1).walk()
    for name, pair in (
        ("step288", four),
        ("step576", _Pair("hotel_room", 576, 4).walk()),
        ("frame288", one),
    ):
        yield measured(f"preview.{name}.ms", 1e3 * pair.now.wall())
        yield measured(f"preview.{name}.cpu_ms", 1e3 * pair.now.cpu())
        ratio = pair.now.wall() / pair.before.wall()
        yield measured(f"preview.{name}.ratio_before", ratio)
        ratio = pair.now.cpu() / pair.before.cpu()
        yield measured(f"preview.{name}.cpu_ratio_before", ratio)
    ratio = one.now.cpu() / four.now.cpu()
    yield measured("preview.frame288.part_of_four", ratio)
    likeness, sharper, homes = [], [], []
    for photo in (*PHOTOS, None):
        first = _opened(photo, 288, 4, PreviewGenerator()).memory.views[0]
        now, before = (_frames(first, make) for make in (PreviewGenerator(), PreviewBefore()))
        likeness.append(psnr(now[-4:], before[-4:]))
        sharper.append(_mean_sharpness(now) / _mean_sharpness(before))
        homes.append(_home_psnr(first, PreviewGenerator()) - _home_psnr(first, PreviewBefore()))
    yield measured("preview.psnr_before.least", min(likeness))
    yield measured("preview.sharpness_before.least", min(sharper))
    yield measured("preview.sharpness_before.most", max(sharper))
    yield measured("preview.home_psnr_gain.least", min(homes))


@dataclass
class _Timed:
    """A session and what its steps took."""

    session: Session
    is_before: bool
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)

    def move(self, word: str) -> None:
        patched = patch.object(vmem.session.making, "check_maps", check_maps_before)
        with patched if self.is_before else nullcontext():
            wall, cpu = time.perf_counter(), time.process_time()
            self.session.move(word)
            self.walls.append(time.perf_counter() - wall)
            self.cpus.append(time.process_time() - cpu)

    def wall(self) -> float:
        return statistics.median(self.walls)

    def cpu(self) -> float:
        return statistics.median(self.cpus)


class _Pair:
    """One walk into a photo made by two generators in turn: the product's and the baseline."""

    def __init__(self, photo: str, size: int, targets: int) -> None:
        self.now = _Timed(_opened(photo, size, targets, PreviewGenerator()), False)
        self.before = _Timed(_opened(photo, size, targets, PreviewBefore()), True)

    def walk(self) -> _Pair:
        for word in WARM_UP:
            for timed in (self.now, self.before):
                timed.move(word)
                timed.walls.clear()
                timed.cpus.clear()
        for word in STEPS:
            for timed in (self.now, self.before):
                timed.move(word)
        return self


def _opened(photo: str | None, size: int, targets: int, generator: Generator) -> Session:
    """A session on a photo, or with None on the first view of a world with its exact depth."""
    config = SessionConfig(target_views=targets)
    if photo is None:
        world = create_backend("world", seed=WORLD_SEED, size=size)
        backend = replace(world, generator=generator, geometry=WorldGeometry())
        return Session.open(None, backend=backend, size=size, config=config)
    preview = create_backend("preview", size=size, geometry="layout")
    backend = replace(preview, generator=generator)
    return Session.open(ASSETS / f"{photo}.jpg", backend=backend, size=size, config=config)


def _frames(first: View, generator: Generator) -> U8:
    walk = Walk(first, generator)
    for word in STEPS:
        walk.step(word)
    return np.stack([view.rgb for view in walk.views[1:]])


def _home_psnr(first: View, generator: Generator) -> float:
    """Of the first view made again after a way out and back on which it is never context."""
    walk = Walk(first, generator)
    for word in AWAY + BACK:
        walk.step(word, without_photo=True)
    return psnr(walk.views[-1].rgb, first.rgb)


def _mean_sharpness(frames: U8) -> float:
    return float(np.mean([sharpness(frame) for frame in frames]))
