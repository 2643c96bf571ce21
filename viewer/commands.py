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
    ("KeyH", False): "inspector.next_heat",
    ("KeyV", False): "jump",
    ("KeyP", False): "play",
    ("Comma", False): "inspector.earlier",
    ("Period", False): "inspector.later",
    ("KeyL", False): "inspector.live",
    ("KeyP", True): "inspector.play_steps",
    ("KeyJ", False): "inspector.next_row",
    ("KeyK", False): "inspector.previous_row",
    ("KeyI", False): "inspector.pin",
    ("KeyX", False): "inspector.ban",
    ("KeyU", False): "inspector.forget_wishes",
    ("KeyN", False): "inspector.next_layer",
    ("BracketLeft", False): "inspector.wipe_left",
    ("BracketRight", False): "inspector.wipe_right",
    ("KeyO", False): "inspector.ask_under_pointer",
    ("KeyM", False): "inspector.compare_strategies",
    ("KeyB", False): "make_both",
    ("KeyY", False): "inspector.export",
    ("Slash", True): "help",
    ("Slash", False): "help",
    ("F1", False): "help",
}
"""(key code, shift) -> action of the client."""

ANSWERED_IN_MEMORY = frozenset(
    {
        "inspector.earlier",
        "inspector.later",
        "inspector.play_steps",
        "inspector.ask_under_pointer",
        "inspector.compare_strategies",
        "make_both",
    }
)
"""Actions whose answer stands in the Memory tab: their keys open it."""

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
    "cancel": ("Esc", "cancel what is being generated; else back to the ghost"),
    "jump": ("V", "stand at the view pointed at, or at the newest"),
    "play": ("P", "play the walk"),
    "help": ("? or F1", "this help"),
}
INSPECTOR_NAMES = {
    "inspector.earlier": (",", "explain the step before (from the ghost: the last one)"),
    "inspector.later": (".", "explain the step after"),
    "inspector.live": ("L", "explain the ghost, live"),
    "inspector.play_steps": ("Shift+P", "play the steps' explanations"),
    "inspector.next_row": ("J", "point at the next view of the table"),
    "inspector.previous_row": ("K", "point at the one before"),
    "inspector.pin": ("I", "pin the view pointed at: always choose it"),
    "inspector.ban": ("X", "ban it: never choose it"),
    "inspector.forget_wishes": ("U", "forget pins, bans and other what-ifs"),
    "inspector.next_heat": ("H", "next colouring of the surfels"),
    "inspector.next_layer": ("N", "next layer of the target's eye"),
    "inspector.wipe_left": ("[", "wipe the frame away"),
    "inspector.wipe_right": ("]", "and back"),
    "inspector.ask_under_pointer": ("O", "ask the surfel under the mouse who saw it"),
    "inspector.compare_strategies": ("M", "compare the strategies"),
    "make_both": ("B", "generate with both chosen strategies"),
    "inspector.export": ("Y", "export this explanation"),
}


def help_markdown(keymap: str) -> str:
    """The help text for a keymap."""
    rows = [
        f"| `{code.removeprefix('Key')}` | {MOVE_NAMES[word]} |"
        for code, word in KEYMAPS[keymap].items()
    ]
    rows += [f"| `{key}` | {what} |" for key, what in ACTION_NAMES.values()]
    debugger = [f"| `{key}` | {what} |" for key, what in INSPECTOR_NAMES.values()]
    return "\n".join(
        [
            f"Keymap **{keymap}** (Settings). Keys act in the scene, never while you type.",
            "",
            "| key | does |",
            "|---|---|",
            *rows,
            "",
            "**Why was it retrieved?** (Memory tab)",
            "",
            "| key | does |",
            "|---|---|",
            *debugger,
            "",
            "**Step mode**: a move key generates at once. **Fly mode**: hold move keys to fly the "
            "ghost camera through the surfels; `Space` generates along the way flown.",
            "",
            "**Mouse**: drag to orbit, right-drag to pan, wheel to zoom. Click a frustum to stand "
            "there; click a surfel to ask which views saw it. In the Memory tab, hover a view to "
            "light what only it explains, and click it to look through it.",
        ]
    )
