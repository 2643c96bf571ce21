"""The strategy ``reference``: what the published code would choose from our memory.

It looks from the last target only, with its own field of view and image size; whoever saw a visible
surfel may be chosen; nearness of pose ranks; suppression spreads, with the threshold that the first
five views set. The navigator's calls without suppression are not imitated: they depend on the
command, not on the cameras.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vmem.cameras import Cameras, to_opengl
from vmem.memory import MemorySnapshot
from vmem.published.context import (
    initial_threshold,
    query_camera,
    rank_by_pose,
    spread,
)
from vmem.published.poses import geodesic_distance
from vmem.published.render_fast import render_polygons
from vmem.published.surfels import Disks, PublishedConfig
from vmem.published.votes import gather_votes
from vmem.retrieval.evidence import (
    NOTHING_VISIBLE,
    Evidence,
    Selection,
    top,
    with_pins_and_bans,
)
from vmem.types import Reason, ReasonKind


def published_selection(
    memory: MemorySnapshot, targets: Cameras, k: int = 4, config: PublishedConfig | None = None
) -> Selection:
    """Choose at most ``k`` views of ``memory`` for ``targets``, the last of which decides.

    Where the published code fails (nothing visible), the nearest poses are chosen and the note says
    so. ``memory`` must hold a view, ``k`` be at least 1.
    """
    config = config or PublishedConfig(context_num_frames=k)
    weight = config.translation_distance_weight
    c2w = np.stack([to_opengl(view.camera.c2w) for view in memory.views]).astype(np.float32)
    last = to_opengl(targets.c2w[-1])
    distance = np.asarray(geodesic_distance(last, c2w, weight))
    nearest = np.argsort(distance, kind="stable").tolist()
    if len(c2w) == 1:
        return Selection((0,), (0,), (Reason(ReasonKind.CHOSEN_ONLY),))

    query = query_camera(to_opengl(targets.c2w), _focals(memory, config), config)
    surfels = memory.surfels
    # Published normals point away from the camera that made the surfel, ours towards it.
    disks = Disks(surfels.position, -surfels.normal, surfels.radius)
    buffers = render_polygons(disks, query)
    seen = np.unique(buffers.index[buffers.index >= 0])
    votes = gather_votes(buffers, _views_of(seen, memory), config.context_num_frames)
    candidates = votes.candidates
    if not candidates:
        order, note = tuple(nearest[:k]), NOTHING_VISIBLE
    else:
        threshold = initial_threshold(c2w[: config.target_num_frames + 1], weight)
        ranked = rank_by_pose(candidates, last, c2w, weight)
        order = spread(ranked, c2w, min(k, len(candidates)), threshold, True, weight)
        note = ""

    reasons = [Reason(ReasonKind.NO_VISIBLE_SURFEL)] * len(c2w)
    for view in votes.timestep:
        reasons[view] = Reason(ReasonKind.SAW_TOO_LITTLE)
    for view in candidates:
        reasons[view] = Reason(ReasonKind.CANDIDATE, distance=float(distance[view]))
    for view in order:
        reasons[view] = (
            Reason(ReasonKind.CHOSEN_AWAY, distance=float(distance[view]))
            if candidates
            else Reason(ReasonKind.CHOSEN_NEAREST)
        )
    rest = [view for view in nearest if view not in order]
    return Selection(order, (*order, *rest), tuple(reasons), note)


def _focals(memory: MemorySnapshot, config: PublishedConfig) -> NDArray[np.float64]:
    """Focal lengths at the query's width, those of early views once for every step since."""
    focal = np.array([v.camera.K[0, 0] * config.width / v.camera.hw[1] for v in memory.views])
    return np.concatenate([focal[: end.n_views] for end in memory.steps])


def _views_of(surfels: NDArray[np.int32], memory: MemorySnapshot) -> dict[int, list[int]]:
    """The views linked to each of the given surfels (ascending), as linked."""
    views: dict[int, list[int]] = {surfel: [] for surfel in surfels.tolist()}
    wanted = np.zeros(len(memory.surfels), bool)
    wanted[surfels] = True
    linked = wanted[memory.link_surfel]
    pairs = zip(memory.link_surfel[linked].tolist(), memory.link_view[linked].tolist(), strict=True)
    for surfel, view in pairs:
        views[surfel].append(view)
    return views


def reference(evidence: Evidence, k: int) -> Selection:
    """Choose what the published code effectively chooses; pins and bans are obeyed on top."""
    if evidence.memory is None:
        raise ValueError("the reference strategy draws the memory itself: evidence.memory is None")
    memory = evidence.memory
    if evidence.banned:
        kept = ~np.isin(memory.link_view, list(evidence.banned))
        memory = replace(
            memory, link_surfel=memory.link_surfel[kept], link_view=memory.link_view[kept]
        )
    found = published_selection(memory, evidence.targets, k)
    if not (evidence.pinned or evidence.banned):
        return found
    order = top(evidence, found.ranking, k, Reason(ReasonKind.CHOSEN)).order
    if not found.note:
        # Where it takes fewer than K, it leaves the rest out for a reason.
        order = tuple(v for v in order if v in evidence.pinned or v in found.order)
    ranking = (*order, *(view for view in found.ranking if view not in order))
    return Selection(order, ranking, with_pins_and_bans(evidence, found.reasons, order), found.note)
