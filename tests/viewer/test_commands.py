"""The table of commands: every row has keys, none has two meanings, all are listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.standins import Asked
from viewer.actions import Actions
from viewer.browser.actions import BrowserActions
from viewer.commands import (
    BY_KEY,
    BY_NAME,
    COMMANDS,
    PAD_BUTTONS,
    SWALLOWED,
    Command,
    _row,
    command_of,
    document_table,
    help_markdown,
    page_controls,
)
from viewer.page.keyboard import KeyEvent
from viewer.page.keys import ARROWS, KEYMAPS, MOVE_NAMES, key_name, moves_of
from viewer.settings import Keymap
from vmem.cameras import MOVES

ROOT = Path(__file__).parents[2]
both_keymaps = pytest.mark.parametrize("keymap", list(KEYMAPS))


def help_rows(keymap: Keymap) -> dict[str, str]:
    """Key -> meaning, as the help's table says."""
    rows = [line.strip("| ").split(" | ") for line in help_markdown(keymap).splitlines()]
    return {row[0].strip("`"): row[1] for row in rows if len(row) == 2 and row[0][0] == "`"}


def pressed(code: str, key: str = "", shift: bool = False, double: bool = False) -> KeyEvent:
    """A key that goes down; ``key``: what the layout types."""
    held = frozenset({code})
    return KeyEvent("down", code, shift, held, 1, 0.0, key=key, double=double)


def runs(code: str, shift: bool = False, double: bool = False) -> tuple[str, tuple]:
    """The action that a key asks for, and its arguments."""
    asked, command = Asked(), command_of(pressed(code, shift=shift, double=double))
    assert command is not None
    command.run(asked.commands)
    (call,) = asked.calls
    return call


def test_there_are_the_two_keymaps_of_the_design() -> None:
    assert set(KEYMAPS) == {"paper", "game"}


@both_keymaps
def test_every_move_has_exactly_one_key(keymap: Keymap) -> None:
    assert sorted(KEYMAPS[keymap].values()) == sorted(MOVES)


@both_keymaps
def test_no_key_means_two_things(keymap: Keymap) -> None:
    keys = [key for command in COMMANDS for key in command.keys]
    assert len(keys) == len(set(keys)) == len(BY_KEY)
    assert not set(moves_of(keymap)) & {key.rpartition("+")[2] for key in keys}


def test_the_paper_keymap_is_the_move_words_themselves() -> None:
    assert KEYMAPS["paper"] == {f"Key{word.upper()}": word for word in MOVES}


def test_the_game_keymap_strafes_with_a_d_and_turns_with_q_e() -> None:
    game = KEYMAPS["game"]
    assert [game[f"Key{key}"] for key in "ADQE"] == ["q", "e", "a", "d"]
    assert [game[f"Key{key}"] for key in "WSRFTG"] == list("wsrftg")


@both_keymaps
def test_arrows_walk_and_turn_in_every_keymap(keymap: Keymap) -> None:
    arrows = {
        f"Arrow{way}": word
        for way, word in zip(("Up", "Down", "Left", "Right"), "wsad", strict=True)
    }
    assert moves_of(keymap) == {**KEYMAPS[keymap], **arrows}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_asks_for_the_action_of_its_name(command) -> None:
    asked = Asked()
    command.run(asked.commands)
    named = {"jump_home": ("home", (True,))}
    assert asked.calls == [named.get(command.name, (command.name, ()))]


def test_a_browser_carries_out_every_action() -> None:
    actions = {name for name in vars(Actions) if not name.startswith("_")}
    assert actions <= set(vars(BrowserActions))


def test_the_keys_of_the_design() -> None:
    assert runs("Space") == ("generate", ())
    assert (runs("KeyZ"), runs("KeyZ", shift=True)) == (("undo", ()), ("redo", ()))
    assert runs("Escape") == ("cancel", ())
    assert [runs(f"Key{key}")[0] for key in "HVP"] == ["next_heat", "jump", "play"]
    assert runs("Slash", shift=True) == runs("Slash") == runs("F1") == ("help", ())
    assert runs("Home") == ("home", ())
    assert runs("Home", double=True) == ("home", (True,))
    assert runs("KeyH", double=True) == ("next_heat", ())
    assert runs("KeyH", shift=True) == ("toggle_overlay", ())
    assert command_of(pressed("KeyJ", "J", shift=True)) is None


def test_a_button_of_the_page_is_a_command_and_twice_what_its_key_is_twice() -> None:
    def told(name: str, double: bool = False) -> Command | None:
        return command_of(KeyEvent("command", name, False, frozenset(), 1, 0.0, double=double))

    assert {name: told(name) for name in BY_NAME} == BY_NAME
    assert told("home", double=True) is BY_NAME["jump_home"]
    assert told("undo", double=True) is BY_NAME["undo"]
    assert told("nonsense") is told("nonsense", double=True) is None


@pytest.mark.parametrize(
    ("keys", "button", "refused"),
    [
        ("KeyW", "", "KeyW"),
        ("ArrowUp", "", "ArrowUp"),
        ("Shift+KeyT", "", "KeyT"),
        ("KeyC KeyZ", "", "KeyZ"),
        ("KeyC", "A", "gamepad A"),
        ("KeyC", "Select", "the button Select of another is none of A, B, X, Y"),
        ("Z", "", "the key Z of another is not like"),
        ("Ctrl+KeyC", "", "the key Ctrl[+]KeyC of another is not like"),
    ],
)
def test_what_is_taken_or_does_not_exist_is_refused(keys: str, button: str, refused: str) -> None:
    rows = list(COMMANDS)
    with pytest.raises(ValueError, match=refused):
        _row("another", keys, "", lambda do: do.undo(), button=button)
    with pytest.raises(ValueError, match="undo of the command undo is taken"):
        _row("undo", "KeyC", "", lambda do: do.undo())
    assert rows == COMMANDS


def test_the_page_is_told_of_moves_and_buttons() -> None:
    told = page_controls("game")
    assert told["moves"] == moves_of("game")
    assert told["pad"] == {0: "generate", 1: "undo", 2: "next_heat", 3: "home"}
    assert [name for name, _ in told["touch"]] == ["undo", "home", "next_heat"]
    assert set(told["pad"]) <= set(PAD_BUTTONS.values())


def test_all_our_keys_are_kept_from_the_rest_of_the_page() -> None:
    for keymap in KEYMAPS.values():
        assert set(keymap) | set(ARROWS) <= SWALLOWED
    assert {key.rpartition("+")[2] for key in BY_KEY} | set("zv?,.[]") <= SWALLOWED
    assert not SWALLOWED & {"", "w", "a", "e"}, "letters of moves are ours at their place only"


def test_every_move_and_command_has_a_name_and_no_two_the_same() -> None:
    assert set(MOVE_NAMES) == set(MOVES)
    meanings = [*MOVE_NAMES.values(), *(command.help for command in COMMANDS)]
    assert len(set(meanings)) == len(meanings)
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)


@both_keymaps
def test_the_help_names_every_key_with_its_meaning(keymap: Keymap) -> None:
    rows = help_rows(keymap)
    arrows = {word: f" or {key_name(code)}" for code, word in ARROWS.items()}
    for code, word in KEYMAPS[keymap].items():
        assert rows.pop(key_name(code) + arrows.get(word, "")) == MOVE_NAMES[word]
    assert rows == {command.key: command.described for command in COMMANDS}
    assert rows["Z"] == "undo the last step (gamepad B)"
    named = {"generate": "Space", "cancel": "Esc", "help": "? or F1", "redo": "Shift+Z"}
    named |= {
        "earlier": ",",
        "later": ".",
        "wipe_left": "[",
        "wipe_right": "]",
        "pin": "I",
        "jump_home": "Home twice",
    }
    assert {one.name: one.key for one in COMMANDS if one.name in named} == named


def test_a_button_says_its_key() -> None:
    labels = {command.name: command.labelled() for command in COMMANDS}
    assert labels["generate"] == "Generate (Space)"
    assert labels["play_steps"] == "Play the steps (Shift+P)"


@pytest.mark.parametrize(
    ("document", "section"),
    [("README.md", "walking"), ("docs/debugging-retrieval.md", "debugging")],
)
def test_the_documents_list_the_keys_of_the_table(document: str, section) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    listed = text.partition("<!-- keys:start -->")[2].partition("<!-- keys:end -->")[0]
    assert listed.strip() == document_table(section), "run python -m viewer.commands"
