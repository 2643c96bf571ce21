"""Rows of benchmarks against those committed, and the file in which these are kept.

Where a metric is missing that was committed, nothing watches over it any more: that fails, too.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path

from benchmarks._metrics import DECIBEL, Metric, Row, UndeclaredError, declaration

COMMITTED = Path(__file__).with_name("committed.json")
"""By benchmark: date, hardware and values by metric."""


class Verdict(StrEnum):
    """What a comparison says of one metric."""

    OK = "ok"
    WORSE = "worse"
    """Beyond the tolerance."""
    BETTER = "better"
    """Beyond the tolerance, too: worth committing."""
    NEW = "new"
    """Not committed yet."""
    MISSING = "missing"
    """Committed, and not measured any more."""
    SHOWN = "shown"
    """Not judged."""

    @property
    def fails(self) -> bool:
        """Whether it fails a check."""
        return self in (Verdict.WORSE, Verdict.MISSING)


@dataclass(frozen=True)
class Judgement:
    """One metric, as measured and as committed."""

    name: str
    metric: Metric | None
    """None for a committed name that is not declared any more."""
    value: float | None
    """None where it was not measured."""
    committed: float | None
    """None where nothing was committed."""
    verdict: Verdict

    def __str__(self) -> str:
        def number(value: float | None) -> str:
            return "-" if value is None else f"{value:.3f}"

        line = f"{self.verdict:7} {self.name:48} {number(self.value):>10}"
        line += f" (committed {number(self.committed)})"
        if self.metric is None:
            return line
        if not self.metric.judged:
            return f"{line} {self.metric.unit}"
        unit, room = self.metric.unit, f"{self.metric.tolerance:.0%}"
        room = f"{self.metric.tolerance} dB" if unit == DECIBEL else room
        return f"{line} {unit}, {self.metric.better} is better, tolerance {room}"

    def as_row(self) -> Row:
        """For JSON."""
        row = {"metric": self.name, "value": self.value, "committed": self.committed}
        if self.metric is not None:
            metric = self.metric
            row |= {"unit": metric.unit, "better": metric.better, "tolerance": metric.tolerance}
        return row | {"verdict": self.verdict}


def judged(
    metrics: Sequence[Metric], rows: Iterable[Row], committed: Mapping[str, float]
) -> Iterator[Judgement]:
    """A judgement of every row as it comes, then of what is missing.

    Raises UndeclaredError for a row that ``metrics`` do not cover.
    """
    seen: set[str] = set()
    for one in rows:
        name, value = one["metric"], one["value"]
        seen.add(name)
        metric, before = declaration(name, metrics), committed.get(name)
        yield Judgement(name, metric, value, before, _verdict(metric, value, before))
    for name, before in committed.items():
        if name not in seen:
            metric = _declared_still(name, metrics)
            watched = metric is None or (metric.judged and not metric.optional)
            verdict = Verdict.MISSING if watched else Verdict.SHOWN
            yield Judgement(name, metric, None, before, verdict)


def _verdict(metric: Metric, value: float, committed: float | None) -> Verdict:
    if not metric.judged:
        return Verdict.SHOWN
    if committed is None:
        return Verdict.NEW
    loss, room = metric.loss(value, committed), metric.room(committed)
    if not loss <= room:  # a NaN is never within tolerance
        return Verdict.WORSE
    return Verdict.BETTER if loss < -room else Verdict.OK


def _declared_still(name: str, metrics: Sequence[Metric]) -> Metric | None:
    try:
        return declaration(name, metrics)
    except UndeclaredError:
        return None


def read(path: Path = COMMITTED) -> dict[str, dict]:
    """Entries by benchmark; none where there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write(entries: Mapping[str, Mapping], path: Path = COMMITTED) -> None:
    """The entries, in order of their names."""
    text = json.dumps(dict(sorted(entries.items())), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def entry(rows: Iterable[Row], today: date, hardware: str) -> dict:
    """What is committed of one benchmark."""
    values = {one["metric"]: one["value"] for one in rows}
    return {"date": today.isoformat(), "hardware": hardware, "values": values}


def this_machine() -> str:
    """Processor and cores, in a line."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{next(iter(names), platform.machine())}, {os.cpu_count()} cores"
