"""The panels: what they show of a walk, and what their buttons ask for."""

from __future__ import annotations

import inspect
import re
from types import SimpleNamespace

import numpy as np
import pytest
import viser

from tests.support.fakes import open_box
from tests.support.standins import Asked, call, handles, labelled, use
from viewer.paint.palette import BACKGROUND
from viewer.panels.hints import hint_html
from viewer.panels.history import HistoryPanel
from viewer.panels.history_compare import comparison_html, comparison_lines
from viewer.panels.history_tree import tree_html
from viewer.panels.memory import MemoryPanel
from viewer.panels.photos import PhotosPanel
from viewer.panels.session import SessionPanel
from viewer.panels.settings import SettingsPanel
from viewer.panels.walk import PICTURE, WalkPanel
from viewer.settings import LAYOUTS, WALK_MODES
from viewer.walk.source import Source
from viewer.walk.tree_rows import tree_rows
from viewer.walk.worker import Event
from vmem.formats.photos import PhotoError, samples
from vmem.progress import Progress
from vmem.session import HistoryError, Session
from vmem.session.compare import compared, step_both
from vmem.types import Query

# --- history -------------------------------------------------------------------------------------


def listed(html: str) -> list[tuple[str, str]]:
    """(classes, words) of every line of a tree, from the top."""
    lines = re.findall(r"<div class='(vmem-step[^']*)'[^>]*>(.*?)</div>", html)
    return [(classes, re.sub(r"<small>.*|<[^>]*>", "", line).strip()) for classes, line in lines]


def branched() -> Session:
    session = open_box()
    for word in "ww":
        session.move(word)
    session.switch(1)
    session.move("d")
    return session


def test_the_tree_lists_the_newest_above_and_branches_beside_the_present_way() -> None:
    session = branched()
    session.rename(2, "<b>the door</b>")
    html = tree_html(tree_rows(session.history), {2}, None)
    assert listed(html) == [
        ("vmem-step on head step", "turn right"),
        ("vmem-step step", "&lt;b&gt;the door&lt;/b&gt; forward"),
        ("vmem-step on step", "forward"),
        ("vmem-step on step", "photo"),
    ]
    assert html.count("aria-current") == 1
    assert re.findall(r"vmem-toggle on' data-vmem=\"(.*?)\"", html) == ["versus:2"]


def test_the_history_panel_follows_the_session(server: viser.ViserServer, asked: Asked) -> None:
    panel = HistoryPanel(server.gui, asked.commands)
    session = open_box()
    panel.show(session)
    scrub, step = labelled(server, "Frame"), labelled(server, "Step")
    assert (len(listed(panel.shown.tree)), scrub.value) == (1, 0)
    session.move("w")
    session.move("d")
    panel.show(session)
    assert len(listed(panel.shown.tree)) == 3
    assert (step.value, step.max, scrub.value, scrub.max) == (2, 2, 8, 8)
    session.undo()
    session.rename(1, "here")
    panel.show(session)
    assert "head step" in listed(panel.shown.tree)[1][0]
    assert (step.value, scrub.value, scrub.max) == (1, 4, 4)
    assert labelled(server, "Name").value == "here"
    assert asked.calls == [], "showing is no request"


def test_the_tree_is_made_only_while_the_tab_is_open(
    server: viser.ViserServer, asked: Asked
) -> None:
    panel = HistoryPanel(server.gui, asked.commands)
    session = open_box()
    panel.show_seen(False)
    session.move("w")
    panel.show(session)
    assert panel.shown.tree == ""
    panel.show_seen(True)
    assert len(listed(panel.shown.tree)) == 2


def test_two_steps_are_compared_with_each_other_or_one_with_the_present(
    server: viser.ViserServer, asked: Asked
) -> None:
    panel = HistoryPanel(server.gui, asked.commands)
    panel.show(branched())
    for step, captions, said in (
        (2, ["3 turn right", "2 forward"], "where they look from"),
        (1, ["2 forward", "1 forward"], "Step 2 goes on from step 1, by 1 step."),
        (2, ["3 turn right", "1 forward"], "by 1 step"),
        (1, [], ""),
    ):
        panel.compare(step)
        html = panel.shown.comparison
        assert re.findall("<figcaption>(.*?)</figcaption>", html) == captions
        assert said in html
    with pytest.raises(HistoryError):
        panel.compare(99)


def test_the_cause_of_a_difference_is_said_before_what_follows_from_it() -> None:
    session = branched()
    targets = session.targets_to(session.memory.views[0].camera.c2w)
    one, other = step_both(session, 3, targets, (Query(1, "temporal"), Query(1, "pose")))
    session.move("w")
    a, b = session.history.head, other.node
    lines = comparison_lines(a, b, compared(a, b))
    assert lines[:2] == [
        "The ways part after 2 shared steps.",
        "First difference, in step 3: <b>what memory was asked</b>.",
    ]
    orders = (one.retrieval.order, other.retrieval.order)
    assert orders[0] != orders[1]
    assert lines[2] == f"Views chosen: {orders[0][0]} | {orders[1][0]}"
    captions = re.findall("<figcaption>(.*?)</figcaption>", comparison_html(a, b, compared(a, b)))
    assert captions == ["6 forward", "4 pose", "5 temporal", "4 pose"]
    again = branched()
    again.undo()
    again.move("d")
    nodes = again.history.node(3), again.history.node(4)
    assert "nothing differs" in comparison_lines(*nodes, compared(*nodes))[1]


def test_the_history_panel_asks(server: viser.ViserServer, asked: Asked) -> None:
    panel = HistoryPanel(server.gui, asked.commands)
    session = open_box()
    session.move("w")
    panel.show(session)
    use(labelled(server, "Frame"), 3)
    use(labelled(server, "Play"))
    use(labelled(server, "Steps"), "undo (Z)")
    labelled(server, "Name").value = " the  door "
    use(labelled(server, "Name the present step"))
    use(labelled(server, "Go to step"))
    assert asked.calls == [
        ("show_frame", (3,)),
        ("play", ()),
        ("undo", ()),
        ("rename", (1, "the door")),
        ("switch", (1,)),
    ]
    panel.show_playing(True)
    assert labelled(server, "Stop")


# --- walk ----------------------------------------------------------------------------------------


@pytest.fixture
def walk_panel(server: viser.ViserServer, asked: Asked) -> WalkPanel:
    return WalkPanel(server.gui, asked.commands, asked.settings)


def marks(server: viser.ViserServer, name: str) -> dict[str, str]:
    """Argument -> element (HTML) of the marks of a name, as the page has them."""
    contents = [str(getattr(handle, "content", "")) for handle in handles(server)]
    found = re.findall(rf'(<[^<>]*data-vmem="{name}:(\w+)"[^<>]*>)', "".join(contents))
    return {argument: element for element, argument in found}


def test_mode_and_layout_show_which_is_on_and_the_keys_that_go_with_it(
    walk_panel: WalkPanel, server: viser.ViserServer, asked: Asked
) -> None:
    for mode, layout in zip(WALK_MODES, LAYOUTS, strict=True):
        asked.settings.mode, asked.settings.layout = mode, layout
        walk_panel.show_choices(asked.settings, layout)
        for name, options, on in (("mode", WALK_MODES, mode), ("layout", LAYOUTS, layout)):
            there = marks(server, name)
            assert tuple(there) == options
            lit = [key for key, element in there.items() if 'aria-pressed="true"' in element]
            assert lit == [on]
        texts = [str(getattr(handle, "content", "")) for handle in handles(server)]
        assert hint_html(mode, asked.settings.keymap_now) in texts


def test_the_walk_panel_asks(
    walk_panel: WalkPanel, server: viser.ViserServer, asked: Asked
) -> None:
    for label, value, expected in (
        ("Generate", None, ("generate", ())),
        ("Cancel", None, ("cancel", ())),
        ("History", "undo (Z)", ("undo", ())),
        ("History", "redo (Shift+Z)", ("redo", ())),
        ("Save", "picture (C)", ("screenshot", ())),
        ("Save", "clip (Shift+C)", ("record", ())),
        ("Step", 0.3, ("set_strides", (0.3, 4.0))),
        ("Turn", 10.0, ("set_strides", (0.3, 10.0))),
        ("View from", "eyes", ("set_view_from", ("eyes",))),
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
        (
            Event("progress", "step w", 0, Progress("denoise", 7, 50), 0.1, stage_left=83.4),
            True,
            "denoising 7/50, about 83 s left of this",
        ),
        (
            Event("progress", "step w", 0, Progress("weights", 10**9, 4 * 10**9), 0.1, 127.0),
            True,
            "loading the weights 25 %, about 2 min 7 s left",
        ),
        (Event("finished", "step w", 0, fraction=1.0), False, "ready"),
        (Event("failed", "open", 0, message="that is no photo"), False, "that is no photo"),
        (Event("cancelled", "step w", 0), False, "nothing was changed"),
    ],
)
def test_progress_is_shown_while_a_job_runs(
    walk_panel: WalkPanel, server: viser.ViserServer, event: Event, running: bool, said: str
) -> None:
    walk_panel.show_event(event)
    assert labelled(server, "Cancel").visible == running
    assert walk_panel.shown.running == running
    assert walk_panel.shown.percent == pytest.approx(100 * event.fraction if running else 0.0)
    assert said in walk_panel.shown.stage


def test_the_newest_frame_stands_beside_what_memory_knew(walk_panel: WalkPanel) -> None:
    frame = np.full((100, 200, 3), 50, np.uint8)
    heat = np.full((50, 100, 3), 90, np.uint8)
    for beside, level in ((heat, 90), (None, BACKGROUND)):
        walk_panel.show_frame(frame, beside)
        picture = walk_panel.shown.picture
        assert picture.shape == (PICTURE // 2, 2 * PICTURE + 4, 3)
        assert (picture[:, :PICTURE] == 50).all()
        assert (picture[:, PICTURE + 4 :] == level).all()


# --- photos, session and settings ----------------------------------------------------------------


def test_every_sample_is_a_thumbnail_in_the_first_tab_and_the_world_too(
    walk_panel: WalkPanel, server: viser.ViserServer
) -> None:
    there = marks(server, "photo")
    found = {sample.path.stem: sample for sample in samples()}
    assert list(there) == [*found, "world"] == list(walk_panel.photos.sources)
    for name, sample in found.items():
        assert sample.title in there[name]
        assert sample.credit in there[name], "authors are named"
        assert walk_panel.photos.sources[name] == Source(sample.title, sample.path)


def test_without_samples_the_panel_says_so_and_works(
    server: viser.ViserServer, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> tuple[()]:
        raise PhotoError("the sample <scenes> are missing")

    monkeypatch.setattr("viewer.panels.photos.samples", missing)
    panel = PhotosPanel(server.gui, asked.commands)
    texts = [str(getattr(handle, "content", "")) for handle in handles(server)]
    assert any("the sample &lt;scenes&gt; are missing" in text for text in texts)
    assert panel.sources == {"world": Source("procedural world", None)}


def test_an_uploaded_photo_is_opened_and_a_walk_downloaded(
    server: viser.ViserServer, asked: Asked
) -> None:
    PhotosPanel(server.gui, asked.commands)
    SessionPanel(server.gui, asked.commands)
    upload = labelled(server, "Walk into your own photo")
    use(upload, SimpleNamespace(name="room.jpg", content=b"jpeg"))
    use(labelled(server, "Download this walk"))
    assert asked.calls == [("open", (Source("room.jpg", b"jpeg"),)), ("export_walk", ())]


def test_the_session_panel_says_what_the_walk_is_made_from(
    server: viser.ViserServer, asked: Asked
) -> None:
    panel = SessionPanel(server.gui, asked.commands)
    panel.show("Room", "preview: no diffusion", ("Turned upright.", "Cropped."))
    text = panel.shown
    for said in ("**Room**", "preview: no diffusion", "- Turned upright.", "- Cropped."):
        assert said in text


def test_settings_show_what_is_set_and_ask_for_changes(
    server: viser.ViserServer, asked: Asked
) -> None:
    settings = asked.settings
    settings.backend, settings.size, settings.seed, settings.keymap = "preview", 200, 5, "game"
    SettingsPanel(server.gui, asked.commands, asked.settings)
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
        ("Frustums", False, ("set_visible", (False, True, False))),
        ("Billboards", False, ("set_visible", (True, False, False))),
        ("Show what was invented", True, ("set_visible", (True, True, True))),
        ("Surfels drawn by", "server", ("set_renderer", ("server", 300_000))),
        ("auto: server above", 50_000, ("set_renderer", ("auto", 50_000))),
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
    SettingsPanel(server.gui, asked.commands, asked.settings)
    use(labelled(server, label), value)
    assert asked.calls == [expected]


# --- all of them ---------------------------------------------------------------------------------


def test_a_value_is_read_before_a_panel_can_put_the_old_one_back(
    server: viser.ViserServer, asked: Asked
) -> None:
    """viser runs coroutines at once, and other functions when its thread pool has time."""
    WalkPanel(server.gui, asked.commands, asked.settings)
    HistoryPanel(server.gui, asked.commands)
    MemoryPanel(server.gui, asked.commands, asked.settings, asked.pins)
    SettingsPanel(server.gui, asked.commands, asked.settings)
    with_values = [handle for handle in handles(server) if hasattr(handle, "value")]
    late = [
        handle.label
        for handle in with_values
        if not isinstance(handle, viser.GuiButtonHandle | viser.GuiUploadButtonHandle)
        and not all(map(inspect.iscoroutinefunction, handle._impl.update_cb))
    ]
    assert len(with_values) > 20
    assert late == []
    asked.calls.clear()
    ours = SimpleNamespace(client=None, client_id=None)
    for handle in with_values:
        if not isinstance(handle, viser.GuiButtonHandle | viser.GuiUploadButtonHandle):
            for callback in handle._impl.update_cb:
                call(callback, ours)
    assert asked.calls == [], "viser calls back for values that we set, too"
