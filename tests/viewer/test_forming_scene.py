"""Billboards of frames that form: where they stand, and that nothing of them stays."""

from __future__ import annotations

import numpy as np
import viser
from numpy.testing import assert_array_equal

from tests.support.standins import assert_same, others, pictures
from viewer.paint.resize import thumbnail
from viewer.scene.billboards import PIXELS
from viewer.scene.scene import SceneView
from vmem.memory import MemorySnapshot

FRAMES = np.random.default_rng(1).integers(0, 255, (4, 12, 12, 3), np.uint8)


def test_forming_frames_stand_where_the_true_ones_will(
    view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    view.show_memory(walk.at_step(3), None)
    before = pictures(server)
    around = others(server)
    after = walk.at_step(4)
    view.show_forming(after.views[-1].camera, FRAMES)
    forming = pictures(server)
    assert list(forming) == ["/billboards/frame"], "no heat map yet"
    assert_array_equal(forming["/billboards/frame"][0], thumbnail(FRAMES[-1], PIXELS))
    assert others(server) == around
    assert any((forming[name][1] != before[name][1]).any() for name in forming)
    view.end_forming()
    view.show_memory(after, None)
    true = pictures(server)
    assert len(true) == 2
    for name, (_, position, wxyz) in forming.items():
        assert_array_equal(true[name][1], position)
        assert_array_equal(true[name][2], wxyz)


def test_when_nothing_comes_of_them_the_earlier_billboards_are_back(
    view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    view.show_memory(walk.at_step(3), None)
    before = pictures(server)
    view.show_forming(walk.at_step(4).views[-1].camera, FRAMES)
    view.end_forming()
    view.show_billboards()
    assert_same(pictures(server), before)


def test_the_first_step_has_forming_frames_and_then_none(
    view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    view.show_memory(walk.at_step(0), None)
    view.show_forming(walk.views[4].camera, FRAMES)
    assert len(pictures(server)) == 1
    view.end_forming()
    view.show_billboards()
    assert not pictures(server)


def test_an_eye_at_a_camera_sees_no_forming_frames(
    view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    view.show_memory(walk.at_step(3), None)
    view.immerse(True)
    view.show_forming(walk.at_step(4).views[-1].camera, FRAMES)
    assert not pictures(server)
    view.immerse(False)
    assert len(pictures(server)) == 1, "stepping back shows them"
    view.options.billboards = False
    view.show_options()
    assert not pictures(server)
