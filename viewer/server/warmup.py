"""Compile the kernels, or load them: a tiny walk that meets each of them, in the order of need."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from viewer.paint.surfel_colors import paint_pointed, paint_surfels, paint_view
from vmem.backends import create_backend
from vmem.retrieval.attribution import explained_alone
from vmem.session import Session
from vmem.types import Retrieval

SIDE = 96
"""Large enough for a memory of as many blocks as bring every kernel of the rasterizer into play."""


def warm_up(backend_name: str = "preview") -> None:
    """Run all stages here, with something to look at while it takes time."""
    every = stages(backend_name).values()
    for stage in tqdm(every, desc="preparing kernels (slow the first time)", leave=False):
        stage()


def stages(backend_name: str = "preview") -> dict[str, Callable[[], object]]:
    """Name -> what to run, each once and in this order: what a session needs to "open", the ghost
    to "ask", the first "step", and the debugger to "explain".

    Of the vmem backend and of CUT3R nothing is warmed up: networks are loaded when first used, with
    progress.
    """
    walk = _TinyWalk("preview" if backend_name == "vmem" else backend_name)
    return {"open": walk.open, "ask": walk.ask, "step": walk.step, "explain": walk.explain}


class _TinyWalk:
    def __init__(self, backend_name: str) -> None:
        self._backend_name = backend_name
        self._session: Session | None = None

    @property
    def _opened(self) -> Session:
        assert self._session is not None, "open comes first"
        return self._session

    def open(self) -> None:
        photo = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
        geometry = "auto" if self._backend_name == "world" else "layout"
        backend = create_backend(self._backend_name, seed=0, size=SIDE, geometry=geometry)
        self._session = Session.open(None if backend.own_scene else photo, backend=backend)

    def ask(self) -> Retrieval:
        session = self._opened
        retrieval = session.retrieve(session.camera)
        paint_view(retrieval.buffers[-1], session.memory.surfels.color)
        return retrieval

    def step(self) -> None:
        self._opened.move("w")

    def explain(self) -> None:
        memory, retrieval = self._opened.memory, self.ask()
        paint_surfels("support", memory, retrieval)
        paint_pointed(memory, retrieval, 0)
        explained_alone(memory, retrieval)
