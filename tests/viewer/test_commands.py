"""Keys: every move and action within reach, none of them twice, all of them in the help."""

from __future__ import annotations

import inspect

import pytest

from viewer.browser.client import Client
from viewer.commands import (
    ACTION_NAMES,
    ACTIONS,
    INSPECTOR_NAMES,
    KEYMAPS,
    MOVE_NAMES,
    SWALLOWED,
    help_markdown,
)
from viewer.debugger.debugger import Inspector
from vmem.cameras import MOVES

NAMES = ACTION_NAMES | INSPECTOR_NAMES
"""What the help says of every action."""
both_keymaps = pytest.mark.parametrize("keymap", list(KEYMAPS))


def help_rows(keymap: str) -> dict[str, str]:
    """Key -> meaning, as the help's table says."""
    rows = [line.strip("| ").split(" | ") for line in help_markdown(keymap).splitlines()]
    return {row[0].strip("`"): row[1] for row in rows if len(row) == 2 and row[0][0] == "`"}


def test_there_are_the_two_keymaps_of_the_design() -> None:
    assert set(KEYMAPS) == {"paper", "game"}


@both_keymaps
def test_every_move_has_exactly_one_key(keymap: str) -> None:
    assert sorted(KEYMAPS[keymap].values()) == sorted(MOVES)


@both_keymaps
def test_no_key_means_two_things(keymap: str) -> None:
    assert not set(KEYMAPS[keymap]) & {code for code, _ in ACTIONS}


def test_the_paper_keymap_is_the_move_words_themselves() -> None:
    assert KEYMAPS["paper"] == {f"Key{word.upper()}": word for word in MOVES}


def test_the_game_keymap_strafes_with_a_d_and_turns_with_q_e() -> None:
    game = KEYMAPS["game"]
    assert [game[f"Key{key}"] for key in "ADQE"] == ["q", "e", "a", "d"]
    assert [game[f"Key{key}"] for key in "WSRFTG"] == list("wsrftg")


def test_every_action_is_a_method_of_the_client_that_needs_no_arguments() -> None:
    for action in ACTIONS.values():
        owner, _, name = action.rpartition(".")
        method = getattr(Inspector if owner else Client, name)
        parameters = list(inspect.signature(method).parameters.values())
        assert all(one.name == "self" or one.default is None for one in parameters), action


def test_the_keys_of_the_design() -> None:
    assert ACTIONS["Space", False] == "generate"
    assert (ACTIONS["KeyZ", False], ACTIONS["KeyZ", True]) == ("undo", "redo")
    assert ACTIONS["Escape", False] == "cancel"
    actions = [ACTIONS[f"Key{key}", False] for key in "HVP"]
    assert actions == ["inspector.next_heat", "jump", "play"]
    assert ACTIONS["Slash", True] == "help"


def test_all_our_keys_are_kept_from_the_rest_of_the_page() -> None:
    for keymap in KEYMAPS.values():
        assert set(keymap) <= SWALLOWED
    assert {code for code, _ in ACTIONS} <= SWALLOWED


def test_every_move_and_action_has_a_name_and_no_two_the_same() -> None:
    assert set(MOVE_NAMES) == set(MOVES)
    assert set(NAMES) == set(ACTIONS.values())
    meanings = [*MOVE_NAMES.values(), *(meaning for _, meaning in NAMES.values())]
    assert len(set(meanings)) == len(meanings)


@both_keymaps
def test_the_help_names_every_key_with_its_meaning(keymap: str) -> None:
    rows = help_rows(keymap)
    for code, word in KEYMAPS[keymap].items():
        assert rows.pop(code.removeprefix("Key")) == MOVE_NAMES[word]
    named = {"Space": "Space", "Escape": "Esc", "Slash": "?", "Comma": ",", "Period": "."}
    named |= {"BracketLeft": "[", "BracketRight": "]"}
    for (code, shift), action in ACTIONS.items():
        key = named.get(code, code.removeprefix("Key"))
        label = f"Shift+{key}" if shift and key != "?" else key
        assert NAMES[action][1] in [
            meaning for keys, meaning in rows.items() if label in keys.split(" or ")
        ], label
    assert len(rows) == len(NAMES)
