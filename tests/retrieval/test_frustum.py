"""``fov`` against loops over frustum samples, and by example."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.support.evidence import made_up, selected
from vmem.cameras import Camera, Cameras, default_K, pose_distance, rotation_x, rotation_y
from vmem.retrieval import Evidence, retrieve
from vmem.retrieval.strategies.frustum import (
    FRUSTUM_DEPTHS,
    FRUSTUM_END,
    FRUSTUM_GRID,
    frustum_overlap,
)


def seeing(poses: list[np.ndarray], targets: list[np.ndarray], depth: float = 1.0) -> Evidence:
    """Views and targets of one lens; only ``fov`` and ``pose`` can use this evidence."""
    hw = (48, 64)
    K = np.tile(default_K(hw), (len(targets), 1, 1))
    evidence = made_up(0, len(poses), 4, 0.9)
    stacked = np.stack(poses)
    return replace(
        evidence,
        poses=stacked,
        distance=pose_distance(stacked[:, None], np.stack(targets)[None]).min(axis=1),
        K_normalized=np.tile(Camera(targets[0], K[0], hw).resized((1, 1)).K, (len(poses), 1, 1)),
        targets=Cameras(np.stack(targets), K, hw),
        target_depth=depth,
    )


def overlap_of(e: Evidence) -> np.ndarray:
    return frustum_overlap(e.poses, e.K_normalized, e.targets, e.target_depth)


def pose_at(turn: float = 0.0, x: float = 0.0, z: float = 0.0, pitch: float = 0.0) -> np.ndarray:
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_y(turn) @ rotation_x(pitch)
    c2w[:3, 3] = x, 0, z
    return c2w


angles = st.floats(-3.1, 3.1)
places = st.floats(-1e3, 1e3)


@given(angles, places, places, st.floats(-1.2, 1.2), st.floats(0.05, 50))
def test_a_frustum_holds_itself_and_nothing_of_its_opposite(turn, x, z, pitch, depth):
    here, behind = pose_at(turn, x, z, pitch), pose_at(turn, x, z, pitch)
    behind[:3, :3] = behind[:3, :3] @ rotation_y(np.pi)
    evidence = seeing([here, behind], [here], depth)
    np.testing.assert_array_equal(overlap_of(evidence), [1, 0])
    assert selected("fov", evidence, 2).order == (0, 1)


@given(st.lists(st.tuples(angles, st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=6))
def test_frustum_overlap_equals_a_loop_over_samples(where):
    poses = [pose_at(*one) for one in where]
    evidence = seeing(poses, [pose_at(), pose_at(0.5, 0.3)], 1.3)
    inside = np.zeros(len(poses))
    h, w = evidence.targets.hw
    n = 0
    for target in evidence.targets:
        for row, column, depth in np.ndindex(FRUSTUM_GRID, FRUSTUM_GRID, len(FRUSTUM_DEPTHS)):
            x = (column + 0.5) * w / FRUSTUM_GRID - target.K[0, 2]
            y = (row + 0.5) * h / FRUSTUM_GRID - target.K[1, 2]
            z = FRUSTUM_DEPTHS[depth] * 1.3
            ray = np.array([x / target.K[0, 0], y / target.K[1, 1], 1])
            point = target.c2w[:3, :3] @ (z * ray) + target.position
            n += 1
            for view, c2w in enumerate(poses):
                p = target.K @ (np.linalg.inv(c2w) @ [*point, 1])[:3]
                if 0 < p[2] <= FRUSTUM_END * 1.3:
                    inside[view] += 0 <= p[0] / p[2] <= w and 0 <= p[1] / p[2] <= h
    np.testing.assert_allclose(overlap_of(evidence), inside / n, atol=2 / n)


def test_fov_reasons_by_example():
    """One view of half the target, the target's own pose, and one that looks away."""
    selection = selected(
        "fov", seeing([pose_at(0.5), pose_at(), pose_at(np.pi), pose_at(0.1)], [pose_at()]), 2
    )
    assert selection.order == (1, 3)
    assert selection.ranking == (1, 3, 0, 2)
    assert str(selection.reasons[1]) == "chosen: its frustum holds 100 % of the target's"
    assert str(selection.reasons[0]) == "beyond K"
    assert str(selection.reasons[2]) == "its frustum misses the target's"


def test_fov_of_equals_takes_the_nearest():
    """So far off to the side nobody sees anything; the nearer still comes first."""
    evidence = seeing([pose_at(x=90), pose_at(x=40), pose_at(x=60)], [pose_at()])
    assert selected("fov", evidence, 3).order == (1, 2, 0)


def test_retrieve_gives_fov_its_frustums(walk):
    for view in (0, 7, 20):
        found = retrieve(walk, Cameras.stack([walk.views[view].camera]), 3, "fov")
        same = pose_distance(walk.views[found.order[0]].camera.c2w, walk.views[view].camera.c2w)
        assert same < 1e-3
        assert (
            str(found.reasons[found.order[0]]) == "chosen: its frustum holds 100 % of the target's"
        )
