"""Where a walker stands who clicks the map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import HALF
from viewer.first_person.standing import CLEARANCE, is_free, stand_near
from vmem.memory import MemorySnapshot

coordinates = st.floats(-4, 4, allow_nan=False)


@given(coordinates, coordinates, st.floats(-np.pi, np.pi))
def test_a_walker_stands_there_or_at_the_nearest_view(
    walk: MemorySnapshot, x: float, z: float, yaw: float
) -> None:
    c2w = np.eye(4)
    c, s = np.cos(yaw), np.sin(yaw)
    c2w[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    c2w[1, 3] = 0.1
    got = stand_near(walk, c2w, np.array([x, z]))
    if np.array_equal(got[:3, 3], [x, 0.1, z]):
        np.testing.assert_array_equal(got[:3, :3], c2w[:3, :3])
        # In the box, and clear of its walls.
        assert (np.abs(got[:3, 3]) < HALF).all()
        away = np.linalg.norm(walk.surfels.position - got[:3, 3].astype(np.float32), axis=1)
        assert away.min() >= CLEARANCE - 1e-6
    else:
        distances = [np.hypot(*(view.camera.position[[0, 2]] - (x, z))) for view in walk.views]
        np.testing.assert_array_equal(got, walk.views[int(np.argmin(distances))].camera.c2w)


def test_what_the_photo_saw_through_is_free_and_what_it_did_not_see_is_not(
    walk: MemorySnapshot,
) -> None:
    photo = walk.at_step(0)
    assert is_free(photo, np.array([0.0, 0.0, 1.0]))
    assert not is_free(photo, np.array([0.0, 0.0, -1.0]))  # behind it
    assert not is_free(photo, np.array([0.0, 0.0, 5.0]))  # behind the wall


def test_a_memory_without_views_is_refused() -> None:
    with pytest.raises(ValueError, match="open a walk first"):
        stand_near(MemorySnapshot.empty(), np.eye(4), np.zeros(2))
