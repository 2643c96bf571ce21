"""Why a step is not made: its pose is inside a surface, or its frame shows nothing.

A ``refusal_of_...`` is one clause that says what is wrong, or None. Nothing here changes anything.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

from vmem.arrays import F64, U8
from vmem.cameras import Camera, Cameras
from vmem.errors import VMemError
from vmem.memory import MemorySnapshot
from vmem.memory.clearance import clearance, depth_from_behind
from vmem.types import Frames, PointMaps, Provenance, Retrieval, SurfelBuffers, View

CLEARANCE = 0.02
"""Scene units that a camera keeps from every surface of memory: nearer ones are not drawn by the
preview's warp."""
NEARBY = 0.5
"""Scene units up to which a camera counts as walked to from a stored view; farther ones jump."""
STARTS = 4
"""Stored views, the nearest, from which a camera may have been walked to."""
MOST_UNKNOWN = 0.1
"""Share of a frame that nothing shows. In the preview it is next to nothing, and in frames
from behind a wall or floor at first 0.12 to 1."""
FLAT_SHARE, FLAT_LEVELS = 0.97, 8
"""A frame is flat if this share of it is within so many levels of its median colour."""
BLACK = 8
"""Levels up to which a flat frame is black."""
KNOWN_SHARE = 0.1
"""Share of a frame that memory must show to say what colour it should have."""
SAME_LEVELS = 32
"""Levels up to which a surfel has a frame's colour: one disk stands for many pixels."""
SAME_SHARE = 0.5
"""Share of what memory shows that must have the colour of a flat frame."""
SEEN_SHARE = 0.01
"""Share of the context views that must have that colour where memory shows little: the sky."""
MOST_THROUGH = 0.2
"""Share of a frame that may show what lies behind a surface of memory seen from behind."""
THROUGH = 1.1
"""Depth over that of such a surface from which on it is seen through."""
MOST_TOUCHED = 0.5
"""Share of a frame that may be nearer than CLEARANCE."""
LOOK_SIDE = 48
"""Longer side in pixels of the drawing in which surfaces are looked at from behind."""


class StepRefused(VMemError, RuntimeError):
    """A step whose pose or frame would only harm memory; nothing was stored."""


def check_poses(memory: MemorySnapshot, targets: Cameras) -> None:
    """StepRefused for a target of `refusal_of_pose`; each is reached from the one before it."""
    before: F64 | None = None
    for target in targets:
        _refuse(refusal_of_pose(memory, target, before))
        before = target.position[None]


def check_pictures(
    memory: MemorySnapshot, retrieval: Retrieval, views: tuple[View, ...], frames: Frames
) -> None:
    """StepRefused for a frame of `refusal_of_frame`, made from ``views`` for the targets of
    ``retrieval``."""
    for i, drawn in enumerate(retrieval.buffers):
        provenance = None if frames.provenance is None else frames.provenance[i]
        unknown = 0.0 if frames.unknown is None else float(frames.unknown[i])
        _refuse(refusal_of_frame(frames.rgb[i], memory, drawn, views, provenance, unknown))


def check_depths(memory: MemorySnapshot, targets: Cameras, frames: Frames, maps: PointMaps) -> None:
    """StepRefused for maps of `refusal_of_touch` or, where the generator does not say itself how
    much of a frame nothing shows, of `refusal_of_view_through`."""
    for target, depth, confidence in zip(targets, maps.depth, maps.confidence, strict=True):
        _refuse(refusal_of_touch(depth, confidence))
        if frames.unknown is None:
            _refuse(refusal_of_view_through(memory, target, depth))


def _refuse(why: str | None) -> None:
    if why is not None:
        raise StepRefused(
            f"the step was not made: {why}. Nothing was stored: turn, or go back towards what is "
            "known"
        )


def refusal_of_pose(
    memory: MemorySnapshot, camera: Camera, starts: F64 | None = None
) -> str | None:
    """Refuses a camera that is nearer to a surface of memory than CLEARANCE, or was walked to
    through one.

    starts: (N, 3) places of which it is reached from one in a straight line, by default those of
    the nearest stored views. Who is too near already may turn and move away, but not come nearer.
    """
    goal = camera.position
    if starts is None:
        starts = _nearest_places(memory, goal)
    too_near = clearance(memory, goal[None], CLEARANCE)[0]
    if not len(starts) and too_near < CLEARANCE:
        return _too_near(too_near)
    if not len(starts) or any(_way_is_clear(memory, start, goal) for start in starts):
        return None
    if too_near < CLEARANCE:
        return _too_near(too_near)
    return "the way to it leads through a surface that memory holds"


def refusal_of_frame(
    rgb: UInt8[np.ndarray, "H W 3"],
    memory: MemorySnapshot,
    drawn: SurfelBuffers,
    context: tuple[View, ...],
    provenance: UInt8[np.ndarray, "H W"] | None = None,
    unknown: float = 0.0,
) -> str | None:
    """Refuses a frame that is mostly unknown, or of one colour where there is reason to doubt it.

    drawn: what its camera sees of ``memory``, at any size · context: the views that it was made
    from · provenance: of its pixels, if the generator says · unknown: share of it that nothing
    shows. A flat frame is believed where it was not invented and is not black, where memory shows
    its colour there, and where memory shows little but the context has the colour, as of a sky.
    """
    if unknown > MOST_UNKNOWN:
        return f"{unknown:.0%} of the frame shows neither memory nor a continuation of the photo"
    few = rgb[::4, ::4].reshape(-1, 3).astype(np.int16)
    colour = np.median(few, axis=0)
    flat = float((np.abs(few - colour).max(axis=-1) <= FLAT_LEVELS).mean())
    if flat < FLAT_SHARE:
        return None
    black = bool((colour <= BLACK).all())
    if provenance is not None and not black and _invented(provenance) < 0.5:
        return None
    if _expected(colour, memory, drawn, context):
        return None
    name = "black" if black else "one flat colour"
    return f"{flat:.0%} of the frame is {name}, which memory does not show there"


def refusal_of_touch(
    depth: Float32[np.ndarray, "H W"], confidence: Float32[np.ndarray, "H W"]
) -> str | None:
    """Refuses a frame that was taken upon a surface, by its own depth and confidence in it."""
    near = float(((confidence > 0) & (depth < CLEARANCE)).mean())
    if near > MOST_TOUCHED:
        return f"{near:.0%} of the frame is nearer than {CLEARANCE} units"
    return None


def refusal_of_view_through(
    memory: MemorySnapshot, camera: Camera, depth: Float32[np.ndarray, "H W"]
) -> str | None:
    """Refuses a frame of ``camera`` that shows what lies behind surfaces of memory, by its own
    depth."""
    scale = min(1.0, LOOK_SIDE / max(camera.hw))
    h, w = (max(1, round(side * scale)) for side in camera.hw)
    small = camera.resized((h, w))
    behind = depth_from_behind(memory, small)
    rows, columns = (
        ((np.arange(n) + 0.5) * size / n).astype(int)
        for n, size in zip(small.hw, camera.hw, strict=True)
    )
    through = float(((behind > 0) & (depth[np.ix_(rows, columns)] > THROUGH * behind)).mean())
    if through > MOST_THROUGH:
        return f"{through:.0%} of the frame shows what lies behind surfaces that memory holds"
    return None


def _nearest_places(memory: MemorySnapshot, goal: F64) -> F64:
    """(N, 3) places of the nearest views, N up to STARTS, all within NEARBY."""
    places = memory.poses[:, :3, 3]
    away = np.linalg.norm(places - goal, axis=1)
    nearest = np.argsort(away, kind="stable")[:STARTS]
    return places[nearest[away[nearest] <= NEARBY]]


def _way_is_clear(memory: MemorySnapshot, start: F64, goal: F64) -> bool:
    """Whether no point of a straight way is too near to a surface and nearer than its start."""
    pieces = max(1, int(np.ceil(np.linalg.norm(goal - start) / (CLEARANCE / 2))))
    share = np.arange(pieces + 1)[:, None] / pieces
    distance = clearance(memory, start + share * (goal - start), CLEARANCE)
    return bool((distance[1:] >= min(CLEARANCE, distance[0]) - 1e-6).all())


def _too_near(distance: float) -> str:
    return f"it is {distance:.3f} units from a surface of memory, nearer than {CLEARANCE}"


def _invented(provenance: U8) -> float:
    return float((provenance == Provenance.EXTRAPOLATED).mean())


def _expected(
    colour: F64, memory: MemorySnapshot, drawn: SurfelBuffers, context: tuple[View, ...]
) -> bool:
    """Whether a frame may well be of one colour."""
    shown = drawn.index[drawn.index >= 0]
    if len(shown) >= KNOWN_SHARE * drawn.index.size:
        off = np.abs(memory.surfels.color[shown] - colour).max(axis=-1)
        return bool((off <= SAME_LEVELS).mean() >= SAME_SHARE)
    few = np.concatenate([view.rgb[::4, ::4].reshape(-1, 3) for view in context])
    return bool((np.abs(few - colour).max(axis=-1) <= 2 * FLAT_LEVELS).mean() >= SEEN_SHARE)
