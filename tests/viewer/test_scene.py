"""The scene: what is shown is the memory, and no more is sent than what changed."""

from __future__ import annotations

import numpy as np
import pytest
import viser
import viser.transforms as vtf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from tests.support.fakes import open_box
from tests.support.standins import (
    CHUNK,
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
from viewer.paint.palette import AMBER, DARK, QUIET, SKY
from viewer.paint.resize import thumbnail
from viewer.scene.frustums import THUMBNAIL
from viewer.scene.scene import SceneView
from viewer.settings import SceneOptions
from vmem.memory import MemorySnapshot


@pytest.fixture(scope="module")
def branches() -> tuple[MemorySnapshot, MemorySnapshot]:
    """Two memories that share the photo and one step, then go different ways."""
    session = open_box()
    for word in "ww":
        session.move(word)
    one = session.memory
    session.undo()
    for word in "dw":
        session.move(word)
    return one, session.memory


def assert_shows(server: viser.ViserServer, memory: MemorySnapshot) -> None:
    points, colors = shown(server)
    assert_array_equal(points, memory.surfels.position)
    assert_array_equal(colors, memory.surfels.color)
    drawn = frustums(server)
    assert len(drawn) == len(memory.views)
    for frustum, stored in zip(drawn, memory.views, strict=True):
        np.testing.assert_allclose(frustum.c2w, stored.camera.c2w, atol=1e-7)
        assert frustum.picture.shape == thumbnail(stored.rgb, THUMBNAIL).shape


# --- differences -------------------------------------------------------------------------------


def test_the_whole_memory_is_shown(
    view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    view.show_memory(walk, None)
    assert_shows(server, walk)
    assert view.memory is walk
    assert len(view.frustums) == len(walk.views)


def test_a_step_sends_only_its_own_surfels_and_frustums(
    view: SceneView, server: viser.ViserServer, recorder: Recorder, walk: MemorySnapshot
) -> None:
    before, after = walk.at_step(3), walk.at_step(4)
    view.show_memory(before, None)
    there = set(chunks(server))
    with recorder.listening() as heard:
        view.show_memory(after, None)
    sizes = {name: len(points) for name, (points, _) in chunks(server).items()}
    assert sum(sizes[name] for name in clouds(heard)) >= len(after.surfels) - len(before.surfels)
    assert there - set(clouds(heard)), "there must be chunks that stay"
    (news,) = frustum_news(heard)
    assert news["keep"] == len(before.views)
    assert len(news["add"]) == len(news["colors"]) == len(after.views) - len(before.views)
    assert updates(heard, "/surfels") == []
    assert sent(heard, "RemoveSceneNodeMessage", "/views") == []
    assert_shows(server, after)


def test_of_a_step_the_last_frustum_is_bright_and_the_others_are_dark(
    view: SceneView, recorder: Recorder, walk: MemorySnapshot
) -> None:
    with recorder.listening() as heard:
        view.show_memory(walk, None)
    (news,) = frustum_news(heard)
    bright = [i for i, one in enumerate(news["add"]) if not one["faded"]]
    assert bright == [step.n_views - 1 for step in walk.steps]
    assert bright[0] == 0, "the photo"
    dark = bright[2] - 1
    assert view.frustums.colors[dark] == DARK
    view.frustums.highlight({dark}, np.ones(len(walk.views)), bright[1])
    shown = {color: view.frustums.colors.count(color) for color in (AMBER, SKY, QUIET, DARK)}
    assert shown == {
        AMBER: 1,
        SKY: 1,
        QUIET: len(bright) - 1,
        DARK: len(walk.views) - 1 - len(bright),
    }
    assert view.frustums.colors[dark] == AMBER


def test_the_same_memory_again_sends_no_surfel_and_no_frustum(
    view: SceneView, recorder: Recorder, walk: MemorySnapshot
) -> None:
    view.show_memory(walk, None)
    with recorder.listening() as heard:
        view.show_memory(walk, None)
    assert clouds(heard) == []
    assert frustum_news(heard) == []
    assert updates(heard, "/surfels") + updates(heard, "/views") == []


def test_an_undo_only_cuts_what_the_step_had_added(
    view: SceneView, server: viser.ViserServer, recorder: Recorder, walk: MemorySnapshot
) -> None:
    before, after = walk.at_step(3), walk.at_step(4)
    view.show_memory(after, None)
    with recorder.listening() as heard:
        view.show_memory(before, None)
    assert frustum_news(heard) == [{"node": "/views", "keep": len(before.views)}]
    assert clouds(heard) == [], "what stays is not sent again"
    assert_shows(server, before)


def test_a_redo_after_an_undo_uses_the_same_names_again(
    view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    view.show_memory(walk, None)
    names = set(nodes(server, "/"))
    for step in (2, 8, 0, 8):
        view.show_memory(walk.at_step(step), None)
    # A billboard once made is only hidden.
    assert set(nodes(server, "/")) == names
    assert_shows(server, walk)


def test_another_branch_keeps_what_both_share(
    view: SceneView,
    server: viser.ViserServer,
    recorder: Recorder,
    branches: tuple[MemorySnapshot, MemorySnapshot],
) -> None:
    one, other = branches
    shared = one.steps[1]
    assert one.steps[1] == other.steps[1]
    view.show_memory(one, None)
    with recorder.listening() as heard:
        view.show_memory(other, None)
    cut, grown = frustum_news(heard)
    assert cut["keep"] == grown["keep"] == shared.n_views
    assert len(grown["add"]) == len(other.views) - shared.n_views
    untouched = {f"/surfels/{i:04d}" for i in range(shared.n_surfels // CHUNK)}
    assert untouched
    assert not untouched & set(clouds(heard))
    assert_shows(server, other)


def test_another_walk_shares_nothing_even_where_its_sizes_agree(
    view: SceneView, server: viser.ViserServer, recorder: Recorder
) -> None:
    first, second = open_box(seed=1), open_box(seed=1)
    view.show_memory(first.memory, None)
    with recorder.listening() as heard:
        view.show_memory(second.memory, None)
    assert [news["keep"] for news in frustum_news(heard)] == [0, 0]
    assert_shows(server, second.memory)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=6))
def test_wherever_the_walk_goes_the_scene_shows_its_memory(
    view: SceneView,
    server: viser.ViserServer,
    branches: tuple[MemorySnapshot, MemorySnapshot],
    stops: list[tuple[int, int]],
) -> None:
    server.scene.reset()
    fresh = SceneView(server.scene, SceneOptions())
    for which, step in stops:
        branch = branches[which]
        memory = branch.at_step(min(step, len(branch.steps) - 1))
        fresh.show_memory(memory, None)
        assert_shows(server, memory)


# --- billboards and switches -------------------------------------------------------------------


def billboards(server: viser.ViserServer) -> list[bool]:
    """Whether each of them is visible."""
    return [handle.visible for handle in nodes(server, "/billboards/").values()]


def test_there_are_no_billboards_without_a_step(
    view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    view.show_memory(walk.at_step(0), None)
    assert not any(billboards(server))
    view.show_memory(walk.at_step(1), None)
    assert billboards(server) == [True] * 2, "the last frame beside its heat map"
    view.show_memory(walk.at_step(0), None)
    assert billboards(server) == [False] * 2


def test_billboards_show_the_newest_frame_beside_what_memory_knew(
    view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    view.show_memory(walk, None)
    handles = nodes(server, "/billboards/")
    frame, heat = (handles[f"/billboards/{name}"].image for name in ("frame", "heat"))
    assert_array_equal(frame, thumbnail(walk.views[-1].rgb, 256))
    assert not np.array_equal(heat, frame)
    assert heat.std() > 5, "a heat map is no flat patch"


def test_switches_hide_and_show(
    view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    view.show_memory(walk, None)
    view.options.frustums = view.options.billboards = False
    view.show_options()
    assert not view.frustums.visible
    assert not any(billboards(server))
    view.show_memory(walk.at_step(4), None)
    view.show_memory(walk, None)
    assert not view.frustums.visible, "new ones obey too"
    assert not any(billboards(server))
    view.options.frustums = view.options.billboards = True
    view.show_options()
    assert view.frustums.visible
    assert all(billboards(server))


def test_standing_in_a_view_puts_away_what_would_hide_its_frame(
    view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    view.show_memory(walk, None)
    view.show_ghost(walk.views[3].camera)
    aids = ["/ghost", "/path", "/views"]
    view.immerse(True)
    view.show_screen(walk.views[3])
    screen = nodes(server, "/screen")["/screen"]
    assert screen.visible
    assert_array_equal(screen.image, walk.views[3].rgb)
    standing = nodes(server, "/")
    assert not any(standing[name].visible for name in aids)
    view.immerse(False)
    assert not screen.visible
    assert all(standing[name].visible for name in aids)


def test_the_screen_fills_the_frustum_of_its_view(
    view: SceneView, server: viser.ViserServer, walk: MemorySnapshot
) -> None:
    camera = walk.views[20].camera
    view.show_screen(walk.views[20])
    screen = nodes(server, "/screen")["/screen"]
    x, y = screen.render_width / 2, screen.render_height / 2
    corners = np.array([(-x, -y, 0), (x, -y, 0), (x, y, 0), (-x, y, 0)])
    world = corners @ vtf.SO3(screen.wxyz).as_matrix().T + screen.position
    seen = (world - camera.position) @ camera.c2w[:3, :3] @ camera.K.T
    h, w = camera.hw
    np.testing.assert_allclose(
        seen[:, :2] / seen[:, 2:], [(0, 0), (w, 0), (w, h), (0, h)], atol=1e-4
    )


# --- small things ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hw", "expected"), [((100, 200), (28, 56)), ((200, 100), (56, 28)), ((500, 1), (56, 1))]
)
def test_a_thumbnail_has_the_longer_side_asked_for(
    hw: tuple[int, int], expected: tuple[int, int]
) -> None:
    picture = thumbnail(np.full((*hw, 3), 9, np.uint8), THUMBNAIL)
    assert picture.shape == (*expected, 3)
    assert (picture == 9).all()
