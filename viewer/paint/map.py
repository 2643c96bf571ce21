"""The walk from above: where the target, the selected views and the others are.

Drawn on matplotlib axes: x of the world to the right, z upwards, seen along gravity. Behind the
cameras is what memory holds, darker where more surfels lie above each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from viewer.paint.palette import GREY, INK, PALE, owner_colors
from viewer.paint.plan import above, scale_length, surfel_shade
from vmem.arrays import F64
from vmem.cameras import Camera
from vmem.memory import MemorySnapshot
from vmem.types import Retrieval

WEDGE = 0.075
"""Length of a camera's wedge, in spans of the map."""
LABEL_GAP = 0.065
"""How far labels stay from each other and from cameras, in spans of the map."""


def draw_plan(
    axes: Axes,
    memory: MemorySnapshot,
    retrieval: Retrieval,
    rejected: Sequence[int],
    *,
    target: int = -1,
    size: float = 6.0,
) -> None:
    """Draw the map on ``axes``, whose box says what aspect is wanted.

    rejected: views that are named though they were not chosen · size: of the letters, in points.
    """
    known = memory.views[: len(retrieval.votes)]
    stops = np.array([above(view.camera.position) for view in known])
    here = retrieval.targets[target]
    looked_at = here.c2w @ [0, 0, _sight(retrieval, target), 1]
    shown = np.stack([*stops, above(here.position), above(looked_at)])
    low, high = _window(axes, shown)
    span = float(max(high - low))
    _draw_surfels(axes, memory, len(retrieval.surfel_weight), low, high)
    axes.plot(*stops.T, color=PALE, lw=0.7, zorder=2)
    axes.scatter(*stops.T, s=3, color=GREY, lw=0, zorder=3)

    colors = owner_colors(len(memory.views)) / 255
    for view in rejected:
        axes.scatter(*stops[view], s=16, facecolor="white", edgecolor=INK, lw=0.6, zorder=4)
    for view in reversed(retrieval.order):
        axes.plot(*np.stack([above(here.position), stops[view]]).T, color=INK, lw=0.4, zorder=4)
        _wedge(axes, known[view].camera, span, colors[view], zorder=5)
    corners = _wedge(axes, here, 1.3 * span, None, zorder=6)

    names = [f"{rank + 1}" for rank in range(len(retrieval.order))]
    names += [f"v{view}" for view in rejected]
    points = [stops[view] for view in (*retrieval.order, *rejected)]
    heavy = ["bold"] * len(retrieval.order) + ["normal"] * len(rejected)
    obstacles = np.concatenate([stops, corners, corners.mean(axis=0)[None]])
    for name, point, label, weight in zip(
        names, points, _labels(np.array(points).reshape(-1, 2), obstacles, span), heavy, strict=True
    ):
        axes.plot(*np.stack([point, label]).T, color=GREY, lw=0.3, zorder=6)
        axes.text(
            float(label[0]), float(label[1]), name, fontsize=size, weight=weight, color=INK,
            ha="center", va="center", zorder=7,
            bbox={"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none"},
        )  # fmt: skip
    _scale_bar(axes, low, high, size)


def _sight(retrieval: Retrieval, target: int) -> float:
    """How far the target sees, in scene units: the median depth of what it sees, or 1."""
    depth = retrieval.buffers[target].depth
    return float(np.median(depth[depth > 0])) if (depth > 0).any() else 1.0


def _window(axes: Axes, points: F64) -> tuple[F64, F64]:
    """Set limits, (2,) each, that show points (N, 2) and a little of what lies around them."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = max(0.2 * float(max(high - low)), 1e-3)
    low, high = low - margin, high + margin
    box = axes.get_window_extent()
    width, height = box.width, box.height
    scale = max((high[0] - low[0]) / width, (high[1] - low[1]) / height)
    middle, half = (low + high) / 2, scale * np.array([width, height]) / 2
    low, high = middle - half, middle + half
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(PALE)
        spine.set_linewidth(0.6)
    return low, high


def _draw_surfels(axes: Axes, memory: MemorySnapshot, n: int, low: F64, high: F64) -> None:
    """The upright surfels of memory, as a picture in light greys."""
    axes.imshow(
        1 - 0.5 * surfel_shade(memory, n, low, high),
        extent=(low[0], high[0], low[1], high[1]),
        origin="lower",
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        zorder=1,
    )


def _wedge(axes: Axes, camera: Camera, span: float, color: NDArray | None, zorder: int) -> F64:
    """A camera's field of view, filled with its colour or black for the target; corners (3, 2)."""
    start = above(camera.position)
    half = np.tan(camera.fov[1] / 2)
    sides = np.array([[-half, 0, 1], [half, 0, 1]]) @ camera.c2w[:3, :3].T
    corners = np.stack([start, *(start + WEDGE * span * sides[:, [0, 2]])])
    axes.fill(
        *corners.T,
        facecolor="none" if color is None else color,
        edgecolor=INK,
        lw=1.1 if color is None else 0.4,
        zorder=zorder,
    )
    if color is None:
        axes.scatter(*start, s=12, color=INK, lw=0, zorder=zorder)
    return corners


def _labels(points: F64, obstacles: F64, span: float) -> F64:
    """(N, 2) places near points (N, 2), apart from each other and from obstacles (M, 2)."""
    n = len(points)
    if not n:
        return points
    gap = LABEL_GAP * span
    angle = 2.4 * np.arange(n)
    # Always one place for one scene, and never two labels exactly on each other.
    labels = points + gap * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for _ in range(120):
        others = np.concatenate([labels, obstacles])
        offset = labels[:, None] - others[None]
        distance = np.linalg.norm(offset, axis=2)
        distance[np.arange(n), np.arange(n)] = np.inf
        push = np.maximum(0, gap - distance) / np.maximum(distance, 1e-9)
        labels = labels + 0.2 * (offset * push[..., None]).sum(axis=1) + 0.03 * (points - labels)
    return labels


def _scale_bar(axes: Axes, low: F64, high: F64, size: float) -> None:
    width = high[0] - low[0]
    length = scale_length(width)
    x, y = low[0] + 0.05 * width, low[1] + 0.04 * (high[1] - low[1])
    axes.plot([x, x + length], [y, y], color=INK, lw=1.2, zorder=7)
    axes.text(
        x, y + 0.012 * (high[1] - low[1]), f"{length:g} scene unit{'' if length == 1 else 's'}",
        fontsize=size, color=INK, va="bottom", zorder=7,
    )  # fmt: skip
