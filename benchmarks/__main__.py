"""``python -m benchmarks [NAME…] --json``: one JSON object a line, or a table.

``--check`` compares with what was committed, ``--commit`` writes that (``_gate``).
"""

from __future__ import annotations

import json
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from types import ModuleType
from typing import Annotated

import tyro

import benchmarks
from benchmarks import _gate as gate
from benchmarks._metrics import Row, declaration


@dataclass(frozen=True)
class Arguments:
    """Run benchmarks: all of them, or those named."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = ()
    """Which to run."""
    json: bool = False
    """One JSON object a line."""
    check: bool = False
    """Fail (1) where a ratio is worse than the committed one beyond its tolerance. Without names:
    those that have something to judge."""
    commit: bool = False
    """Write what is measured as what later checks compare with."""


def main(given: Sequence[str] | None = None) -> int:
    """Run and print; 1 if a check fails, 2 for an unknown name or a contradiction."""
    arguments = tyro.cli(Arguments, args=given, prog="python -m benchmarks")
    known = names()
    unknown = set(arguments.names) - set(known)
    if unknown:
        wrong, right = ", ".join(sorted(unknown)), ", ".join(known)
        print(f"error: unknown {wrong}: use {right}", file=sys.stderr)
        return 2
    if arguments.check and arguments.commit:
        print("error: --check or --commit, not both", file=sys.stderr)
        return 2
    if arguments.check:
        return _check(arguments.names, arguments.json)
    for name in arguments.names or known:
        rows = []
        for row in _rows(_module(name)):
            rows.append(row)
            if arguments.json:
                print(json.dumps(row), flush=True)
            else:
                print(f"{row['metric']:40} {row['value']:10.3f} {row['unit']}", flush=True)
        if arguments.commit:
            entry = gate.entry(rows, date.today(), gate.this_machine())
            gate.write({**gate.read(gate.COMMITTED), name: entry}, gate.COMMITTED)
    return 0


def names() -> list[str]:
    """The benchmarks there are."""
    found = pkgutil.iter_modules(benchmarks.__path__)
    return sorted(module.name for module in found if not module.name.startswith("_"))


def _module(name: str) -> ModuleType:
    return import_module(f"benchmarks.{name}")


def _rows(module: ModuleType) -> Iterator[Row]:
    """What it yields, with what it declares of it."""
    for row in module.run():
        metric = declaration(row["metric"], module.METRICS)
        name = module.__name__.rpartition(".")[2]
        yield {"benchmark": name, **row, "unit": metric.unit, "better": metric.better}


def _check(chosen: Sequence[str], as_json: bool) -> int:
    committed, failed = gate.read(gate.COMMITTED), 0
    everything = not chosen
    for name in chosen or sorted({*names(), *committed}):
        values = committed.get(name, {}).get("values", {})
        module = _module(name) if name in names() else None
        metrics = module.METRICS if module else ()
        if module and everything and not any(metric.judged for metric in metrics):
            continue
        for judgement in gate.judged(metrics, module.run() if module else (), values):
            failed += judgement.verdict.fails
            print(json.dumps(judgement.as_row()) if as_json else judgement, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
