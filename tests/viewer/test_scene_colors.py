"""Colours of surfels and frustums, rays, ghost and path: only what changes is sent."""

from __future__ import annotations

import numpy as np
import pytest
import viser
import viser.transforms as vtf
from numpy.testing import assert_array_equal

from tests.support.standins import (
    Recorder,
    chunks,
    clouds,
    frustum_news,
    frustums,
    nodes,
    sent,
    shown,
    updates,
)
from viewer.paint.palette import AMBER, DARK, FAINT, QUIET
from viewer.paint.surfel_colors import LIVE_MODES, MODES, paint_surfels
from viewer.scene.scene import SceneView
from viewer.settings import Heat
from vmem.cameras import MOVES, Cameras, apply_move
from vmem.memory import MemorySnapshot
from vmem.retrieval import retrieve
from vmem.types import Retrieval


def asked(memory: MemorySnapshot, view: int) -> Retrieval:
    return retrieve(memory, Cameras.stack([memory.views[view].camera]))


def test_a_recolouring_sends_colours_of_changed_chunks_and_no_geometry(
    view: SceneView, server: viser.ViserServer, recorder: Recorder, walk: MemorySnapshot
) -> None:
    view.show_memory(walk, None)
    view.options.heat = "weight"
    retrieval = asked(walk, 0)
    with recorder.listening() as heard:
        view.show_heat(retrieval)
    assert clouds(heard) == []
    assert {name for _, name in updates(heard, "/surfels/")} == {"colors"}
    assert {type(message).__name__ for message in heard} == {"SceneNodeUpdateMessage"}
    assert_array_equal(shown(server)[1], paint_surfels("weight", walk, retrieval).color)
    with recorder.listening() as heard:
        view.show_heat(retrieval)
    assert heard == []


def test_of_a_recoloured_memory_only_the_chunks_that_differ_are_sent(
    view: SceneView, server: viser.ViserServer, recorder: Recorder, walk: MemorySnapshot
) -> None:
    view.options.heat = "weight"
    here, there = asked(walk, 0), asked(walk, 20)
    view.show_memory(walk, here)
    view.show_heat(here)
    with recorder.listening() as heard:
        view.show_heat(there)
    before = paint_surfels("weight", walk, here).color
    after = paint_surfels("weight", walk, there).color
    ends = np.cumsum([len(points) for points, _ in chunks(server).values()])
    rows = np.flatnonzero((before != after).any(axis=1))
    changed = set(np.searchsorted(ends, rows, side="right").tolist())
    assert {name for name, _ in updates(heard, "/surfels/")} == {
        f"/surfels/{i:04d}" for i in changed
    }


@pytest.mark.parametrize("mode", list(MODES))
def test_after_a_step_and_its_retrieval_every_surfel_has_the_colour_of_the_mode(
    mode: Heat, view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    view.options.heat = mode
    retrieval = None
    for step in (0, 3, 5, 2, 6):
        memory = walk.at_step(step)
        view.show_memory(memory, retrieval)
        if mode in LIVE_MODES:
            retrieval = asked(memory, 0)
            view.show_heat(retrieval)
        assert_array_equal(shown(server)[1], paint_surfels(mode, memory, retrieval).color)


# --- retrieval, ghost, path --------------------------------------------------------------------


def test_chosen_views_are_lit_and_joined_to_the_ghost(
    view: SceneView, server: viser.ViserServer, recorder: Recorder, walk: MemorySnapshot
) -> None:
    view.show_memory(walk, None)
    retrieval = asked(walk, 20)
    ghost = walk.views[20].camera
    view.show_retrieval(ghost, retrieval)
    ends = {step.n_views - 1 for step in walk.steps}
    for i, frustum in enumerate(frustums(server)):
        lit = i in retrieval.order
        voted = QUIET if retrieval.share[i] > 0 else FAINT
        expected = AMBER if lit else voted if i in ends else DARK
        assert frustum.color == view.frustums.colors[i] == expected
    rays = nodes(server, "/retrieval")["/retrieval"]
    assert rays.points.shape == (len(retrieval.order), 2, 3)
    for (start, end), chosen in zip(rays.points, retrieval.order, strict=True):
        np.testing.assert_allclose(start, ghost.position, atol=1e-6)
        np.testing.assert_allclose(end, walk.views[chosen].camera.position, atol=2e-4)
    with recorder.listening() as heard:
        view.show_retrieval(ghost, retrieval)
    assert frustum_news(heard) == [], "colours that are right already are not sent"


def test_when_the_choice_changes_only_the_frustums_that_change_are_told(
    view: SceneView, recorder: Recorder, walk: MemorySnapshot
) -> None:
    view.show_memory(walk, None)
    view.show_retrieval(walk.views[0].camera, asked(walk, 0))
    before = list(view.frustums.colors)
    with recorder.listening() as heard:
        view.show_retrieval(walk.views[20].camera, asked(walk, 20))
    after = view.frustums.colors
    changed = [i for i, pair in enumerate(zip(before, after, strict=True)) if len(set(pair)) > 1]
    assert changed
    (news,) = frustum_news(heard)
    assert (news["keep"], "add" in news) == (len(walk.views), False)
    assert [view for view, _ in news["colors"]] == changed


def test_rays_follow_a_choice_of_another_size(
    view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    view.show_memory(walk, None)
    camera = walk.views[20].camera
    for k in (4, 1, 6):
        retrieval = retrieve(walk, Cameras.stack([camera]), k, "pose")
        view.show_retrieval(camera, retrieval)
        rays = nodes(server, "/retrieval")["/retrieval"]
        assert len(rays.points) == k
        assert rays.colors.shape in ((3,), (k, 2, 3))


def test_the_ghost_is_one_node_that_moves(
    view: SceneView, server: viser.ViserServer, recorder: Recorder, walk: MemorySnapshot
) -> None:
    camera = walk.views[0].camera
    view.show_ghost(camera)
    handle = nodes(server, "/ghost")["/ghost"]
    there = camera.moved_to(apply_move(camera.c2w, MOVES["d"], amount=5))
    there = there.moved_to(apply_move(there.c2w, MOVES["w"], amount=5))
    with recorder.listening() as heard:
        view.show_ghost(there)
    assert sent(heard, "CameraFrustumMessage") == []
    assert frustum_news(heard) == []
    assert nodes(server, "/ghost")["/ghost"] is handle
    np.testing.assert_allclose(handle.position, there.position)
    rotation = vtf.SO3(handle.wxyz).as_matrix()
    np.testing.assert_allclose(rotation, there.c2w[:3, :3], atol=1e-6)
    assert handle.fov == pytest.approx(there.fov[0])


def test_the_path_joins_the_views_in_order(
    view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    for step in (0, 8, 3):
        memory = walk.at_step(step)
        view.show_memory(memory, None)
        stops = np.array([stored.camera.position for stored in memory.views], np.float32)
        points = nodes(server, "/path")["/path"].points
        if step == 0:
            assert_array_equal(points, [[stops[0], stops[0]]])
        else:
            assert_array_equal(points[:, 0], stops[:-1])
            assert_array_equal(points[:, 1], stops[1:])
