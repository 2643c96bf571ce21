"""The browser's camera keeps its place behind the ghost, however late the page's reports."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import viser
from hypothesis import given
from hypothesis import strategies as st

from tests.support.standins import FakeCamera
from viewer.scene.camera_rig import BEHIND, CameraRig
from vmem.cameras import MOVES, Camera, apply_move, default_K, invert_pose


class Handle:
    """A client's handle with a camera that says whatever it was last given."""

    def __init__(self) -> None:
        self.camera = FakeCamera()

    def atomic(self) -> Any:
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def ghost_at(c2w: np.ndarray) -> Camera:
    return Camera(c2w, default_K((8, 8)), (8, 8))


def in_frame_of(ghost: Camera, point: np.ndarray) -> np.ndarray:
    to_ghost = invert_pose(ghost.c2w)
    return to_ghost[:3, :3] @ point + to_ghost[:3, 3]


@given(st.lists(st.tuples(st.sampled_from("wasdqe"), st.integers(0, 6)), min_size=1, max_size=20))
def test_late_reports_lose_no_move(moves: list[tuple[str, int]]) -> None:
    """After each move the page may say where the camera was some moves ago."""
    handle, ghost = Handle(), ghost_at(np.eye(4))
    rig = CameraRig(cast(viser.ClientHandle, handle), lambda pose: None)
    rig.view_from("behind", ghost)
    said = [(handle.camera.position, handle.camera.look_at)]
    for word, late in moves:
        after = ghost_at(apply_move(ghost.c2w, MOVES[word]))
        rig.follow(ghost, after)
        ghost = after
        np.testing.assert_allclose(in_frame_of(ghost, handle.camera.position), BEHIND, atol=1e-6)
        said.append((handle.camera.position, handle.camera.look_at))
        handle.camera.position, handle.camera.look_at = said[max(0, len(said) - 1 - late)]


def test_where_the_user_dragged_the_camera_is_kept() -> None:
    handle, ghost = Handle(), ghost_at(np.eye(4))
    rig = CameraRig(cast(viser.ClientHandle, handle), lambda pose: None)
    rig.view_from("behind", ghost)
    dragged = np.array([0.3, -0.6, -0.4])
    handle.camera.position = dragged
    for word in "wd":
        after = ghost_at(apply_move(ghost.c2w, MOVES[word]))
        rig.follow(ghost, after)
        ghost = after
        assert in_frame_of(ghost, handle.camera.position) == pytest.approx(dragged)
        handle.camera.position = dragged  # reported late
