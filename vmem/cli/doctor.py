"""``vmem doctor``: what this machine can run, and what to do about what it cannot."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from dataclasses import dataclass, fields
from pathlib import Path

from vmem.cli.gpu import gpu_rows
from vmem.errors import VMemError
from vmem.extras import GPU, install_command

PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "opencv-python-headless",
    "viser",
    "plyfile",
    "matplotlib",
    "huggingface_hub",
)
"""Packages of the default install that are worth a line, by the name that pip knows."""


@dataclass(frozen=True)
class Doctor:
    """Say what this machine can run, and what to do about what it cannot."""

    measure: bool = False
    """Measure the networks on this machine's GPU instead: cost, precision, memory, recovery, in at
    most ten minutes. Without the released weights it takes random ones (17 GB of disk)."""
    device: str = "auto"
    """With --measure: auto, cuda, cuda:N, mps or cpu."""
    tiny: bool = False
    """With --measure: tiny random networks, a rehearsal of a minute; on a CPU the only way."""
    budget: float = 570.0
    """With --measure: seconds in all."""
    sections: tuple[str, ...] = ()
    """With --measure: only these, of machine, attention, weights, steps, precision, geometry,
    recovery, cancel, walks, speed."""
    out: Path = Path("vmem-measure.json")
    """With --measure: the JSON file to write, to be attached to a report."""

    def run(self) -> int:
        """Print the report, or measure; the exit code."""
        given = {field.name for field in fields(self) if getattr(self, field.name) != field.default}
        if not self.measure:
            if given:
                options = ", ".join(f"--{name}" for name in sorted(given))
                raise VMemError(f"only with --measure: {options}")
            print(report())
            return 0
        from vmem.generation.diffusion.availability import missing_packages

        if missing := missing_packages():
            raise VMemError(
                f"nothing to measure without {', '.join(missing)}: run `{install_command()}`"
            )
        from vmem.cli.measure.command import Options, measure

        return measure(Options(self.device, self.tiny, self.budget, self.sections), self.out)


def report() -> str:
    """The whole report, ready to print."""
    sections = {
        "machine": _machine(),
        "packages": _packages(),
        "gpu": gpu_rows(),
        "rasterizer": _rasterizer(),
        "files": _files(),
        "weights": _weights(),
        "backends": _backends(),
        "geometry": _geometry(),
    }
    lines: list[str] = []
    for title, rows in sections.items():
        lines += [title, *(f"  {row}" for row in rows)]
    return "\n".join(lines)


def _machine() -> list[str]:
    from vmem.kernels.parallel import thread_count

    return [
        f"Python {platform.python_version()} on {platform.platform()}",
        f"{thread_count()} of {os.cpu_count()} CPU cores usable",
    ]


def _packages() -> list[str]:
    rows = []
    for name in PACKAGES:
        version = _version(name)
        row = f"ok       {name} {version}"
        rows.append(row if version else f"missing  {name}: install this program again")
    absent = [name for name in GPU if _version(name) is None]
    rows += [f"ok       {name} {_version(name)}" for name in GPU if name not in absent]
    if absent:
        rows.append(f"missing  {', '.join(absent)}, of the extra gpu: {install_command()}")
    return rows


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _rasterizer() -> list[str]:
    from vmem.raster.choice import choose_engine

    name, why = choose_engine()
    return [f"auto     means {name} here ({why})"]


def _files() -> list[str]:
    from vmem.formats.photos import samples

    try:
        rows = [f"ok       {len(samples())} sample scenes"]
    except VMemError as error:
        rows = [f"missing  {error}"]
    rows.append(_kernels())
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    rows.append(f"{'ok      ' if free > 1 else 'low     '} {free:.1f} GB free in this folder")
    return rows


def _kernels() -> str:
    from vmem.raster.cpu import kernel_cache

    folder, compiled = kernel_cache()
    if compiled:
        return f"ok       compiled kernels are cached in {folder}"
    return "note     kernels are not compiled yet: the first start takes some seconds more"


def _weights() -> list[str]:
    from vmem.weights import status

    return [row.row for row in status()]


def _backends() -> list[str]:
    from vmem.backends import resolve

    rows = [
        "ok       preview: runs anywhere; depth warping and mirrored continuation, no diffusion",
        "ok       world: runs anywhere; exact renders of a procedural scene",
    ]
    try:
        rows.append(f"ok       vmem: {resolve('vmem')[1]}")
    except VMemError as error:
        first, *others = str(error).splitlines()
        rows += [f"no       {first}", *(f"         {line}" for line in others[:-1])]
    try:
        name, why = resolve("auto")
        rows.append(f"auto     means {name} here ({why})")
    except VMemError as error:
        rows.append(f"no       {error}")
    return rows


def _geometry() -> list[str]:
    from vmem.backends.registry import geometry_of

    rows = ["ok       layout: runs anywhere; a room's layout for the photo"]
    for name, what in (
        ("depth-anything", "depth of the photo, and of frames whose depth nobody knows"),
        ("cut3r", "point maps from all frames, aligned with the memory"),
    ):
        try:
            geometry_of("vmem", name)
            rows.append(f"ok       {name}: {what}")
        except VMemError as error:
            rows.append(f"no       {error}")
    for backend in ("preview", "vmem"):
        try:
            name, why = geometry_of(backend)
            rows.append(f"auto     means {name} with {backend} here ({why})")
        except VMemError as error:
            rows.append(f"no       {backend}: {error}")
    return rows
