"""The debugger on a real walk, without a page: what is explained, pointed at, tried out, made."""

from __future__ import annotations

import io
import json
import time
import zipfile
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import viser
from numpy.testing import assert_array_equal

from tests.support.browsers import Browser
from tests.support.standins import labelled, nodes, shown, until, use
from viewer.browser.throttle import Throttle
from viewer.debugger.debugger import Debugger
from viewer.debugger.explained import listed
from viewer.page.pointing import PointerEvent
from viewer.paint.palette import AMBER, SKY
from viewer.paint.surfel_colors import paint_pointed, paint_surfels
from vmem.memory import MemorySnapshot
from vmem.progress import CancelToken, OnProgress, Progress
from vmem.retrieval import ask
from vmem.types import ReasonKind, Retrieval


def event(kind: str, target: str, at: tuple[float, float] = (0.5, 0.5)) -> PointerEvent:
    return PointerEvent(kind, target, at, 1)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def walked(browser: Browser) -> Browser:
    """After three steps; the page answers at once."""
    backlog = browser.client.display.backlog
    mark = backlog.mark
    backlog.mark = lambda: (mark(), backlog.answered(str(backlog.last_mark)))  # pyright: ignore
    for code in ("KeyW", "KeyD", "KeyW"):
        browser.presses(code)
    until(lambda: browser.steps == 3)
    browser.rests()
    return browser


def debugger_of(browser: Browser) -> Debugger:
    return browser.client.debugger


def do(browser: Browser, call, *arguments: object) -> None:
    """Carry out a call on the client's thread, and all that follows from it."""
    browser.client.post(call, *arguments)
    browser.rests()


def updated(browser: Browser, throttle: Throttle) -> None:
    """Wait until an update that was requested has been shown."""
    until(lambda: not throttle.due)
    browser.rests()


def memory_of(browser: Browser) -> MemorySnapshot:
    return browser.session.memory


def explained(browser: Browser) -> Retrieval:
    retrieval = debugger_of(browser).retrieval
    assert retrieval is not None
    return retrieval


def lines(browser: Browser, name: str) -> np.ndarray:
    """(N, 2, 3) ends of the lines of a node."""
    return np.asarray(browser.handle.node(name).points)


def test_a_step_is_explained_by_what_was_recorded(walked: Browser) -> None:
    debugger, memory = debugger_of(walked), memory_of(walked)
    assert debugger.step is None
    for step in (3, 2, 1, 1):
        walked.presses("Comma")
        walked.rests()
        assert debugger.step == step
        assert explained(walked) is memory.retrievals[step]
    assert_array_equal(
        lines(walked, "/retrieval")[:, 1],
        np.array([memory.views[v].camera.position for v in explained(walked).order], np.float32)
        + np.float32(1e-4),
    )
    for step in (2, 3, None, None):
        walked.presses("Period")
        walked.rests()
        assert debugger.step == step
    assert_array_equal(explained(walked).targets.c2w[0], walked.place)


def test_moving_the_ghost_goes_back_to_it(walked: Browser) -> None:
    walked.presses("Comma")
    walked.rests()
    walked.client.commands.set_mode("scout")
    walked.client.commands.drag_ghost(np.eye(4))
    walked.rests()
    assert debugger_of(walked).step is None
    assert_array_equal(explained(walked).targets.c2w[0], np.eye(4))


def test_a_step_that_is_undone_is_no_longer_explained(walked: Browser) -> None:
    do(walked, debugger_of(walked).explain, 3)
    do(walked, debugger_of(walked).explain, 99)
    assert debugger_of(walked).step == 3
    walked.presses("KeyZ")
    until(lambda: walked.steps == 2)
    walked.rests()
    assert debugger_of(walked).step is None
    assert len(explained(walked).votes) == len(memory_of(walked).views)


def test_pointing_lights_frustum_line_and_surfels(walked: Browser) -> None:
    debugger, memory = debugger_of(walked), memory_of(walked)
    display = walked.client.display
    display.backlog.mark = lambda: None  # no page is waited for
    do(walked, debugger.explain, 2)
    before = shown(_server(walked))[1].copy()
    view = explained(walked).order[0]
    color = display.scene.frustums.colors[view]
    do(walked, walked.client.actions.point, event("enter", f"row:{view}"))
    updated(walked, display.heat)
    assert debugger.pointed == view
    assert display.scene.frustums.colors[view] == SKY
    assert_array_equal(
        lines(walked, "/pointed")[:, 1],
        np.array([memory.views[view].camera.position], np.float32) + np.float32(1e-4),
    )
    painted = paint_pointed(memory, explained(walked), view)
    assert_array_equal(shown(_server(walked))[1], painted.color)
    assert display.memory.colors.legend == painted.legend
    do(walked, walked.client.actions.point, event("leave", f"row:{view}"))
    updated(walked, display.heat)
    assert debugger.pointed is None
    assert display.scene.frustums.colors[view] == color == AMBER
    assert len(lines(walked, "/pointed")) == 0
    assert_array_equal(shown(_server(walked))[1], before)
    assert display.memory.colors.legend == paint_surfels("image", memory, None).legend


def _server(browser: Browser) -> Any:
    return SimpleNamespace(scene=browser.handle.scene)


def test_keys_go_through_the_rows(walked: Browser) -> None:
    debugger = debugger_of(walked)
    do(walked, debugger.explain, 3)
    rows = listed(explained(walked), "8")
    assert debugger.rows == rows
    for code, row in (("KeyJ", 0), ("KeyJ", 1), ("KeyK", 0), ("KeyK", -1), ("KeyJ", 0)):
        walked.presses(code)
        walked.rests()
        assert debugger.pointed == rows[row]
    ghost = walked.place.copy()
    walked.presses("KeyV")
    walked.rests()
    camera = memory_of(walked).views[rows[0]].camera
    np.testing.assert_allclose(walked.handle.camera.position, camera.position)
    assert_array_equal(walked.place, ghost)
    assert debugger.step == 3, "standing somewhere else does not change what is explained"
    walked.presses("Escape")
    walked.rests()
    assert debugger.step is None


def test_banning_the_best_view_changes_the_choice_and_its_line(walked: Browser) -> None:
    debugger = debugger_of(walked)
    best = explained(walked).order[0]
    colors = walked.client.display.scene.frustums.colors
    assert colors[best] == AMBER
    do(walked, walked.client.actions.point, event("click", f"ban:{best}"))
    assert best not in explained(walked).order
    assert explained(walked).reasons[best].kind is ReasonKind.BANNED
    assert colors[best] != AMBER
    ends = [memory_of(walked).views[view].camera.position for view in explained(walked).order]
    np.testing.assert_allclose(lines(walked, "/retrieval")[:, 1], ends, atol=1e-3)
    do(walked, debugger.point, best)
    walked.presses("KeyI")
    walked.rests()
    assert explained(walked).order[0] == best
    walked.presses("KeyU")
    walked.rests()
    assert explained(walked).query == walked.workspace.query(memory_of(walked), tried=False)
    do(walked, debugger.point, None)
    walked.presses("KeyX")
    walked.rests()
    assert walked.handle.notifications[-1][0] == "No view to ban"


def test_what_is_tried_is_used_for_the_next_step_and_recorded(walked: Browser) -> None:
    debugger = debugger_of(walked)
    do(walked, debugger.pin, 2)
    do(walked, debugger.set_query, "density", 0.5)
    do(walked, debugger.set_query, "weighting", "pixels")
    walked.presses("KeyW")
    until(lambda: walked.steps == 4)
    walked.rests()
    recorded = memory_of(walked).retrievals[-1]
    assert recorded is not None
    query = recorded.query
    assert (query.pinned, query.density, query.weighting) == ((2,), 0.5, "pixels")
    assert recorded.order[0] == 2
    do(walked, walked.client.actions.set_use_next, False)
    walked.presses("KeyW")
    until(lambda: walked.steps == 5)
    walked.rests()
    plain = memory_of(walked).retrievals[-1]
    assert plain is not None
    assert plain.query == replace(query, pinned=(), density=1.0, weighting=None)
    assert explained(walked).query.pinned == (2,), "the ghost's answer still tries it"


def test_a_past_step_is_asked_again_of_the_memory_it_had(walked: Browser) -> None:
    debugger, memory = debugger_of(walked), memory_of(walked)
    do(walked, debugger.explain, 2)
    recorded = explained(walked)
    do(walked, debugger.ban, recorded.order[0])
    assert debugger.explained is not None
    assert debugger.explained.what_if
    what_if = explained(walked)
    assert len(what_if.votes) == len(recorded.votes) < len(memory.views)
    assert_array_equal(what_if.votes, recorded.votes)
    assert recorded.order[0] not in what_if.order
    assert memory.retrievals[2] is recorded
    until(lambda: walked.client.display.memory.explain.shown.words.startswith("**What if:**"))
    do(walked, debugger.as_it_was)
    assert explained(walked) is recorded


def test_too_many_bans_are_an_answer_and_no_step(walked: Browser) -> None:
    for view in range(len(memory_of(walked).views)):
        do(walked, debugger_of(walked).ban, view)
    assert explained(walked).order == ()
    walked.presses("KeyW")
    until(lambda: any("failed" in title for title, _ in walked.handle.notifications))
    assert walked.steps == 3


def test_steps_are_played(walked: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viewer.debugger.debugger.STEP_TIME", 0.01)
    seen: list[int | None] = []
    panel = walked.client.display.memory
    show = panel.show_subject
    monkeypatch.setattr(
        panel,
        "show_subject",
        lambda memory, labels, step: (seen.append(step), show(memory, labels, step)),
    )
    walked.presses("KeyP", shift=True)
    until(lambda: seen == [1, 2, 3] and not debugger_of(walked).playing)
    walked.presses("KeyP", shift=True)
    walked.presses("Escape")
    walked.rests()
    assert not debugger_of(walked).playing


def test_the_matrix_leads_to_a_step_and_a_view(walked: Browser) -> None:
    debugger = debugger_of(walked)
    at = (3.5 / 13, 2.5 / 4)  # view 3 of 13, step 2 of 0 to 3
    do(walked, walked.client.actions.point, event("move", "matrix", at))
    assert "step 2 × view 3" in walked.client.display.memory.timeline.shown.words
    do(walked, walked.client.actions.point, event("click", "matrix", at))
    assert (debugger.step, debugger.pointed) == (2, 3)


def test_a_surfel_is_asked_with_mouse_and_key(walked: Browser) -> None:
    memory = memory_of(walked)
    ahead = SimpleNamespace(ray_origin=(0.0, 0.0, 0.0), ray_direction=(0.0, 0.0, 1.0))
    walked.client.clicked(cast(viser.SceneClickEvent, ahead))
    until(lambda: debugger_of(walked).asked is not None)
    walked.rests()
    surfel = debugger_of(walked).asked
    assert surfel is not None
    views = sorted(set(memory.link_view[memory.link_surfel == surfel].tolist()))
    ends = lines(walked, "/asked")
    assert_array_equal(ends[:, 0], np.repeat(memory.surfels.position[None, surfel], len(views), 0))
    walked.handle.camera.position = np.zeros(3)
    walked.presses("KeyO")
    walked.rests()
    assert debugger_of(walked).asked == surfel
    walked.handle.camera.position = np.full(3, 99.0)
    walked.presses("KeyO")
    walked.rests()
    assert walked.handle.notifications[-1][0] == "No surfel there"


def test_strategies_are_asked_about_what_is_explained(walked: Browser) -> None:
    do(walked, debugger_of(walked).explain, 2)
    walked.presses("KeyM")
    panel = walked.client.display.memory.strategies
    until(lambda: "temporal" in panel.shown.answers)
    recorded = explained(walked)
    before = memory_of(walked).at_step(1)
    newest = ask(before, recorded.targets, replace(recorded.query, strategy="temporal"))
    row = panel.shown.answers.partition(">temporal</td>")[2].partition("</tr>")[0]
    for view in newest.order:
        assert f'data-vmem="row:{view}"' in row
    assert "truly" not in panel.shown.answers, "nobody knows the truth of the box"


def choose(server: viser.ViserServer, first: str, second: str) -> None:
    """Choose the two strategies."""
    use(labelled(server, "One"), first)
    use(labelled(server, "Other"), second)


def test_two_strategies_walk_the_same_step(walked: Browser, server: viser.ViserServer) -> None:
    do(walked, debugger_of(walked).explain, 2)
    targets = explained(walked).targets
    walked.presses("KeyB")
    until(lambda: len(walked.session.history.nodes) == 6)
    walked.rests()
    parents = {node.parent.id for node in walked.session.history.nodes[4:] if node.parent}
    assert parents == {1}
    assert walked.session.history.head.label == "coverage"
    retrieval = memory_of(walked).retrievals[-1]
    assert retrieval is not None
    assert_array_equal(retrieval.targets.c2w, targets.c2w)
    assert walked.client.display.memory.strategies.shown.frames is not None
    choose(server, "votes", "votes")
    walked.client.commands.make_both()
    walked.rests()
    assert walked.handle.notifications[-1][0] == "Twice the same"


def test_the_ghosts_step_can_be_made_twice_too(walked: Browser, server: viser.ViserServer) -> None:
    head = walked.session.history.head
    choose(server, "votes", "temporal")
    walked.client.commands.make_both()
    walked.rests()
    until(lambda: len(walked.session.history.nodes) == 6)
    walked.rests()
    assert all(node.parent is head for node in walked.session.history.nodes[4:])


def test_an_explanation_is_offered_for_download(walked: Browser) -> None:
    do(walked, debugger_of(walked).explain, 3)
    walked.presses("KeyY")
    until(lambda: walked.handle.downloads)
    ((name, content),) = walked.handle.downloads
    assert name == "explanation_step_003.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        written = json.loads(archive.read("explanation.json"))
        assert {"panel.png", "scene.html", "scene.viser"} <= set(archive.namelist())
    assert written["chosen"] == list(explained(walked).order)


def test_a_long_question_says_how_far_it_is_until_it_is_answered(walked: Browser) -> None:
    def job(on_progress: OnProgress, cancel: CancelToken) -> None:
        for done in range(3):
            on_progress(Progress("strategies", done, 3))
        while True:
            cancel.check()
            time.sleep(0.002)

    walked.workspace.worker.submit("strategies", job)
    until(lambda: walked.handle.loading)
    (note,) = walked.handle.loading
    assert "Esc cancels" in note.body
    walked.presses("Escape")
    until(lambda: not walked.workspace.worker.busy)
    walked.rests()
    assert walked.handle.loading == []


def test_layers_and_wipe_change_the_target_and_the_billboards(walked: Browser) -> None:
    display = walked.client.display
    walked.presses("Comma")
    walked.rests()
    updated(walked, display.target)
    panel = display.memory.target

    def look() -> tuple[bytes, list[bytes]]:
        updated(walked, display.target)
        boards = [
            board.image.tobytes() for _, board in nodes(_server(walked), "/billboards/").items()
        ]
        return panel.shown.picture.tobytes(), boards

    seen = [look()]
    for code in ("KeyN", "BracketLeft", "BracketRight"):
        walked.presses(code)
        walked.rests()
        seen.append(look())
    assert seen[1][0] != seen[0][0]
    assert seen[1][1] != seen[0][1]
    assert seen[2][0] != seen[1][0]
    assert seen[2][1] != seen[1][1]
    assert seen[3] == seen[1]
    scene = walked.workspace.settings.scene
    assert (scene.layer, scene.wipe) == ("index", 1.0)


def test_all_of_it_is_refused_calmly_before_there_is_a_walk(server, workspace) -> None:
    browser = Browser(server, workspace)
    keys = [f"Key{key}" for key in "LJKIXUNOMBY"]
    for code in ["Comma", "Period", "BracketLeft", "BracketRight", *keys]:
        browser.presses(code)
    browser.presses("KeyP", shift=True)
    browser.rests()
    browser.client.leave()
    assert "Something went wrong" not in [title for title, _ in browser.handle.notifications]


def test_choices_go_to_the_browser(walked: Browser) -> None:
    walked.presses("KeyH")
    until(
        lambda: (
            json.loads(walked.handle.local_storage.items["choices"])["heat"]
            == walked.workspace.settings.scene.heat
            == "weight"
        )
    )
