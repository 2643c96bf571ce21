"""Views follow the walker: ahead of him, none for who stands still, few on the way back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

import vmem
from tests.support.fakes import HALF, open_box
from viewer.first_person.following import step_targets
from viewer.first_person.reports import pose_of
from viewer.walk.follower import FARTHEST, Follower
from vmem.cameras import Camera
from vmem.session import Session

PHOTO = Path(vmem.__file__).parents[1] / "assets" / "garden_path.jpg"
REPORT = 1 / 15
"""Seconds between two reports of the page."""
STEP = 0.15
"""Seconds that a step takes on the simulated clock."""

Report = tuple[float, float, bool]
"""z, yaw, whether he is moving."""


class Walker:
    """A page and a worker on a simulated clock."""

    def __init__(self, session: Session) -> None:
        self.session, self.follower = session, Follower()
        self.now = self.free_at = 0.0

    def go(self, reports: Iterable[Report], targets: int = 1) -> int:
        """How many steps were made while these were reported."""
        before = len(self.session.memory.steps)
        for z, yaw, moving in reports:
            self.now += REPORT
            pose = pose_of(np.array([0, 0, z]), yaw, 0.0)
            self.follower.hear(pose, moving, self.now)
            if self.now < self.free_at:
                continue
            camera = self.session.camera.moved_to(pose)
            view = self.follower.next_view(self.session.memory, camera, self.now)
            if view is not None:
                self.session.step(step_targets(self.session.memory, view, targets))
                self.free_at = self.now + STEP
                self.follower.took(STEP)
        return len(self.session.memory.steps) - before


def way(speed: float, seconds: float = 5.0) -> list[Report]:
    return [(speed * REPORT * k, 0.0, True) for k in range(1, round(seconds / REPORT) + 1)]


def test_views_are_made_going_out_and_not_standing_or_coming_back():
    """With the preview, in a photo: 5 seconds of each."""
    session = vmem.open(PHOTO, backend="preview", size=96)
    walker, out = Walker(session), way(0.25)
    made = walker.go(out)
    surfels = len(session.memory.surfels)
    assert made >= 8
    assert walker.go([(out[-1][0], 0.0, False)] * 75) == 0
    assert walker.go(out[::-1]) <= made / 20
    assert len(session.memory.surfels) == surfels
    assert session.refused == 0


@pytest.mark.parametrize("targets", [1, 4])
def test_fast_ways_and_turns_back_are_mostly_known(targets):
    walker, out = Walker(open_box()), way(0.5, 3.0)
    turn = [(out[-1][0], 0.8 * REPORT * k, True) for k in range(75)]
    made = walker.go(out, targets), walker.go(turn, targets)
    assert min(made) >= 10
    assert walker.go([*turn[::-1], *out[::-1]], targets) <= sum(made) / 20


def camera_at(session: Session, z: float, yaw: float = 0.0) -> Camera:
    return session.camera.moved_to(pose_of(np.array([0, 0, z]), yaw, 0.0))


def heard(reports: Iterable[Report]) -> Follower:
    follower = Follower()
    for k, (z, yaw, moving) in enumerate(reports):
        follower.hear(pose_of(np.array([0, 0, z]), yaw, 0.0), moving, k * REPORT)
    return follower


def test_a_view_is_made_where_he_will_be_when_it_is_seen():
    session, now = open_box(), 2 * REPORT
    follower = heard([(0.1 + 0.5 * REPORT * k, 0.9 * REPORT * k, True) for k in range(3)])
    follower.latency = 0.3
    here = camera_at(session, 0.1 + REPORT, 1.8 * REPORT)
    view = follower.next_view(session.memory, here, now)
    assert view is not None
    expected = camera_at(session, 0.1 + REPORT + 0.15, 1.8 * REPORT + 0.27)
    np.testing.assert_allclose(view.c2w, expected.c2w, atol=1e-9)
    # Long latencies foretell little, and old reports nothing.
    follower.latency = 30
    view = follower.next_view(session.memory, here, now)
    assert view is not None
    assert np.linalg.norm(view.position - here.position) <= FARTHEST + 1e-9
    view = follower.next_view(session.memory, here, now + 1)
    assert view is not None
    assert (view.c2w == here.c2w).all()


def test_a_wall_ahead_is_not_walked_through():
    session, wall = open_box(), float(HALF[2])
    for z in (1.0, 2.0, 2.7):
        session.step(camera_at(session, z))
    follower = heard([(wall - 0.3 + 0.1 * k, 0.0, True) for k in range(3)])
    here = camera_at(session, wall - 0.1)
    view = follower.next_view(session.memory, here, 2 * REPORT)
    assert view is not None
    assert (view.c2w == here.c2w).all()


def test_where_a_view_was_refused_none_is_asked_again():
    session = open_box()
    follower, here = Follower(), camera_at(session, 0.3)
    assert follower.next_view(session.memory, here, 0.0) is not None
    follower.refuse(here.c2w)
    assert follower.next_view(session.memory, here, 0.0) is None
    assert follower.next_view(session.memory, camera_at(session, 0.5), 0.0) is not None


def test_latency_follows_what_views_took():
    follower = Follower()
    for _ in range(20):
        follower.took(0.7)
    assert follower.latency == pytest.approx(0.7, abs=0.01)
