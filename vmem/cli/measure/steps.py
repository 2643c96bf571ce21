"""Sections of whole steps: cost by memory preset and precision, recovery, cancelling, two walks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from vmem.backends import create_backend
from vmem.cli.measure.bench import PEAKS, Bench, Stages, highest
from vmem.cli.measure.record import Plain, Row
from vmem.cli.measure.runner import TimeUp, error_text
from vmem.devices.devices import ROOM
from vmem.devices.memory_presets import GIB, PRESETS
from vmem.progress import Cancelled, CancelToken, Progress
from vmem.session import Session, SessionConfig


def opened(bench: Bench, listener: Stages | None = None, **settings: Any) -> Session:
    """A walk into the photo with CUT3R; networks as of `Bench.settings`."""
    backend = create_backend("vmem", networks=bench.settings(**settings), geometry="cut3r")
    config = SessionConfig(target_views=2, context_views=3) if bench.tiny else SessionConfig()
    listener = listener or Stages(bench)
    return Session.open(bench.photo, backend=backend, config=config, on_progress=listener)


# --- cost ------------------------------------------------------------------------------------

# By memory preset and precision.
ON_A_GPU = (
    *((name, "auto") for name in PRESETS),
    ("resident", "bfloat16"),
    ("resident", "float32"),
)
ON_A_CPU = (("resident", "auto"),)


def steps(bench: Bench) -> Iterator[Row]:
    """A photo and two moves, the second without anything left to load, then it once more after
    undo: seconds and peaks of memory by stage, and whether the frames are sound."""
    for memory, dtype in ON_A_CPU if bench.device.type == "cpu" else ON_A_GPU:
        name = f"{memory} {dtype}"
        bench.forget()
        walk = _Walk(bench, memory, dtype)
        for what, make in walk.parts.items():
            row = bench.attempt(f"{name}, {what}", partial(walk.timed, make))
            for stage, values in walk.stages.close().items():
                yield Row(f"{row.name}: {stage}", values)
            yield row
            if "error" in row.values:
                break
        else:
            yield Row(f"{name}, frames", walk.findings)
    bench.forget()


class _Walk:
    """A short walk, timed part by part."""

    def __init__(self, bench: Bench, memory: str, dtype: str) -> None:
        self._bench, self._settings = bench, {"memory": memory, "dtype": dtype}
        self.stages = Stages(bench)
        """Of the last part."""
        self.findings: dict[str, Plain] = {}
        """What is to be said of the frames."""
        self.parts: dict[str, Callable[[], None]] = {
            "open": self._open,
            "move 1": self._move,
            "move 2": self._move,
            "move 2 again": self._again,
        }

    def timed(self, make: Callable[[], None]) -> dict[str, Plain]:
        """Seconds of a part, and its peaks over all stages."""
        self.stages = Stages(self._bench)
        begin = time.perf_counter()
        make()
        seconds, found = time.perf_counter() - begin, self.stages.close().values()
        return {"s": seconds, **{name: highest(row[name] for row in found) for name in PEAKS}}

    def _open(self) -> None:
        self._session = opened(self._bench, self.stages, **self._settings)

    def _move(self) -> None:
        self._session.move("w", on_progress=self.stages)
        views = self._session.memory.views
        self._last = np.stack([view.rgb for view in views[-2:]])
        codes = [array for view in views for array in (view.latents or {}).values()]
        self.findings["surfels"] = len(self._session.memory.surfels)
        self.findings["latents finite"] = all(bool(np.isfinite(code).all()) for code in codes)
        self.findings["deviation of 255"] = float(self._last.std())

    def _again(self) -> None:
        before = self._last.astype(int)
        self._session.undo()
        self._move()
        worst = int(np.abs(self._last - before).max())
        self.findings["again off by, of 255"] = worst


# --- trouble ---------------------------------------------------------------------------------

ROOMS = (0.3, 1.0, 1.8)
"""GiB that a step may take beside what is loaded: with the released sizes from too little for any
network to about what the largest takes."""


def recovery(bench: Bench) -> Iterator[Row]:
    """Steps for which the device has too little memory: what is said, what is left on the device,
    and whether the step after them works."""
    bench.forget()
    session = opened(bench)
    session.move("w", on_progress=Stages(bench))
    held = bench.held()

    def starved(room: float) -> dict[str, Plain]:
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(bench.device).total_memory
        part = (torch.cuda.memory_reserved(bench.device) + room * GIB) / total
        torch.cuda.set_per_process_memory_fraction(min(1.0, part), bench.device)
        views, says = len(session.memory.views), "made all the same"
        try:
            session.move("a", on_progress=Stages(bench))
        except TimeUp:
            raise
        except Exception as error:
            says = error_text(error)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, bench.device)
        return {
            "left GiB": bench.held() - held,
            "views kept": len(session.memory.views) >= views,
            "preset now": ROOM.preset(bench.device).name,
            "says": says,
        }

    if bench.on_cuda:
        for room in ROOMS:
            yield bench.attempt(f"{room} GiB of room", lambda room=room: starved(room))
    else:
        yield Row("out of memory", {"error": "only tried on NVIDIA and AMD GPUs"})
    yield bench.attempt("the step after", lambda: _moved(bench, session, "a"))
    bench.forget()


def _moved(bench: Bench, session: Session, word: str) -> dict[str, Plain]:
    begin = time.perf_counter()
    bench.peaks()
    session.move(word, on_progress=Stages(bench))
    bench.wait()
    return {"s": time.perf_counter() - begin, "views": len(session.memory.views)}


def cancelling(bench: Bench) -> Iterator[Row]:
    """A step cancelled while it denoises: how soon it ends, and what is left on the device."""
    session = opened(bench)
    session.move("w", on_progress=Stages(bench))
    held, views = bench.held(), len(session.memory.views)

    def cancelled() -> dict[str, Plain]:
        token, asked = CancelToken(), 0.0

        def stop(progress: Progress) -> None:
            nonlocal asked
            bench.limit.check()
            if progress.stage == "denoise" and progress.done == 2 and not token.cancelled:
                asked = time.perf_counter()
                token.cancel()

        try:
            session.move("a", on_progress=stop, cancel=token)
        except Cancelled:
            pass
        else:
            return {"error": "the step was made all the same"}
        bench.wait()
        kept = len(session.memory.views) == views
        seconds = time.perf_counter() - asked
        return {"s until it ends": seconds, "left GiB": bench.held() - held, "views kept": kept}

    yield bench.attempt("cancelled in its second evaluation", cancelled)
    yield bench.attempt("the step after", lambda: _moved(bench, session, "a"))


def walks(bench: Bench) -> Iterator[Row]:
    """Two walks that make two steps each, one in a rehearsal: one after the other, then at once."""
    moves = "w" if bench.tiny else "wd"
    pair = [opened(bench) for _ in range(2)]
    pair[0].move("w", on_progress=Stages(bench))  # loads the networks

    def both(at_once: bool) -> dict[str, Plain]:
        errors: list[Exception] = []
        token = CancelToken()

        def walk(session: Session) -> None:
            try:
                for word in moves:
                    session.move(
                        word, on_progress=lambda progress: bench.limit.check(), cancel=token
                    )
            except Exception as error:
                errors.append(error)

        begin = time.perf_counter()
        bench.peaks()
        threads = [threading.Thread(target=walk, args=(session,)) for session in pair]
        try:
            for thread in threads:
                thread.start()
                if not at_once:
                    thread.join()
            for thread in threads:
                thread.join()
        finally:
            token.cancel()  # after an interrupt of this thread
        peaks = bench.peaks()
        if errors:
            raise errors[0]
        return {"s": time.perf_counter() - begin, **peaks}

    yield bench.attempt("one after the other", lambda: both(False))
    yield bench.attempt("at once", lambda: both(True))
    bench.forget()
