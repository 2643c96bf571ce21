"""After a stage of the warm-up nothing is left to be compiled for what it stands for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import gc, json, threading
import numpy as np
from numba.core.dispatcher import Dispatcher
from tests.support.fakes import box_photo
from viewer.paint.surfel_colors import paint_pointed, paint_surfels, paint_view
from viewer.server.warmup import stages
from vmem.backends import create_backend
from vmem.retrieval.attribution import explained_alone
from vmem.session import Session

def signatures():
    for one in threading.enumerate():
        if one.name == "photo's extension":  # begun by the opening, and part of it here
            one.join()
    found = [one for one in gc.get_objects() if isinstance(one, Dispatcher)]
    return {
        f"{one.__module__}.{one.__name__}{sig}"
        for one in found for sig in one.signatures
        if one.__module__.startswith(("vmem", "viewer"))
    }

class Real:
    def open(self):
        backend = create_backend("preview", seed=0, size=128, geometry="layout")
        self.session = Session.open(box_photo().repeat(2, 0).repeat(2, 1), backend=backend)
    def ask(self):
        self.retrieval = self.session.retrieve(self.session.camera)
        paint_view(self.retrieval.buffers[-1], self.session.memory.surfels.color)
    def step(self):
        self.session.move("w")
        self.session.move("d")
    def explain(self):
        self.ask()
        memory = self.session.memory
        paint_surfels("support", memory, self.retrieval)
        paint_pointed(memory, self.retrieval, 0)
        explained_alone(memory, self.retrieval)

real, report = Real(), {}
for name, work in stages("preview").items():
    before = signatures()
    work()
    prepared = signatures()
    getattr(real, name)()
    report[name] = [len(prepared - before), sorted(signatures() - prepared)]
print(json.dumps(report))
"""


COMPILED_WITH_ITS_CALLERS = "vmem.generation.preview.fold.side_azimuth("
"""So it is there already where Python calls it by itself, as it does for some photos."""


@pytest.fixture(scope="module")
def report() -> dict[str, tuple[int, list[str]]]:
    """Of each stage: how many kernels it prepared, and which a real walk compiled after it."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("stage", ["open", "ask", "step", "explain"])
def test_a_stage_prepares_all_kernels_that_it_stands_for(report, stage: str) -> None:
    prepared, missing = report[stage]
    assert prepared > 0
    assert [one for one in missing if not one.startswith(COMPILED_WITH_ITS_CALLERS)] == []
