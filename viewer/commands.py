"""The table of commands: keys, button, help, tab and what runs, one row each.

``python -m viewer.commands`` prints the tables of keys that stand in README.md and docs/. Codes are
physical keys (KeyboardEvent.code), so that WASD keeps its shape on every keyboard layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from viewer.actions import Actions
from viewer.settings import Keymap

Section = Literal["walking", "debugging"]
Tab = Literal["Walk", "Memory", "History", "Session", "Settings"]

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
}
"""Keys whose name is not their code, or the letter of their code."""


@dataclass(frozen=True)
class Command:
    """One row of the table: what a key or a button does."""

    name: str
    """A word for it, unique."""
    keys: tuple[str, ...]
    """Codes of the keys, "Shift+" before one that is pressed with shift."""
    help: str
    """What it does, for the list of keys."""
    run: Callable[[Actions], None]
    """Carries it out."""
    label: str = ""
    """What its button or control is called; "" if it has none."""
    section: Section = "debugging"
    """Part of the list of keys in which it is listed."""
    tab: Tab | None = None
    """The tab in which its answer is shown: its keys open it."""

    @property
    def key(self) -> str:
        """Its keys as users call them: "Shift+Z", "? or F1"."""
        return " or ".join(dict.fromkeys(map(_key_name, self.keys)))

    def labelled(self, text: str | None = None) -> str:
        """A control's text, by default ``label``, with the key: "Undo (Z)"."""
        return f"{self.label if text is None else text} ({self.key})"


COMMANDS: list[Command] = []
"""All commands, in the order in which they are listed."""


def _row(
    name: str,
    keys: str,
    help: str,
    run: Callable[[Actions], None],
    label: str = "",
    *,
    section: Section = "debugging",
    tab: Tab | None = None,
) -> Command:
    """Add a command to the table. keys: codes, separated by spaces; ValueError for a taken one."""
    command = Command(name, tuple(keys.split()), help, run, label, section, tab)
    taken = {*PAPER, *(key for other in COMMANDS for key in other.keys)}.intersection(command.keys)
    if taken:
        raise ValueError(f"{', '.join(sorted(taken))} of the command {name} is taken")
    COMMANDS.append(command)
    return command


# fmt: off
GENERATE = _row("generate", "Space", "generate frames from the last view to the ghost camera",
    lambda do: do.generate(), "Generate", section="walking")
UNDO = _row("undo", "KeyZ", "undo the last step",
    lambda do: do.undo(), "undo", section="walking")
REDO = _row("redo", "Shift+KeyZ", "redo the step that was undone",
    lambda do: do.redo(), "redo", section="walking")
CANCEL = _row("cancel", "Escape", "cancel what is being generated; else back to the ghost",
    lambda do: do.cancel(), "Cancel", section="walking")
JUMP = _row("jump", "KeyV", "stand at the view pointed at, or at the newest",
    lambda do: do.jump(), section="walking")
PLAY = _row("play", "KeyP", "play the walk",
    lambda do: do.play(), "Play", section="walking")
HELP = _row("help", "Shift+Slash Slash F1", "this help",
    lambda do: do.help(), "Keys and mouse", section="walking")

EARLIER = _row("earlier", "Comma", "explain the step before (from the ghost: the last one)",
    lambda do: do.earlier(), tab="Memory")
LATER = _row("later", "Period", "explain the step after",
    lambda do: do.later(), tab="Memory")
LIVE = _row("live", "KeyL", "explain the ghost, live",
    lambda do: do.live())
PLAY_STEPS = _row("play_steps", "Shift+KeyP", "play the steps' explanations",
    lambda do: do.play_steps(), "Play the steps", tab="Memory")
NEXT_ROW = _row("next_row", "KeyJ", "point at the next view of the table",
    lambda do: do.next_row())
PREVIOUS_ROW = _row("previous_row", "KeyK", "point at the view before it",
    lambda do: do.previous_row())
PIN = _row("pin", "KeyI", "pin the view pointed at: always choose it",
    lambda do: do.pin())
BAN = _row("ban", "KeyX", "ban the view pointed at: never choose it",
    lambda do: do.ban())
CLEAR_WHAT_IFS = _row("clear_what_ifs", "KeyU", "forget pins, bans and other what-ifs",
    lambda do: do.clear_what_ifs(), "Forget pins, bans and the rest")
NEXT_HEAT = _row("next_heat", "KeyH", "next colouring of the surfels",
    lambda do: do.next_heat(), "Colour")
NEXT_LAYER = _row("next_layer", "KeyN", "next layer of the target's eye",
    lambda do: do.next_layer(), "Target's eye")
WIPE_LEFT = _row("wipe_left", "BracketLeft", "wipe the frame away",
    lambda do: do.wipe_left())
WIPE_RIGHT = _row("wipe_right", "BracketRight", "wipe the frame back in",
    lambda do: do.wipe_right())
ASK_SURFEL = _row("ask_under_pointer", "KeyO", "ask the surfel under the mouse who saw it",
    lambda do: do.ask_under_pointer(), tab="Memory")
COMPARE_STRATEGIES = _row("compare_strategies", "KeyM", "compare the strategies",
    lambda do: do.compare_strategies(), "Compare strategies", tab="Memory")
MAKE_BOTH = _row("make_both", "KeyB", "generate with both chosen strategies",
    lambda do: do.make_both(), "Generate with both", tab="Memory")
EXPORT = _row("export_explanation", "KeyY", "export this explanation",
    lambda do: do.export_explanation(), "Export this explanation")
# fmt: on

BY_KEY: Mapping[str, Command] = {key: command for command in COMMANDS for key in command.keys}
"""Key code, "Shift+" before it where shift is down -> command."""
SWALLOWED = frozenset(PAPER) | {key.removeprefix("Shift+") for key in BY_KEY}
"""Key codes that are ours: viser's own camera keys must not see them."""


def command_of(code: str, shift: bool) -> Command | None:
    """The command of a key, or None."""
    return BY_KEY.get(f"Shift+{code}" if shift else code)


def _key_name(key: str) -> str:
    if key in KEY_NAMES:
        return KEY_NAMES[key]
    shift, _, code = key.rpartition("+")
    return f"{shift}+{_key_name(code)}" if shift else code.removeprefix("Key")


def _keys(section: Section, keymap: Keymap) -> list[tuple[str, str]]:
    """(key, what it does) of a section, moves first."""
    moves = KEYMAPS[keymap].items() if section == "walking" else ()
    rows = [(_key_name(code), MOVE_NAMES[word]) for code, word in moves]
    return rows + [(one.key, one.help) for one in COMMANDS if one.section == section]


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Markdown of (key, what it does): a row each."""
    return ["| key | does |", "|---|---|", *(f"| `{key}` | {what} |" for key, what in rows)]


def help_markdown(keymap: Keymap) -> str:
    """The list of keys in the program, for a keymap."""
    return "\n".join(
        [
            f"Keymap **{keymap}** (Settings). Keys act in the scene, never while you type.",
            "",
            *_table(_keys("walking", keymap)),
            "",
            "**Why was it retrieved?** (Memory tab)",
            "",
            *_table(_keys("debugging", keymap)),
            "",
            "**Step mode**: a move key generates at once. **Fly mode**: hold move keys to fly the "
            "ghost camera through the surfels; `Space` generates along the way flown.",
            "",
            "**Mouse**: drag to orbit, right-drag to pan, wheel to zoom. Click a frustum to stand "
            "there; click a surfel to ask which views saw it. In the Memory tab, hover a view to "
            "light what only it explains, and click it to look through it.",
        ]
    )


def document_table(section: Section) -> str:
    """The Markdown table of a section's keys for README.md and docs/: two keys a row."""
    keys = [(key.replace(" or ", "` or `"), what) for key, what in _keys(section, "paper")]
    rows = [f"`{key}` | {what}" for key, what in keys]
    half = (len(rows) + 1) // 2
    pairs = zip_longest(rows[:half], rows[half:], fillvalue=" | ")
    lines = [f"| {left} | {right} |" for left, right in pairs]
    return "\n".join(["| key | does | key | does |", "|---|---|---|---|", *lines])


if __name__ == "__main__":
    for section in ("walking", "debugging"):
        print(document_table(section), end="\n\n")
