"""Long jobs that ask memory or pack files, and their results."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from viewer.settings import Heat
from viewer.share.explanation_zip import pack_explanation
from viewer.share.recording import RecordingOptions
from viewer.walk.worker import Job
from vmem.cameras import Cameras
from vmem.formats.video import VideoError
from vmem.formats.walk import export_walk
from vmem.memory import MemorySnapshot
from vmem.progress import CancelToken, OnProgress, Progress
from vmem.retrieval import STRATEGIES, ask
from vmem.retrieval.attribution import union_coverage
from vmem.session import Step
from vmem.types import Query, Retrieval

TrueOverlap = Callable[[MemorySnapshot, Retrieval], float]


@dataclass(frozen=True)
class Download:
    """A file for the user to keep."""

    name: str
    content: bytes


@dataclass(frozen=True, eq=False)
class StrategyAnswer:
    """What one strategy selected, and what that is worth."""

    retrieval: Retrieval
    """Its answer."""
    covered: float
    """Share of the visible votes that the selected views saw."""
    truly: float | None
    """Share of the target's true surface that they saw; None where the truth is not known."""


@dataclass(frozen=True, eq=False)
class StrategyAnswers:
    """The answers of all strategies for one set of targets."""

    memory: MemorySnapshot
    """The memory that all were asked of."""
    answers: tuple[StrategyAnswer, ...]
    """In the order of vmem.retrieval.STRATEGIES."""


@dataclass(frozen=True, eq=False)
class BothMade:
    """One step made with two queries: two branches."""

    first: Step
    second: Step


def asking_strategies(
    memory: MemorySnapshot, targets: Cameras, query: Query, truth: TrueOverlap | None
) -> Job:
    """A job that asks every strategy; only the strategy of ``query`` differs. Its result is
    StrategyAnswers."""

    def job(on_progress: OnProgress, cancel: CancelToken) -> StrategyAnswers:
        answers = []
        for i, strategy in enumerate(STRATEGIES):
            on_progress(Progress("strategies", i, len(STRATEGIES)))
            cancel.check()
            answer = ask(memory, targets, replace(query, strategy=strategy))
            truly = None if truth is None else truth(memory, answer)
            answers.append(StrategyAnswer(answer, union_coverage(memory, answer), truly))
        return StrategyAnswers(memory, tuple(answers))

    return job


def packing(memory: MemorySnapshot, retrieval: Retrieval, step: int | None, heat: Heat) -> Job:
    """A job that packs an explanation as files into one zip. Its result is a Download."""
    name = "ghost" if step is None else f"step_{step:03d}"

    def job(on_progress: OnProgress, cancel: CancelToken) -> Download:
        content = pack_explanation(
            memory,
            retrieval,
            step,
            options=RecordingOptions("weight" if heat == "image" else heat),
            on_progress=on_progress,
            cancel=cancel,
        )
        return Download(f"explanation_{name}.zip", content)

    return job


def walk_job(memory: MemorySnapshot) -> Job:
    """A job that packs a walk into a zip; its result is a Download."""

    def job(on_progress: OnProgress, cancel: CancelToken) -> Download:
        on_progress(Progress("export", 0, 1))
        with tempfile.TemporaryDirectory() as folder:
            try:
                export_walk(memory, Path(folder))
            except VideoError as error:  # all else is written
                reason = Path(folder) / "walk.mp4 is missing.txt"
                reason.write_text(f"{error}\n", encoding="utf-8")
            cancel.check()
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                for file in sorted(Path(folder).rglob("*")):
                    archive.write(file, file.relative_to(folder))
        return Download("walk.zip", packed.getvalue())

    return job
