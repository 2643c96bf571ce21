"""Strategies of the paper's comparison, and what the published code does: what others do without
votes or coverage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vmem.retrieval.evidence import Evidence, Selection, SelectionConfig, nearest, top, with_wishes
from vmem.retrieval.strategies.frustum import frustum_overlap


def temporal(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """The K newest views."""
    return top(evidence, reversed(range(len(evidence))), k, "chosen: newest")


def pose(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """The K views nearest in pose."""
    return top(evidence, nearest(evidence), k, "chosen: nearest pose")


def fov(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """The K views whose frustums hold most of the targets' frustums; of equals the nearest."""
    overlap = frustum_overlap(
        evidence.poses, evidence.K_normalized, evidence.targets, evidence.target_depth
    )
    found = top(evidence, np.lexsort((evidence.distance, -overlap)).tolist(), k, "chosen")
    reasons = list(found.reasons)
    for view, share in enumerate(overlap):
        if reasons[view] == "chosen":
            reasons[view] = f"chosen: its frustum holds {100 * share:.0f} % of the target's"
        elif reasons[view] == "beyond K" and share == 0:
            reasons[view] = "its frustum misses the target's"
    return Selection(found.order, found.ranking, tuple(reasons))


def reference(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """What the published code effectively does; see vmem.retrieval.strategies.published."""
    from vmem.retrieval.strategies.published import reference_selection

    if evidence.memory is None:
        raise ValueError("the reference strategy draws the memory itself: evidence.memory is None")
    memory = evidence.memory
    if evidence.banned:
        kept = ~np.isin(memory.link_view, list(evidence.banned))
        memory = replace(
            memory, link_surfel=memory.link_surfel[kept], link_view=memory.link_view[kept]
        )
    found = reference_selection(memory, evidence.targets, k)
    if not (evidence.pinned or evidence.banned):
        return found
    order = top(evidence, found.ranking, k, "").order
    if not found.note:
        # Where it takes fewer than K, it leaves the rest out for a reason.
        order = tuple(v for v in order if v in evidence.pinned or v in found.order)
    ranking = (*order, *(view for view in found.ranking if view not in order))
    return Selection(order, ranking, with_wishes(evidence, found.reasons, order), found.note)
