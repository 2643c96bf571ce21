"""What a benchmark measures: names, units, directions and tolerances, declared once a module.

A benchmark is a module of this folder with ``METRICS`` and a ``run`` that yields rows:

    METRICS = (
        Metric("render.cpu.*.ms", "ms"),
        Metric("render.ratio_reference", "ratio", "higher", tolerance=0.3),
    )

    def run() -> Iterator[Row]:
        yield measured("render.cpu.50k.ms", 4.9)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Row = dict[str, Any]
"""``metric`` and ``value``, and remarks on them; unit and direction come from the declaration."""
Unit = Literal[
    "ratio", "times", "share", "dB", "of std", "pixels in a million", "draw calls",
    "bytes", "kB", "M", "TFLOP", "ms", "s", "1/s", "MiB", "yes/no",
]  # fmt: skip
OF_A_MACHINE = frozenset({"ms", "s", "1/s", "MiB", "yes/no"})
"""Units of what depends on the machine."""
DECIBEL = "dB"


@dataclass(frozen=True)
class Metric:
    """A metric, or a family of them."""

    name: str
    """Parts between dots; a star stands for any characters but dots."""
    unit: Unit
    better: Literal["lower", "higher"] = "lower"
    """Which values are better."""
    tolerance: float = 0.15
    """By how much it may get worse before a check fails: a share of the value; of decibels, dB."""
    of_machine: bool = False
    """Whether it depends on the machine although its unit does not say so."""
    optional: bool = False
    """Whether some machines have no such row: no GPU, no browser, no golden packs."""

    def __post_init__(self) -> None:
        if not self.name or not self.tolerance >= 0:
            raise ValueError(f"{self}: needs a name and a tolerance of at least 0")

    @property
    def judged(self) -> bool:
        """Whether a check fails where it got worse: it should be the same on every machine."""
        return not self.of_machine and self.unit not in OF_A_MACHINE

    def covers(self, name: str) -> bool:
        """Whether a row of that name is of this family."""
        pattern = re.escape(self.name).replace(r"\*", r"[^.]*")
        return re.fullmatch(pattern, name) is not None

    def loss(self, value: float, committed: float) -> float:
        """By how much a value is worse than the committed one."""
        return value - committed if self.better == "lower" else committed - value

    def room(self, committed: float) -> float:
        """The loss that is within tolerance."""
        return self.tolerance * (1 if self.unit == DECIBEL else abs(committed))


class UndeclaredError(ValueError):
    """A row that no declaration of its benchmark covers, or several do."""


def declaration(name: str, metrics: Iterable[Metric]) -> Metric:
    """The one of ``metrics`` that covers a row. Raises UndeclaredError."""
    found = [metric for metric in metrics if metric.covers(name)]
    if len(found) != 1:
        raise UndeclaredError(f"{name}: {len(found)} declarations in METRICS, 1 needed")
    return found[0]


def measured(name: str, value: float, **remarks: object) -> Row:
    """One row of a benchmark."""
    return {"metric": name, "value": round(float(value), 5), **remarks}
