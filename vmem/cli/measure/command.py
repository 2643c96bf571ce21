"""What ``vmem doctor --measure`` does: which sections there are, and where their record goes."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from vmem.cli.measure.bench import Bench, is_lost
from vmem.cli.measure.machine import attention, hardware, machine, versions
from vmem.cli.measure.precision import geometry, precision
from vmem.cli.measure.record import Record
from vmem.cli.measure.runner import Limit, Section, run
from vmem.cli.measure.speed import speed
from vmem.cli.measure.steps import cancelling, recovery, steps, walks
from vmem.cli.measure.table import heading, table
from vmem.cli.measure.weights import weights
from vmem.devices.devices import DeviceError, pick_device
from vmem.devices.settings import NetworkSettings
from vmem.errors import VMemError
from vmem.formats.files import clear_errors, write_json
from vmem.weights import PARTS

WEIGHTS = "weights"
SECTIONS: tuple[Section[Bench], ...] = (
    Section("machine", "card, precision, memory, copies", machine, 0.06),
    Section("attention", "attention by kernel", attention, 0.08),
    Section(WEIGHTS, "random weights, where the released ones are missing", weights, 0.25),
    Section("steps", "whole steps by memory preset and precision", steps, 0.4, WEIGHTS),
    Section("precision", "half precision against float32", precision, 0.2, WEIGHTS),
    Section("geometry", "CUT3R by precision", geometry, 0.1, WEIGHTS),
    Section("recovery", "out of memory, and the step after", recovery, 0.12, WEIGHTS),
    Section("cancel", "a step cancelled", cancelling, 0.08, WEIGHTS),
    Section("walks", "two walks at once", walks, 0.1, WEIGHTS),
    Section("speed", "one evaluation by layout and kernel", speed, 0.15, WEIGHTS),
)
"""In the order in which they run: what tells most comes first. To add a section, add a row."""


@dataclass(frozen=True)
class Options:
    """What to measure. Raises VMemError for what cannot be."""

    device: str = "auto"
    """auto, cuda, cuda:N, mps or cpu."""
    tiny: bool = False
    """Tiny random networks, for a rehearsal."""
    budget: float = 570.0
    """Seconds in all."""
    sections: tuple[str, ...] = ()
    """Names of SECTIONS; all where none is given."""

    def __post_init__(self) -> None:
        NetworkSettings(device=self.device)  # refuses an unknown one
        known = [section.name for section in SECTIONS]
        if unknown := [name for name in self.sections if name not in known]:
            raise VMemError(
                f"there is no section {', '.join(unknown)} to measure: use {', '.join(known)}"
            )
        if not 0 < self.budget < float("inf"):
            raise VMemError(f"the budget must be a number of seconds above 0, got {self.budget}")

    @property
    def chosen(self) -> list[Section[Bench]]:
        """The sections in the order in which they run, with those that they need."""
        names = set(self.sections) or {section.name for section in SECTIONS}
        names |= {section.needs for section in SECTIONS if section.name in names}
        return [section for section in SECTIONS if section.name in names]


def measure(options: Options, out: Path) -> int:
    """Run the sections, write the record to ``out`` after each and print it at the end.

    The exit code: 0, 1 where a section failed, 130 after Ctrl+C. Raises VMemError where there is
    no such device, for the CPU without ``tiny``, and for a file that is there already.
    """
    device = measured_device(options)
    if os.path.lexists(out):
        raise VMemError(
            f"{out} is there already and is not overwritten: choose another file with --out"
        )
    asked = asdict(options) | {"sections": " ".join(options.sections) or "all"}
    record = Record(versions(), hardware(device), asked)
    _write(record, out)
    with _own_environment(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:

        def bench(limit: Limit) -> Bench:
            return Bench(device, options.tiny, Path(folder), limit)

        try:
            for outcome in run(
                options.chosen, bench, options.budget, started=_say_started, hopeless=is_lost
            ):
                _say(heading(outcome))
                record = replace(record, outcomes=(*record.outcomes, outcome))
                _write(record, out)
            record = replace(record, finished=True)
            _write(record, out)
        except KeyboardInterrupt:
            _say(f"stopped: what was measured until then is in {out}")
        else:
            _say(f"written to {out}, to be attached to a report")
        finally:
            _forget()
    print(table(record))
    return exit_code(record)


def measured_device(options: Options) -> torch.device:
    """The device to measure. Raises VMemError as `measure` does."""
    rehearse = "`--device cpu --tiny` rehearses the measurement on the CPU"
    try:
        device = pick_device(options.device)
    except DeviceError as error:
        raise VMemError(
            f"{error}: nothing to measure here; `python -m vmem doctor` says more, and {rehearse}"
        ) from error
    if device.type == "cpu" and not options.tiny:
        raise VMemError(f"the released sizes take hours on a CPU: {rehearse}")
    return device


def exit_code(record: Record) -> int:
    """0, 1 where a section failed, 130 where not all had their turn."""
    if not record.finished:
        return 130
    return int(any(outcome.state == "failed" for outcome in record.outcomes))


@contextmanager
def _own_environment() -> Iterator[None]:
    """Undo within the process what `weights` does to the environment's variables."""
    names = ("VMEM_CACHE", *(part.variable for part in PARTS.values()))
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _forget() -> None:
    """Unload networks of files that are about to be removed."""
    from vmem.generation.diffusion import networks
    from vmem.geometry.cut3r import loading

    with suppress(RuntimeError):  # of a device that answers no more
        networks.SHARED.unload()
        loading.SHARED.unload()


def _write(record: Record, out: Path) -> None:
    with clear_errors(out):
        write_json(out, record.to_json())


def _say_started(section: Section[Bench], left: float) -> None:
    _say(f"{section.name}: {section.title} ({left:.0f} s left) ...")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
