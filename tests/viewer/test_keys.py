"""Which command a key has on the keyboards of the world, and how keys are written and called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewer.commands import BY_KEY, command_of
from viewer.page.keyboard import KeyEvent
from viewer.page.keys import MOVE_KEYS, character, is_key, key_name, place

US = {f"Key{letter}": letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
US |= {"Comma": ",", "Period": ".", "BracketLeft": "[", "BracketRight": "]"}


def name(code: str, key: str, shift: bool = False, double: bool = False) -> str | None:
    """The name of the command of a press."""
    event = KeyEvent("down", code, shift, frozenset({code}), 1, 0.0, key=key, double=double)
    command = command_of(event)
    return None if command is None else command.name


@pytest.mark.parametrize(
    ("layout", "code", "key", "shift", "wanted"),
    [
        ("US", "KeyZ", "z", False, "undo"),
        ("US", "KeyZ", "Z", True, "redo"),
        ("US", "KeyY", "y", False, "export_explanation"),
        ("US", "Slash", "?", True, "help"),
        ("US", "Slash", "/", False, "help"),
        ("US with caps lock", "KeyZ", "Z", False, "undo"),
        ("US with caps lock", "KeyZ", "z", True, "redo"),
        ("German", "KeyY", "z", False, "undo"),
        ("German", "KeyY", "Z", True, "redo"),
        ("German", "KeyZ", "y", False, "export_explanation"),
        ("German", "Minus", "?", True, "help"),
        ("German", "Minus", "ß", False, None),
        ("German", "Comma", ",", False, "earlier"),
        ("German", "Comma", ";", True, None),
        ("German", "BracketLeft", "ü", False, "wipe_left"),
        ("German", "BracketRight", "+", False, "wipe_right"),
        ("French", "KeyM", "?", True, "help"),
        ("French", "KeyM", ",", False, "earlier"),
        ("French", "Semicolon", "m", False, "compare_strategies"),
        ("French", "Period", ":", False, "later"),
        ("French", "BracketLeft", "Dead", False, "wipe_left"),
        ("French, where z moves", "KeyW", "z", False, None),
        ("French, where z moves", "KeyZ", "w", False, "undo"),
        ("French, where q moves", "KeyA", "q", False, None),
        ("Brazilian", "BracketRight", "[", False, "wipe_left"),
        ("Brazilian", "Backslash", "]", False, "wipe_right"),
        ("Dvorak", "Slash", "z", False, "undo"),
        ("Dvorak, where comma moves", "Comma", "w", False, "earlier"),
        ("Russian", "KeyZ", "я", False, "undo"),
        ("Russian", "KeyZ", "Я", True, "redo"),
        ("Russian", "Comma", "б", False, "earlier"),
        ("Russian", "Digit7", "?", True, "help"),
        ("Greek", "KeyV", "ω", False, "jump"),
        ("Greek", "Slash", "?", True, "help"),
        ("Arabic", "Slash", "؟", True, "help"),
        ("Japanese, composing", "KeyH", "Process", False, "next_heat"),
        ("Turkish", "KeyI", "ı", False, "pin"),
        ("any", "Space", " ", False, "generate"),
        ("any", "F1", "F1", False, "help"),
        ("any", "Home", "Home", False, "home"),
        ("any, number block", "Numpad7", "Home", False, None),
    ],
)
def test_a_key_does_what_is_written_on_it(layout, code, key, shift, wanted) -> None:
    assert name(code, key, shift) == wanted, layout


@given(st.sampled_from(sorted(MOVE_KEYS)), st.sampled_from([*US.values(), "?"]), st.booleans())
def test_a_key_that_moves_is_no_command_whatever_it_types(code: str, key: str, shift: bool) -> None:
    assert name(code, key, shift) is None


@given(
    st.sampled_from([*US, "Minus", "Digit7", "Home"]),
    st.text(max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_an_unknown_character_goes_by_the_place(code, key, shift, double) -> None:
    if key.lower() in US.values() or key in ("/", "?"):
        return
    assert name(code, key, shift, double) == name(code, "", shift, double)


@pytest.mark.parametrize("key", [key for key in BY_KEY if "Twice" not in key])
def test_on_a_us_keyboard_character_and_place_agree(key: str) -> None:
    shift, typed = key.startswith("Shift+"), character(key).removeprefix("Shift+")
    assert name(place(key), typed.upper() if shift else typed, shift) == BY_KEY[key].name
    assert name(place(key), "", shift) == BY_KEY[key].name


@pytest.mark.parametrize(
    ("key", "where", "typed", "called"),
    [
        ("KeyZ", "KeyZ", "z", "Z"),
        ("Shift+KeyZ", "KeyZ", "Shift+z", "Shift+Z"),
        ("Twice+Shift+KeyZ", "KeyZ", "Twice+Shift+z", "Shift+Z twice"),
        ("Shift+Slash", "Slash", "?", "?"),
        ("Comma", "Comma", ",", ","),
        ("Home", "Home", "", "Home"),
        ("Twice+Home", "Home", "", "Home twice"),
        ("F1", "F1", "", "F1"),
        ("Escape", "Escape", "", "Esc"),
        ("ArrowLeft", "ArrowLeft", "", "←"),
    ],
)
def test_how_keys_are_written(key: str, where: str, typed: str, called: str) -> None:
    assert is_key(key)
    assert (place(key), character(key), key_name(key)) == (where, typed, called)
