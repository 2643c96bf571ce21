"""The panels: what they show of a walk, and what their buttons ask for."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import viser
from fakes import open_box
from PIL import Image

from viewer.client import Client
from viewer.heatmap import BACKGROUND, MODES, paint_surfels
from viewer.panels.history import HistoryPanel, tree_html
from viewer.panels.memory import ROWS, MemoryPanel, data_url, union_coverage
from viewer.panels.session import SessionPanel
from viewer.panels.settings import SettingsPanel
from viewer.panels.walk import MOVE_ROWS, PICTURE, WalkPanel
from viewer.scene import memory_at
from viewer.worker import Event
from viewer.workspace import Settings, Source
from vmem.cameras import MOVES, Cameras
from vmem.memory import MemorySnapshot
from vmem.photos import PhotoError
from vmem.progress import Progress
from vmem.retrieval import Retrieval
from vmem.selection import STRATEGIES


class Asked:
    """In place of a client: keeps what the panels ask of it, as (name, arguments)."""

    def __init__(self) -> None:
        self.workspace = SimpleNamespace(settings=Settings())
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> str:
        if not callable(getattr(Client, name, None)):
            raise AttributeError(f"a client has no method {name}")
        return name

    def post(self, call: str, *arguments: object) -> None:
        self.calls.append((call, arguments))


@pytest.fixture
def asked() -> Asked:
    return Asked()


def as_client(asked: Asked) -> Client:
    return cast(Client, asked)


def handles(server: viser.ViserServer) -> list[Any]:
    """All elements of the GUI, in every container."""
    containers = server.gui._container_handle_from_uuid.values()
    return [child for container in containers for child in container._children.values()]


def labelled(server: viser.ViserServer, label: str) -> Any:
    """The element of that label; what it says in brackets besides is left out."""
    (found,) = [
        handle
        for handle in handles(server)
        if (getattr(handle, "label", None) or "").partition(" (")[0] == label
    ]
    return found


def use(handle: Any, value: object = None) -> None:
    """What happens when the user sets an element to a value, or presses a button."""
    if value is not None:
        handle._impl.value = value
    for callback in handle._impl.update_cb:
        callback(SimpleNamespace(client=object(), client_id=1, target=handle))


def ask_from(memory: MemorySnapshot, view: int, strategy: str = "votes") -> Retrieval:
    return memory.retrieve(Cameras.stack([memory.views[view].camera]), 4, strategy)


# --- history -------------------------------------------------------------------------------------


def lines_of(html: str) -> list[tuple[str, list[str]]]:
    """(indent, labels) of every line of a tree."""
    found = []
    for indent, line in re.findall(r"margin-left:(\d+)px'>(.*?)</div>", html):
        found.append((indent, re.findall(r"title='step \d+'>(.*?)</span>", line)))
    return found


def test_the_tree_has_a_line_for_every_branch_and_every_step_once() -> None:
    session = open_box()
    for word in "wwa":
        session.move(word)
    session.switch(1)
    session.move("d")
    session.move("s")
    session.switch(0)
    session.move("q")
    html = tree_html(session.history.nodes[0], session.history.head)
    assert lines_of(html) == [
        ("0", ["photo", "w", "w", "a"]),
        ("12", ["d", "s"]),
        ("12", ["q"]),
    ], "the later a branch leaves, the nearer it stands"
    steps = re.findall(r"title='step (\d+)'", html)
    assert sorted(steps, key=int) == [str(node.id) for node in session.history.nodes]


def test_the_head_is_bold_and_the_way_to_it_bright() -> None:
    session = open_box()
    for word in "wa":
        session.move(word)
    session.undo()
    html = tree_html(session.history.nodes[0], session.history.head)
    spans = re.findall(r"color:(#\w+);font-weight:(\w+)' title='step (\d)'", html)
    colors = {step: (color, weight) for color, weight, step in spans}
    assert colors["1"][1] == "bold"
    assert [colors[step][1] for step in "02"] == ["normal", "normal"]
    assert len({colors[step][0] for step in "012"}) == 3


def test_the_history_panel_follows_the_session(server: viser.ViserServer, asked: Asked) -> None:
    panel = HistoryPanel(as_client(asked), server.gui)
    session = open_box()
    panel.show(session)
    step, scrub = labelled(server, "Go to step"), labelled(server, "Frame")
    assert (step.value, scrub.value) == ("0 photo", 0)
    session.move("w")
    session.move("d")
    panel.show(session)
    assert tuple(step.options) == ("0 photo", "1 w", "2 d")
    assert (step.value, scrub.value, scrub.max) == ("2 d", 8, 8)
    session.undo()
    panel.show(session)
    assert (step.value, scrub.value, scrub.max) == ("1 w", 4, 4)
    assert asked.calls == [], "showing is no request"


def test_the_history_panel_asks_for_steps_frames_and_playing(
    server: viser.ViserServer, asked: Asked
) -> None:
    panel = HistoryPanel(as_client(asked), server.gui)
    session = open_box()
    session.move("w")
    panel.show(session)
    use(labelled(server, "Go to step"), "0 photo")
    use(labelled(server, "Frame"), 3)
    use(labelled(server, "Play"))
    assert asked.calls == [("switch", (0,)), ("show_view", (3,)), ("play", ())]
    panel.show_playing(True)
    assert labelled(server, "Stop")


# --- memory --------------------------------------------------------------------------------------


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
    use(labelled(server, "Compare"))
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
    memory_panel.show_asked("surfel 7")
    assert memory_panel._asked.content == "surfel 7"


# --- walk ----------------------------------------------------------------------------------------


@pytest.fixture
def walk_panel(server: viser.ViserServer, asked: Asked) -> WalkPanel:
    return WalkPanel(as_client(asked), server.gui)


def test_every_move_has_a_button_that_makes_it(
    walk_panel: WalkPanel, server: viser.ViserServer, asked: Asked
) -> None:
    assert sorted(word for row in MOVE_ROWS for word in row) == sorted(MOVES)
    groups = [h for h in handles(server) if getattr(h, "label", None) == ""]
    assert len(groups) == len(MOVE_ROWS)
    for group, row in zip(groups, MOVE_ROWS, strict=True):
        for name, word in zip(group.options, row, strict=True):
            use(group, name)
            assert asked.calls.pop() == ("move", (word,))


def test_the_walk_panel_asks(
    walk_panel: WalkPanel, server: viser.ViserServer, asked: Asked
) -> None:
    for label, value, expected in (
        ("Mode", "fly", ("set_mode", ("fly",))),
        ("Generate", None, ("generate", ())),
        ("Cancel", None, ("cancel", ())),
        ("History", "undo", ("undo", ())),
        ("History", "redo", ("redo", ())),
        ("Step", 0.3, ("set_strides", (0.3, 4.0))),
        ("Turn", 10.0, ("set_strides", (0.3, 10.0))),
        ("View from", "eyes", ("set_eye", ("eyes",))),
    ):
        use(labelled(server, label), value)
        assert asked.calls.pop() == expected


@pytest.mark.parametrize(
    ("event", "running", "said"),
    [
        (Event("started", "step w", 0), True, "step w"),
        (Event("started", "step w", 2), True, "2 more waiting"),
        (
            Event("progress", "step w", 1, Progress("generate", 3, 4), 0.6, 1.26),
            True,
            "generate 3/4, about 1.3 s left, 1 more waiting",
        ),
        (Event("progress", "open", 0, Progress("photo", 0, 1), 0.0), True, "photo"),
        (Event("finished", "step w", 0, fraction=1.0), False, "ready"),
        (Event("failed", "open", 0, message="that is no photo"), False, "that is no photo"),
        (Event("cancelled", "step w", 0), False, "nothing was changed"),
    ],
)
def test_progress_is_shown_while_a_job_runs(
    walk_panel: WalkPanel, server: viser.ViserServer, event: Event, running: bool, said: str
) -> None:
    walk_panel.show_event(event)
    assert walk_panel._bar.visible == running
    assert walk_panel._cancel.visible == running
    assert walk_panel._bar.value == pytest.approx(100 * event.fraction if running else 0.0)
    assert said in walk_panel._stage.content


def test_the_newest_frame_stands_beside_what_memory_knew(walk_panel: WalkPanel) -> None:
    frame = np.full((100, 200, 3), 50, np.uint8)
    heat = np.full((50, 100, 3), 90, np.uint8)
    for beside, level in ((heat, 90), (None, BACKGROUND)):
        walk_panel.show_frame(frame, beside)
        picture = walk_panel._picture.image
        assert picture.shape == (PICTURE // 2, 2 * PICTURE + 4, 3)
        assert (picture[:, :PICTURE] == 50).all()
        assert (picture[:, PICTURE + 4 :] == level).all()


# --- session and settings ------------------------------------------------------------------------


def test_without_samples_the_session_panel_says_so_and_works(
    server: viser.ViserServer, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> tuple[()]:
        raise PhotoError("the sample scenes are missing")

    monkeypatch.setattr("viewer.panels.session.samples", missing)
    SessionPanel(as_client(asked), server.gui)
    texts = [str(getattr(handle, "content", "")) for handle in handles(server)]
    assert "the sample scenes are missing" in texts
    use(labelled(server, "Procedural world"))
    use(labelled(server, "Download this walk"))
    assert asked.calls == [("open", (Source("procedural world", None),)), ("export", ())]


def test_an_uploaded_photo_is_opened(server: viser.ViserServer, asked: Asked) -> None:
    SessionPanel(as_client(asked), server.gui)
    upload = labelled(server, "Walk into your own photo")
    use(upload, SimpleNamespace(name="room.jpg", content=b"jpeg"))
    assert asked.calls == [("open", (Source("room.jpg", b"jpeg"),))]


def test_the_session_panel_says_what_the_walk_is_made_from(
    server: viser.ViserServer, asked: Asked
) -> None:
    panel = SessionPanel(as_client(asked), server.gui)
    panel.show("Room", "preview: no diffusion", ("Turned upright.", "Cropped."))
    text = panel._about.content
    for said in ("**Room**", "preview: no diffusion", "- Turned upright.", "- Cropped."):
        assert said in text


def test_settings_show_what_is_set_and_ask_for_changes(
    server: viser.ViserServer, asked: Asked
) -> None:
    settings = asked.workspace.settings
    settings.backend, settings.size, settings.seed, settings.keymap = "preview", 200, 5, "game"
    SettingsPanel(as_client(asked), server.gui)
    shown = {label: labelled(server, label) for label in ("Backend", "Frame size", "Seed", "Keys")}
    assert [handle.value for handle in shown.values()] == ["preview", "200", 5, "game"]
    use(shown["Frame size"], "384")
    use(shown["Seed"], 6)
    use(shown["Keys"], "paper")
    assert asked.calls == [
        ("set_next", ("preview", 384, 5)),
        ("set_next", ("preview", 384, 6)),
        ("set_keymap", ("paper",)),
    ]


@pytest.mark.parametrize(
    ("label", "value", "expected"),
    [
        ("Begin this walk again", None, ("open_again", ())),
        ("Frustums", False, ("set_shown", (False, True, False))),
        ("Billboards", False, ("set_shown", (True, False, False))),
        ("Show what was invented", True, ("set_shown", (True, True, True))),
        ("Keys and mouse", None, ("help", ())),
    ],
)
def test_switches_of_the_settings_panel(
    server: viser.ViserServer,
    asked: Asked,
    label: str,
    value: object,
    expected: tuple[str, tuple[object, ...]],
) -> None:
    SettingsPanel(as_client(asked), server.gui)
    use(labelled(server, label), value)
    assert asked.calls == [expected]


def test_memories_of_every_length_fit_the_panels(
    server: viser.ViserServer, asked: Asked, walk: MemorySnapshot
) -> None:
    panel = MemoryPanel(as_client(asked), server.gui)
    for step in range(len(walk.steps)):
        memory = memory_at(walk, step)
        panel.show_retrieval(memory, ask_from(memory, 0), 1.0)
        assert len(rows_of(panel._table.content)) == min(ROWS, len(memory.views))
