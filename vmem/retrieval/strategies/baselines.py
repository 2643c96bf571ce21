"""Strategies of the paper's comparison, and what the published code does: what others do without
votes or coverage."""

from __future__ import annotations

import numpy as np

from vmem.retrieval.evidence import Evidence, Selection, SelectionConfig, nearest, top
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
