"""``python -m vmem weights``: which weights are here, and how to get the others."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import tyro
from tqdm import tqdm

from vmem.progress import OnProgress, Progress


@dataclass(frozen=True)
class Weights:
    """Say which released weights are on this machine, or download them.

    Status exits 0 if all are there, else 1; download exits 0 if all that was asked for is there.
    """

    action: tyro.conf.Positional[Literal["status", "download"]] = "status"
    """What to do."""

    part: tyro.conf.Positional[Literal["all", "vmem", "cut3r", "vae", "clip", "depth-anything"]] = (
        "all"
    )
    """Which network's weights."""

    json: bool = False
    """Print status as one JSON list."""

    def run(self) -> int:
        """The exit code; 130 after an interrupt."""
        from vmem.weights.catalogue import PARTS

        names = list(PARTS) if self.part == "all" else [self.part]
        return self._download(names) if self.action == "download" else self._status(names)

    def _status(self, names: list[str]) -> int:
        from vmem.weights.catalogue import PARTS
        from vmem.weights.parts import status

        found = [status(PARTS[name]) for name in names]
        if self.json:
            rows = [dataclasses.asdict(row) | {"present": row.present} for row in found]
            print(json.dumps(rows, default=str))
        else:
            print("\n".join(row.row for row in found))
        return 0 if all(row.present for row in found) else 1

    def _download(self, names: list[str]) -> int:
        from vmem.weights.advice import CheckpointError
        from vmem.weights.catalogue import PARTS
        from vmem.weights.parts import fetch_part, status

        # Before anything is downloaded: who has to ask for access can do so meanwhile.
        for row in (status(PARTS[name]) for name in names):
            if row.gate:
                print(f"note: {row.title} is open on request: {row.gate}", file=sys.stderr)
        failed = 0
        for name in names:
            try:
                with progress_bar() as on_progress:
                    fetch_part(PARTS[name], on_progress=on_progress)
                print(status(PARTS[name]).row)
            except CheckpointError as error:
                print(f"error: {error}", file=sys.stderr)
                failed = 1
                if error.kind in {"network", "disk"}:
                    break  # the others would fail the same way
            except KeyboardInterrupt:
                print(
                    "stopped: what has arrived is kept; run the command again to go on",
                    file=sys.stderr,
                )
                return 130
        return failed


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """A listener that draws bars of bytes on a terminal's stderr, one a stage; silent elsewhere."""
    bar: tqdm | None = None
    stage = ""

    def show(progress: Progress) -> None:
        nonlocal bar, stage
        if bar is None or stage != progress.stage:
            if bar is not None:
                bar.close()
            stage = progress.stage
            bar = tqdm(desc=progress.stage, unit="B", unit_scale=True, disable=None)
        bar.total = progress.total
        bar.n = progress.done
        bar.update(0)

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()
