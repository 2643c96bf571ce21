"""The table of commands: keys, button, help, tab and what runs, one row each.

``python -m viewer.commands`` prints the tables of keys that stand in README.md and docs/.

Keys are written as KeyboardEvent.code: the places of a US keyboard. Moves go by the place, so that
W A S D keep their shape on every layout. A command whose key bears a character there goes by the
character (KeyboardEvent.key), so that Z undoes wherever a layout has it; by the place where what is
typed means nothing, as on layouts without Latin letters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from viewer.actions import Actions
from viewer.page.keyboard import KeyEvent
from viewer.page.keys import MOVE_KEYS, MOVE_NAMES, character, is_key, key_name, moves_of, place
from viewer.settings import Keymap

Section = Literal["walking", "debugging"]
Tab = Literal["Walk", "Memory", "History", "Session", "Settings"]

PAD_BUTTONS: Mapping[str, int] = {"A": 0, "B": 1, "X": 2, "Y": 3}
"""Buttons of a gamepad, named as on an Xbox one -> index in the standard mapping."""


@dataclass(frozen=True)
class Command:
    """One row of the table: what a key or a button does."""

    name: str
    """A word for it, unique."""
    keys: tuple[str, ...]
    """Codes of keys, "Shift+" and "Twice+" before them where needed (viewer.page.keys). Of two taps
    of a key, the first is a tap of its own."""
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
    button: str = ""
    """One of PAD_BUTTONS that does it too; "" if none does."""
    touch: str = ""
    """What its button over the picture is called on touch screens; "" if it has none."""

    def __post_init__(self) -> None:
        if self.button and self.button not in PAD_BUTTONS:
            known = ", ".join(PAD_BUTTONS)
            raise ValueError(f"the button {self.button} of {self.name} is none of {known}")
        for key in self.keys:
            if not is_key(key):
                raise ValueError(f'the key {key} of {self.name} is not like "KeyZ" or "Shift+KeyZ"')

    @property
    def key(self) -> str:
        """Its keys as users call them: "Shift+Z", "? or F1"."""
        return " or ".join(dict.fromkeys(map(key_name, self.keys)))

    @property
    def described(self) -> str:
        """What it does, and with which button of a gamepad."""
        return f"{self.help} (gamepad {self.button})" if self.button else self.help

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
    button: str = "",
    touch: str = "",
) -> Command:
    """Add a command to the table. keys: codes, separated by spaces.

    Raises ValueError for a name, key or button that is taken, or that there is not.
    """
    command = Command(name, tuple(keys.split()), help, run, label, section, tab, button, touch)
    taken = MOVE_KEYS.intersection(map(place, command.keys))
    for other in COMMANDS:
        taken |= {other.name, *other.keys}.intersection((name, *command.keys))
        if button and button == other.button:
            taken |= {f"gamepad {button}"}
    if taken:
        raise ValueError(f"{', '.join(sorted(taken))} of the command {name} is taken")
    COMMANDS.append(command)
    return command


# fmt: off
GENERATE = _row("generate", "Space", "generate frames from the last view to the ghost camera",
    lambda do: do.generate(), "Generate", section="walking", button="A")
UNDO = _row("undo", "KeyZ", "undo the last step",
    lambda do: do.undo(), "undo", section="walking", button="B", touch="Undo")
REDO = _row("redo", "Shift+KeyZ", "redo the step that was undone",
    lambda do: do.redo(), "redo", section="walking")
CANCEL = _row("cancel", "Escape", "cancel what is being generated; else back to the ghost",
    lambda do: do.cancel(), "Cancel", section="walking")
JUMP = _row("jump", "KeyV", "stand at the view pointed at, or at the newest",
    lambda do: do.jump(), section="walking")
PLAY = _row("play", "KeyP", "play the walk",
    lambda do: do.play(), "Play", section="walking")
NEXT_LAYOUT = _row("next_layout", "Tab", "the walker's own picture, or the memory's scene",
    lambda do: do.next_layout(), "Layout", section="walking")
HOME = _row("home", "Home", "walk back to the photo",
    lambda do: do.home(), section="walking", button="Y", touch="Home")
JUMP_HOME = _row("jump_home", "Twice+Home", "be back at the photo at once",
    lambda do: do.home(True), section="walking")
SCREENSHOT = _row("screenshot", "KeyC", "save what is seen as a picture",
    lambda do: do.screenshot(), "picture", section="walking")
RECORD = _row("record", "Shift+KeyC", "record what is seen as a clip, until pressed again",
    lambda do: do.record(), "clip", section="walking")
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
    lambda do: do.next_heat(), "Colour", button="X", touch="Heat")
OVERLAY = _row("toggle_overlay", "Shift+KeyH", "memory over the walker's picture, or none",
    lambda do: do.toggle_overlay())
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
"""Key as in `Command.keys` -> command."""
BY_CHARACTER: Mapping[str, Command] = {
    typed: command for key, command in BY_KEY.items() if (typed := character(key))
}
"""Character typed, "Shift+" before a letter with shift, "Twice+" before both -> command."""
BY_NAME: Mapping[str, Command] = {command.name: command for command in COMMANDS}
SWALLOWED = MOVE_KEYS | {
    part for key in BY_KEY for part in (place(key), character(key).rpartition("+")[2]) if part
}
"""Codes and characters of our keys: viser's own camera keys must not see them."""


def command_of(event: KeyEvent) -> Command | None:
    """The command of a key that went down, or of a button of the page; or None.

    Of a key: by the character that it types; where none of ours is typed, by its place. Keys that
    move are no commands, whatever they type.
    """
    if event.kind == "command":
        command = BY_NAME.get(event.code)
        twice = [BY_KEY.get(f"Twice+{key}") for key in command.keys] if command else []
        return next(filter(None, twice), command) if event.double else command
    if event.code in MOVE_KEYS:
        return None
    shift = "Shift+" if event.shift else ""
    typed = event.key.lower()
    # Shift is part of how a layout types what is no letter.
    typed = shift + typed if typed.isalpha() else typed
    for twice in ("Twice+", "") if event.double else ("",):
        known = BY_CHARACTER.get(twice + typed) or BY_KEY.get(twice + shift + event.code)
        if known is not None:
            return known
    return None


def page_controls(keymap: Keymap) -> dict[str, Any]:
    """What the page's picture is told of this table, for JSON: ``moves`` {key code: move word},
    ``pad`` {index of a gamepad's button: name of a command}, ``touch`` [[name, label]] of the
    buttons for fingers."""
    return {
        "moves": dict(moves_of(keymap)),
        "pad": {PAD_BUTTONS[one.button]: one.name for one in COMMANDS if one.button},
        "touch": [[one.name, one.touch] for one in COMMANDS if one.touch],
    }


def _keys(section: Section, keymap: Keymap) -> list[tuple[str, str]]:
    """(key, what it does) of a section, moves first."""
    keys: dict[str, list[str]] = {}
    for code, word in moves_of(keymap).items() if section == "walking" else ():
        keys.setdefault(word, []).append(key_name(code))
    rows = [(" or ".join(names), MOVE_NAMES[word]) for word, names in keys.items()]
    return rows + [(one.key, one.described) for one in COMMANDS if one.section == section]


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Markdown of (key, what it does): a row each."""
    return ["| key | does |", "|---|---|", *(f"| `{key}` | {what} |" for key, what in rows)]


def help_markdown(keymap: Keymap) -> str:
    """The list of keys in the program, for a keymap."""
    return "\n".join(
        [
            f"Keymap **{keymap}** (Settings). Keys act in the scene, never while you type. Moves "
            "go by the place of the key, so W A S D keep their shape on every keyboard; commands "
            "by the letter on it, or where a move has that key, by its place on a US keyboard.",
            "",
            *_table(_keys("walking", keymap)),
            "",
            "**Why was it retrieved?** (Memory tab)",
            "",
            *_table(_keys("debugging", keymap)),
            "",
            "**walk**: hold move keys, and frames follow. **step**: a move key makes one step. "
            "**scout**: fly through everything; `Space` generates along the way flown.",
            "",
            "**In the picture**: drag to look, or click and move the mouse (`Esc` gives it back); "
            "the wheel changes the speed. Hold `Shift` to go faster, `Ctrl` slower, `Alt` through "
            "walls. **Gamepad**: sticks walk and look, triggers go up and down. **Touch**: a thumb "
            "at the left walks, a finger elsewhere looks.",
            "",
            "**Mouse in the scene**: drag to orbit, right-drag to pan, wheel to zoom. Click a "
            "frustum to stand there; click a surfel to ask which views saw it. In the Memory tab, "
            "hover a view to light what only it explains, and click it to look through it.",
        ]
    )


def document_table(section: Section) -> str:
    """The Markdown table of a section's keys for README.md and docs/: two keys a row."""
    keys = [(key.replace(" or ", "` or `"), what) for key, what in _keys(section, "game")]
    rows = [f"`{key}` | {what}" for key, what in keys]
    half = (len(rows) + 1) // 2
    pairs = zip_longest(rows[:half], rows[half:], fillvalue=" | ")
    lines = [f"| {left} | {right} |" for left, right in pairs]
    return "\n".join(["| key | does | key | does |", "|---|---|---|---|", *lines])


if __name__ == "__main__":
    for section in ("walking", "debugging"):
        print(document_table(section), end="\n\n")
