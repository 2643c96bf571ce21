"""The Memory tab: which views the ghost would draw on, and why."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
import viser
from fakes import open_box
from PIL import Image
from standins import Asked, as_client, labelled, use

from viewer.heatmap import MODES, paint_surfels
from viewer.panels.memory import ROWS, MemoryPanel, data_url, union_coverage
from vmem.cameras import Cameras
from vmem.memory import MemorySnapshot
from vmem.retrieval import Retrieval
from vmem.selection import STRATEGIES


def ask_from(memory: MemorySnapshot, view: int, strategy: str = "votes") -> Retrieval:
    return memory.retrieve(Cameras.stack([memory.views[view].camera]), 4, strategy)


def test_union_coverage_is_the_share_of_votes_that_chosen_views_explain(
    walk: MemorySnapshot,
) -> None:
    retrieval = ask_from(walk, 20)
    for order in (retrieval.order, retrieval.order[:1], ()):
        answer = replace(retrieval, order=order)
        explained = total = 0.0
        known = {
            int(s) for s, v in zip(walk.link_surfel, walk.link_view, strict=True) if int(v) in order
        }
        for surfel, weight in enumerate(retrieval.surfel_weight):
            total += float(weight)
            explained += float(weight) * (surfel in known)
        assert union_coverage(walk, answer) == pytest.approx(explained / total, rel=1e-4)


def test_nothing_visible_is_covered_by_nothing(walk: MemorySnapshot) -> None:
    retrieval = ask_from(walk, 0)
    blind = replace(retrieval, surfel_weight=np.zeros_like(retrieval.surfel_weight))
    assert union_coverage(walk, blind) == 0.0


def test_a_data_url_holds_the_picture() -> None:
    rgb = np.full((20, 30, 3), (200, 90, 40), np.uint8)
    head, _, body = data_url(rgb).partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as image:
        np.testing.assert_allclose(np.asarray(image, int), rgb, atol=6)


@pytest.fixture
def memory_panel(server: viser.ViserServer, asked: Asked) -> MemoryPanel:
    return MemoryPanel(as_client(asked), server.gui)


def rows_of(table: str) -> list[list[str]]:
    """The text of every cell; pictures count as empty."""
    rows = re.findall(r"<tr style=.*?</tr>", table)
    return [
        [re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<td.*?</td>", row)] for row in rows
    ]


def test_the_table_lists_the_chosen_views_first_with_reasons(
    memory_panel: MemoryPanel, walk: MemorySnapshot
) -> None:
    retrieval = ask_from(walk, 20)
    memory_panel.show_retrieval(walk, retrieval, 12.3)
    rows = rows_of(memory_panel._table.content)
    assert len(rows) == ROWS
    views = [int(row[0]) for row in rows]
    assert views[: len(retrieval.order)] == list(retrieval.order)
    rest = views[len(retrieval.order) :]
    assert rest == sorted(rest, key=lambda view: retrieval.rank[view])
    for row, view in zip(rows, views, strict=True):
        assert row[2] == f"{100 * retrieval.share[view]:.1f} %"
        assert row[4] == retrieval.reasons[view]
    summary = memory_panel._summary.content
    assert f"{len(walk.views)} views, {len(walk.surfels)} surfels" in summary
    assert "12 ms" in summary


def test_a_table_of_a_memory_with_one_view_has_one_row(memory_panel: MemoryPanel) -> None:
    memory = open_box().snapshot()
    memory_panel.show_retrieval(memory, ask_from(memory, 0), 1.0)
    assert len(rows_of(memory_panel._table.content)) == 1


def test_notes_and_reasons_reach_the_reader_unharmed(
    memory_panel: MemoryPanel, walk: MemorySnapshot
) -> None:
    retrieval = ask_from(walk, 0)
    reasons = ("<b>&",) * len(retrieval.reasons)
    memory_panel.show_retrieval(walk, replace(retrieval, reasons=reasons, note="unusual"), 1.0)
    assert "&lt;b&gt;&amp;" in memory_panel._table.content
    assert "**unusual**" in memory_panel._summary.content


def test_thumbnails_follow_the_views_when_their_numbers_change_hands(
    memory_panel: MemoryPanel,
) -> None:
    session = open_box()
    session.move("w")
    before = session.snapshot()
    pictures = [memory_panel._picture(i, view) for i, view in enumerate(before.views)]
    session.undo()
    session.move("d")
    after = session.snapshot()
    assert memory_panel._picture(0, after.views[0]) is pictures[0]
    assert memory_panel._picture(4, after.views[4]) != pictures[4]
    assert memory_panel._picture(4, before.views[4]) == pictures[4]


def test_strategies_are_compared_side_by_side(
    memory_panel: MemoryPanel, walk: MemorySnapshot
) -> None:
    answers = [ask_from(walk, 20, strategy) for strategy in STRATEGIES]
    memory_panel.show_comparison(walk, answers)
    table = memory_panel._comparison.content
    for answer in answers:
        assert f">{answer.strategy}</td>" in table
        assert f"{100 * union_coverage(walk, answer):.0f} %" in table
    assert table.count("<img") == sum(len(answer.order) for answer in answers)


def test_colours_come_with_legend_and_bar(
    memory_panel: MemoryPanel, walk: MemorySnapshot, asked: Asked
) -> None:
    for mode in MODES:
        painted = paint_surfels(mode, walk, ask_from(walk, 0))
        memory_panel.show_colors(mode, painted)
        assert memory_panel._heat.value == mode
        assert memory_panel._legend.content == painted.legend
        assert memory_panel._bar.visible == (painted.bar is not None)
    assert asked.calls == [], "what H chose must not come back as a choice of the user"


def test_the_memory_panel_asks(server: viser.ViserServer, asked: Asked) -> None:
    MemoryPanel(as_client(asked), server.gui)
    use(labelled(server, "Colour"), "owner")
    use(labelled(server, "Strategy"), "temporal")
    use(labelled(server, "Views"), 6)
    use(labelled(server, "Compare strategies"))
    assert asked.calls == [
        ("set_heat", ("owner",)),
        ("set_strategy", ("temporal",)),
        ("set_context_views", (6,)),
        ("compare_strategies", ()),
    ]


def test_the_target_and_the_answer_are_shown(
    memory_panel: MemoryPanel, walk: MemorySnapshot
) -> None:
    memory_panel.show_target(walk.views[0].rgb)
    assert memory_panel._target.image.shape == (96, 96, 3)
    memory_panel.show_surfel(walk, 7)
    seen_by = sorted(
        {int(v) for s, v in zip(walk.link_surfel, walk.link_view, strict=True) if s == 7}
    )
    assert f"{', '.join(map(str, seen_by))} · radius" in memory_panel._asked.content


def test_memories_of_every_length_fit_the_panels(
    server: viser.ViserServer, asked: Asked, walk: MemorySnapshot
) -> None:
    panel = MemoryPanel(as_client(asked), server.gui)
    for step in range(len(walk.steps)):
        memory = walk.at_step(step)
        panel.show_retrieval(memory, ask_from(memory, 0), 1.0)
        assert len(rows_of(panel._table.content)) == min(ROWS, len(memory.views))
