"""The Memory tab: what it says of a retrieval, and what its elements ask for."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
import viser
from PIL import Image

from tests.support.fakes import open_box
from tests.support.standins import Asked, labelled, use
from viewer.debugger.explained import Explained, listed
from viewer.page.html import data_url
from viewer.paint.surfel_colors import MODES, paint_surfels
from viewer.paint.target_layers import LAYERS, paint_layer
from viewer.panels.memory import MemoryPanel
from viewer.panels.memory_explain import GHOST
from viewer.panels.memory_strategies import difference_picture, mean_difference
from viewer.panels.memory_surfel import spans
from viewer.panels.memory_target import GAP, SIDE, beside
from viewer.panels.memory_timeline import cell_text
from viewer.walk.jobs import BothMade, StrategyAnswer, StrategyAnswers
from vmem.cameras import Cameras
from vmem.memory import MemorySnapshot
from vmem.retrieval import STRATEGIES, ask
from vmem.retrieval.attribution import union_coverage
from vmem.session.compare import step_both
from vmem.types import Query, Reason, ReasonKind, Retrieval


def ask_from(memory: MemorySnapshot, view: int, query: Query | None = None) -> Retrieval:
    return ask(memory, Cameras.stack([memory.views[view].camera]), query or Query(4, "votes"))


@pytest.fixture
def panel(server: viser.ViserServer, asked: Asked) -> MemoryPanel:
    return MemoryPanel(server.gui, asked.commands, asked.settings, asked.pins)


def show(panel: MemoryPanel, memory: MemorySnapshot, retrieval: Retrieval, **more) -> None:
    explained = Explained(memory, retrieval, more.pop("step", None), ms=12.3)
    panel.show_memory(memory, ["w"] * (len(memory.steps) - 1), explained.step)
    rows = listed(retrieval, more.pop("rows", "8"))
    panel.show_explained(
        explained, rows, more.pop("pointed", None), drawn_by="browser", waiting=2, dropped=3
    )


def rows_of(table: str) -> list[list[str]]:
    """The text of every cell; pictures count as empty."""
    rows = re.findall(r"<tr class=.*?</tr>", table)
    return [
        [re.sub(r"<.*?>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row)]
        for row in rows
    ]


def test_the_table_lists_the_chosen_views_first_with_reasons(
    panel: MemoryPanel, walk: MemorySnapshot
) -> None:
    retrieval = ask_from(walk, 20)
    show(panel, walk, retrieval)
    rows = rows_of(panel.explain.shown.table)
    assert len(rows) == 8
    views = [int(row[0].split()[-1]) for row in rows]
    assert tuple(views) == listed(retrieval, "8")
    assert views[: len(retrieval.order)] == list(retrieval.order)
    rest = views[len(retrieval.order) :]
    assert rest == sorted(rest, key=lambda view: retrieval.rank[view])
    for row, view in zip(rows, views, strict=True):
        assert row[2] == f"{100 * retrieval.share[view]:.1f} %"
        assert row[3] == f"{100 * retrieval.coverage[view]:.0f} %"
        assert row[4] == f"{retrieval.pose_distance[view]:.2f}"
        assert row[5] == str(retrieval.reasons[view])


def test_words_and_health_say_what_there_is(panel: MemoryPanel, walk: MemorySnapshot) -> None:
    retrieval = ask_from(walk, 20)
    show(panel, walk, retrieval)
    assert panel.explain.shown.words == retrieval.summary(None)
    health = panel.explain.shown.health
    visible = int((retrieval.surfel_pixels > 0).sum())
    for said in (
        "12 ms",
        f"{visible:,} of {len(walk.surfels):,} surfels visible, drawn by the browser",
        f"{len(walk.link_surfel):,} links",
        f"{len(walk.views)} views",
        "queue 2",
        "3 recolourings dropped",
    ):
        assert said in health
    assert "Warning" not in health
    blind = replace(
        retrieval,
        surfel_pixels=0 * retrieval.surfel_pixels,
        surfel_weight=0 * retrieval.surfel_weight,
        votes=0 * retrieval.votes,
        buffers=tuple(replace(b, index=np.full_like(b.index, -1)) for b in retrieval.buffers),
    )
    show(panel, walk, blind)
    assert "Warning: " in panel.explain.shown.health


def test_all_views_can_be_listed(panel: MemoryPanel, walk: MemorySnapshot) -> None:
    retrieval = ask_from(walk, 20, Query(12, "votes"))
    assert listed(retrieval, "8") == retrieval.order, "never fewer than the chosen ones"
    assert len(listed(retrieval, "24")) == 24
    show(panel, walk, retrieval, rows="all")
    assert len(rows_of(panel.explain.shown.table)) == len(walk.views)
    assert sorted(listed(retrieval, "all")) == list(range(len(walk.views)))
    few = open_box().memory
    assert listed(ask_from(few, 0), "all") == (0,)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_best_view_left_out_is_listed_after_the_chosen_ones(
    walk: MemorySnapshot, strategy: str
) -> None:
    retrieval = ask_from(walk, 0, Query(4, strategy))
    assert listed(retrieval, "8")[:5] == (*retrieval.order, retrieval.best_left_out)
    assert sorted(listed(retrieval, "all")) == list(range(len(walk.views)))


def test_pins_and_the_row_pointed_at_are_seen(panel: MemoryPanel, walk: MemorySnapshot) -> None:
    retrieval = ask_from(walk, 20, Query(4, pinned=(7,), banned=(20,)))
    show(panel, walk, retrieval, pointed=7)
    table = panel.explain.shown.table
    (row,) = re.findall(r"<tr class='vmem-row selected pointed'.*?</tr>", table)
    assert 'data-vmem="row:7"' in row
    assert re.search(r"vmem-toggle on' title='[^']*' data-vmem=\"pin:7\"", row)
    assert not re.search(r"vmem-toggle on' title='[^']*' data-vmem=\"ban:7\"", row)
    assert table.count("vmem-toggle on") == 1 + ("row:20" in table)


def test_reasons_reach_the_reader_unharmed(panel: MemoryPanel, walk: MemorySnapshot) -> None:
    retrieval = ask_from(walk, 0)
    markup = Reason(ReasonKind.OTHER, text="<b>&")
    show(panel, walk, replace(retrieval, reasons=(markup,) * len(retrieval.reasons)))
    assert "&lt;b&gt;&amp;" in panel.explain.shown.table


def test_what_can_be_explained_is_the_ghost_and_every_step(
    panel: MemoryPanel, walk: MemorySnapshot, asked: Asked, server: viser.ViserServer
) -> None:
    panel.show_memory(walk, list("wwaaedds"), 3)
    subject = labelled(server, "Explain")
    assert subject.options[0] == GHOST
    assert subject.options[1] == "step 8: s"
    assert subject.value == "step 3: a"
    assert asked.calls == [], "what we set must not come back as a choice"
    use(subject, "step 8: s")
    use(subject, "step 1: w")
    use(subject, GHOST)
    assert asked.calls == [("explain", (step,)) for step in (8, 1, None)]


def test_the_panel_asks(server: viser.ViserServer, asked: Asked, panel: MemoryPanel) -> None:
    for label, value, call in (
        ("Colour", "owner", ("set_heat", ("owner",))),
        ("Target's eye", "holes", ("set_layer", ("holes",))),
        ("Wipe", 0.5, ("set_wipe", (0.5,))),
        ("Views listed", "24", ("set_rows", ("24",))),
        ("Strategy", "temporal", ("set_query", ("strategy", "temporal"))),
        ("Views", 6, ("set_query", ("context_views", 6))),
        ("Suppression", 0.2, ("set_query", ("suppression", 0.2))),
        ("A pixel's vote", "pixels", ("set_query", ("weighting", "pixels"))),
        ("A pixel's vote", "the strategy's own", ("set_query", ("weighting", None))),
        ("Surfel density", 0.5, ("set_query", ("density", 0.5))),
        ("Use for the next steps", False, ("set_use_next", (False,))),
        ("Step explained", 0, ("explain", (None,))),
        ("Step explained", 2, ("explain", (2,))),
    ):
        asked.calls.clear()
        use(labelled(server, label), value)
        assert asked.calls == [call], label
    for label, call in (
        ("Forget pins, bans and the rest", "clear_what_ifs"),
        ("Play the steps", "play_steps"),
        ("Compare strategies", "compare_strategies"),
        ("Export this explanation", "export_explanation"),
        ("Show it as it was", "as_it_was"),
    ):
        asked.calls.clear()
        use(labelled(server, label))
        assert asked.calls == [(call, ())], label
    asked.calls.clear()
    use(labelled(server, "Other"), "votes")
    use(labelled(server, "Generate with both"))
    assert asked.calls == [("make_both", ())]
    assert panel.strategies.pair == ("coverage", "votes")


def test_what_keys_have_set_is_shown(
    server: viser.ViserServer, asked: Asked, panel: MemoryPanel, walk: MemorySnapshot
) -> None:
    settings = asked.settings
    settings.strategy, settings.context_views, settings.density = "pose", 9, 0.25
    settings.weighting, settings.suppression = "cos", 0.3
    asked.pins.toggle_pin(3, walk)
    asked.pins.toggle_ban(5, walk)
    show(panel, walk, ask_from(walk, 0))
    shown = [labelled(server, name).value for name in ("Strategy", "Views", "Surfel density")]
    assert shown == ["pose", 9, 0.25]
    assert labelled(server, "A pixel's vote").value == "cos"
    assert panel.what_if.shown == "pinned: 3 · banned: 5"
    assert asked.calls == []


def test_colours_come_with_legend_and_bar(
    panel: MemoryPanel, walk: MemorySnapshot, asked: Asked
) -> None:
    for mode in MODES:
        painted = paint_surfels(mode, walk, ask_from(walk, 0))
        panel.show_colors(mode, painted)
        assert panel.colors.heat == mode
        assert panel.colors.legend == painted.legend
        assert panel.colors.bar == (painted.bar is not None)
    assert asked.calls == [], "what H chose must not come back as a choice of the user"


def test_the_target_stands_beside_its_layer(
    panel: MemoryPanel, walk: MemorySnapshot, asked: Asked
) -> None:
    retrieval = ask_from(walk, 20)
    for layer in LAYERS:
        asked.settings.scene.layer = layer
        picture = paint_layer(layer, walk, retrieval, 0, walk.surfels.color)
        panel.target.show(walk.views[20].rgb, picture, "a frame")
        assert panel.target.shown.picture.shape == (SIDE, 2 * SIDE + GAP, 3)
        assert picture.legend in panel.target.shown.legend
        assert panel.target.shown.layer == layer
    left, right = np.full((40, 80, 3), 10, np.uint8), np.full((20, 40, 3), 200, np.uint8)
    both = beside(left, right)
    assert both.shape == (SIDE // 2, 2 * SIDE + GAP, 3)
    assert (both[:, :SIDE] == 10).all()
    assert (both[:, -SIDE:] == 200).all()


def test_a_surfel_is_asked_in_every_view(panel: MemoryPanel, walk: MemorySnapshot) -> None:
    panel.show_memory(walk, ["w"] * 8, None)
    found = panel.surfel.show(walk, 7)
    assert found is not None
    seen_by = sorted(
        {int(v) for s, v in zip(walk.link_surfel, walk.link_view, strict=True) if s == 7}
    )
    assert panel.surfel.shown.words.endswith(f": {spans(seen_by)}")
    html = panel.surfel.shown.views
    assert [int(view) for view in re.findall(r'data-vmem="stand:(\d+)"', html)] == seen_by
    places = re.findall(r"circle at ([\d.]+)% ([\d.]+)%", html)
    inside = [sighting for sighting in found.sightings if sighting.inside]
    assert len(places) == len(inside) > 0
    for (x, y), sighting in zip(places, inside, strict=True):
        camera = walk.views[sighting.view].camera
        local = camera.w2c @ [*walk.surfels.position[7], 1]
        at = camera.K @ local[:3] / local[2]
        h, w = camera.hw
        assert (float(x) * w / 100, float(y) * h / 100) == pytest.approx(at[:2], abs=0.06 * w / 10)
    assert panel.surfel.show(walk, None) is None
    assert panel.surfel.shown.views == ""


def test_strategies_are_compared_side_by_side(panel: MemoryPanel, walk: MemorySnapshot) -> None:
    answers = tuple(
        StrategyAnswer(
            found := ask_from(walk, 20, Query(4, name)), union_coverage(walk, found), 0.5
        )
        for name in STRATEGIES
    )
    panel.strategies.show_answers(StrategyAnswers(walk, answers))
    table = panel.strategies.shown.answers
    rows = re.findall(r"<tr><td.*?</tr>", table)
    assert len(rows) == len(STRATEGIES)
    for row, answer in zip(rows, answers, strict=True):
        assert f">{answer.retrieval.strategy}</td>" in row
        assert f">{100 * answer.covered:.0f} %</td>" in row
        assert ">50 %</td>" in row
        views = [int(view) for view in re.findall(r'data-vmem="row:(\d+)"', row)]
        assert tuple(views) == answer.retrieval.order
    panel.strategies.show_answers(
        StrategyAnswers(walk, tuple(replace(answer, truly=None) for answer in answers))
    )
    assert "truly" not in panel.strategies.shown.answers


def test_two_branches_stand_beside_their_difference(panel: MemoryPanel) -> None:
    session = open_box()
    session.move("w")
    made = step_both(
        session,
        1,
        session.targets_to(session.camera.c2w),
        (Query(1, "coverage"), Query(2, "temporal")),
    )
    panel.strategies.show_both(BothMade(*made))
    pairs = [
        (a.rgb, b.rgb) for a, b in zip(made[0].record.views, made[1].record.views, strict=True)
    ]
    assert f"difference {mean_difference(pairs):.1f} levels" in panel.strategies.shown.words
    assert mean_difference(pairs) > 0
    picture = panel.strategies.shown.frames
    assert picture is not None
    np.testing.assert_array_equal(picture, difference_picture(pairs))
    a = np.full((10, 10, 3), 100, np.uint8)
    same, far = difference_picture([(a, a)]), difference_picture([(a, a + 64)])
    assert same[5, -20:-5].max() < 10
    assert far[5, -20:-5].min(axis=0)[0] > 240


def test_a_cell_of_the_timeline_says_what_it_means(
    panel: MemoryPanel, walk: MemorySnapshot
) -> None:
    panel.show_memory(walk, ["w"] * 8, 4)
    html = panel.timeline.shown.matrix
    data = re.search(r"base64,([^']+)", html)
    assert data is not None
    with Image.open(io.BytesIO(base64.b64decode(data[1]))) as image:
        assert image.format == "PNG"
    retrieval = walk.retrievals[4]
    assert retrieval is not None
    panel.timeline.show_cell(walk, (4, 3))
    assert f"{100 * retrieval.share[3]:.1f} %" in panel.timeline.shown.words
    assert str(retrieval.reasons[3]) in panel.timeline.shown.words
    panel.timeline.show_cell(walk, None)
    assert panel.timeline.shown.words == panel.timeline.shown.legend
    assert "not there yet" in cell_text(walk, 4, 30)
    assert "photo" in cell_text(walk, 0, 0)


def test_a_picture_in_html_is_the_picture() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    head, _, body = data_url(rgb, "PNG").partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as image:
        np.testing.assert_array_equal(np.asarray(image), rgb)


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ([], ""),
        ([4], "4"),
        ([4, 5, 9], "4, 5, 9"),
        ([0, 1, 2, 7, 9, 10, 11, 12], "0 to 2, 7, 9 to 12"),
    ],
)
def test_many_views_are_told_in_few_words(numbers: list[int], told: str) -> None:
    assert spans(numbers) == told
