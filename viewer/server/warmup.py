"""Compile the kernels before the first photo, with something to look at while it takes time."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from viewer.paint.surfel_colors import paint_pointed, paint_surfels, paint_view
from vmem.backends import create_backend
from vmem.retrieval.attribution import explained_alone
from vmem.session import Session

SIDE = 96
"""Large enough for a memory of as many blocks as bring every kernel of the rasterizer into play."""


def warm_up(backend_name: str = "preview") -> None:
    """Take one step through a tiny picture, so that every kernel is compiled or loaded.

    Of the vmem backend and of CUT3R nothing is warmed up: networks are loaded when first used, with
    progress.
    """
    if backend_name == "vmem":
        backend_name = "preview"
    with tqdm(total=3, desc="preparing kernels (slow the first time)", leave=False) as bar:
        photo = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
        geometry = "auto" if backend_name == "world" else "layout"
        backend = create_backend(backend_name, seed=0, size=SIDE, geometry=geometry)
        bar.update()
        session = Session.open(None if backend.own_scene else photo, backend=backend)
        bar.update()
        session.move("w")
        retrieval = session.retrieve(session.targets_to(session.camera.c2w))
        memory = session.memory
        paint_view(retrieval.buffers[-1], memory.surfels.color)
        paint_surfels("support", memory, retrieval)
        paint_pointed(memory, retrieval, 0)
        explained_alone(memory, retrieval)
        bar.update()
