"""Names of keys: where they lie, what they type, what they are called, and which of them move.

A key is written as its KeyboardEvent.code, the place on a US keyboard, with "Shift+" before it for
one that is pressed with shift, and "Twice+" before that for one that is tapped twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from viewer.settings import Keymap

PAPER: Mapping[str, str] = {
    "KeyW": "w",
    "KeyS": "s",
    "KeyA": "a",
    "KeyD": "d",
    "KeyQ": "q",
    "KeyE": "e",
    "KeyR": "r",
    "KeyF": "f",
    "KeyT": "t",
    "KeyG": "g",
}
KEYMAPS: Mapping[Keymap, Mapping[str, str]] = {
    "paper": PAPER,
    "game": {**PAPER, "KeyA": "q", "KeyD": "e", "KeyQ": "a", "KeyE": "d"},
}
"""Keymap -> key code -> move word. ``game`` strafes with A D and turns with Q E."""
ARROWS: Mapping[str, str] = {
    "ArrowUp": "w",
    "ArrowDown": "s",
    "ArrowLeft": "a",
    "ArrowRight": "d",
}
"""Key code -> move word, in every keymap."""
MOVE_KEYS = frozenset(PAPER) | frozenset(ARROWS)
"""Codes of the keys that move."""
MOVE_NAMES: Mapping[str, str] = {
    "w": "forward",
    "s": "back",
    "a": "turn left",
    "d": "turn right",
    "q": "strafe left",
    "e": "strafe right",
    "r": "up",
    "f": "down",
    "t": "pitch up",
    "g": "pitch down",
}
KEY_NAMES: Mapping[str, str] = {
    "Escape": "Esc",
    "Comma": ",",
    "Period": ".",
    "BracketLeft": "[",
    "BracketRight": "]",
    "Slash": "?",
    "Shift+Slash": "?",
    "ArrowUp": "↑",
    "ArrowDown": "↓",
    "ArrowLeft": "←",
    "ArrowRight": "→",
}
"""Keys whose name is not their code, or the letter of their code."""
CHARACTERS: Mapping[str, str] = {
    "Comma": ",",
    "Period": ".",
    "BracketLeft": "[",
    "BracketRight": "]",
    "Slash": "/",
    "Shift+Slash": "?",
}
"""Keys that bear a character other than a letter, as a US keyboard types it."""
_KEY = re.compile(r"(Twice\+)?(Shift\+)?[A-Z][A-Za-z0-9]+")


def moves_of(keymap: Keymap) -> Mapping[str, str]:
    """Key code -> move word, arrows included."""
    return {**KEYMAPS[keymap], **ARROWS}


def is_key(key: str) -> bool:
    """Whether a key is written as it should be."""
    return _KEY.fullmatch(key) is not None


def place(key: str) -> str:
    """The code alone: "KeyZ" of "Shift+KeyZ"."""
    return key.rpartition("+")[2]


def character(key: str) -> str:
    """What a US keyboard types with a key, marked as the key is; shift is marked for letters only:
    "Shift+z" of "Shift+KeyZ", "?" of "Shift+Slash", "" of "Home"."""
    twice = "Twice+" if key.startswith("Twice+") else ""
    rest = key.removeprefix(twice)
    if rest in CHARACTERS:
        return twice + CHARACTERS[rest]
    shift, _, code = rest.rpartition("Key")
    return f"{twice}{shift}{code.lower()}" if len(code) == 1 and "Key" in rest else ""


def key_name(key: str) -> str:
    """What users call a key: "Shift+Z", "?", "Home twice"."""
    if key in KEY_NAMES:
        return KEY_NAMES[key]
    if key.startswith("Twice+"):
        return f"{key_name(key.removeprefix('Twice+'))} twice"
    shift, _, code = key.rpartition("+")
    return f"{shift}+{key_name(code)}" if shift else code.removeprefix("Key")
