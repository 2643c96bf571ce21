"""Index, depth and cosine at 512 x 288 in a furnished house, on the CPU; ours and as published."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks._metrics import Metric, Row, measured
from benchmarks._published import as_disks, query, times_less, walked, widened
from benchmarks._scenes import cameras, house, milliseconds
from vmem.cameras import Camera
from vmem.published.render import render_reference
from vmem.raster import Blocks, rasterize
from vmem.types import Surfels

SIZES = {"50k": 50_000, "200k": 200_000, "1m": 1_000_000}
MEASURED = 1334
"""Surfels for which the published program's look-up was timed."""
WALKED = {"1k": 3, "4k": 30}
"""Views from which the published code makes so many disks."""

METRICS = (
    Metric("render.cpu.*.ms", "ms"),
    Metric("render.cpu.*.cpu_ms", "ms"),
    Metric("render.ratio_reference", "ratio", "higher", tolerance=0.4),
    Metric("render.ratio_reference_published.*", "ratio", "higher", tolerance=0.25),
)


def run() -> Iterator[Row]:
    """``render.cpu.SIZE.ms`` is wall time, ``.cpu_ms`` is the CPU time of all threads.

    ``render.ratio_reference`` is the CPU time of the published loop over ours, on the same disks:
    the house's, which overlap; ``_published`` on disks with the radii that the published code makes
    of views of it, drawn with its focal length.
    """
    for name, n in SIZES.items():
        surfels = house(n)
        blocks = Blocks.of(surfels)
        draws = [partial(rasterize, surfels, camera, "cpu", blocks) for camera in cameras()]
        wall, cpu = milliseconds(*draws)
        yield measured(f"render.cpu.{name}.ms", wall)
        yield measured(f"render.cpu.{name}.cpu_ms", cpu)
    surfels, camera = house(MEASURED), cameras()[0]
    yield measured("render.ratio_reference", _ratio(surfels, camera))
    for name, views in WALKED.items():
        surfels = walked(cameras(views)).surfels
        ratio = _ratio(surfels, widened(camera))
        yield measured(f"render.ratio_reference_published.{name}", ratio, surfels=len(surfels))


def _ratio(surfels: Surfels, camera: Camera) -> float:
    disks, blocks = as_disks(surfels), Blocks.of(surfels)
    return times_less(
        lambda: render_reference(disks, query(camera)),
        lambda: rasterize(surfels, camera, "cpu", blocks),
    )
