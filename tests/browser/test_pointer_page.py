"""The pointer over our panels in a real browser: what it does there reaches Python, once."""

from __future__ import annotations

import io
import queue
import threading

import numpy as np
import pytest
import viser
from PIL import Image
from playwright.sync_api import Locator, Page

from viewer.page.pointing import PointerEvent, Pointing, mark
from viewer.page.thumbnails import Thumbnails
from vmem.cameras import Camera
from vmem.types import View

pytestmark = pytest.mark.browser

STYLE = "height:24px;padding:0;background:#444"
ROWS = tuple(f"row:{i}" for i in range(4))

FENCED = ("click", "fence", (0.0, 0.0), 1)
FENCE = """async () => {
  for (let i = 0; i < 4; i++) await new Promise(requestAnimationFrame);
  window.fences = (window.fences ?? 0) + 1; // no value twice: viser would keep the second
  const value = `["click", "fence", 0, 0, 1${" ".repeat(window.fences)}]`;
  const uuid = window.__vmemPointing.channel;
  window.__viserMutable.sendMessage({ type: "GuiUpdateMessage", uuid, updates: { value } });
}"""
"""Says something that no pointer says, after whatever the page still had to say."""


def table(rows: tuple[str, ...] = ROWS) -> str:
    """A panel of ours: rows, a row with a cell of its own, a picture that tracks, a native button.

    It ends with an element without a mark, in which the pointer can rest.
    """
    return (
        "".join(f"<div {mark(row)} style='{STYLE}'>{row}</div>" for row in rows)
        + f"<div {mark('outer')} style='{STYLE}'>outer <b {mark('cell:3:4')}>inner</b></div>"
        + f"<div {mark('wipe', focusable=False, tracks=True)} style='{STYLE}'></div>"
        + f"<button {mark('native:1')}>native</button>"
        + f"<div data-plain style='{STYLE}'>plain</div>"
    )


class Hand:
    """A page with one panel of ours, its mouse, and what Python heard of it."""

    def __init__(self, server: viser.ViserServer, page: Page) -> None:
        self.page = page
        self.events: queue.Queue[PointerEvent] = queue.Queue()
        self.clients: list[viser.ClientHandle] = []
        self.pointings: list[Pointing] = []
        server.on_client_connect(self._attach)
        self.at("row:0").wait_for()
        page.wait_for_function("() => window.__vmemPointing")
        self.panel: viser.GuiHtmlHandle

    async def _attach(self, client: viser.ClientHandle) -> None:
        self.panel = client.gui.add_html(table())
        self.clients.append(client)
        self.pointings.append(Pointing(client, self.events.put))

    def at(self, target: str) -> Locator:
        return self.page.locator(f"[data-vmem='{target}']")

    def over(self, where: str | Locator, x: float = 0.5, y: float = 0.5) -> None:
        """Move the mouse to a place in [0, 1] of a marked element."""
        locator = self.at(where) if isinstance(where, str) else where
        box = locator.bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])

    def rest(self) -> None:
        """Move the mouse where nothing is marked, focus nothing, and forget what was heard."""
        self.over(self.page.locator("[data-plain]"))
        self.page.evaluate("() => document.activeElement?.blur()")
        self.events_so_far()

    def events_so_far(self) -> list[PointerEvent]:
        """All that was heard since the last call, once the page has had time to look again."""
        self.page.evaluate(FENCE)
        return [*iter(lambda: self.events.get(timeout=30), PointerEvent(*FENCED))]

    def heard(self) -> list[str]:
        """The same, each as its kind and target, "enter row:1" for one."""
        return [f"{event.kind} {event.target}" for event in self.events_so_far()]

    def render(self, content: str) -> None:
        """Render the panel anew and wait for it; two equal contents in a row are one."""
        self.page.evaluate(
            "() => { document.querySelector('[data-plain]').setAttribute('data-old', '') }"
        )
        self.panel.content = content
        self.page.wait_for_function("() => !document.querySelector('[data-old]')")


@pytest.fixture(scope="module")
def shared_hand(shared_viser_server: viser.ViserServer, shared_viser_page: Page) -> Hand:
    return Hand(shared_viser_server, shared_viser_page)


@pytest.fixture
def hand(shared_hand: Hand) -> Hand:
    """The shared page with its panel as it was at first, and the mouse at rest."""
    if shared_hand.panel.content != table():
        shared_hand.render(table())
    shared_hand.rest()
    return shared_hand


def test_rows_are_entered_one_after_the_other_and_left_once(hand: Hand) -> None:
    for row in ("row:0", "row:2"):
        hand.over(row)
        hand.over(row, 0.3)
    hand.over(hand.page.locator("[data-plain]"))
    events = hand.events_so_far()
    assert [(event.kind, event.target) for event in events] == [
        ("enter", "row:0"),
        ("enter", "row:2"),
        ("leave", "row:2"),
    ]
    first = events[0].sequence
    assert [event.sequence for event in events] == [first, first + 1, first + 2]
    assert (events[1].name, events[1].argument) == ("row", "2")


def test_the_innermost_mark_counts_and_says_where(hand: Hand) -> None:
    hand.over("cell:3:4", 0.25, 0.75)
    (event,) = hand.events_so_far()
    assert (event.kind, event.name, event.argument) == ("enter", "cell", "3:4")
    assert event.at == pytest.approx((0.25, 0.75), abs=0.05)
    hand.over("outer", 0.95)
    assert hand.heard() == ["enter outer"]


def test_only_a_mark_that_tracks_reports_moves_and_not_more_than_frames(hand: Hand) -> None:
    hand.over("row:1", 0.1)
    hand.over("row:1", 0.9)
    hand.over("wipe", 0.1)
    assert hand.heard() == ["enter row:1", "enter wipe"]
    box = hand.at("wipe").bounding_box()
    assert box is not None
    hand.page.evaluate(
        """(box) => {
          const element = document.querySelector("[data-vmem=wipe]");
          for (let i = 1; i <= 200; i++) element.dispatchEvent(new PointerEvent("pointermove", {
            bubbles: true, isPrimary: true, clientY: box.y + 3,
            clientX: box.x + box.width * i / 200,
          }));
        }""",
        box,
    )
    moves = hand.events_so_far()
    assert {event.kind for event in moves} == {"move"}
    assert 1 <= len(moves) <= 2
    assert moves[-1].at[0] == pytest.approx(1.0, abs=0.02)


def test_a_panel_rendered_anew_says_nothing_unless_another_row_lies_there(hand: Hand) -> None:
    hand.over("row:1")
    assert hand.heard() == ["enter row:1"]
    for note in ("a", "b", "c"):
        hand.render(table() + note)
    assert hand.heard() == []
    hand.render(table((ROWS[1], ROWS[0], *ROWS[2:])))
    assert hand.heard() == ["enter row:0"]
    hand.at("row:0").evaluate("(element) => element.setAttribute('data-vmem', 'row:9')")
    assert hand.heard() == ["enter row:9"]
    hand.panel.content = "<div data-plain style='height:300px'>nothing</div>"
    hand.at("row:9").wait_for(state="detached")
    assert hand.heard() == ["leave row:9"]


def test_a_panel_that_is_hidden_is_left(hand: Hand) -> None:
    hand.over("row:1")
    hand.page.evaluate(
        "() => { document.querySelector('[data-vmem=outer]').parentElement.style.display='none' }"
    )
    assert hand.heard() == ["enter row:1", "leave row:1"]
    hand.page.evaluate(
        "() => { document.querySelector('[data-vmem=outer]').parentElement.style.display='' }"
    )


def test_leaving_the_page_leaves_the_row(hand: Hand) -> None:
    hand.over("row:1")
    hand.page.mouse.move(-20, 100)
    assert hand.heard() == ["enter row:1", "leave row:1"]


def test_clicks_are_heard_once_whatever_was_clicked(hand: Hand) -> None:
    for target in ("row:2", "native:1", "cell:3:4"):
        hand.at(target).click()
        assert hand.heard() == [f"enter {target}", f"click {target}"]
    hand.over(hand.page.locator("[data-plain]"))
    assert hand.heard() == ["leave cell:3:4"]
    hand.at("row:2").click(button="right")
    assert hand.heard() == ["enter row:2"]


def test_a_click_survives_a_panel_rendered_anew_and_a_drag_is_none(hand: Hand) -> None:
    hand.over("row:2")
    hand.page.mouse.down()
    hand.render(table() + "anew")
    hand.page.mouse.up()
    assert hand.heard() == ["enter row:2", "click row:2"]
    hand.over("row:2", 0.1)
    hand.page.mouse.down()
    hand.over("row:2", 0.9)
    hand.page.mouse.up()
    assert hand.heard() == []


def test_a_finger_clicks_where_it_ends_and_scrolls_without(hand: Hand) -> None:
    box = hand.at("row:2").bounding_box()
    assert box is not None
    touch = """([box, kinds]) => {
      const row = document.querySelector("[data-vmem='row:2']");
      const place = { clientX: box.x + 9, clientY: box.y + 9 };
      const init = { ...place, isPrimary: true, bubbles: true, pointerType: "touch" };
      row.dispatchEvent(new PointerEvent("pointerdown", { ...init, buttons: 1 }));
      // The row that captured the finger may be gone: the end is then told to the page itself.
      for (const kind of kinds) document.body.dispatchEvent(new PointerEvent(kind, init));
    }"""
    hand.page.evaluate(touch, [box, ["pointercancel"]])
    assert hand.heard() == ["enter row:2", "leave row:2"]
    hand.page.evaluate(touch, [box, ["pointerup", "pointercancel"]])
    assert hand.heard() == ["enter row:2", "click row:2", "leave row:2"]


def test_a_press_elsewhere_that_is_dragged_across_lights_nothing(hand: Hand) -> None:
    hand.page.mouse.down()
    for row in ROWS:
        hand.over(row)
    assert hand.heard() == []
    hand.page.mouse.up()
    assert hand.heard() == [f"enter {ROWS[-1]}"]


def test_the_keyboard_reaches_and_clicks_marks(hand: Hand) -> None:
    hand.at("row:0").focus()
    hand.page.keyboard.press("Tab")
    hand.page.keyboard.press("Enter")
    events = hand.events_so_far()
    assert [(event.kind, event.target, event.at) for event in events[-2:]] == [
        ("enter", "row:1", (0.5, 0.5)),
        ("click", "row:1", (0.5, 0.5)),
    ]
    hand.render(table() + "anew")
    assert hand.heard() == []
    hand.page.keyboard.press("Tab")
    hand.page.keyboard.press("Enter")
    assert hand.heard() == ["enter row:2", "click row:2"]
    hand.at("native:1").focus()
    hand.page.keyboard.press("Enter")
    assert hand.heard() == ["enter native:1", "click native:1"]
    hand.page.evaluate("() => document.activeElement.blur()")
    assert hand.heard() == ["leave native:1"]


def test_a_lost_connection_a_second_pointing_and_an_end(hand: Hand) -> None:
    second: queue.Queue[PointerEvent] = queue.Queue()
    pointing = Pointing(hand.clients[-1], second.put)
    hand.page.wait_for_function(
        "(channel) => window.__vmemPointing.channel === channel",
        arg=pointing._channel.id,
    )
    hand.pointings[-1].dispose()
    hand.at("row:3").click()
    assert [second.get(timeout=30).kind for _ in range(2)] == ["enter", "click"]
    assert hand.events.empty()
    pointing.dispose()
    pointing.dispose()
    hand.page.wait_for_function("() => window.__vmemPointing === undefined")
    hand.clients[-1].gui.reset()
    hand.at("row:0").wait_for(state="detached")
    hand.page.reload()
    hand.at("row:0").wait_for()
    hand.page.wait_for_function("() => window.__vmemPointing")
    # Waits until the panel has come to rest.
    hand.at("row:3").hover()
    assert hand.heard() == ["enter row:3"]


def test_a_failing_handler_and_a_lying_page_do_no_harm(hand: Hand) -> None:
    failed = threading.Event()

    def fail(event: PointerEvent) -> None:
        if event.target == "row:2":
            failed.set()
        raise RuntimeError(event.target)

    hand.pointings[-1]._channel._on_event = fail
    hand.over("row:1")
    hand.page.evaluate(
        """(uuid) => { for (const value of ["", "[", "[1,2]", "null", "[".repeat(200), 7])
            window.__viserMutable.sendMessage({type: "GuiUpdateMessage", uuid, updates: {value}});
        }""",
        hand.page.evaluate("() => window.__vmemPointing.channel"),
    )
    hand.over("row:2")
    assert failed.wait(timeout=30)
    hand.pointings[-1]._channel._on_event = hand.events.put
    hand.over("row:3")
    assert hand.heard() == ["enter row:3"]


def test_thumbnails_travel_once_and_are_seen(hand: Hand) -> None:
    views = [box_view(color, 64, 96) for color in ((220, 30, 30), (30, 200, 30), (30, 30, 220))]
    thumbnails = Thumbnails(hand.clients[-1].gui)
    thumbnails.show(views)
    hand.render(
        table() + f"<div data-pictures>{''.join(thumbnails.tag(i, 20) for i in range(3))}</div>"
    )
    pictures = hand.page.locator("[data-pictures] i")
    seen = [screenshot(pictures.nth(i)).reshape(-1, 3).mean(0) for i in range(3)]
    assert [int(np.argmax(color)) for color in seen] == [0, 1, 2]
    box = pictures.nth(0).bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (30, 20)
    assert "data:image" not in hand.panel.content

    marked = thumbnails.tag(1, 40, spot=(0.25, 0.5))
    unknown = thumbnails.tag(7, 40, spot=(0.5, 0.5))
    hand.render(table() + f"<div data-pictures>{marked}{unknown}</div>")
    shot = screenshot(pictures.nth(0))
    assert np.abs(shot[20, 15].astype(int) - (255, 127, 14)).max() < 30
    assert np.argmax(shot[20, 45]) == 1
    assert np.abs(screenshot(pictures.nth(1))[20, 20].astype(int) - (255, 127, 14)).max() < 30


def box_view(color: tuple[int, int, int], h: int, w: int) -> View:
    """A view of one colour."""
    nothing = np.zeros((h, w), np.float32)
    camera = Camera(np.eye(4), np.diag([w, w, 1.0]), (h, w))
    return View(np.full((h, w, 3), color, np.uint8), camera, 0, nothing, nothing)


def screenshot(locator: Locator) -> np.ndarray:
    """(H, W, 3) u8 of what a user sees of an element."""
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB"))
