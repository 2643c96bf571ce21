"""Pointer events as they are read, marks as they are written, and what thumbnails send."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import viser
from hypothesis import example, given
from hypothesis import strategies as st

import viewer.page.thumbnails
from viewer.page.pointing import PointerEvent, mark, parse_pointer_event
from viewer.page.thumbnails import MOST, Thumbnails
from vmem.cameras import Camera
from vmem.types import View

SHARES = st.floats(0, 1)
TARGETS = st.from_regex(r"[a-z][a-z_-]{0,31}(:[A-Za-z0-9_.,:+-]{1,64})?", fullmatch=True)
KINDS = st.sampled_from(["enter", "leave", "move", "click"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(KINDS, TARGETS, SHARES, SHARES, st.integers(1, 2**53))
def test_a_proper_message_of_a_mark_is_read(
    kind: Any, target: str, x: float, y: float, sequence: int
) -> None:
    assert mark(target).startswith(f'data-vmem="{target}"')
    event = parse_pointer_event(json.dumps([kind, target, x, y, sequence]))
    assert event is not None
    assert event == PointerEvent(kind, target, (x, y), sequence)
    assert event.name + (":" + event.argument if event.argument else "") == target


@given(JSON, st.integers(0, 4))
@example(True, 4)
@example(True, 2)
@example(0, 4)
@example(1.5, 4)
@example(float("nan"), 2)
@example(float("inf"), 3)
@example(-0.01, 3)
@example(10**400, 2)
@example("hover", 0)
@example(["enter"], 0)
@example("row:", 1)
@example("row:<b>", 1)
@example("row:1\n", 1)
@example("", 1)
def test_one_wrong_field_spoils_a_message(wrong: Any, place: int) -> None:
    fields = ["enter", "row:12", 0.5, 0.5, 3]
    fields[place] = wrong
    event = parse_pointer_event(json.dumps(fields))
    if event is None:
        return
    # What is read of it at all is as good as what was replaced.
    assert json.loads(json.dumps([event.kind, event.target, *event.at, event.sequence])) == fields
    assert mark(event.target)
    assert all(0 <= share <= 1 for share in event.at)
    assert type(event.sequence) is int
    assert event.sequence >= 1


@pytest.mark.parametrize(
    "message",
    [
        "",
        "null",
        "7",
        "[" * 200,
        "[" * 300,
        '["enter", "row:1", 0.5, 0.5]',
        '["enter", "row:1", 0.5, 0.5, 1, 2]',
        '["enter", "row:1", 0.5, 0.5, 1' + " " * 300 + "]",
        '["hover", "row:1", 0.5, 0.5, 1]',
        '["leave", "", 0.5, 0.5, 1]',
        '["enter", "Row:1", 0.5, 0.5, 1]',
        '["enter", "row:", 0.5, 0.5, 1]',
        '["enter", "row:1", 1.01, 0.5, 1]',
        '["enter", "row:1", 0.5, NaN, 1]',
        '["enter", "row:1", true, 0.5, 1]',
        '["enter", "row:1", 0.5, 0.5, 0]',
        '["enter", "row:1", 0.5, 0.5, true]',
        '["enter", "row:1", 0.5, 0.5, 1.0]',
        f'["enter", "row:1", 0.5, 0.5, {10**20}]',
    ],
)
def test_malformed_messages_are_ignored(message: str) -> None:
    assert parse_pointer_event(message) is None


@pytest.mark.parametrize("target", ["", "row:", "12", 'row:"', "row 1", "row:1 2", "r" * 40])
def test_what_the_browser_could_not_send_back_is_no_mark(target: str) -> None:
    with pytest.raises(ValueError, match="no mark"):
        mark(target)


class Sent:
    """Stands in for viewer.page.scripts.run_script: the page's variables, and what was sent."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.brought: list[str] = []

    def __call__(self, gui: viser.GuiApi, function: str, config: dict[str, str]) -> None:
        for name, value in config.items():
            if value:
                assert value.startswith('url("data:image/jpeg;base64,')
                self.brought.append(name)
                self.variables[name] = value
            else:
                del self.variables[name]


def some_view(h: int = 40, w: int = 60) -> View:
    nothing = np.zeros((h, w), np.float32)
    camera = Camera(np.eye(4), np.diag([w, w, 1.0]), (h, w))
    return View(np.zeros((h, w, 3), np.uint8), camera, 0, nothing, nothing)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent = Sent()
    monkeypatch.setattr(viewer.page.thumbnails, "run_script", sent)
    return sent


def test_a_picture_is_sent_when_it_is_first_shown_and_once(sent: Sent) -> None:
    thumbnails = Thumbnails(None)  # pyright: ignore[reportArgumentType]
    views = [some_view() for _ in range(5)]
    thumbnails.show(views)
    assert sent.brought == [], "nothing is listed yet"
    for index in (3, 4, 3):
        assert "width:30px;height:20px" in thumbnails.tag(index, 20)
    assert sent.brought == ["--vmem-view-3", "--vmem-view-4"]
    thumbnails.show([*views[:3], some_view(60, 30), *views[4:]])
    assert "width:10px;height:20px" in thumbnails.tag(3, 20)
    thumbnails.tag(4, 20)
    thumbnails.show(views)
    thumbnails.tag(3, 20)
    assert sent.brought[2:] == ["--vmem-view-3", "--vmem-view-3"], "of another branch, and back"


def test_a_page_holds_so_many_pictures_and_no_more(sent: Sent) -> None:
    thumbnails = Thumbnails(None)  # pyright: ignore[reportArgumentType]
    thumbnails.show([some_view(2, 3)] * (MOST + 20))
    for index in range(MOST + 20):
        thumbnails.tag(index, 20)
        thumbnails.tag(7, 20)
    assert len(sent.variables) == MOST
    assert {"--vmem-view-7", f"--vmem-view-{MOST + 19}"} <= sent.variables.keys()
    assert "--vmem-view-0" not in sent.variables, "the one that was shown longest ago"
    assert sent.brought.count("--vmem-view-7") == 1
    thumbnails.tag(0, 20)
    assert sent.brought[-1] == "--vmem-view-0"
