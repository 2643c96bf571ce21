"""What a page is sent, weighed where it arrives: payloads of the websocket, compressed as they are.

- ``wire.step500``: steps that add 500 surfels each to a cloud, over what position, normal, radius
  and colour of these take (21 bytes); with the merging of chunks at rest after each, which the mean
  spreads over all, and the largest of a step without
- ``wire.undo``: the same steps taken back, over what they had added
- ``wire.step``: all of a step with one frame of 288 pixels, in the whole program with the Walk tab
  open: the median (a step adds none to 7,000 surfels), the most of what is no surfel, and the mean
  by kind of message
- ``wire.rest``: what follows once these steps are over
"""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

import numpy as np
import viser

from benchmarks._listener import Listener
from benchmarks._metrics import Metric, Row, measured
from benchmarks._scenes import house
from viewer.scene.surfel_cloud import SurfelCloud
from viewer.server.app import App
from viewer.server.config import ViewerConfig
from vmem.types import Surfels

FIRST, STEP, STEPS = 3_000, 500, 64
SURFEL_BYTES = 12 + 6 + 3
"""Position f32, normal and radius f16, colour u8."""
MOVES = "wwdwwaawwwdw"
KINDS = 4
"""Kinds of message that are listed."""

METRICS = (
    Metric("wire.step500.ratio", "ratio"),
    Metric("wire.step500.most_alone_ratio", "ratio"),
    Metric("wire.undo.ratio", "ratio"),
    Metric("wire.step.kb", "kB"),
    Metric("wire.step.besides_surfels.most_kb", "kB"),
    Metric("wire.step.*.kb", "kB", optional=True),
    Metric("wire.rest.kb", "kB", tolerance=0.5),
)


def run() -> Iterator[Row]:
    """Rows of output."""
    yield from _cloud()
    yield from _whole_steps()


def _cloud() -> Iterator[Row]:
    surfels = house(FIRST + STEP * STEPS)
    with redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    listener = Listener(server.get_port())
    try:
        cloud = SurfelCloud(_only_client(server).scene, "/surfels")
        _append(cloud, surfels[:FIRST])
        listener.taken()
        added, alone = [], []
        for start in range(FIRST, FIRST + STEP * STEPS, STEP):
            _append(cloud, surfels[start : start + STEP])
            alone.append(listener.taken(0.2).total())
            cloud.tidy()
            added.append(alone[-1] + listener.taken(0.2).total())
        undone = []
        for left in range(len(cloud) - STEP, FIRST - STEP, -STEP):
            cloud.truncate(left)
            undone.append(listener.taken(0.2).total())
    finally:
        listener.close()
        with redirect_stdout(io.StringIO()):
            server.stop()
    yield measured("wire.step500.ratio", float(np.mean(added)) / STEP / SURFEL_BYTES)
    yield measured("wire.step500.most_alone_ratio", max(alone) / STEP / SURFEL_BYTES)
    yield measured("wire.undo.ratio", float(np.mean(undone)) / STEP / SURFEL_BYTES)


def _append(cloud: SurfelCloud, surfels: Surfels) -> None:
    cloud.append(surfels.position, surfels.normal, surfels.radius, surfels.color)


def _only_client(server: viser.ViserServer) -> viser.ClientHandle:
    while not server.get_clients():
        time.sleep(0.02)
    return next(iter(server.get_clients().values()))


def _whole_steps() -> Iterator[Row]:
    app = App(
        ViewerConfig(
            backend="preview", mode="step", layout="memory", open=False, keep=0.1, save=False
        )
    )
    listener = Listener(app.port)
    try:
        while not any(walk.session for walk in app.walks.values()):
            time.sleep(0.05)
        client = app.clients[0]
        workspace: Any = client.workspace
        config = workspace._config
        workspace._config = lambda *told: replace(config(*told), target_views=1)
        listener.taken()
        steps: list[Counter[str]] = []
        for move in MOVES:
            made = len(workspace.session.memory.steps)
            client.commands.move(move)
            while len(workspace.session.memory.steps) == made:
                time.sleep(0.02)
            steps.append(listener.taken())
        rest = listener.taken(3.0).total()
    finally:
        listener.close()
        app.close()
    sizes = np.array([step.total() for step in steps]) / 1e3
    besides = sizes - np.array([step["PointCloud"] for step in steps]) / 1e3
    yield measured("wire.step.kb", float(np.median(sizes)))
    yield measured("wire.step.besides_surfels.most_kb", float(besides.max()))
    yield measured("wire.rest.kb", rest / 1e3)
    kinds = sum(steps, Counter())
    for kind, size in kinds.most_common(KINDS):
        yield measured(f"wire.step.{kind}.kb", size / 1e3 / len(steps))
