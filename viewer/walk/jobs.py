"""Questions to memory that take long enough to be jobs, and what they answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from viewer.settings import Heat
from viewer.share.explanation_zip import pack_explanation
from viewer.share.recording import RecordingOptions
from viewer.walk.worker import Job
from vmem.cameras import Cameras
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
    """What one strategy chose · covered: share of the visible votes that its views saw · truly:
    share of the target's true surface that they saw, None where the truth is not known."""

    retrieval: Retrieval
    covered: float
    truly: float | None


@dataclass(frozen=True, eq=False)
class StrategyAnswers:
    """All strategies' answers for the same targets, asked of the same memory."""

    memory: MemorySnapshot
    answers: tuple[StrategyAnswer, ...]


@dataclass(frozen=True, eq=False)
class BothMade:
    """The same step made with two queries: two branches."""

    first: Step
    second: Step


def asking_strategies(
    memory: MemorySnapshot, targets: Cameras, query: Query, truth: TrueOverlap | None
) -> Job:
    """Ask every strategy ``query``, of all else the same; answers StrategyAnswers."""

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
    """An explanation as files, in one zip; answers Download."""
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
