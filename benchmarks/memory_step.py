"""All that memory does in a step of a walk, ours and the published way, in CPU time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import vmem
from benchmarks._metrics import Metric, Row, measured
from benchmarks._published import drawn_in_python, timed
from vmem.cameras import MOVES, Cameras, apply_move, path_targets, unproject
from vmem.generation import Context
from vmem.memory import ViewMemory, make_record
from vmem.progress import CancelToken, silent
from vmem.published.as_memory import PUBLISHED_POINTS, disks_of_frame, published_memory
from vmem.published.merge import merge_reference
from vmem.published.surfels import Disks
from vmem.retrieval import ask
from vmem.retrieval.strategies.published import published_selection
from vmem.types import AssociationConfig, PointMaps, Retrieval, StepRecord, View

PHOTO = Path(__file__).parents[1] / "assets" / "hotel_room.jpg"
WALK = "wwaaaddd"
"""The first step, which loads kernels, does not count."""
FRAMES = 4

METRICS = (
    Metric("memory_step.ratio_reference", "ratio", "higher", tolerance=0.25),
    Metric("memory_step.*.ratio_reference", "ratio", "higher", tolerance=0.25),
    Metric("memory_step.cpu_ms", "ms"),
    Metric("memory_step.surfels_over_published", "ratio", "higher", tolerance=0.05),
)


class _Cost(NamedTuple):
    """CPU seconds of a step."""

    published_retrieval: float
    published_surfels: float
    retrieval: float
    surfels: float


def run() -> Iterator[Row]:
    """``memory_step.ratio_reference``: published over ours, steps 2 to 8 of a walk with four frames
    of 288 px each; ``retrieve`` and ``surfels`` (making and merging them) are its parts, ``least``
    and ``most`` the extreme steps. Both get the frames and maps that ``preview`` makes. The
    published way draws one target of four, ours all, and ends with the commit."""
    walk = _Walk()
    for move in WALK:
        walk.step(move)
    cost = np.array(walk.costs[1:])
    published, ours = cost[:, :2].sum(axis=1), cost[:, 2:].sum(axis=1)
    total = _Cost(*cost.sum(axis=0))
    for name, ratio in (
        ("", published.sum() / ours.sum()),
        (".least", np.min(published / ours)),
        (".most", np.max(published / ours)),
        (".retrieve", total.published_retrieval / total.retrieval),
        (".surfels", total.published_surfels / total.surfels),
    ):
        yield measured(f"memory_step{name}.ratio_reference", ratio)
    yield measured("memory_step.cpu_ms", 1e3 * ours.mean())
    more = len(walk.memory.snapshot().surfels) / len(walk.disks)
    yield measured("memory_step.surfels_over_published", more)


class _Walk:
    """Both memories, from the same maps."""

    def __init__(self) -> None:
        session = vmem.open(PHOTO, backend="preview", seed=0, size=288)
        opened, self.backend = session.memory, session.backend
        self.photo: View = opened.views[0]
        self.memory, self.camera = ViewMemory(), self.photo.camera
        links = opened.link_surfel, opened.link_view
        self.memory.append(StepRecord(opened.views, opened.surfels, *links, None))
        depth = self.photo.depth[None]
        points = unproject(self.photo.depth, self.camera)[None]
        maps = PointMaps(points, depth, np.ones_like(depth))
        self.steps: list[tuple[tuple[View, ...], PointMaps]] = [(opened.views, maps)]
        self.disks = disks_of_frame(maps, 0, self.camera, PUBLISHED_POINTS)
        self.costs: list[_Cost] = []

    def step(self, move: str) -> None:
        """One step of both."""
        end = apply_move(self.camera.c2w, MOVES[move])
        targets, known = path_targets(self.camera, end, FRAMES), self.memory.snapshot()
        answer, retrieval = timed(lambda: ask(known, targets))
        # Of its own disks: those that merge_reference keeps, found without an octree.
        published = published_memory(self.steps, PUBLISHED_POINTS)
        assert len(published.surfels) == len(self.disks)
        with drawn_in_python():
            _, published_retrieval = timed(lambda: published_selection(published, targets))
        maps, surfels = self._generated(targets, answer)
        self.disks, published_surfels = timed(lambda: self._merged(maps, targets))
        self.steps.append((self.memory.snapshot().views[-FRAMES:], maps))
        self.costs.append(_Cost(published_retrieval, published_surfels, retrieval, surfels))
        self.camera = self.camera.moved_to(end)

    def _generated(self, targets: Cameras, answer: Retrieval) -> tuple[PointMaps, float]:
        """Maps of new frames, and the seconds that our memory took for these."""
        known, cancel = self.memory.snapshot(), CancelToken()
        views = tuple(known.views[view] for view in answer.order)
        context = Context(views, self.photo, len(known.steps))
        generator, geometry = self.backend.generator, self.backend.geometry
        frames = generator.generate(context, targets, seed=0, on_progress=silent, cancel=cancel)
        maps = geometry.estimate(frames, targets, known, on_progress=silent, cancel=cancel)

        def take_in() -> None:
            config, drawn = AssociationConfig(), answer.buffers
            self.memory.append(
                make_record(known, frames, targets, maps, answer, config, drawn=drawn)
            )
            self.memory.snapshot()

        return maps, timed(take_in)[1]

    def _merged(self, maps: PointMaps, targets: Cameras) -> Disks:
        disks = self.disks
        for i, camera in enumerate(targets):
            new = disks_of_frame(maps, i, camera, PUBLISHED_POINTS)
            kept = merge_reference(disks, new).kept
            disks = Disks.concatenate([disks, new[kept]])
        return disks
