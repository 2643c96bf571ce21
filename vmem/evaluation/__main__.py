"""``python -m vmem.evaluation``: how good retrieval is, as tables or as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field

import tyro

from vmem.evaluation.report import Plan, evaluate, tables
from vmem.progress import Progress


@dataclass(frozen=True)
class Arguments:
    """Evaluate strategies, batches of targets and association against truth."""

    plan: tyro.conf.OmitArgPrefixes[Plan] = field(default_factory=Plan)
    json: bool = False
    """One JSON object instead of tables."""


def main() -> int:
    """Evaluate and print; progress goes to stderr. 130 if interrupted: nothing is printed then."""
    arguments = tyro.cli(Arguments, prog="python -m vmem.evaluation")

    def show(progress: Progress) -> None:
        print(f"{progress.stage} {progress.done}/{progress.total}", file=sys.stderr, flush=True)

    try:
        report = evaluate(arguments.plan, show)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print(json.dumps(report.to_json()) if arguments.json else tables(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
