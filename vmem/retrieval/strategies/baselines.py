"""Strategies of the paper's comparison, and what the published code does: what others do without
votes or coverage."""

from __future__ import annotations

import numpy as np

from vmem.retrieval.evidence import Evidence, Selection, nearest, top
from vmem.retrieval.strategies.frustum import frustum_overlap
from vmem.types import Reason, ReasonKind


def temporal(evidence: Evidence, k: int) -> Selection:
    """The K newest views."""
    return top(evidence, reversed(range(len(evidence))), k, Reason(ReasonKind.CHOSEN_NEWEST))


def pose(evidence: Evidence, k: int) -> Selection:
    """The K views nearest in pose."""
    return top(evidence, nearest(evidence), k, Reason(ReasonKind.CHOSEN_NEAREST))


def fov(evidence: Evidence, k: int) -> Selection:
    """The K views whose frustums hold most of the targets' frustums; of equals the nearest."""
    overlap = frustum_overlap(
        evidence.poses, evidence.K_normalized, evidence.targets, evidence.target_depth
    )
    found = top(
        evidence, np.lexsort((evidence.distance, -overlap)).tolist(), k, Reason(ReasonKind.CHOSEN)
    )
    reasons = list(found.reasons)
    for view, share in enumerate(overlap):
        if reasons[view].kind is ReasonKind.CHOSEN:
            reasons[view] = Reason(ReasonKind.CHOSEN_FRUSTUM, share=float(share))
        elif reasons[view].kind is ReasonKind.BEYOND_K and share == 0:
            reasons[view] = Reason(ReasonKind.FRUSTUM_MISSES)
    return Selection(found.order, found.ranking, tuple(reasons))
