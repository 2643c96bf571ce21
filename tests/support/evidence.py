"""Made-up evidence for tests of strategies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from vmem.cameras import Camera, Cameras, default_K, pose_distance, rotation_y
from vmem.memory import LinkIndex
from vmem.retrieval import STRATEGIES, Evidence, Selection, SelectionConfig

CONFIG = SelectionConfig()


def made_up(seed: int, n_views: int, n_surfels: int, visible: float) -> Evidence:
    """Random links, of which about a share ``visible`` of the surfels shows in the query.

    Together they cover a power of two of pixels: shares of them add up exactly, in any order, so
    that ties are ties for strategies and oracles alike.
    """
    rng = np.random.default_rng(seed)
    shows = rng.random(n_surfels) < visible
    pixels = rng.integers(1, 40, n_surfels) * shows
    if shows.any():
        lacks = 2 ** int(pixels.sum() - 1).bit_length() - pixels.sum()
        pixels += rng.multinomial(lacks, shows / shows.sum())
    weight = pixels * rng.uniform(0.1, 1, n_surfels)
    saw = rng.random((n_surfels, n_views)) < rng.uniform(0.05, 0.6, n_views)
    saw &= (pixels > 0)[:, None]
    surfel, view = (part.astype(np.int32) for part in np.nonzero(saw))
    poses = np.tile(np.eye(4), (n_views, 1, 1))
    for pose in poses:
        # Coarse steps, so that some views nearly coincide.
        pose[:3, :3] = rotation_y(0.04 * rng.integers(0, 6))
        pose[:3, 3] = 0.1 * rng.integers(0, 3, 3)
    return Evidence(
        votes=np.bincount(view, weight[surfel], n_views).astype(np.float32),
        coverage=np.bincount(view, pixels[surfel], n_views) / max(1, pixels.sum()),
        distance=pose_distance(poses, np.eye(4)),
        poses=poses,
        visible=np.flatnonzero(pixels).astype(np.int32),
        pixels=pixels.astype(np.float32),
        seen_by=LinkIndex.of(n_surfels, n_views, surfel, view),
        K_normalized=np.tile(default_K((1, 1)), (n_views, 1, 1)),
        targets=Cameras.stack([Camera(np.eye(4), default_K((8, 8)), (8, 8))]),
    )


evidences = st.builds(
    made_up,
    st.integers(0, 2**31),
    st.integers(1, 14),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.2, 0.9]),
)
counts = st.integers(1, 16)


def views_of(evidence: Evidence, surfel: int) -> list[int]:
    """The views that saw a surfel."""
    start = evidence.seen_by.start
    return evidence.seen_by.views[start[surfel] : start[surfel + 1]].tolist()


def gap(evidence: Evidence, a: int, b: int) -> float:
    return float(pose_distance(evidence.poses[a], evidence.poses[b]))


def voted(votes: tuple[float, ...], x: tuple[float, ...]) -> Evidence:
    """Views that stand in a row at ``x`` with these votes."""
    poses = np.tile(np.eye(4), (len(x), 1, 1))
    poses[:, 0, 3] = x
    return replace(made_up(0, len(x), 4, 0.9), votes=np.array(votes, np.float32), poses=poses)


def selected(name: str, evidence: Evidence, k: int) -> Selection:
    """What a strategy of STRATEGIES chooses, as a whole Selection."""
    found = STRATEGIES[name](evidence, k)
    assert isinstance(found, Selection)
    return found
