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
from viewer.panels.history import HistoryPanel, tree_html
from viewer.panels.memory import MemoryPanel
from viewer.panels.photos import PhotosPanel
from viewer.panels.session import SessionPanel
from viewer.panels.settings import SettingsPanel
from viewer.panels.walk import PICTURE, WalkPanel
from viewer.settings import LAYOUTS, WALK_MODES
from viewer.walk.worker import Event
from viewer.walk.workspace import Source
from vmem.formats.photos import PhotoError, samples
from vmem.progress import Progress

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
    panel = HistoryPanel(server.gui, asked.commands)
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
    panel = HistoryPanel(server.gui, asked.commands)
    session = open_box()
    session.move("w")
    panel.show(session)
    use(labelled(server, "Go to step"), "0 photo")
    use(labelled(server, "Frame"), 3)
    use(labelled(server, "Play"))
    assert asked.calls == [("switch", (0,)), ("show_frame", (3,)), ("play", ())]
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
