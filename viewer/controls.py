"""Keys and what they mean: tables, not code.

Codes are physical keys (KeyboardEvent.code), so that WASD stays a hand's shape on every layout.
"""

from __future__ import annotations

from collections.abc import Mapping

PAPER = {
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
KEYMAPS: Mapping[str, Mapping[str, str]] = {
    "paper": PAPER,
    "game": PAPER | {"KeyA": "q", "KeyD": "e", "KeyQ": "a", "KeyE": "d"},
}
"""Keymap -> key code -> move word. ``game`` strafes with A D and turns with Q E."""

ACTIONS: Mapping[tuple[str, bool], str] = {
    ("Space", False): "generate",
    ("KeyZ", False): "undo",
    ("KeyZ", True): "redo",
    ("Escape", False): "cancel",
    ("KeyH", False): "next_heat",
    ("KeyV", False): "jump",
    ("KeyP", False): "play",
    ("Slash", True): "help",
    ("Slash", False): "help",
    ("F1", False): "help",
}
"""(key code, shift) -> action."""

SWALLOWED = frozenset(PAPER) | {code for code, _ in ACTIONS}
"""Keys that belong to us: viser's own camera keys must not see them."""

MOVE_NAMES = {
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

ACTION_NAMES = {
    "generate": ("Space", "generate frames from the last view to the ghost camera"),
    "undo": ("Z", "undo the last step"),
    "redo": ("Shift+Z", "redo it"),
    "cancel": ("Esc", "cancel what is being generated"),
    "next_heat": ("H", "next colouring of the surfels"),
    "jump": ("V", "stand at the view under the pointer, or at the newest"),
    "play": ("P", "play the walk"),
    "help": ("? or F1", "this help"),
}


def help_markdown(keymap: str) -> str:
    """The help text for a keymap."""
    rows = [
        f"| `{code.removeprefix('Key')}` | {MOVE_NAMES[word]} |"
        for code, word in KEYMAPS[keymap].items()
    ]
    rows += [f"| `{key}` | {what} |" for key, what in ACTION_NAMES.values()]
    return "\n".join(
        [
            f"Keymap **{keymap}** (Settings). Keys act in the scene, never while you type.",
            "",
            "| key | does |",
            "|---|---|",
            *rows,
            "",
            "**Step mode**: a move key generates at once. **Fly mode**: hold move keys to fly the "
            "ghost camera through the surfels; `Space` generates along the way flown.",
            "",
            "**Mouse**: drag to orbit, right-drag to pan, wheel to zoom. Click a frustum to stand "
            "there; click a surfel to ask which views saw it.",
        ]
    )
