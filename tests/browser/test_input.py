"""What a walker's keys, mouse, gamepad and fingers come to in a real browser, without viser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, CDPSession, Page

from shaders import load
from viewer.commands import SWALLOWED, command_of, page_controls
from viewer.first_person.picture import SHADERS, script
from viewer.first_person.reports import WalkerPose, parse_report, pose_of
from viewer.page.keyboard import KeyEvent, parse_key_event

pytestmark = pytest.mark.browser

SCRIPTS = ("walker.js", "gamepad.js", "touch.js", "input.js")
WIDTH, HEIGHT = 500, 400
SETUP = """({ keyboard, swallow, controls }) => {
  window.sent = [];
  window.commands = [];
  window.__viserMutable = { sendMessage: ({ updates }) => sent.push(updates.value) };
  const config = { channel: "keys", listen: true, swallow };
  window.listening = new Function("config", `(${keyboard})(config)`);
  listening(config);
  navigator.getGamepads = () => window.pads ?? [];
  document.body.innerHTML = `<div id=parent style="position:relative;width:100vw;height:100vh">
    <canvas style="position:absolute;inset:0;width:100%;height:100%"></canvas></div><input>`;
  document.body.style.margin = 0;
  window.heard = [];
  for (const name of ["pointerdown", "pointermove", "pointerup", "wheel", "click"])
    document.querySelector("#parent").addEventListener(name, () => heard.push(name));
  window.untaken = []; // codes of the keys that the page itself has seen
  document.addEventListener("keydown", (event) => {
    if (!/^(Shift|Control|Alt)/.test(event.code)) untaken.push(event.code);
  });
  window.begin = () => {
    window.input?.dispose();
    window.input = new Input(document.querySelector("canvas"));
    input.onCommand = (name) => { commands.push(name); __vmemKeyboard.command(name); };
    input.configure(controls);
    input.show(true);
    window.shown = true;
    window.__vmemFirstPerson = { takes: (event) => shown && input.takes(event) };
    __vmemKeyboard.held.clear();
    document.activeElement?.blur();
    window.pads = undefined;
    for (const list of [sent, commands, heard, untaken]) list.length = 0;
  };
}"""
REST = {"ahead": 0, "right": 0, "up": 0, "turn": 0, "tilt": 0, "pace": 1, "through": False}
CTRL, ALT, SHIFT = 2, 1, 8


class Hands:
    """A page with nothing but the scripts, and what may be done to it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.cdp: CDPSession = page.context.new_cdp_session(page)
        page.add_script_tag(content="\n".join(map(load, SCRIPTS)) + "\nwindow.Input = Input;")
        config = {
            "keyboard": load("keyboard.js"),
            "swallow": sorted(SWALLOWED),
            "controls": page_controls("game"),
        }
        page.evaluate(SETUP, config)

    def key(self, kind: str, code: str, key: str, modifiers: int = 0, **more: float) -> None:
        """Down or up of a key, as a layout sends it."""
        event = {"type": f"key{kind}", "code": code, "key": key, "modifiers": modifiers}
        self.cdp.send("Input.dispatchKeyEvent", {**event, **more})

    def tap(self, code: str, key: str, modifiers: int = 0, **more: float) -> None:
        self.key("Down", code, key, modifiers, **more)
        self.key("Up", code, key, modifiers, **more)

    def touch(self, kind: str, *points: tuple[int, float, float]) -> None:
        """Fingers (id, x, y) that are down; of "End", those that are lifted."""
        fingers = [{"id": i, "x": x, "y": y} for i, x, y in points]
        event = {"type": f"touch{kind}", "touchPoints": fingers}
        self.cdp.send("Input.dispatchTouchEvent", event)
        self.frame()

    def frame(self) -> None:
        """Let the page hear what it hears once a frame."""
        self.page.evaluate(
            "() => new Promise((heard) => requestAnimationFrame(() => setTimeout(heard)))"
        )

    @property
    def wish(self) -> dict[str, Any]:
        """What is wished, as far as it is not rest."""
        wish = self.page.evaluate("() => input.wish()")
        return {name: value for name, value in wish.items() if value != REST[name]}

    @property
    def locked(self) -> bool:
        """Whether the mouse is the page's."""
        return self.page.evaluate("() => input.locked")

    @property
    def look(self) -> list[float]:
        return self.page.evaluate("() => input.takeLook()")

    @property
    def sent(self) -> list[KeyEvent]:
        """What Python would have heard since this was asked last."""
        events = map(parse_key_event, self.page.evaluate("() => sent.splice(0)"))
        return [event for event in events if event is not None]

    @property
    def commands(self) -> list[str]:
        """Names of the commands that Python would carry out."""
        pressed = [event for event in self.sent if event.kind in ("down", "command")]
        return [command.name for command in map(command_of, pressed) if command is not None]


@pytest.fixture(scope="module")
def page_of_hands(browser: Browser) -> Iterator[Hands]:
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    yield Hands(page)
    page.close()


@pytest.fixture
def hands(page_of_hands: Hands) -> Hands:
    page_of_hands.page.evaluate("() => begin()")
    return page_of_hands


# --- keys ----------------------------------------------------------------------------------


def test_held_keys_add_up_and_two_for_one_way_are_no_more_than_one(hands: Hands) -> None:
    for code, key in (("KeyW", "w"), ("ArrowUp", "ArrowUp"), ("KeyD", "d"), ("KeyR", "r")):
        hands.key("Down", code, key)
    assert hands.wish == {"ahead": 1, "right": 1, "up": 1}
    for code, key in (("KeyA", "a"), ("KeyE", "e"), ("KeyG", "g")):
        hands.key("Down", code, key)
    assert hands.wish == {"ahead": 1, "up": 1, "turn": 1, "tilt": 1}
    hands.key("Down", "AltLeft", "Alt", ALT)
    hands.page.evaluate("() => window.dispatchEvent(new FocusEvent('blur'))")
    assert hands.wish == {}
    assert [event.kind for event in hands.sent] == ["down"] * 7 + ["clear"]


def test_the_map_of_keys_is_the_one_that_python_tells(hands: Hands) -> None:
    controls = page_controls("paper")
    hands.page.evaluate("(controls) => input.configure(controls)", controls)
    hands.key("Down", "KeyA", "a")
    hands.key("Down", "KeyE", "e")
    assert hands.wish == {"turn": -1, "right": 1}


@pytest.mark.parametrize(
    ("code", "key", "bit", "changed"),
    [
        ("ShiftLeft", "Shift", SHIFT, {"pace": 2.5}),
        ("ControlRight", "Control", CTRL, {"pace": 0.4}),
        ("AltLeft", "Alt", ALT, {"through": True}),
    ],
)
def test_a_modifier_changes_how_he_walks_and_loses_no_key(
    hands: Hands, code: str, key: str, bit: int, changed: dict[str, Any]
) -> None:
    hands.key("Down", "KeyW", "w")
    hands.key("Down", code, key, bit)
    hands.key("Down", "KeyD", "d", bit)
    hands.key("Down", "KeyW", "w", bit)  # repeated, as while a key is held
    assert hands.wish == {"ahead": 1, "right": 1, **changed}
    assert hands.page.evaluate("() => untaken") == []
    hands.key("Up", "KeyW", "w", bit)
    hands.key("Up", code, key)
    assert hands.wish == {"right": 1}
    hands.key("Up", "KeyD", "d")
    walked = [event.code for event in hands.sent if event.code.startswith("Key")]
    assert walked == ["KeyW", "KeyD", "KeyW", "KeyD"]


def test_the_browser_keeps_its_own_keys(hands: Hands) -> None:
    for code, key in (("KeyC", "c"), ("KeyR", "r"), ("KeyF", "f"), ("KeyZ", "z")):
        hands.tap(code, key, CTRL)
    assert hands.page.evaluate("() => untaken") == ["KeyC", "KeyR", "KeyF", "KeyZ"]
    hands.page.evaluate("() => (window.shown = false)")
    hands.tap("KeyW", "w", CTRL)
    hands.tap("ArrowLeft", "ArrowLeft", ALT)
    assert hands.page.evaluate("() => untaken.slice(4)") == ["KeyW", "ArrowLeft"]
    assert hands.sent == []


def test_a_slow_walker_is_asked_before_the_page_closes(hands: Hands) -> None:
    def asks() -> bool:
        return hands.page.evaluate(
            "() => !window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
        )

    assert not asks()
    hands.key("Down", "ControlLeft", "Control", CTRL)
    assert asks()
    hands.tap("KeyR", "r", CTRL)  # reloads the page
    assert not asks()
    hands.key("Down", "KeyW", "w", CTRL)
    assert asks()
    hands.key("Up", "ControlLeft", "Control")
    assert not asks()
    hands.page.evaluate("() => (window.shown = false)")
    hands.key("Down", "ControlLeft", "Control", CTRL)
    assert not asks()


def test_commands_go_by_the_letter_on_any_keyboard(hands: Hands) -> None:
    german = [("KeyY", "z", 0), ("KeyY", "Z", SHIFT), ("Minus", "?", SHIFT), ("KeyZ", "y", 0)]
    french = [("KeyM", "?", SHIFT), ("KeyZ", "w", 0), ("Semicolon", "m", 0), ("KeyW", "z", 0)]
    for press in german + french:
        hands.tap(*press)
    named = ["undo", "redo", "help", "export_explanation", "help", "undo", "compare_strategies"]
    assert hands.commands == named
    assert hands.page.evaluate("() => untaken") == []


def test_home_tapped_twice_jumps(hands: Hands) -> None:
    begun = time.time()
    for code, key, seconds in (
        ("Home", "Home", 0),
        ("Home", "Home", 0.3),
        ("Home", "Home", 0.5),
        ("Home", "Home", 0.9),
        ("KeyI", "i", 1.0),
        ("Home", "Home", 1.1),
    ):
        hands.tap(code, key, timestamp=begun + seconds)
    home = ["home", "jump_home", "home", "home", "pin", "home"]
    assert hands.commands == home


# --- mouse ---------------------------------------------------------------------------------


def test_a_drag_looks_about_the_eye_and_takes_no_mouse(hands: Hands) -> None:
    mouse = hands.page.mouse
    mouse.move(300, 200)
    mouse.down()
    mouse.move(340, 180, steps=4)
    mouse.move(420, 180, steps=2)
    mouse.up()
    mouse.move(100, 100)
    eye = hands.page.evaluate(
        """() => {
          const walker = new Walker();
          walker.position = [0.3, -0.1, 0.7];
          walker.look(...input.takeLook());
          walker.advance(1 / 30, input.wish(), null, 0);
          return [walker.position, walker.yaw, walker.pitch];
        }"""
    )
    assert eye == [[0.3, -0.1, 0.7], pytest.approx(120 * 0.0025), pytest.approx(-20 * 0.0025)]
    assert hands.look == [0, 0]
    hands.frame()
    assert not hands.locked
    assert hands.page.evaluate("() => heard") == []


def test_a_click_takes_the_mouse_and_escape_gives_it_back_and_no_more(hands: Hands) -> None:
    mouse = hands.page.mouse
    mouse.move(300, 200)
    mouse.down()
    mouse.move(302, 201)
    mouse.up()
    hands.page.wait_for_function("() => input.locked")
    # Headless Chromium moves a locked mouse by where it is: movements are made up here.
    look = hands.page.evaluate(
        """() => {
          input.takeLook();
          const moved = { pointerId: 1, pointerType: "mouse", movementX: 40, movementY: -20 };
          document.querySelector("canvas").dispatchEvent(new PointerEvent("pointermove", moved));
          return input.takeLook();
        }"""
    )
    assert look == pytest.approx([0.1, -0.05])
    hands.tap("Escape", "Escape")
    hands.page.wait_for_function("() => !input.locked")
    hands.page.wait_for_timeout(150)
    assert hands.commands == []
    hands.tap("Escape", "Escape")
    assert hands.commands == ["cancel"]


def test_the_mouse_is_given_back_with_the_picture(hands: Hands) -> None:
    hands.page.mouse.click(300, 200)
    hands.page.wait_for_function("() => input.locked")
    hands.page.evaluate("() => input.show(false)")
    hands.page.wait_for_function("() => !input.locked")


def test_the_wheel_changes_the_speed_within_bounds(hands: Hands) -> None:
    def turn(pixels: float, **more: Any) -> float:
        hands.page.evaluate(
            "(turn) => input.canvas.dispatchEvent(new WheelEvent('wheel', turn))",
            {"deltaY": pixels, "bubbles": True, **more},
        )
        return hands.page.evaluate("() => input.speed")

    assert turn(-60) == pytest.approx(1.105, abs=1e-3)
    assert turn(60) == pytest.approx(1)
    assert turn(60, ctrlKey=True) == pytest.approx(1)
    assert turn(3, deltaMode=1) == pytest.approx(0.923, abs=1e-3)
    assert turn(9e5) == 0.1
    assert hands.wish == {"pace": 0.1}
    assert turn(-9e5) == 4
    assert hands.page.evaluate("() => heard") == []


# --- gamepad -------------------------------------------------------------------------------


def pad(axes: tuple[float, ...] = (0, 0, 0, 0), pressed: tuple[int, ...] = (), **more: Any) -> Any:
    """A gamepad as the browser describes it."""
    buttons = [{"pressed": i in pressed, "value": float(i in pressed)} for i in range(17)]
    axes_and_buttons = {"axes": list(axes), "buttons": buttons}
    return {"connected": True, "mapping": "standard", **axes_and_buttons, **more}


def with_pad(hands: Hands, *pads: Any) -> dict[str, Any]:
    """What is wished with these gamepads, the first time that they are seen."""
    hands.page.evaluate("(pads) => { window.pads = pads; input.gamepads.looked = -9e9; }", pads)
    return hands.wish


def test_sticks_walk_and_look_and_triggers_go_up_and_down(hands: Hands) -> None:
    assert with_pad(hands, None, pad((0.14, -0.05, 0.0, 0.1))) == {}
    assert with_pad(hands, pad((0, -1, 1, 0))) == {"ahead": 1, "turn": 1}
    half = with_pad(hands, pad((-0.55, 0, 0, 0.55), (7,)))
    assert half == {
        "right": pytest.approx(-0.25),
        "tilt": pytest.approx(0.25),
        "up": 1,
    }
    both = with_pad(hands, pad((0.8, 0.8, 0, 0), (6, 7)))
    assert both == {"right": pytest.approx(0.5**0.5), "ahead": pytest.approx(-(0.5**0.5))}
    hands.key("Down", "KeyW", "w")
    assert with_pad(hands, pad((0, -1, 0, 0))) == {"ahead": 1}
    assert with_pad(hands, pad((0, 1, 0, 0))) == {}


def test_buttons_are_commands_once_a_press(hands: Hands) -> None:
    asked = [(), (0,), (0,), (), (1, 2), (2,), (3,), (), (3,)]
    with_pad(hands, pad(pressed=(0,)))  # wakes it
    assert hands.commands == []
    for pressed in asked:
        with_pad(hands, pad(pressed=pressed))
    assert hands.commands == ["generate", "undo", "next_heat", "home", "jump_home"]


def test_only_a_standard_gamepad_that_is_there_is_listened_to(hands: Hands) -> None:
    held = pad((0, -1, 0, 0))
    assert with_pad(hands, {**held, "mapping": ""}, None, {**held, "connected": False}) == {}
    assert with_pad(hands, pad((float("nan"), -1, 0, 0))) == {}
    hands.page.evaluate("() => { window.asked = 0; }")
    asked = hands.page.evaluate(
        """() => {
          const pads = navigator.getGamepads;
          window.pads = [];
          let asked = 0;
          navigator.getGamepads = () => (asked++, pads());
          for (let i = 0; i < 100; i++) input.gamepads.wish(1e7 + i);
          navigator.getGamepads = pads;
          return asked;
        }"""
    )
    assert asked <= 2


# --- touch ---------------------------------------------------------------------------------


def test_there_is_no_stick_without_touch(hands: Hands) -> None:
    hands.page.mouse.click(100, 300)
    assert hands.page.locator("[data-vmem=touch]").count() == 0


def test_a_thumb_walks_while_a_finger_looks(hands: Hands) -> None:
    hands.touch("Start", (1, 100, 300))
    hands.touch("Move", (1, 100, 244))
    assert hands.wish == {"ahead": 1}
    stick = hands.page.locator("[data-vmem=stick]").bounding_box()
    assert stick == {"x": 44, "y": 244, "width": 112, "height": 112}
    hands.touch("Start", (1, 100, 244), (2, 400, 100))
    hands.touch("Move", (1, 100, 244), (2, 440, 80))
    assert hands.look == pytest.approx([0.2, -0.1])
    hands.touch("Move", (1, 300, 300), (2, 440, 80))
    assert hands.wish == {"right": 1}
    hands.touch("Move", (1, 200, 200), (2, 440, 80))
    assert hands.wish == {axis: pytest.approx(0.5**0.5) for axis in ("ahead", "right")}
    hands.touch("Move", (1, 104, 300), (2, 440, 80))
    assert hands.wish == {}
    hands.touch("Move", (1, 100, 331.36), (2, 440, 80))
    assert hands.wish == {"ahead": pytest.approx(-0.5)}
    hands.touch("End", (1, 100, 331.36))
    assert hands.wish == {}
    hands.touch("Move", (2, 400, 80))
    assert hands.look == pytest.approx([-0.2, 0])
    hands.touch("End")
    assert hands.look == [0, 0]
    assert not hands.locked


def test_a_finger_that_the_system_takes_lets_the_stick_go(hands: Hands) -> None:
    hands.touch("Start", (1, 100, 300))
    hands.touch("Move", (1, 100, 244))
    hands.touch("Cancel")
    assert hands.wish == {}


def test_buttons_for_fingers_are_commands_and_go_with_the_picture(hands: Hands) -> None:
    hands.touch("Start", (1, 100, 300))
    hands.touch("End")
    for label in ("Home", "Heat", "Undo", "Undo"):
        button = hands.page.get_by_role("button", name=label)
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 44
        button.click()
    assert hands.commands == ["home", "next_heat", "undo", "undo"]
    assert hands.page.evaluate("() => document.activeElement.tagName") == "BODY"
    hands.page.evaluate("() => input.show(false)")
    assert not hands.page.locator("[data-vmem=stick]").is_visible()
    assert not button.is_visible()
    hands.page.evaluate("() => input.dispose()")
    assert hands.page.locator("[data-vmem=touch]").count() == 0


# --- the picture's own walker ---------------------------------------------------------------


def test_the_pictures_walker_does_what_is_wished(hands: Hands) -> None:
    """The script as Python sends it: keys move him, a drag turns him where he stands, and both
    are reported."""
    page, sources = hands.page, {name: load(file) for name, file in SHADERS.items()}
    of_picture = {"sources": sources, "cell": 0.04, "css": "", "hints": {}, "narrow": 0}
    page.evaluate(
        """([script, config, controls]) => {
          input.dispose();
          delete window.__vmemFirstPerson;
          document.querySelector("#parent").innerHTML = `<div style="position:absolute;inset:0">
            <div><canvas></canvas></div><canvas></canvas></div>`;
          const [canvas, canvas2d] = document.querySelectorAll("canvas");
          Object.assign(__viserMutable, { canvas, canvas2d });
          new Function("config", `(${script})(config)`)(config);
          const picture = window.__vmemFirstPerson;
          picture.controls(controls);
          picture.mode({ walks: true, solid: false });
          picture.show({ layout: "picture" });
          window.at = () => [...picture.walker.position, picture.walker.yaw, picture.walker.pitch];
        }""",
        [script(), {"channel": "walker", "listen": True, **of_picture}, page_controls("game")],
    )
    hands.key("Down", "ControlLeft", "Control", CTRL)
    hands.key("Down", "KeyW", "w", CTRL)
    page.wait_for_function("() => at()[2] > 0.02")
    hands.key("Up", "KeyW", "w", CTRL)
    page.wait_for_function("() => !__vmemFirstPerson.moving")
    before = page.evaluate("() => at()")
    page.mouse.move(200, 200)
    page.mouse.down()
    page.mouse.move(240, 220, steps=2)
    page.mouse.up()
    page.wait_for_function("() => at()[3] > 0.099 && !__vmemFirstPerson.moving")
    after = page.evaluate("() => at()")
    assert after == [*before[:3], pytest.approx(0.1), pytest.approx(0.05)]
    reported = parse_report(page.evaluate("() => sent.at(-1)"))
    assert isinstance(reported, WalkerPose)
    np.testing.assert_allclose(reported.c2w, pose_of(np.array(after[:3]), *after[3:]))
    page.evaluate("() => __vmemFirstPerson.show({ layout: 'memory' })")
    hands.tap("KeyW", "w", CTRL)
    assert page.evaluate("() => untaken") == ["KeyW"]
    page.evaluate("() => __vmemFirstPerson.dispose()")
