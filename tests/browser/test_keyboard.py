"""The keyboard in a real browser: what is held reaches Python, and nobody else acts on it."""

from __future__ import annotations

import queue
import statistics
import time
from itertools import pairwise

import pytest
import viser
from playwright.sync_api import Page

from viewer.page.keyboard import Keyboard, KeyEvent

pytestmark = pytest.mark.browser

SWALLOWED = ("KeyW", "KeyA", "KeyS", "KeyD", "KeyQ", "KeyE", "ArrowUp", "Space")

CAMERA = "() => window.__viserMutable.camera.matrixWorld.toArray()"


class Listener:
    """Attaches a Keyboard to every client of a server and collects what it reports."""

    def __init__(self, server: viser.ViserServer, page: Page) -> None:
        self.page = page
        self.events: queue.Queue[KeyEvent] = queue.Queue()
        self.keyboards: list[Keyboard] = []
        self.clients: list[viser.ClientHandle] = []
        server.on_client_connect(self._attach)
        assert self.next().kind == "ready"

    async def _attach(self, client: viser.ClientHandle) -> None:
        self.clients.append(client)
        self.keyboards.append(Keyboard(client, SWALLOWED, self.events.put))

    def next(self) -> KeyEvent:
        return self.events.get(timeout=30)

    def next_words(self, count: int) -> list[str]:
        """Kind and code of the next events, "down KeyW" for one."""
        events = [self.next() for _ in range(count)]
        return [f"{event.kind} {event.code}".strip() for event in events]

    def has_heard_nothing(self) -> bool:
        """Whether a press of Z is the next thing heard."""
        self.page.keyboard.press("z")
        return self.next_words(2) == ["down KeyZ", "up KeyZ"]


@pytest.fixture(scope="module")
def listener(shared_viser_server: viser.ViserServer, shared_viser_page: Page) -> Listener:
    """Listens to a page that all tests share; each leaves no key held and no field in focus."""
    return Listener(shared_viser_server, shared_viser_page)


@pytest.fixture
def own_listener(viser_server: viser.ViserServer, viser_page: Page) -> Listener:
    """Listens to a page that one test has for itself."""
    return Listener(viser_server, viser_page)


def test_held_keys_arrive_in_order_though_nothing_was_clicked(listener: Listener) -> None:
    for action, key in (("down", "w"), ("down", "d"), ("down", "w"), ("up", "w"), ("up", "d")):
        getattr(listener.page.keyboard, action)(key)
    events = [listener.next() for _ in range(4)]
    assert [(event.kind, event.code, set(event.held)) for event in events] == [
        ("down", "KeyW", {"KeyW"}),
        ("down", "KeyD", {"KeyW", "KeyD"}),
        ("up", "KeyW", {"KeyD"}),
        ("up", "KeyD", set()),
    ]
    assert [event.sequence - events[0].sequence for event in events] == [0, 1, 2, 3]
    assert all(a.time_ms <= b.time_ms for a, b in pairwise(events))
    assert not any(event.shift for event in events)


def test_shift_is_reported_and_other_modifiers_are_left_alone(listener: Listener) -> None:
    listener.page.keyboard.press("Control+KeyW")
    listener.page.keyboard.press("Alt+KeyD")
    listener.page.keyboard.press("Shift+KeyZ")
    events = [listener.next() for _ in range(4)]
    assert [(event.kind, event.code) for event in events] == [
        ("down", "ShiftLeft"),
        ("down", "KeyZ"),
        ("up", "KeyZ"),
        ("up", "ShiftLeft"),
    ]
    assert [event.shift for event in events[:3]] == [True, True, True]


def test_swallowed_keys_do_not_move_the_camera_and_others_do(listener: Listener) -> None:
    before = listener.page.evaluate(CAMERA)

    def hold(key: str) -> None:
        listener.page.keyboard.down(key)
        listener.page.wait_for_timeout(250)
        listener.page.keyboard.up(key)
        listener.page.wait_for_timeout(100)

    for key in ("w", "a", "e", "ArrowUp"):
        hold(key)
    assert listener.page.evaluate(CAMERA) == before
    assert len(listener.next_words(8)) == 8
    keyboard = listener.keyboards[0]
    keyboard.set_swallow(["KeyA"])
    listener.page.wait_for_function("() => window.__vmemKeyboard.swallow.size === 1")
    hold("a")
    assert listener.page.evaluate(CAMERA) == before
    hold("w")
    assert listener.page.evaluate(CAMERA) != before
    assert listener.next_words(4) == ["down KeyA", "up KeyA", "down KeyW", "up KeyW"]
    keyboard.set_swallow(SWALLOWED)


def test_typing_in_a_field_says_nothing(listener: Listener) -> None:
    text = listener.clients[0].gui.add_text("name", "")
    listener.clients[0].gui.add_checkbox("ticked", False)
    listener.page.keyboard.down("w")
    listener.page.get_by_role("textbox").click()
    listener.page.keyboard.up("w")
    assert listener.next_words(2) == ["down KeyW", "clear"]
    listener.page.keyboard.type("wasd e")
    listener.page.wait_for_function("() => document.activeElement.value === 'wasd e'")
    listener.page.get_by_role("checkbox", name="ticked").click()
    assert listener.has_heard_nothing()
    deadline = time.monotonic() + 10
    while text.value != "wasd e" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert text.value == "wasd e"


def test_losing_the_focus_clears(listener: Listener) -> None:
    listener.page.keyboard.down("w")
    listener.page.evaluate("() => window.dispatchEvent(new FocusEvent('blur'))")
    listener.page.keyboard.up("w")
    listener.page.evaluate("() => window.dispatchEvent(new FocusEvent('blur'))")
    assert listener.next_words(2) == ["down KeyW", "clear"]
    assert listener.has_heard_nothing()


def test_a_reload_and_a_second_keyboard_take_over(own_listener: Listener) -> None:
    own_listener.page.reload()
    assert own_listener.next().kind == "ready"
    own_listener.page.keyboard.press("w")
    assert own_listener.next_words(2) == ["down KeyW", "up KeyW"]
    second: queue.Queue[KeyEvent] = queue.Queue()
    keyboard = Keyboard(own_listener.clients[-1], SWALLOWED, second.put)
    assert second.get(timeout=30).kind == "ready"
    own_listener.keyboards[-1].dispose()
    own_listener.page.keyboard.press("w")
    assert [second.get(timeout=30).kind for _ in range(2)] == ["down", "up"]
    assert own_listener.events.empty()
    keyboard.dispose()
    keyboard.dispose()
    own_listener.page.wait_for_function("() => window.__vmemKeyboard === undefined")


def test_keys_survive_a_collapsed_panel_and_a_lost_connection(
    own_listener: Listener, viser_server: viser.ViserServer
) -> None:
    viser_server.gui.main_panel.minimize()
    own_listener.page.locator("[data-dock-collapsed=true]").wait_for(state="attached")
    own_listener.page.keyboard.press("w")
    assert own_listener.next_words(2) == ["down KeyW", "up KeyW"]
    viser_server._websock_server.disconnect_all_clients()
    assert own_listener.next().kind == "ready"
    own_listener.keyboards[0].dispose()
    own_listener.page.keyboard.press("w")
    assert own_listener.next_words(2) == ["down KeyW", "up KeyW"]


def test_a_failing_handler_and_a_lying_page_do_no_harm(listener: Listener) -> None:
    def fail(event: KeyEvent) -> None:
        raise RuntimeError(event.code)

    listener.keyboards[0]._channel._on_event = fail
    listener.page.keyboard.press("w")
    listener.page.evaluate(
        """(uuid) => { for (const value of ["", "[", "[1,2]", "null", "[".repeat(3000), 7])
            window.__viserMutable.sendMessage({type: "GuiUpdateMessage", uuid, updates: {value}});
        }""",
        listener.page.evaluate("() => window.__vmemKeyboard.channel"),
    )
    listener.page.keyboard.press("w")
    listener.page.wait_for_timeout(300)
    listener.keyboards[0]._channel._on_event = listener.events.put
    assert listener.has_heard_nothing()


def test_latency_from_key_to_python(listener: Listener) -> None:
    delays = []
    for _ in range(30):
        for action in (listener.page.keyboard.down, listener.page.keyboard.up):
            action("w")
            event = listener.next()
            delays.append(1000 * time.time() - event.time_ms)
    print(
        f"key to Python: median {statistics.median(delays):.1f} ms, "
        f"worst of {len(delays)}: {max(delays):.1f} ms"
    )
    assert len(delays) == 60
