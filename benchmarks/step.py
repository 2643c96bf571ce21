"""What a preview step of four frames at 288 px costs beside making them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np

import vmem
from benchmarks import _step_before as before
from benchmarks._metrics import Metric, Row, measured
from vmem.cameras import MOVES, apply_move
from vmem.generation import Context
from vmem.memory.ingest import make_record
from vmem.progress import CancelToken, silent
from vmem.retrieval import ask
from vmem.session.step import check_maps

PHOTO = Path(__file__).parents[1] / "assets" / "hotel_room.jpg"
WALK = "w*2 a*3 d*2"
ROUNDS = 40

METRICS = (
    Metric("step.*.cpu_ms", "ms"),
    Metric("step.*.ratio_before", "ratio", tolerance=0.3),
)


def run() -> Iterator[Row]:
    """``step.STAGE.cpu_ms`` is the median CPU time of all threads, ``.ratio_before`` that over what
    the stage took before issue 13, in alternation. The stages are what a session measures, but
    ``estimate`` is without the check of its maps (``step.check.cpu_ms``)."""
    session = vmem.open(PHOTO, backend="preview", seed=0, size=288)
    for _ in session.walk(WALK):
        pass
    memory, backend = session.memory, session.backend
    targets = session.targets_to(apply_move(session.camera.c2w, MOVES["d"]))
    request = session.request(targets)
    retrieval = ask(memory, targets, request.query)
    views = tuple(memory.views[view] for view in retrieval.order)
    frames = backend.generator.generate(
        Context(views, memory.views[0], len(memory.steps)),
        targets,
        seed=0,
        sampler=request.sampler,
        on_progress=silent,
        cancel=CancelToken(),
    )

    def estimate():
        return backend.geometry.estimate(
            frames, targets, memory, on_progress=silent, cancel=CancelToken()
        )

    maps = estimate()
    config, drawn = request.association, retrieval.buffers

    def associate(drawn=None):
        return make_record(memory, frames, targets, maps, retrieval, config, drawn=drawn)

    def retrieve():
        return ask(memory, targets, request.query)

    stages = {
        "estimate": (lambda: before.estimate(frames, targets), estimate),
        "associate": (associate, lambda: associate(drawn)),
        "retrieve": (retrieve, retrieve),
    }
    for name, (old, new) in stages.items():
        cpu = _pair(old, new)
        yield measured(f"step.{name}.cpu_ms", cpu[1])
        yield measured(f"step.{name}.ratio_before", cpu[1] / cpu[0])
    check = lambda: check_maps(maps, targets, config.min_confidence)  # noqa: E731
    yield measured("step.check.cpu_ms", _pair(check, check)[1])


def _pair(old: Callable[[], object], new: Callable[[], object]) -> tuple[float, float]:
    """Median CPU ms of ``old``, as the code was then, and of ``new``, in alternation."""
    spent: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for side, (call, around) in enumerate(((old, before.memory_work()), (new, nullcontext()))):
            with around:
                start = time.process_time()
                call()
                spent[side].append(time.process_time() - start)
    was, now = (1e3 * float(np.median(side[2:])) for side in spent)
    return was, now
