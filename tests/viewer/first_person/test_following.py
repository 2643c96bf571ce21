"""Where a new view adds something, and where a walker will be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import BoxGeometry, box_backend, open_box
from viewer.first_person import following
from viewer.first_person.following import MOVED, TURNED, adds_something, ahead, step_targets
from viewer.first_person.reports import pose_of
from vmem.cameras import Camera
from vmem.memory import MemorySnapshot

ORIGIN = np.zeros(3)


@pytest.fixture(scope="module")
def photo() -> MemorySnapshot:
    """The box as its photo shows it, from the origin."""
    return open_box().memory


def placed(memory: MemorySnapshot, position: object, yaw: float = 0.0) -> Camera:
    return memory.views[0].camera.moved_to(pose_of(np.asarray(position, float), yaw, 0.0))


@given(st.floats(0, 2), st.floats(-2, 2), st.floats(0, 2 * np.pi))
def test_a_view_adds_something_beyond_a_step_or_a_turn(photo, moved, turned, way):
    """Close by, memory covers nearly all, so that place and look alone decide."""
    position = MOVED * moved * np.array([np.cos(way), 0, np.sin(way)])
    beyond = np.hypot(moved, turned)
    if abs(beyond - 1) > 1e-6:
        camera = placed(photo, position, TURNED * turned)
        assert adds_something(photo, camera) == (beyond > 1)


def test_what_is_uncovered_is_looked_at_earlier_but_not_where_a_view_is(photo, monkeypatch):
    fraction = following.uncovered(photo, placed(photo, ORIGIN, np.radians(27)))
    assert 0.4 < fraction < 0.6  # half of a picture 54 degrees wide
    assert following.uncovered(photo, placed(photo, ORIGIN)) < 0.02
    monkeypatch.setattr(following, "uncovered", lambda memory, camera: 1.0)
    assert adds_something(photo, placed(photo, (0.5 * MOVED, 0, 0)))
    assert not adds_something(photo, placed(photo, (0.3 * MOVED, 0, 0)))


def test_the_sky_that_a_near_view_saw_is_not_uncovered():
    class Roofless(BoxGeometry):
        """Knows nothing above the horizon."""

        def estimate(self, frames, cameras, memory, **listening):
            maps = super().estimate(frames, cameras, memory, **listening)
            maps.confidence[:, : cameras.hw[0] // 2] = 0
            return maps

    memory = open_box(backend=replace(box_backend(), geometry=Roofless())).memory
    assert following.uncovered(memory, placed(memory, (0.05, 0, 0))) < 0.02
    # To the side, the part that the photo has not seen counts, sky or not.
    assert 0.4 < following.uncovered(memory, placed(memory, ORIGIN, np.radians(27))) < 0.6


@pytest.mark.parametrize("n", [1, 2, 4])
def test_the_targets_of_a_step_lead_from_the_nearest_view(photo, n):
    camera = placed(photo, (0.4, 0, 0.2), 0.3)
    targets = step_targets(photo, camera, n)
    assert len(targets) == n
    share = (np.arange(n) + 1)[:, None] / n
    np.testing.assert_allclose(targets.c2w[:, :3, 3], share * camera.position, atol=1e-9)
    np.testing.assert_allclose(targets.c2w[-1], camera.c2w, atol=1e-9)


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(-3, 3), st.floats(0, 1))
def test_ahead_is_where_small_steps_lead(x, z, rate, seconds):
    start, velocity = pose_of(np.array([1.0, 2, 3]), 0.4, 0.2), np.array([x, 0.1, z])
    slow = start
    for _ in range(10):
        slow = ahead(slow, velocity, rate, seconds / 10)
    there = pose_of(start[:3, 3] + velocity * seconds, 0.4 + rate * seconds, 0.2)
    np.testing.assert_allclose(ahead(start, velocity, rate, seconds), there, atol=1e-9)
    np.testing.assert_allclose(slow, there, atol=1e-9)
