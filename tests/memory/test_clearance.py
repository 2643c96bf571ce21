"""Distances to disks against a slow formula, and surfaces seen from behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vmem.cameras import Camera, default_K, rotation_y
from vmem.memory import MemorySnapshot
from vmem.memory.clearance import clearance, depth_from_behind
from vmem.types import Surfels

HW = (16, 16)


def memory_of(seed: int, n: int) -> MemorySnapshot:
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(n, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    disks = Surfels(
        rng.uniform(-1, 1, (n, 3)).astype(np.float32),
        normal.astype(np.float32),
        rng.uniform(0, 0.3, n).astype(np.float32),
        np.zeros((n, 3), np.uint8),
    )
    return replace(MemorySnapshot.empty(), surfels=disks)


def slow_clearance(disks: Surfels, point: np.ndarray, reach: float) -> float:
    """The least distance to many points of every disk's plane, and to its rim."""
    nearest = reach
    for centre, normal, radius in zip(disks.position, disks.normal, disks.radius, strict=True):
        away = point - centre
        foot = away - (away @ normal) * normal
        size = np.linalg.norm(foot)
        on_disk = centre + foot * min(1, radius / max(size, 1e-12))
        nearest = min(nearest, float(np.linalg.norm(point - on_disk)))
    return nearest


@settings(max_examples=8)
@given(st.integers(0, 1000), st.integers(1, 600), st.sampled_from([0.02, 0.3, 5.0]))
def test_clearance_is_the_distance_to_the_nearest_disk(seed, n, reach):
    memory = memory_of(seed, n)
    points = np.random.default_rng(seed).uniform(-1.2, 1.2, (3, 3))
    slow = [slow_clearance(memory.surfels, point, reach) for point in points]
    np.testing.assert_allclose(clearance(memory, points, reach), slow, atol=1e-5)


def test_nothing_is_near_where_memory_is_empty():
    assert clearance(MemorySnapshot.empty(), np.zeros((2, 3)), 0.5).tolist() == [0.5, 0.5]


def test_a_wall_is_seen_from_behind_where_it_was_seen_from_the_front(walk):
    """The photo stands at the origin and sees the wall at z = 3."""
    c2w = np.eye(4)
    c2w[:3, 3] = (0, 0, 4)
    c2w[:3, :3] = rotation_y(np.pi)
    outside = Camera(c2w, default_K(HW), HW)
    np.testing.assert_allclose(depth_from_behind(walk, outside), 1, atol=0.02)
    photo = walk.views[0].camera.resized(HW)
    assert (depth_from_behind(walk, photo) == 0).all()
