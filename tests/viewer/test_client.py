"""One browser's keys, clicks and panels against a real session, without a page."""

from __future__ import annotations

import io
import threading
import zipfile
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import viser

from tests.support.browsers import Browser, pose
from tests.support.standins import until
from viewer.page.keyboard import KeyEvent
from viewer.paint.surfel_colors import MODES
from viewer.panels.memory_surfel import spans
from viewer.walk.source import Source
from viewer.walk.workspace import Workspace
from vmem.retrieval import STRATEGIES
from vmem.retrieval.evidence import Evidence


def test_a_client_without_a_walk_takes_every_key_calmly(
    server: viser.ViserServer, workspace: Workspace
) -> None:
    browser = Browser(server, workspace)
    for code in ("KeyW", "Space", "KeyZ", "KeyV", "KeyH", "Escape", "KeyP", "KeyP"):
        browser.presses(code)
    browser.rests()
    browser.client.leave()
    titles = [title for title, _ in browser.handle.notifications]
    assert "Something went wrong" not in titles


def test_in_step_mode_a_key_is_a_step(browser: Browser) -> None:
    browser.presses("KeyW")
    browser.presses("KeyD")
    browser.rests()
    until(lambda: browser.steps == 2)
    assert [node.label for node in browser.session.history.nodes] == ["photo", "w", "d"]
    np.testing.assert_allclose(browser.session.camera.c2w, pose("w", "d"), atol=1e-9)
    np.testing.assert_allclose(browser.place, pose("w", "d"), atol=1e-9)


def test_the_game_keymap_strafes_where_the_paper_turns(browser: Browser) -> None:
    browser.client.commands.set_keymap("game")
    browser.presses("KeyA")
    until(lambda: browser.steps == 1)
    np.testing.assert_allclose(browser.session.camera.c2w, pose("q"), atol=1e-9)


def test_arrows_step_and_turn_like_letters(browser: Browser) -> None:
    browser.presses("ArrowUp")
    browser.presses("ArrowRight")
    until(lambda: browser.steps == 2)
    np.testing.assert_allclose(browser.session.camera.c2w, pose("w", "d"), atol=1e-9)


def test_undo_by_the_letter_and_by_a_button_of_the_page(browser: Browser) -> None:
    for undo in (
        KeyEvent("down", "KeyY", False, frozenset({"KeyY"}), 1, 0.0, key="z"),
        KeyEvent("command", "undo", False, frozenset(), 1, 0.0),
    ):
        browser.presses("KeyW")
        until(lambda: browser.steps == 1)
        browser.client.key_changed(undo)
        until(lambda: browser.steps == 0)


def test_undo_and_redo_by_key(browser: Browser) -> None:
    browser.presses("KeyW")
    until(lambda: browser.steps == 1)
    browser.presses("KeyZ")
    until(lambda: browser.steps == 0)
    browser.rests()
    np.testing.assert_allclose(browser.place, np.eye(4), atol=1e-9)
    browser.presses("KeyZ", shift=True)
    until(lambda: browser.steps == 1)
    browser.rests()
    np.testing.assert_allclose(browser.place, pose("w"), atol=1e-9)


def test_space_goes_straight_on_in_step_mode(browser: Browser) -> None:
    browser.presses("Space")
    until(lambda: browser.steps == 1)
    np.testing.assert_allclose(browser.session.camera.c2w, pose("w"), atol=1e-9)


def test_a_way_that_is_being_walked_is_not_walked_again(browser: Browser) -> None:
    for code in ("KeyW", "KeyW", "Space"):
        browser.presses(code)
    until(lambda: browser.steps == 3)
    browser.rests()
    np.testing.assert_allclose(browser.session.camera.c2w, pose("w", "w", "w"), atol=1e-9)


def test_in_scout_mode_the_page_flies_and_space_generates_along_the_way(browser: Browser) -> None:
    browser.client.commands.set_mode("scout")
    for i in range(1, 4):
        browser.walks_to(pose(*"w" * i))
    browser.rests()
    goal = browser.place.copy()
    np.testing.assert_allclose(goal, pose("w", "w", "w"), atol=1e-9)
    assert browser.steps == 0
    browser.presses("Space")
    browser.presses("Space")
    until(lambda: browser.steps >= 2 and not browser.workspace.worker.busy)
    browser.rests()
    np.testing.assert_allclose(browser.session.camera.c2w, goal, atol=1e-9)
    depths = [view.camera.position[2] for view in browser.session.memory.views]
    assert depths == sorted(depths), "there, and not there and back and there again"


def test_views_follow_who_walks_and_undo_takes_back_a_stretch(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewer.walk.follower.FARTHEST", 0.0)  # no clock in this test
    browser.client.commands.set_mode("walk")
    for i in range(1, 7):
        browser.walks_to(pose(*"w" * i))
        browser.rests()
    out = len(browser.session.memory.views)
    assert out >= 4
    assert {node.label for node in browser.session.history.nodes} == {"photo", "walk 1"}
    browser.walks_to(pose(*"w" * 6), moving=False)
    for i in range(6, -1, -1):
        browser.walks_to(pose(*"w" * i))
        browser.rests()
    assert len(browser.session.memory.views) == out, "he went back the way he had come"
    browser.walks_to(np.eye(4), moving=False)
    browser.walks_to(pose(*"d" * 6))
    browser.rests()
    assert browser.session.history.head.label == "walk 2"
    browser.presses("KeyZ")
    browser.rests()
    until(lambda: browser.session.history.head.label == "walk 1")
    assert len(browser.session.memory.views) == out
    browser.presses("KeyZ")
    until(lambda: browser.session.history.head.label == "photo")
    browser.presses("KeyZ", shift=True)
    until(lambda: len(browser.session.memory.views) == out)
    browser.rests()
    ghost = browser.client.debugger.ghost
    assert ghost is not None
    np.testing.assert_allclose(
        ghost.c2w, browser.session.camera.c2w, err_msg="memory is asked for where he is now"
    )


def test_standing_still_makes_no_views(browser: Browser) -> None:
    browser.client.commands.set_mode("walk")
    for _ in range(5):
        browser.walks_to(np.eye(4), moving=False)
        browser.rests()
    assert browser.steps == 0


def test_nothing_is_generated_in_scout_mode_where_the_ghost_never_left(browser: Browser) -> None:
    browser.client.commands.set_mode("scout")
    browser.presses("Space")
    until(lambda: browser.handle.notifications)
    assert browser.handle.notifications[0][0] == "Nothing to generate"
    assert browser.steps == 0


def test_heat_goes_round_all_modes(browser: Browser) -> None:
    seen = []
    for _ in MODES:
        browser.presses("KeyH")
        browser.rests()
        seen.append(browser.workspace.settings.scene.heat)
    assert seen == [*list(MODES)[1:], next(iter(MODES))]


def test_the_ghost_asks_memory_wherever_it_goes(browser: Browser) -> None:
    first = browser.client.debugger.retrieval
    assert first is not None
    browser.client.commands.set_mode("scout")
    browser.client.post(browser.client.actions.move_ghost, "d", 3.0)
    until(lambda: browser.client.debugger.retrieval is not first)
    retrieval = browser.client.debugger.retrieval
    assert retrieval is not None
    np.testing.assert_allclose(retrieval.targets.c2w[0], browser.place)


def test_jump_stands_at_the_newest_view(browser: Browser) -> None:
    browser.presses("KeyW")
    until(lambda: browser.steps == 1)
    browser.rests()
    browser.client.commands.go_to_view(0)
    browser.rests()
    np.testing.assert_allclose(browser.place, np.eye(4), atol=1e-9)
    browser.presses("KeyV")
    browser.rests()
    np.testing.assert_allclose(browser.place, pose("w"), atol=1e-9)
    np.testing.assert_allclose(browser.handle.camera.position, pose("w")[:3, 3], atol=1e-9)


def test_a_view_that_is_gone_cannot_be_stood_at(browser: Browser) -> None:
    before = browser.place.copy()
    browser.client.commands.go_to_view(99)
    browser.client.commands.show_frame(99)
    browser.rests()
    np.testing.assert_array_equal(browser.place, before)


def test_a_clicked_surfel_says_who_saw_it(browser: Browser) -> None:
    browser.presses("KeyD")
    until(lambda: browser.steps == 1)
    browser.rests()
    memory = browser.session.memory
    middle = SimpleNamespace(ray_origin=(0.0, 0.0, 0.0), ray_direction=(0.0, 0.0, 1.0))
    browser.client.clicked(cast(viser.SceneClickEvent, middle))
    panel = browser.client.display.memory.surfel
    until(lambda: "Surfel" in panel.shown.words)
    surfel = int(panel.shown.words.partition("**Surfel ")[2].partition("**")[0])
    np.testing.assert_allclose(memory.surfels.position[surfel], (0, 0, 3), atol=0.1)
    views = sorted(set(memory.link_view[memory.link_surfel == surfel].tolist()))
    assert panel.shown.words.endswith(f": {spans(views)}")


def test_a_click_into_nothing_is_no_answer(browser: Browser) -> None:
    before = browser.client.display.memory.surfel.shown.words
    away = SimpleNamespace(ray_origin=(0.0, 0.0, 0.0), ray_direction=(0.0, 0.0, -1.0))
    browser.client.clicked(cast(viser.SceneClickEvent, away))
    browser.rests()
    assert browser.client.display.memory.surfel.shown.words == before


def test_playing_walks_through_the_frames_and_stops_at_the_end(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewer.browser.client.PLAY_TIME", 0.001)
    browser.presses("KeyW")
    until(lambda: browser.steps == 1)
    browser.rests()
    shown: list[int] = []
    show = browser.client.display.history.show_view
    monkeypatch.setattr(
        browser.client.display.history, "show_view", lambda i, rgb: (shown.append(i), show(i, rgb))
    )
    browser.presses("KeyP")
    until(lambda: len(shown) >= 5 and browser.client.actions.playing is None)
    assert shown[-5:] == [0, 1, 2, 3, 4]


def test_the_packed_walk_is_offered_for_download(browser: Browser) -> None:
    browser.client.commands.export_walk()
    until(lambda: browser.handle.downloads)
    ((name, content),) = browser.handle.downloads
    assert name == "walk.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert "frames/000000.png" in archive.namelist()


def test_settings_reach_the_next_retrieval(browser: Browser) -> None:
    debugger = browser.client.debugger
    browser.client.commands.set_query("strategy", "pose")
    browser.client.commands.set_query("context_views", 2)
    until(lambda: debugger.retrieval is not None and debugger.retrieval.k == 2)
    retrieval = debugger.retrieval
    assert retrieval is not None
    assert retrieval.strategy == "pose"


def test_strides_reach_the_next_move(browser: Browser) -> None:
    browser.client.commands.set_strides(0.3, 10.0)
    browser.presses("KeyW")
    until(lambda: browser.steps == 1)
    assert browser.session.camera.position[2] == pytest.approx(0.3)


def test_a_photo_that_cannot_be_read_is_told_and_the_walk_stays(browser: Browser) -> None:
    before = browser.session
    browser.client.commands.open(Source("notes.txt", b"no picture"))
    until(lambda: browser.handle.notifications)
    title, body = browser.handle.notifications[0]
    assert title == "open notes.txt failed"
    assert "photo" in body
    assert browser.session is before


def test_opening_again_begins_the_same_photo_anew(browser: Browser) -> None:
    browser.presses("KeyW")
    until(lambda: browser.steps == 1)
    browser.rests()
    before = browser.session
    browser.client.commands.set_next("preview", 128, 3)
    browser.client.commands.open_again()
    until(lambda: browser.session is not before)
    browser.rests()
    assert browser.session.config.seed == 3
    assert browser.session.camera.hw == (128, 128)
    np.testing.assert_allclose(browser.place, np.eye(4), atol=1e-9)


def test_escape_cancels_and_says_so_when_there_is_nothing(browser: Browser) -> None:
    browser.presses("Escape")
    until(lambda: browser.handle.notifications)
    assert browser.handle.notifications[0][0] == "Nothing to cancel"


def test_too_many_steps_are_refused_with_a_word(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser.workspace, "walk_along", lambda poses, label: False)
    browser.presses("KeyW")
    until(lambda: browser.handle.notifications)
    assert browser.handle.notifications[0][0] == "Too many steps are waiting"


def test_a_reloaded_page_finds_the_walk_as_it_was(
    browser: Browser, server: viser.ViserServer, workspace: Workspace
) -> None:
    browser.presses("KeyW")
    until(lambda: browser.steps == 1)
    browser.rests()
    browser.client.leave()
    server.scene.reset()
    server.gui.reset()
    again = Browser(server, workspace)
    again.rests()
    np.testing.assert_allclose(again.place, pose("w"), atol=1e-9)
    assert again.client.display.scene.memory is again.session.memory
    again.client.leave()


def test_a_defect_is_shown_to_the_user_and_survived(
    server: viser.ViserServer, workspace: Workspace, caplog: Any
) -> None:
    browser = Browser(server, workspace)
    browser.client.post(lambda: 1 / 0)
    until(lambda: browser.handle.notifications)
    browser.client.leave()
    assert browser.handle.notifications == [
        ("Something went wrong", "ZeroDivisionError: division by zero")
    ]


def test_keys_are_handled_while_a_slow_strategy_answers(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may = threading.Event(), threading.Event()

    def slow(evidence: Evidence, k: int) -> list[int]:
        begun.set()
        assert may.wait(30)
        return [0]

    monkeypatch.setitem(STRATEGIES, "slow", slow)
    panel = browser.client.display.memory.explain
    browser.client.commands.set_query("strategy", "slow")
    try:
        until(begun.is_set)
        until(lambda: "slow is being computed" in panel.computing)
        heat, place = browser.workspace.settings.scene.heat, browser.place.copy()
        browser.presses("KeyH")
        until(lambda: browser.workspace.settings.scene.heat != heat)
        browser.client.commands.set_mode("scout")
        browser.walks_to(pose("w"))
        until(lambda: browser.place[2, 3] > place[2, 3] + 0.05)
        assert not may.is_set()
    finally:
        may.set()
    until(lambda: not panel.computing)
    retrieval = browser.client.debugger.retrieval
    assert retrieval is not None
    assert retrieval.strategy == "slow"
    np.testing.assert_allclose(retrieval.targets.c2w[-1], browser.place)


def test_the_scene_is_tidied_once_the_walk_has_come_to_rest(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewer.browser.display.REST_TIME", 0.3)
    display, tidied = browser.client.display, []
    monkeypatch.setattr(
        display.scene, "tidy", lambda: tidied.append((browser.steps, browser.workspace.worker.busy))
    )
    for _ in range(2):
        browser.presses("KeyW")
    until(lambda: tidied)
    browser.rests()
    assert tidied == [(2, False)], "once, behind both steps"
