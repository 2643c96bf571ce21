"""``python -m benchmarks [NAME…] --json``: one JSON object a line, or a table."""

from __future__ import annotations

import json
import pkgutil
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated

import tyro

import benchmarks


@dataclass(frozen=True)
class Arguments:
    """Run benchmarks: all of them, or those named."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = ()
    """Which to run."""
    json: bool = False
    """One JSON object a line."""


def main() -> int:
    """Run and print; 2 for an unknown name."""
    arguments = tyro.cli(Arguments, prog="python -m benchmarks")
    known = sorted(
        module.name
        for module in pkgutil.iter_modules(benchmarks.__path__)
        if not module.name.startswith("_")
    )
    unknown = set(arguments.names) - set(known)
    if unknown:
        wrong, right = ", ".join(sorted(unknown)), ", ".join(known)
        print(f"error: unknown {wrong}: use {right}", file=sys.stderr)
        return 2
    for name in arguments.names or known:
        for row in import_module(f"benchmarks.{name}").run():
            if arguments.json:
                print(json.dumps(row), flush=True)
            else:
                print(f"{row['metric']:40} {row['value']:10.3f} {row['unit']}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
