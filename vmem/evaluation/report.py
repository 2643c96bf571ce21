"""The whole evaluation, as rows and as the tables of docs/retrieval.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal

from vmem.evaluation.trials import (
    AssociationRow,
    BatchRow,
    Query,
    Recorded,
    StrategyRow,
    compare_batches,
    compare_settings,
    compare_strategies,
    judge_association,
    queries,
    record,
    remember,
)
from vmem.evaluation.walks import out_home_out, there_and_back, through_rooms
from vmem.progress import OnProgress, Progress, silent
from vmem.published.as_memory import PUBLISHED_POINTS
from vmem.types import POINTS_PER_FRAME
from vmem.worlds.backend import make_world

Part = Literal["strategies", "settings", "batches", "association"]


@dataclass(frozen=True)
class Plan:
    """What is evaluated."""

    seeds: tuple[int, ...] = (1, 2)
    """Worlds; each gets three walks. Association is judged in the first one."""
    side: int = 288
    """Frames are squares of so many pixels."""
    turns: int = 8
    """Turns of 4 degrees each way of the walk on the spot."""
    rooms: float = 2.5
    """Scene units of the walk through rooms."""
    out: float = 1.0
    """Scene units of each leg of the walk out, home and out."""
    ks: tuple[int, ...] = (4, 8)
    """Numbers of views to choose."""
    points: tuple[int, ...] = (PUBLISHED_POINTS, 2304, 5184, 9216)
    """Points per frame to compare; the first are the published ones."""
    noises: tuple[float, ...] = (0.0, 0.02, 0.05)
    """Standard deviations of the relative depth error to compare."""
    places: int = 10
    """Jumps, sweeps and test views a walk."""
    only: tuple[Part, ...] = ("strategies", "settings", "batches", "association")
    """Tables to make."""


@dataclass(frozen=True)
class Report:
    """Rows of the four tables; none of a table that was not planned."""

    plan: Plan
    strategies: tuple[StrategyRow, ...]
    settings: tuple[StrategyRow, ...]
    batches: tuple[BatchRow, ...]
    association: tuple[AssociationRow, ...]

    def to_json(self) -> dict[str, object]:
        """Plain numbers and strings."""
        return asdict(self)


def recordings(plan: Plan, on_progress: OnProgress = silent) -> list[Recorded]:
    """Every walk of every world that the plan needs, seen exactly."""
    hw = (plan.side, plan.side)
    seeds = plan.seeds[:1] if set(plan.only) <= {"association"} else plan.seeds
    found = []
    for seed in seeds:
        world = make_world(seed)
        walks = (
            there_and_back(world, hw, plan.turns),
            through_rooms(world, hw, seed, plan.rooms),
            out_home_out(world, hw, seed, plan.out),
        )
        for walk in walks:
            found.append(record(world, walk))
            on_progress(Progress("walk", len(found), len(walks) * len(seeds)))
    return found


def questions(
    plan: Plan,
    walks: Sequence[Recorded],
    points_per_frame: int = POINTS_PER_FRAME,
    on_progress: OnProgress = silent,
) -> list[Query]:
    """The queries to the memories of all walks, of exact depth."""
    found: list[Query] = []
    for i, one in enumerate(walks):
        found += queries(one, remember(one, points_per_frame), seed=i, n=plan.places)
        on_progress(Progress("queries", i + 1, len(walks)))
    return found


def evaluate(plan: Plan, on_progress: OnProgress = silent) -> Report:
    """All that is planned; minutes."""
    walks = recordings(plan, on_progress)
    strategies, settings, batches, association = [], [], [], []
    if set(plan.only) - {"association"}:
        asked = questions(plan, walks, on_progress=on_progress)
        if "strategies" in plan.only:
            strategies = compare_strategies(asked, plan.ks, on_progress)
        if "settings" in plan.only:
            settings = compare_settings(asked, on_progress=on_progress)
        if "batches" in plan.only:
            batches = compare_batches(asked, on_progress=on_progress)
    if "association" in plan.only:
        first_world = [one for one in walks if one.world is walks[0].world]
        association = judge_association(
            first_world, plan.points, plan.noises, plan.places, on_progress
        )
    return Report(plan, tuple(strategies), tuple(settings), tuple(batches), tuple(association))


def tables(report: Report) -> str:
    """The report in Markdown, best strategies first."""
    parts = []
    kinds = list(dict.fromkeys(row.kind for row in report.strategies))
    best_first = sorted(
        report.strategies, key=lambda row: (kinds.index(row.kind), row.k, -row.covered)
    )
    for title, rows in (
        ("Strategies", best_first),
        ("Settings of coverage", report.settings),
        ("Several targets at once", report.batches),
        ("Memory", report.association),
    ):
        if rows:
            parts += [f"### {title}", "", table(rows), ""]
    return "\n".join(parts)


def table(rows: Sequence[StrategyRow] | Sequence[BatchRow] | Sequence[AssociationRow]) -> str:
    """Rows of one kind in Markdown."""
    names = [field.name for field in fields(rows[0])]
    lines = [
        "| " + " | ".join(name.replace("_", " ") for name in names) + " |",
        "|" + "---|" * len(names),
    ]
    lines += ["| " + " | ".join(_cell(getattr(row, name)) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"
