"""The retrieval debugger in a real browser, its first three promises: explain a target, the
target's eye, ask a surfel. Every test asserts what the program then holds, and what the page then
shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.support.desk import (
    AMBER,
    BLANK,
    INVENTED,
    LAST,
    QUIET_ROW,
    RETURN,
    SKY,
    Desk,
    enlarged,
    near,
    same,
    saw,
    spots,
    surfel_under,
)
from tests.support.walking import changed, pixels
from viewer.paint.palette import owner_colors
from viewer.paint.surfel_colors import MODES, paint_surfels
from viewer.paint.target_layers import LAYERS, paint_layer
from viewer.panels.memory_surfel import spans
from viewer.scene.scene import BEAD
from viewer.settings import Layer
from vmem.formats.walk import export

pytestmark = pytest.mark.browser


# --- 1: explain a target ---------------------------------------------------------------------


def test_hovering_a_row_lights_frustum_line_and_surfels(desk: Desk, artifacts: Path) -> None:
    retrieval = desk.explain(LAST)
    visible = np.zeros(len(desk.memory.surfels), bool)
    visible[: len(retrieval.surfel_pixels)] = retrieval.surfel_pixels > 0
    others = {v: saw(desk.memory, [c for c in retrieval.order if c != v]) for v in retrieval.order}
    own = {v: saw(desk.memory, [v]) & ~others[v] for v in retrieval.order}
    view = max(retrieval.order, key=lambda v: (own[v] & visible).sum())
    rejected = next(row.view for row in desk.rows() if not retrieval.chosen[row.view])
    assert desk.frustum(view) == AMBER
    before, colors = desk.canvas(), desk.colors()

    desk.mark(f"row:{view}").hover()
    desk.until(lambda: desk.frustum(view) == SKY)
    assert desk.debugger.pointed == view
    ends = [retrieval.targets[-1].position, desk.memory.views[view].camera.position]
    desk.until(lambda: np.allclose(desk.lines("/pointed"), [ends], atol=1e-3))
    desk.until(lambda: (desk.colors()[own[view] & visible] == SKY).all())
    lit = (desk.colors() == SKY).all(axis=1)
    assert 50 < lit.sum() == (lit & own[view]).sum()
    desk.until(lambda: near(desk.canvas(), SKY).sum() > near(before, SKY).sum() + 150)
    hovered = desk.canvas()
    assert desk.drawn(desk.lines("/pointed")[0], hovered, SKY) > 0.3
    assert changed(before, hovered) > 0.1
    desk.page.screenshot(path=artifacts / "debugger_hover.png")

    desk.mark(f"row:{rejected}").hover()
    desk.until(lambda: desk.frustum(rejected) == SKY and desk.frustum(view) == AMBER)
    desk.rest()
    desk.until(lambda: np.array_equal(desk.colors(), colors))
    desk.until(lambda: changed(before, desk.canvas()) < 1e-3)
    assert desk.debugger.pointed is None
    assert desk.frustum(rejected) not in (SKY, AMBER)
    assert not np.diff(desk.lines("/pointed"), axis=1).any()


def test_clicking_a_row_stands_there(desk: Desk) -> None:
    before, ghost, view = desk.canvas(), desk.client.actions.ghost, 10
    assert ghost is not None
    pose, camera = ghost.camera.c2w, desk.memory.views[view].camera
    desk.mark(f"row:{view}").click()
    desk.until(lambda: np.allclose(desk.ray(1, 1)[0], camera.position, atol=1e-3))
    middle = np.array(desk.canvas().shape[1::-1]) / 2
    assert desk.ray(*middle)[1] @ camera.c2w[:3, 2] > 0.9999
    desk.rest()
    at, points = spots(camera)
    frame = desk.memory.views[view].rgb[at[:, 1], at[:, 0]].astype(int)
    there = desk.project(points).astype(int)

    def error() -> float:
        """Levels by which the middle of the window differs from the frame."""
        return float(np.abs(desk.canvas()[there[:, 1], there[:, 0]] - frame).mean())

    # The surfels themselves, seen from there, differ more.
    desk.until(lambda: error() < 5)
    assert desk.stands("/screen")
    assert same(desk.image("/screen"), desk.memory.views[view].rgb)
    assert np.array_equal(ghost.camera.c2w, pose)
    assert desk.explained.step is None
    desk.press("Escape")
    desk.until(lambda: not desk.stands("/screen"))
    desk.until(lambda: desk.client.display.walk.shown.place.startswith(f"step {LAST} · "))
    desk.until(lambda: changed(before, desk.canvas()) < 1e-3)


def test_the_table_says_what_retrieval_json_says(desk: Desk, tmp_path: Path) -> None:
    export("retrieval", desk.memory, tmp_path / "retrieval.json")
    told = {step["step"]: step for step in json.loads((tmp_path / "retrieval.json").read_text())}
    for step in (LAST, RETURN, 2):
        desk.explain(step)
        views = told[step]["views"]
        desk.until(lambda views=views: len(desk.rows()) == len(views))
        rows = desk.rows()
        total = sum(view["votes"] for view in views)
        by_rank = sorted(views, key=lambda view: view["rank"])
        rest = [view["view"] for view in by_rank if not view["chosen"]]
        assert [row.view for row in rows] == told[step]["chosen"] + rest
        for row in rows:
            view = views[row.view]
            assert row.cells[:6] == (
                f"■ {row.view}",
                "",
                f"{100 * view['votes'] / total:.1f} %",
                f"{100 * view['coverage']:.0f} %",
                f"{view['pose_distance']:.2f}",
                view["reason"],
            )
            assert row.color == (AMBER if view["chosen"] else QUIET_ROW)
            assert row.swatch == tuple(owner_colors(row.view + 1)[row.view].tolist())
    picture = desk.mark("row:0").locator("i")
    shown, frame = pixels(picture.screenshot()), desk.memory.views[0].rgb.astype(int)
    assert np.abs(shown.mean((0, 1)) - frame.mean((0, 1))).max() < 8


def test_every_colouring_has_a_legend_with_units_and_uncovered_is_loud(desk: Desk) -> None:
    units = {
        "image": "colours of the frames",
        "weight": "scene units",
        "support": "chosen views that saw the surfel: 1 to",
        "uncovered": "% of the picture",
        "owner": "one colour for each view",
        "provenance": "invented by the frame that made the surfel",
        "age": "step that made the surfel: 0 to 6",
        "normal": "-1 to 1",
        "depth": "scene units",
    }
    assert list(units) == list(MODES)
    image = desk.canvas()
    for mode in list(MODES)[1:]:
        desk.press("h")
        expected = paint_surfels(mode, desk.memory, desk.retrieval).color
        desk.until(lambda expected=expected: np.array_equal(desk.colors(), expected))
        assert desk.workspace.settings.scene.heat == mode
        desk.says(units[mode]).wait_for()
        if mode in ("owner", "depth"):
            desk.until(lambda: changed(image, desk.canvas()) > 0.2)
    first = np.full(len(desk.memory.surfels), len(desk.memory.views))
    np.minimum.at(first, desk.memory.link_surfel, desk.memory.link_view)
    owner = paint_surfels("owner", desk.memory, None).color
    assert np.array_equal(owner, owner_colors(len(desk.memory.views))[first])

    desk.set_number("Views (K)", 1)
    desk.until(lambda: len(desk.retrieval.order) == 1)
    desk.choose("Colour (H)", "uncovered")
    loud = np.zeros(len(desk.memory.surfels), bool)
    loud[: len(desk.retrieval.surfel_pixels)] = desk.retrieval.surfel_pixels > 0
    loud &= ~saw(desk.memory, desk.retrieval.order)
    assert loud.sum() > 20
    desk.until(lambda: (desk.colors()[loud] == INVENTED).all())
    orange = (desk.colors() == INVENTED).all(axis=1)
    assert not (orange & saw(desk.memory, desk.retrieval.order)).any()
    desk.until(lambda: near(desk.canvas(), INVENTED).sum() > near(image, INVENTED).sum() + 30)


# --- 2: the target's eye -----------------------------------------------------------------------


def test_the_targets_eye_shows_layers_and_wipes_panel_and_scene(desk: Desk) -> None:
    retrieval = desk.explain(LAST)
    frame = desk.memory.views[desk.memory.steps[LAST].n_views - 1].rgb
    last = len(retrieval.targets) - 1
    left, right = "/billboards/frame", "/billboards/heat"

    def layer(name: Layer) -> np.ndarray:
        color = desk.memory.surfels.color
        return paint_layer(name, desk.memory, retrieval, last, color).image.astype(np.int16)

    def panel() -> tuple[np.ndarray, np.ndarray]:
        picture = desk.picture(580)
        return picture[:, :288], picture[:, 292:]

    desk.until(lambda: same(panel()[1], layer("scene")))
    assert same(panel()[0], frame)
    scene = desk.canvas()
    for name in list(LAYERS)[1:]:
        board = desk.image(right)
        desk.press("n")
        desk.until(lambda name=name: same(panel()[1], layer(name)))
        assert desk.workspace.settings.scene.layer == name
        assert same(panel()[0], frame)
        desk.until(lambda board=board: changed(board, desk.image(right)) > 0.05)
        assert same(desk.image(right), layer(name), 12)
    desk.until(lambda: changed(scene, desk.canvas()) > 0.01)
    unknown = enlarged(retrieval.buffers[last].index < 0)
    assert unknown.any()
    assert np.array_equal(near(panel()[1], INVENTED, 0), unknown)
    desk.says("orange: nothing stored").wait_for()

    desk.set_number("Wipe ([ ])", 0.5)
    desk.until(lambda: same(panel()[0][:, 150:], layer("holes")[:, 50:]))
    assert same(panel()[0][:, :138], frame[:, :46])
    desk.until(lambda: same(desk.image(left)[:, 136:], layer("holes")[:, 51:], 12))
    desk.press("[")
    desk.until(lambda: desk.workspace.settings.scene.wipe == 0.4)
    desk.until(lambda: same(panel()[0][:, 123:], layer("holes")[:, 41:]))
    desk.press("]")
    desk.until(lambda: same(panel()[0][:, :138], frame[:, :46]))
    desk.press("n")
    desk.until(lambda: same(panel()[1], layer("scene")))


# --- 3: ask a surfel ---------------------------------------------------------------------------


def test_a_clicked_surfel_names_itself_and_its_pixels(desk: Desk) -> None:
    for asks, x, y in (("click", 250, 250), ("o", 330, 330)):
        expected = surfel_under(desk, x, y)
        assert expected != desk.debugger.asked
        if asks == "click":
            desk.page.mouse.click(x, y)
        else:
            desk.page.mouse.move(x, y)
            desk.press(asks)
        desk.until(lambda expected=expected: desk.debugger.asked == expected)
        memory, surfels = desk.memory, desk.memory.surfels
        where = ", ".join(f"{value:.2f}" for value in surfels.position[expected])
        desk.page.get_by_text(f"Surfel {expected}", exact=True).wait_for()
        told = desk.says(f"at ({where})").inner_text()
        assert f"radius {surfels.radius[expected]:.3f} scene units" in told
        made = next(i for i, end in enumerate(memory.steps) if expected < end.n_surfels)
        assert f"Made in step {made}, {LAST - made} step" in told
        views = sorted(memory.link_view[memory.link_surfel == expected].tolist())
        assert told.endswith(f": {spans(views)}")

        marks = desk.page.locator("[data-vmem^='stand:']")
        desk.until(lambda marks=marks, views=views: marks.count() == len(views))
        for i in {0, len(views) - 1}:
            camera = memory.views[views[i]].camera
            local = camera.w2c @ [*surfels.position[expected], 1.0]
            u, v = (camera.K @ local[:3])[:2] / local[2] / camera.hw[::-1]
            shown = pixels(marks.nth(i).locator("i").screenshot())
            dot = np.argwhere(near(shown, (255, 127, 14), 40))
            assert len(dot) > 4, "no mark is seen"
            middle = dot.mean(axis=0) + 0.5
            assert np.abs(middle - np.array([v, u]) * shown.shape[:2]).max() < 2
        desk.rest()
        ends = [memory.views[view].camera.position for view in views]
        desk.until(lambda ends=ends: np.allclose(desk.lines("/asked")[:, 1], ends, atol=1e-3))
        assert np.allclose(desk.lines("/asked")[:, 0], surfels.position[expected], atol=1e-5)


def test_an_answer_comes_into_sight_whichever_tab_was_open(desk: Desk) -> None:
    tab = {name: desk.page.get_by_role("tab", name=name, exact=True) for name in ("Walk", "Memory")}
    tab["Walk"].click()
    expected = surfel_under(desk, 330, 330)
    desk.page.mouse.move(330, 330)
    desk.press("o")
    words = desk.page.get_by_text(f"Surfel {expected}", exact=True)
    expect(words).to_be_in_viewport(ratio=1)
    expect(tab["Memory"]).to_have_attribute("aria-selected", "true")
    bead = float(desk.part("/asked_surfel", "radius"))
    assert bead == pytest.approx(BEAD * desk.memory.surfels.radius[expected])
    desk.page.mouse.move(*BLANK)
    x, y = desk.project(desk.memory.surfels.position[expected][None])[0].round().astype(int)
    desk.until(lambda: near(desk.canvas()[y - 3 : y + 4, x - 3 : x + 4], SKY, 60).any())

    desk.press("j")
    desk.until(lambda: desk.debugger.pointed is not None)
    row = desk.page.locator(f"tr[data-vmem='row:{desk.debugger.pointed}']")
    expect(row).to_be_in_viewport(ratio=1)
    expect(words).not_to_be_in_viewport()

    tab["Walk"].click()
    expect(row).not_to_be_visible()
    desk.press("m")
    expect(desk.says("share of the visible votes that the chosen")).to_be_in_viewport(ratio=1)
    tab["Walk"].click()
    other = surfel_under(desk, 250, 250)
    desk.page.mouse.click(250, 250)
    desk.until(lambda: desk.debugger.asked == other)
    desk.until(lambda: np.allclose(desk.lines("/asked")[:, 0], desk.memory.surfels.position[other]))
    expect(tab["Walk"]).to_have_attribute("aria-selected", "true")
