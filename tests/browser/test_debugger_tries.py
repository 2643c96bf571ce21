"""The retrieval debugger in a real browser, its further promises: strategies side by side, what if,
the timeline, export, health, help, and choices that are remembered. Every test asserts what the
program then holds, and what the page then shows."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.desk import (
    AMBER,
    LAST,
    QUIET_ROW,
    RETURN,
    SKY,
    Desk,
    near,
    same,
    saw,
)
from tests.support.walking import changed, open_walk, pixels, session_of, steps, until
from viewer.commands import COMMANDS
from viewer.paint.palette import owner_colors
from viewer.paint.timeline_matrix import ROW
from viewer.server.app import App
from vmem.cameras import Cameras
from vmem.evaluation.truth import looks, truth
from vmem.retrieval import STRATEGIES, ask
from vmem.retrieval.explain.to_json import explanation_json
from vmem.types import Query

pytestmark = pytest.mark.browser


# --- 4: strategies side by side ----------------------------------------------------------------


def test_strategies_are_compared_with_what_they_cover(desk: Desk) -> None:
    targets, memory = desk.retrieval.targets, desk.memory
    desk.press("m")
    table = desk.page.locator("table", has_text="truly")
    table.wait_for()
    rows = table.locator("tr").all()[1:]
    assert [row.locator("td").first.inner_text() for row in rows] == list(STRATEGIES)
    assert len(rows) == 6
    generator: Any = session_of(desk.workspace).backend.generator
    exact = looks(generator.world, targets, 32)
    for row, strategy in zip(rows, STRATEGIES, strict=True):
        answer = ask(memory, targets, Query(4, strategy))
        marks = row.locator("[data-vmem]").evaluate_all("(all) => all.map(e => e.dataset.vmem)")
        assert marks == [f"row:{view}" for view in answer.order]
        weight = answer.surfel_weight.astype(float)
        covered = weight[saw(memory, answer.order)[: len(weight)]].sum() / weight.sum()
        views = Cameras.stack([memory.views[view].camera for view in answer.order])
        truly = truth(exact, looks(generator.world, views, 96)).visible.any(axis=0).mean()
        figures = row.locator("td").all_inner_texts()[2:]
        assert figures == [f"{100 * covered:.0f} %", f"{100 * truly:.0f} %"]
    view = ask(memory, targets, Query(4, "temporal")).order[-1]
    rows[list(STRATEGIES).index("temporal")].locator(f"[data-vmem='row:{view}']").hover()
    desk.until(lambda: desk.frustum(view) == SKY)


def test_the_same_step_is_made_with_both_strategies(desk: Desk) -> None:
    session = session_of(desk.workspace)
    home, known = session.history.head, len(session.history.nodes)
    before, memory = desk.canvas(), desk.memory
    desk.choose("One", "pose")
    desk.choose("Other", "votes")
    desk.press("b")
    desk.until(lambda: len(session.history.nodes) == known + 2, 60)
    desk.until(lambda: not desk.workspace.worker.busy)
    branches = session.history.nodes[known:]
    assert [node.parent for node in branches] == [home, home]
    assert {node.label for node in branches} == {"pose", "votes"}
    assert session.history.head.label == "pose"
    made = {}
    for node in branches:
        retrieval = node.record.retrieval
        assert retrieval is not None
        assert retrieval.query.strategy == node.label
        assert retrieval.order == ask(memory, retrieval.targets, retrieval.query).order
        made[node.label] = [view.rgb for view in node.record.views]
    picture = desk.picture(459)
    for i, (one, other) in enumerate(zip(made["pose"], made["votes"], strict=True)):
        row = picture[153 * i : 153 * i + 150]
        assert same(row[:, :150], one, 8)
        assert same(row[:, 153:303], other, 8)
        levels = np.abs(one.astype(int) - other).max()
        assert row[:, 306:456].mean() < 5 + 4 * levels
    desk.says("Left pose, middle votes").wait_for()
    desk.until(lambda: changed(before, desk.canvas()) > 0.02)


# --- 5: what if --------------------------------------------------------------------------------


def test_banning_the_top_view_changes_the_choice_and_removes_its_line(desk: Desk) -> None:
    kept = desk.explain(LAST)
    top, eye = kept.order[0], kept.targets[-1].position

    def ends_of(order: tuple[int, ...]) -> list:
        return [(eye, desk.memory.views[view].camera.position) for view in order]

    desk.until(lambda: np.allclose(desk.lines("/retrieval"), ends_of(kept.order), atol=1e-3))
    line, before = desk.lines("/retrieval")[0], desk.canvas()
    assert desk.drawn(line, before, AMBER) > 0.3

    desk.mark(f"ban:{top}").click()
    desk.rest()
    desk.until(lambda: desk.explained.what_if and top not in desk.retrieval.order)
    asked = ask(desk.memory.at_step(LAST - 1), kept.targets, Query(4, banned=(top,)))
    assert desk.retrieval.order == asked.order
    assert len(asked.order) == 4
    desk.until(lambda: desk.shown_order() == asked.order)
    desk.until(lambda: np.allclose(desk.lines("/retrieval"), ends_of(asked.order), atol=1e-3))
    desk.until(lambda: desk.frustum(top) not in (AMBER, SKY))
    desk.until(lambda: desk.drawn(line, desk.canvas(), AMBER) < 0.1)
    desk.until(lambda: [row.toggled for row in desk.rows() if row.view == top] == [("ban",)])
    assert {row.color for row in desk.rows() if row.view == top} == {QUIET_ROW}
    desk.says(f"banned: {top}").wait_for()

    desk.page.get_by_role("button", name="Show it as it was").click()
    desk.until(lambda: desk.retrieval is kept)
    desk.until(lambda: desk.shown_order() == kept.order)
    desk.rest()
    desk.until(lambda: changed(before, desk.canvas()) < 1e-3)


def test_every_part_of_the_query_is_answered_live_and_reset(desk: Desk) -> None:
    plain = desk.retrieval

    def visible() -> int:
        return int((desk.retrieval.surfel_pixels > 0).sum())

    desk.set_number("Views (K)", 2)
    desk.until(lambda: len(desk.lines("/retrieval")) == 2)
    desk.until(lambda: desk.shown_order() == desk.retrieval.order and len(desk.shown_order()) == 2)
    desk.set_number("Views (K)", 4)
    desk.until(lambda: desk.shown_order() == plain.order)
    seen = visible()

    desk.set_number("Surfel density", 0.25)
    desk.until(lambda: desk.retrieval.query.density == 0.25)
    assert visible() < 0.6 * seen
    desk.says(f"{visible():,} of {len(desk.memory.surfels):,} surfels visible").wait_for()
    desk.set_number("Suppression", 0.4)
    desk.until(lambda: desk.retrieval.query.suppression == 0.4)
    desk.choose("A pixel's vote", "pixels")
    desk.until(lambda: desk.retrieval.query.weighting == "pixels")
    desk.choose("Strategy", "temporal")
    desk.until(lambda: desk.retrieval.query.strategy == "temporal")
    newest = len(desk.memory.views) - 1
    desk.until(lambda: set(desk.shown_order()) == set(range(newest - 3, newest + 1)))
    desk.press("j")
    desk.until(lambda: desk.debugger.pointed == desk.shown_order()[0])
    desk.press("i")
    desk.until(lambda: desk.retrieval.query.pinned == (desk.debugger.pointed,))

    desk.choose("Strategy", "coverage")
    desk.press("u")
    desk.until(lambda: desk.retrieval.query == plain.query)
    desk.until(lambda: desk.shown_order() == plain.order)
    desk.says(f"{seen:,} of {len(desk.memory.surfels):,} surfels visible").wait_for()


def test_the_next_step_is_made_with_a_pin_and_records_it(desk: Desk) -> None:
    view = 10
    assert view not in desk.retrieval.order
    desk.mark(f"row:{view}").hover()
    desk.until(lambda: desk.debugger.pointed == view)
    desk.press("i")
    desk.until(lambda: view in desk.retrieval.order)
    desk.rest()
    desk.until(lambda: view in desk.shown_order())
    desk.until(lambda: desk.frustum(view) == AMBER)
    assert [row.toggled for row in desk.rows() if row.view == view] == [("pin",)]
    desk.says(f"pinned: {view}").wait_for()

    desk.press("w")
    desk.until(lambda: steps(desk.workspace) == LAST + 1)
    made = desk.memory.retrievals[-1]
    assert made is not None
    assert made.query.pinned == (view,)
    assert made.query.to_json()["pinned"] == [view]
    assert view in made.order

    desk.page.get_by_label("Use for the next steps").click()
    desk.until(lambda: not desk.workspace.settings.use_next)
    desk.rest()
    desk.press("w")
    desk.until(lambda: steps(desk.workspace) == LAST + 2)
    made = desk.memory.retrievals[-1]
    assert made is not None
    assert made.query.pinned == ()
    assert view not in made.order


# --- 6: the timeline ---------------------------------------------------------------------------


def test_the_timeline_is_scrubbed_played_and_clicked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = desk.mark("matrix")
    shape = len(desk.memory.steps), len(desk.memory.views)
    again = desk.memory.retrievals[RETURN]
    assert again is not None
    # Off the diagonal: a view of long before the step.
    view = min(again.order)
    assert view < 5

    def outlined() -> list[int]:
        picture = desk.picture(350)
        return np.flatnonzero(near(picture, tuple(ROW), 0).mean(axis=1) > 0.9).tolist()

    assert outlined() == []
    matrix.scroll_into_view_if_needed()
    box = matrix.bounding_box()
    assert box is not None
    place = {
        "x": (view + 0.5) / shape[1] * box["width"],
        "y": (RETURN + 0.5) / shape[0] * box["height"],
    }
    matrix.hover(position=place)  # pyright: ignore[reportArgumentType]
    share = f"{100 * again.votes[view] / again.votes.sum():.1f} % of the votes"
    desk.says(f"{share} · {again.reasons[view]}").wait_for()
    matrix.click(position=place)  # pyright: ignore[reportArgumentType]
    desk.until(lambda: desk.retrieval is again)
    assert (desk.debugger.step, desk.debugger.pointed) == (RETURN, view)
    desk.until(lambda: desk.frustum(view) == SKY)
    desk.until(lambda: desk.shown_order() == again.order)
    (cell,) = {row.view for row in desk.rows() if row.pointed}
    assert cell == view
    desk.until(lambda: outlined() == [14 * RETURN - 1, 14 * (RETURN + 1)])

    for key, step in ((".", LAST), (".", None), (",", LAST), (",", RETURN), ("l", None)):
        desk.press(key)
        desk.until(lambda step=step: desk.explained.step == step)
        desk.until(lambda: desk.shown_order() == desk.retrieval.order)
    assert outlined() == []
    desk.set_number("Step explained", 2)
    desk.until(lambda: desk.explained.step == 2)

    monkeypatch.setattr("viewer.debugger.debugger.STEP_TIME", 0.2)
    shown: list[int | None] = []
    scene, before = desk.client.display.scene, desk.canvas()
    show = scene.show_retrieval

    def count(*arguments: Any) -> None:
        shown.append(desk.explained.step)
        show(*arguments)

    monkeypatch.setattr(scene, "show_retrieval", count)
    desk.press("Shift+P")
    desk.until(lambda: LAST in shown and not desk.debugger.playing)
    assert shown == list(range(1, LAST + 1))
    desk.until(lambda: outlined() == [14 * LAST - 1, 14 * (LAST + 1) - 1])
    assert changed(before, desk.canvas()) > 0.05


# --- 7: export, and health ---------------------------------------------------------------------


def test_an_explanation_is_exported(desk: Desk) -> None:
    retrieval = desk.explain(RETURN)
    desk.press("y")
    link = desk.page.get_by_text(f"explanation_step_{RETURN:03d}.zip").first
    link.wait_for(timeout=60_000)
    with desk.page.expect_download() as download:
        link.click()
    with zipfile.ZipFile(Path(download.value.path())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    told = json.loads(files["explanation.json"])
    assert told == json.loads(json.dumps(explanation_json(desk.memory, retrieval, RETURN)))
    assert told["chosen"] == list(retrieval.order)
    panel = pixels(files["panel.png"])
    assert panel.shape[1] > 1500
    assert panel.std() > 30
    assert b"<html" in files["scene.html"][:4096].lower()
    assert len(files["scene.viser"]) > 100_000
    assert "README.txt" in files


def test_health_and_warnings_follow_the_ghost(desk: Desk) -> None:
    memory = desk.memory
    told = desk.says("recolourings dropped").inner_text()
    n, drawn = len(memory.surfels), int((desk.retrieval.surfel_pixels > 0).sum())
    assert f"{drawn:,} of {n:,} surfels visible, drawn by the browser" in told
    assert f"{len(memory.link_surfel):,} links · {len(memory.views)} views · queue 0" in told
    assert re.match(r"\d+ ms · ", told)
    assert desk.page.get_by_text("Warning:").count() == 0

    desk.page.get_by_role("tab", name="Walk").click()
    desk.set_number("Turn", 12)
    desk.page.get_by_text("scout", exact=True).first.click()
    desk.until(lambda: desk.workspace.settings.mode == "scout")
    desk.page.get_by_role("tab", name="Memory").click()
    desk.rest()
    desk.page.keyboard.down("a")
    desk.until(lambda: (desk.retrieval.surfel_pixels > 0).sum() < 0.1 * drawn)
    desk.page.keyboard.up("a")
    desk.page.get_by_text("Warning:").first.wait_for()
    assert steps(desk.workspace) == LAST


def test_help_lists_every_key_of_the_debugger(desk: Desk) -> None:
    desk.press("?")
    dialog = desk.page.get_by_role("dialog")
    dialog.get_by_text("Why was it retrieved?").wait_for()
    rows = dialog.locator("tr").all_inner_texts()
    cells = {tuple(row.split("\t")) for row in rows}
    assert {(one.key, one.described) for one in COMMANDS if one.section == "debugging"} <= cells
    desk.press("Escape")
    dialog.wait_for(state="hidden")


def test_choices_are_remembered_for_a_new_walk(debugger_app: App, desk: Desk) -> None:
    desk.set_number("Views (K)", 3)
    colour = desk.page.get_by_label("Colour (H)", exact=True).first
    colour.click()
    desk.page.get_by_role("option", name="depth", exact=True).click()
    desk.until(lambda: desk.workspace.settings.scene.heat == "depth")
    desk.page.keyboard.press("h")  # acts, though a dropdown had the focus
    desk.until(lambda: desk.workspace.settings.scene.heat != "depth")
    colour.click()
    desk.page.keyboard.press("Escape")
    desk.page.keyboard.press("n")
    desk.until(lambda: desk.workspace.settings.scene.layer == "index")
    desk.choose("Colour (H)", "owner")
    desk.press("[")
    stored = "() => Object.values(localStorage).join()"
    desk.until(lambda: '"wipe": 0.9' in desk.page.evaluate(stored))
    # A tab of its own, with a walk of its own: all that the two share is the browser's storage.
    page = desk.page.context.new_page()
    page.set_viewport_size({"width": 640, "height": 480})
    try:
        workspace = open_walk(debugger_app, page)
        assert workspace is not desk.workspace
        settings = workspace.settings
        assert (settings.context_views, settings.scene.heat) == (3, "owner")
        assert (settings.scene.layer, settings.scene.wipe) == ("index", 0.9)
        tab = Desk(page, workspace, debugger_app.clients[-1])
        until(page, lambda: (tab.colors() == owner_colors(1)[0]).all())
        page.get_by_role("tab", name="Memory").click()
        assert page.get_by_label("Colour (H)").first.input_value() == "owner"
        assert page.get_by_label("Target's eye (N)").first.input_value() == "index"
    finally:
        page.close()
