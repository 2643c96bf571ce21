"""The table of commands: every move and command has keys, none has two meanings, all are listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.standins import Asked
from viewer.actions import Actions
from viewer.browser.actions import BrowserActions
from viewer.commands import (
    BY_KEY,
    COMMANDS,
    KEYMAPS,
    MOVE_NAMES,
    SWALLOWED,
    command_of,
    document_table,
    help_markdown,
)
from viewer.settings import Keymap
from vmem.cameras import MOVES

ROOT = Path(__file__).parents[2]
both_keymaps = pytest.mark.parametrize("keymap", list(KEYMAPS))


def help_rows(keymap: Keymap) -> dict[str, str]:
    """Key -> meaning, as the help's table says."""
    rows = [line.strip("| ").split(" | ") for line in help_markdown(keymap).splitlines()]
    return {row[0].strip("`"): row[1] for row in rows if len(row) == 2 and row[0][0] == "`"}


def runs(code: str, shift: bool = False) -> tuple[str, tuple]:
    """The action that a key asks for, and its arguments."""
    asked, command = Asked(), command_of(code, shift)
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
    assert not set(KEYMAPS[keymap]) & {key.removeprefix("Shift+") for key in keys}


def test_the_paper_keymap_is_the_move_words_themselves() -> None:
    assert KEYMAPS["paper"] == {f"Key{word.upper()}": word for word in MOVES}


def test_the_game_keymap_strafes_with_a_d_and_turns_with_q_e() -> None:
    game = KEYMAPS["game"]
    assert [game[f"Key{key}"] for key in "ADQE"] == ["q", "e", "a", "d"]
    assert [game[f"Key{key}"] for key in "WSRFTG"] == list("wsrftg")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_asks_for_the_action_of_its_name(command) -> None:
    asked = Asked()
    command.run(asked.commands)
    assert asked.calls == [(command.name, ())]


def test_a_browser_carries_out_every_action() -> None:
    actions = {name for name in vars(Actions) if not name.startswith("_")}
    assert actions <= set(vars(BrowserActions))


def test_the_keys_of_the_design() -> None:
    assert runs("Space") == ("generate", ())
    assert (runs("KeyZ"), runs("KeyZ", shift=True)) == (("undo", ()), ("redo", ()))
    assert runs("Escape") == ("cancel", ())
    assert [runs(f"Key{key}")[0] for key in "HVP"] == ["next_heat", "jump", "play"]
    assert runs("Slash", shift=True) == runs("Slash") == runs("F1") == ("help", ())
    assert command_of("KeyH", shift=True) is None


def test_all_our_keys_are_kept_from_the_rest_of_the_page() -> None:
    for keymap in KEYMAPS.values():
        assert set(keymap) <= SWALLOWED
    assert {key.removeprefix("Shift+") for key in BY_KEY} <= SWALLOWED


def test_every_move_and_command_has_a_name_and_no_two_the_same() -> None:
    assert set(MOVE_NAMES) == set(MOVES)
    meanings = [*MOVE_NAMES.values(), *(command.help for command in COMMANDS)]
    assert len(set(meanings)) == len(meanings)
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)


@both_keymaps
def test_the_help_names_every_key_with_its_meaning(keymap: Keymap) -> None:
    rows = help_rows(keymap)
    for code, word in KEYMAPS[keymap].items():
        assert rows.pop(code.removeprefix("Key")) == MOVE_NAMES[word]
    assert rows == {command.key: command.help for command in COMMANDS}
    named = {"generate": "Space", "cancel": "Esc", "help": "? or F1", "redo": "Shift+Z"}
    named |= {"earlier": ",", "later": ".", "wipe_left": "[", "wipe_right": "]", "pin": "I"}
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
