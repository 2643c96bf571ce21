"""Choosing context views, as published: votes decide who may, nearness of pose who does.

Differs from ours (vmem.retrieval.strategies): pose distances are float32, in which a pose may
differ from itself, and from the last target only. The suppression radius is set when memory holds
five frames, shrinks by 1.2 until enough views are found, and is not used after a ``w`` or ``s``.
Of near-duplicates the nearest is chosen; ours takes the oldest, which was resampled least.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from vmem.published.poses import average_pose, flip, geodesic_distance
from vmem.published.render import QueryCamera
from vmem.published.surfels import PublishedConfig

SMALLEST_THRESHOLD = 1e-5
SHRINK = 1.2


def query_camera(
    targets: Float[np.ndarray, "T 4 4"], focals: ArrayLike, config: PublishedConfig
) -> QueryCamera:
    """The camera that looks for all targets: the mean of the last quarter of a context's
    worth of them (one), 512x288, with 0.65 of the mean of all focals ever stored."""
    used = max(1, -(-config.context_num_frames // 4))
    focal = float(np.float32(config.focal_scale) * np.mean(np.asarray(focals, np.float32)))
    return QueryCamera(
        flip(average_pose(targets[-used:])),
        focal,
        focal,
        config.width / 2,
        config.height / 2,
        config.width,
        config.height,
    )


def initial_threshold(c2w: Float[np.ndarray, "V 4 4"], translation_weight: float = 0.1) -> float:
    """Median-like distance between the poses, V > 1: of P sorted pairs, number P // 2."""
    first, second = np.triu_indices(len(c2w), 1)
    distance = np.sort(geodesic_distance(c2w[first], c2w[second], translation_weight))
    return float(distance[int(0.5 * len(distance))])


def rank_by_pose(
    candidates: Sequence[int],
    query: Float[np.ndarray, "4 4"],
    c2w: Float[np.ndarray, "V 4 4"],
    translation_weight: float,
) -> list[int]:
    """Candidates by distance of their pose from ``query``, ties as they come."""
    distance = geodesic_distance(query, c2w[list(candidates)], translation_weight)
    return [candidates[i] for i in np.argsort(distance, kind="stable")]


def spread(
    ranked: Sequence[int],
    c2w: Float[np.ndarray, "V 4 4"],
    most: int,
    threshold: float,
    nms: bool,
    translation_weight: float,
) -> tuple[int, ...]:
    """At most ``most`` of the ranked frames, the first of them first.

    With suppression: those at least ``threshold`` from every one chosen, the threshold shrinking
    until there are enough. Without: the newest frame too, even if it repeats. Then simply the next.
    """
    chosen = [ranked[0]]
    if nms:
        while len(chosen) < most and threshold >= SMALLEST_THRESHOLD:
            for frame in ranked[1:]:
                if len(chosen) >= most:
                    break
                gaps = geodesic_distance(c2w[frame], c2w[chosen], translation_weight)
                if (gaps >= threshold).all():
                    chosen.append(frame)
            threshold /= SHRINK
    else:
        chosen.append(len(c2w) - 1)
    for frame in ranked:
        if len(chosen) >= most:
            break
        if frame not in chosen:
            chosen.append(frame)
    return tuple(chosen)
