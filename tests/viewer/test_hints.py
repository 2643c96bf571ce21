"""Hints of keys: all that they name does what they say."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from viewer.commands import BY_KEY, HELP, HOME, NEXT_HEAT, UNDO
from viewer.page.keys import KEYMAPS, key_name
from viewer.panels.hints import KEY_LINE, WALK_CODES, hint_html
from viewer.settings import WALK_MODES, Keymap, Mode
from vmem.cameras import MOVES


def test_the_line_over_the_picture_names_keys_of_the_table() -> None:
    said = dict(part.rsplit(" ", 1) for part in KEY_LINE.split(" · "))
    assert said.pop("W A S D") == "walk"
    assert [key_name(code) for code in WALK_CODES] == list("WASD")
    assert said == {"mouse": "looks", NEXT_HEAT.key: "memory", HOME.key: "back", "? all": "keys"}
    assert BY_KEY["Shift+Slash"] is HELP


@pytest.mark.parametrize("mode", WALK_MODES)
@pytest.mark.parametrize("keymap", get_args(Keymap))
def test_the_lines_of_the_panel_name_every_move_key_and_no_key_that_does_nothing(
    mode: Mode, keymap: Keymap
) -> None:
    text = hint_html(mode, keymap)
    keys = re.findall("<kbd>(.*?)</kbd>", text)
    codes = {key_name(code): word for code, word in KEYMAPS[keymap].items()}
    assert sorted(codes[key] for key in keys if key in codes) == sorted(MOVES)
    others = {"?", UNDO.key, HOME.key, *(["Space"] if mode == "scout" else [])}
    assert {key for key in keys if key not in codes} == others
    turn = {key for key, word in codes.items() if word in "ad"}
    assert set(re.search("<kbd>(.)</kbd> <kbd>(.)</kbd> turn", text).groups()) == turn  # pyright: ignore
