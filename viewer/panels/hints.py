"""The most important keys in a line or two, as the table of commands has them."""

from __future__ import annotations

import html

from viewer.commands import GENERATE, HELP, HOME, NEXT_HEAT, UNDO
from viewer.page.keys import KEYMAPS, key_name
from viewer.settings import Keymap, Mode

WALK_CODES = ("KeyW", "KeyA", "KeyS", "KeyD")
"""The keys that walk, by their place on the keyboard."""
ALL_KEYS = HELP.key.partition(" ")[0]
"""The first key that lists all keys."""
KEY_LINE = (
    f"{' '.join(map(key_name, WALK_CODES))} walk · mouse looks · {NEXT_HEAT.key} memory · "
    f"{HOME.key} back · {ALL_KEYS} all keys"
)
"""Over the picture, for who has a keyboard."""
TOUCH_LINE = "stick walks · drag to look · photos and all else in the panel"
"""Over the picture, for who has none."""
HINTS = {"keys": KEY_LINE, "touch": TOUCH_LINE}
"""Over the picture, by how the page is used."""
PAIRS = (("w", "s", "walk"), ("q", "e", "sideways"), ("a", "d", "turn"))
PAIRS_MORE = (("r", "f", "up, down"), ("t", "g", "look up, down"))
"""Two opposite moves and what both are called."""


def hint_html(mode: Mode, keymap: Keymap) -> str:
    """HTML of a few lines: which keys move in a mode, and what else there is."""
    codes = {word: code for code, word in KEYMAPS[keymap].items()}

    def moves(pairs: tuple[tuple[str, str, str], ...]) -> str:
        return " · ".join(
            f"{_key(key_name(codes[one]))} {_key(key_name(codes[other]))} {what}"
            for one, other, what in pairs
        )

    then = {
        "walk": "frames follow where you walk",
        "step": "each key makes one step",
        "scout": f"fly anywhere, {_key(GENERATE.key)} makes frames along the way",
    }
    lines = (
        moves(PAIRS),
        moves(PAIRS_MORE),
        then[mode],
        f"{_key(UNDO.key)} undo · {_key(HOME.key)} back to the photo · {_key(ALL_KEYS)} all keys",
    )
    return f"<div class='vmem-hints'>{'<br>'.join(lines)}</div>"


def _key(name: str) -> str:
    return f"<kbd>{html.escape(name)}</kbd>"
