"""Warnings about a retrieval: what is wrong with the memory, and what to do about it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vmem.cameras import Camera, pose_distance, rotation_angle
from vmem.memory import MemorySnapshot
from vmem.raster import SurfelBuffers
from vmem.raster.visibility import DEPTH_TOLERANCE
from vmem.retrieval.attribution import picture_shares, visible_surfels
from vmem.types import PictureShares, Retrieval, Surfels
from vmem.types.wording import percent

SAMPLE = 4096
"""About how many surfels are tested for being seen from behind: enough to estimate a share."""
FEW = 32
"""Surfels of the sample seen from behind below which they are the far sides of objects."""
OUTNUMBERED = 2.0
"""Ratio of surfels seen from behind to those from in front above which a room is inside out."""
OWNED = 0.95
"""Share of the visible pixels and of the votes from which one view alone is suspicious."""
ALIKE_TURN, ALIKE_WAY = 0.25, 0.25
"""Two views show nearly the same up to this angle in radians and this distance in median depths of
what is visible."""
EMPTY = 0.5
"""Share of the picture unknown to memory above which a target counts as mostly empty."""
SAME_PLACE = 0.05
"""Pose distance below which views are near-duplicates."""
MISSED = 0.1
"""Share of the picture that only other views saw from which near-duplicates are a mistake."""


def warnings(memory: MemorySnapshot, retrieval: Retrieval) -> tuple[str, ...]:
    """Reasons to doubt a retrieval, each in a sentence or two with what to do; usually none.

    ``memory`` may have grown since. Costs a pass over the visible surfels and a sample of all.
    Raises LinkError for a retrieval of another, longer memory.
    """
    shares = picture_shares(memory, retrieval)
    visible = visible_surfels(retrieval)
    flipped = _flipped(memory, retrieval)
    found = [flipped]
    if not len(visible):
        found.append(
            "Nothing stored is visible from here, so no view has a vote. Turn back to where the "
            "walk has been, or go on in smaller moves."
        )
    elif not flipped:  # flipped normals would be the cause of the others
        found += [
            _owned(memory, retrieval, visible),
            _empty(shares),
            _same_place(memory, retrieval, shares),
        ]
    return tuple(warning for warning in found if warning)


def _owned(memory: MemorySnapshot, retrieval: Retrieval, visible: NDArray[np.int32]) -> str:
    """Warn if one view made nearly all that is visible, and no view with the same direction saw it.

    Where a walk begins or returns to, one view usually made what is visible; but others see it too.
    """
    n_views = len(retrieval.votes)
    start, stop, views = memory.seen_by.start, memory.seen_by.stop, memory.seen_by.views
    linked = visible[start[visible] < stop[visible]]
    if n_views < 2 or not len(linked):
        return ""
    pixels = retrieval.surfel_pixels[linked]
    owned = np.bincount(views[start[linked]], pixels, minlength=n_views)[:n_views]
    owner = int(np.argmax(owned))
    share = owned[owner] / max(float(pixels.sum(dtype=np.float64)), 1e-12)
    if share < OWNED or retrieval.share[owner] < OWNED:
        return ""
    depth = np.concatenate([buffers.depth[buffers.index >= 0] for buffers in retrieval.buffers])
    poses = memory.poses[:n_views]
    way = np.linalg.norm(poses[:, :3, 3] - poses[owner, :3, 3], axis=1)
    turn = rotation_angle(poses[:, :3, :3], poses[owner, :3, :3])
    alike = (turn <= ALIKE_TURN) & (way <= ALIKE_WAY * float(np.median(depth)))
    others = int(alike.sum()) - 1
    if not others:
        return ""
    return (
        f"View {owner} alone saw {percent(share)} of what is visible, though {others} more "
        f"{'view looks' if others == 1 else 'views look'} the same way: new views do not find the "
        "old surfels again, so their depth disagrees. Undo to where that began, or choose another "
        "geometry; `python -m vmem doctor` names those that run here."
    )


def _flipped(memory: MemorySnapshot, retrieval: Retrieval) -> str:
    """Warn if many more surfels show the targets their backs than their fronts."""
    n = len(retrieval.surfel_weight)
    sample = memory.surfels[: n : max(1, n // SAMPLE)]
    front, behind = 0, 0
    for target, buffers in zip(retrieval.targets, retrieval.buffers, strict=True):
        sides = _two_sides(sample, target, buffers)
        front, behind = front + sides[0], behind + sides[1]
    if behind < FEW * len(retrieval.buffers) or behind <= OUTNUMBERED * front:
        return ""
    return (
        f"{percent(behind / (behind + front))} of the surfels before the target turn their backs "
        "to it, and backs are not drawn. Either it stands behind a wall (step back into the room) "
        "or normals are flipped: undo the step that made these surfels and choose another geometry."
    )


def _two_sides(surfels: Surfels, target: Camera, buffers: SurfelBuffers) -> tuple[int, int]:
    """How many of ``surfels`` a target sees, and how many more if backs were drawn.

    The latter are those turned away that lie clearly before what is drawn, or where nothing is.
    """
    h, w = buffers.index.shape
    w2c = target.w2c.astype(np.float32)
    local = surfels.position @ w2c[:3, :3].T + w2c[:3, 3]
    K = target.resized((h, w)).K
    depth = np.maximum(local[:, 2], 1e-3)
    column = K[0, 0] * local[:, 0] / depth + K[0, 2]
    row = K[1, 1] * local[:, 1] / depth + K[1, 2]
    inside = (local[:, 2] > 1e-3) & (column >= 0) & (column < w) & (row >= 0) & (row < h)
    to_camera = target.position.astype(np.float32) - surfels.position[inside]
    facing = np.sum(surfels.normal[inside] * to_camera, axis=1) > 0
    depth = depth[inside]
    drawn = buffers.depth[row[inside].astype(int), column[inside].astype(int)]
    seen = facing & (drawn > 0) & (depth <= drawn * (1 + DEPTH_TOLERANCE))
    before = ~facing & ((drawn <= 0) | (depth < drawn * (1 - DEPTH_TOLERANCE)))
    return int(seen.sum()), int(before.sum())


def _empty(shares: PictureShares) -> str:
    """Warn if memory holds nothing for most of the picture."""
    if shares.nothing <= EMPTY:
        return ""
    return (
        f"Memory holds nothing for {percent(shares.nothing)} of the picture, so most of it is "
        "invented. Smaller moves keep more of what is known in view."
    )


def _same_place(memory: MemorySnapshot, retrieval: Retrieval, shares: PictureShares) -> str:
    """Warn if all chosen views are near-duplicates, and others saw what they did not."""
    order = list(retrieval.order)
    if len(order) < 2 or shares.known < MISSED:
        return ""
    poses = memory.poses[order]
    if pose_distance(poses[:, None], poses[None]).max() >= SAME_PLACE:
        return ""
    views = "Both chosen views" if len(order) == 2 else f"All {len(order)} chosen views"
    # K and the radius spread the choice of these two strategies only.
    spreads = retrieval.strategy in ("votes", "coverage")
    cure = ", more views (K) or a larger suppression radius" if spreads else ""
    return (
        f"{views} stand in the same place and show the same, while other views saw "
        f"{percent(shares.known)} of the picture that these did not. Choose the strategy "
        f"`coverage`{cure}, or pin a view from elsewhere."
    )
