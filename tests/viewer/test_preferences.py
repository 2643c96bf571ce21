"""What a browser remembers, and what pins and bans are remembered as."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import open_box
from viewer.page.keys import KEYMAPS
from viewer.paint.surfel_colors import MODES
from viewer.paint.target_layers import LAYERS
from viewer.preferences import LONGEST, SCENE, SETTINGS, apply, remembered
from viewer.settings import (
    Heat,
    Keymap,
    KeymapChoice,
    Layer,
    SceneOptions,
    Settings,
)
from viewer.walk.pins import Pins

chosen = Settings(
    strategy="votes",
    context_views=7,
    suppression=0.2,
    weighting="pixels",
    density=0.5,
    use_next=False,
    overlay=False,
    rows="all",
    keymap="game",
    mode="scout",
    layout="picture",
    targets="4",
    view_from="eyes",
    step_size=0.3,
    turn_degrees=12.0,
    scene=SceneOptions(
        heat="owner", layer="holes", wipe=0.4, frustums=False, billboards=False, provenance=True
    ),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=3,
)


def test_what_was_chosen_comes_back() -> None:
    settings = Settings()
    apply(remembered(chosen), settings)
    assert remembered(settings) == remembered(chosen)
    for name in SETTINGS:
        assert getattr(settings, name) == getattr(chosen, name)
        assert getattr(settings, name) != getattr(Settings(), name), f"{name} is not tested"


def test_the_choices_are_those_of_the_tables() -> None:
    assert get_args(Heat) == tuple(MODES)
    assert get_args(Layer) == tuple(LAYERS)
    assert get_args(Keymap) == tuple(KEYMAPS)
    assert get_args(KeymapChoice) == ("auto", *KEYMAPS)


def test_all_that_is_remembered_exists_and_stays_short() -> None:
    assert set(SETTINGS) <= {field.name for field in fields(Settings)}
    assert set(SCENE) <= {field.name for field in fields(SceneOptions)}
    assert len(remembered(chosen)) < LONGEST


@given(st.dictionaries(st.sampled_from([*SETTINGS, *SCENE, "seed", "backend"]), anything))
def test_nonsense_changes_nothing_and_sense_is_taken(said: dict) -> None:
    settings = Settings()
    apply(json.dumps(said), settings)
    for checks, now, fresh in (
        (SETTINGS, settings, Settings()),
        (SCENE, settings.scene, SceneOptions()),
    ):
        for name, fits in checks.items():
            sensible = name in said and fits(said[name])
            expected = said[name] if sensible else getattr(fresh, name)
            assert getattr(now, name) == expected
            assert fits(getattr(now, name))
    assert (settings.seed, settings.backend) == (0, "auto")


@given(st.text(max_size=60) | st.just("[" * 5000) | st.none() | st.just("[1, 2]"))
def test_what_is_no_memory_of_ours_is_left_alone(text: str | None) -> None:
    settings = Settings()
    apply(text, settings)
    assert settings == Settings()


def test_a_pin_is_on_a_view_and_not_on_its_number() -> None:
    session = open_box()
    session.move("w")
    pins, before = Pins(), session.memory
    assert pins.toggle_pin(4, before)
    assert pins.toggle_ban(0, before)
    session.undo()
    session.move("d")
    after = session.memory
    assert after.views[4] is not before.views[4]
    assert (pins.pinned(after), pins.banned(after)) == ((), (0,))
    session.switch(1)
    assert (pins.pinned(session.memory), pins.banned(session.memory)) == ((4,), (0,))
    assert pins.pinned(before.at_step(0)) == ()


def test_pin_and_ban_exclude_each_other_and_lift() -> None:
    memory, pins = open_box().memory, Pins()
    assert pins.toggle_pin(0, memory)
    assert pins.toggle_ban(0, memory)
    assert (pins.pinned(memory), pins.banned(memory)) == ((), (0,))
    assert pins.toggle_pin(0, memory)
    assert (pins.pinned(memory), pins.banned(memory)) == ((0,), ())
    assert not pins.toggle_pin(0, memory)
    assert (pins.pinned(memory), pins.banned(memory)) == ((), ())
    pins.toggle_ban(0, memory)
    pins.clear()
    assert pins.banned(memory) == ()


def test_settings_are_not_shared_between_browsers() -> None:
    one, other = Settings(), replace(Settings(), scene=SceneOptions())
    apply(remembered(chosen), one)
    assert other == Settings()
