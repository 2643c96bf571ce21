"""The keyboard in a real browser: what is held reaches Python, and nobody else acts on it."""

from __future__ import annotations

import queue
import statistics
import time
from collections.abc import Callable

import pytest
import viser
from playwright.sync_api import Page

from viewer.keyboard import Keyboard, KeyEvent, parse_key_event

pytestmark = pytest.mark.browser

SWALLOWED = ("KeyW", "KeyA", "KeyS", "KeyD", "KeyQ", "KeyE", "ArrowUp", "Space")

CAMERA = "() => window.__viserMutable.camera.matrixWorld.toArray()"


class Listener:
    """Attaches a Keyboard to every client of a server and collects what it reports."""

    def __init__(self, server: viser.ViserServer) -> None:
        self.events: queue.Queue[KeyEvent] = queue.Queue()
        self.keyboards: list[Keyboard] = []
        self.clients: list[viser.ClientHandle] = []
        server.on_client_connect(self._attach)

    async def _attach(self, client: viser.ClientHandle) -> None:
        self.clients.append(client)
        self.keyboards.append(Keyboard(client, SWALLOWED, self.events.put))

    def next(self) -> KeyEvent:
        return self.events.get(timeout=30)

    def next_words(self, count: int) -> list[str]:
        """Kind and code of the next events, "down KeyW" for one."""
        events = [self.next() for _ in range(count)]
        return [f"{event.kind} {event.code}".strip() for event in events]

    def heard_nothing_before(self, press: Callable[[], None]) -> bool:
        """Whether the first thing heard is the down and up of ``press``, which presses Z."""
        press()
        return self.next_words(2) == ["down KeyZ", "up KeyZ"]


@pytest.fixture
def listener(viser_server: viser.ViserServer, viser_page: Page) -> Listener:
    listener = Listener(viser_server)
    assert listener.next().kind == "ready"
    return listener


def test_held_keys_arrive_in_order_though_nothing_was_clicked(
    listener: Listener, viser_page: Page
) -> None:
    for action, key in (("down", "w"), ("down", "d"), ("down", "w"), ("up", "w"), ("up", "d")):
        getattr(viser_page.keyboard, action)(key)
    events = [listener.next() for _ in range(4)]
    assert [(event.kind, event.code, set(event.held)) for event in events] == [
        ("down", "KeyW", {"KeyW"}),
        ("down", "KeyD", {"KeyW", "KeyD"}),
        ("up", "KeyW", {"KeyD"}),
        ("up", "KeyD", set()),
    ]
    assert [event.sequence for event in events] == [2, 3, 4, 5]
    assert all(a.time_ms <= b.time_ms for a, b in zip(events, events[1:], strict=False))
    assert not any(event.shift for event in events)


def test_shift_is_reported_and_other_modifiers_are_left_alone(
    listener: Listener, viser_page: Page
) -> None:
    viser_page.keyboard.press("Control+KeyW")
    viser_page.keyboard.press("Alt+KeyD")
    viser_page.keyboard.press("Shift+KeyZ")
    events = [listener.next() for _ in range(4)]
    assert [(event.kind, event.code) for event in events] == [
        ("down", "ShiftLeft"),
        ("down", "KeyZ"),
        ("up", "KeyZ"),
        ("up", "ShiftLeft"),
    ]
    assert [event.shift for event in events[:3]] == [True, True, True]


def test_swallowed_keys_do_not_move_the_camera_and_others_do(
    listener: Listener, viser_page: Page
) -> None:
    before = viser_page.evaluate(CAMERA)

    def hold(key: str) -> None:
        viser_page.keyboard.down(key)
        viser_page.wait_for_timeout(250)
        viser_page.keyboard.up(key)
        viser_page.wait_for_timeout(100)

    for key in ("w", "a", "e", "ArrowUp"):
        hold(key)
    assert viser_page.evaluate(CAMERA) == before
    assert len(listener.next_words(8)) == 8
    listener.keyboards[0].set_swallow(["KeyA"])
    viser_page.wait_for_function("() => window.__vmemKeyboard.swallow.size === 1")
    hold("a")
    assert viser_page.evaluate(CAMERA) == before
    hold("w")
    assert viser_page.evaluate(CAMERA) != before


def test_typing_in_a_field_says_nothing(listener: Listener, viser_page: Page) -> None:
    text = listener.clients[0].gui.add_text("name", "")
    listener.clients[0].gui.add_checkbox("ticked", False)
    viser_page.keyboard.down("w")
    viser_page.get_by_role("textbox").click()
    viser_page.keyboard.up("w")
    assert listener.next_words(2) == ["down KeyW", "clear"]
    viser_page.keyboard.type("wasd e")
    viser_page.wait_for_function("() => document.activeElement.value === 'wasd e'")
    viser_page.locator("input[type=checkbox]").click()
    assert listener.heard_nothing_before(lambda: viser_page.keyboard.press("z"))
    deadline = time.monotonic() + 10
    while text.value != "wasd e" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert text.value == "wasd e"


def test_losing_the_focus_clears(listener: Listener, viser_page: Page) -> None:
    viser_page.keyboard.down("w")
    viser_page.evaluate("() => window.dispatchEvent(new FocusEvent('blur'))")
    viser_page.keyboard.up("w")
    viser_page.evaluate("() => window.dispatchEvent(new FocusEvent('blur'))")
    assert listener.next_words(2) == ["down KeyW", "clear"]
    assert listener.heard_nothing_before(lambda: viser_page.keyboard.press("z"))


def test_a_reload_and_a_second_keyboard_take_over(listener: Listener, viser_page: Page) -> None:
    viser_page.reload()
    assert listener.next().kind == "ready"
    viser_page.keyboard.press("w")
    assert listener.next_words(2) == ["down KeyW", "up KeyW"]
    second: queue.Queue[KeyEvent] = queue.Queue()
    keyboard = Keyboard(listener.clients[-1], SWALLOWED, second.put)
    assert second.get(timeout=30).kind == "ready"
    listener.keyboards[-1].dispose()
    viser_page.keyboard.press("w")
    assert [second.get(timeout=30).kind for _ in range(2)] == ["down", "up"]
    assert listener.events.empty()
    keyboard.dispose()
    keyboard.dispose()
    viser_page.wait_for_function("() => window.__vmemKeyboard === undefined")


def test_keys_survive_a_collapsed_panel_and_a_lost_connection(
    listener: Listener, viser_server: viser.ViserServer, viser_page: Page
) -> None:
    viser_server.gui.main_panel.minimize()
    viser_page.locator("[data-dock-collapsed=true]").wait_for(state="attached")
    viser_page.keyboard.press("w")
    assert listener.next_words(2) == ["down KeyW", "up KeyW"]
    viser_server._websock_server.disconnect_all_clients()
    assert listener.next().kind == "ready"
    listener.keyboards[0].dispose()
    viser_page.keyboard.press("w")
    assert listener.next_words(2) == ["down KeyW", "up KeyW"]


def test_a_failing_handler_and_a_lying_page_do_no_harm(
    listener: Listener, viser_page: Page
) -> None:
    def fail(event: KeyEvent) -> None:
        raise RuntimeError(event.code)

    listener.keyboards[0]._on_event = fail
    viser_page.keyboard.press("w")
    viser_page.evaluate(
        """(uuid) => { for (const value of ["", "[", "[1,2]", "null", "[".repeat(3000), 7])
            window.__viserMutable.sendMessage({type: "GuiUpdateMessage", uuid, updates: {value}});
        }""",
        viser_page.evaluate("() => window.__vmemKeyboard.channel"),
    )
    viser_page.keyboard.press("w")
    viser_page.wait_for_timeout(300)
    listener.keyboards[0]._on_event = listener.events.put
    assert listener.heard_nothing_before(lambda: viser_page.keyboard.press("z"))


def test_latency_from_key_to_python(listener: Listener, viser_page: Page) -> None:
    delays = []
    for _ in range(30):
        for action in (viser_page.keyboard.down, viser_page.keyboard.up):
            action("w")
            event = listener.next()
            delays.append(1000 * time.time() - event.time_ms)
    print(
        f"key to Python: median {statistics.median(delays):.1f} ms, "
        f"worst of {len(delays)}: {max(delays):.1f} ms"
    )
    assert len(delays) == 60


@pytest.mark.parametrize(
    "message",
    [
        "",
        "null",
        "[" * 5000,
        "[" * 3000,
        '["down", "KeyW", false, ["KeyW"], 1]',
        '["jump", "KeyW", false, ["KeyW"], 1, 2.0]',
        '["down", "", false, [], 1, 2.0]',
        '["clear", "KeyW", false, [], 1, 2.0]',
        '["down", "KeyW", 0, ["KeyW"], 1, 2.0]',
        '["down", "KeyW", false, "KeyW", 1, 2.0]',
        '["down", "KeyW", false, [["KeyW"]], 1, 2.0]',
        '["down", "KeyW", false, [], 1.5, 2.0]',
        '["down", "KeyW", false, [], true, 2.0]',
        '["down", "KeyW", false, [], 1, NaN]',
        '["down", "KeyW", false, [], 1, Infinity]',
        f'["down", "KeyW", false, [], 1, {10**400}]',
        '[["down"], "KeyW", false, [], 1, 2.0]',
    ],
)
def test_malformed_messages_are_ignored(message: str) -> None:
    assert parse_key_event(message) is None


def test_a_proper_message_is_read() -> None:
    event = parse_key_event('["down", "KeyW", true, ["KeyW", "Space"], 3, 12.5]')
    assert event == KeyEvent("down", "KeyW", True, frozenset({"KeyW", "Space"}), 3, 12.5)
