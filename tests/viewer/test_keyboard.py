"""What a page says of its keyboard is read, or left alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewer.page.keyboard import KeyEvent, parse_key_event

codes = st.from_regex(r"[A-Za-z0-9]{1,32}", fullmatch=True)
numbers = st.integers(0, 2**53)
events = st.builds(
    KeyEvent,
    kind=st.sampled_from(["down", "up"]),
    code=codes,
    shift=st.booleans(),
    held=st.frozensets(codes, max_size=5),
    sequence=numbers,
    time_ms=st.floats(0, 2**53),
    pointer=st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)),
    key=st.text(min_size=1, max_size=8),
    double=st.booleans(),
)
PROPER = ["down", "KeyW", "w", False, False, ["KeyW"], 1, 2.0, None]


def message_of(event: KeyEvent) -> str:
    pressed = [event.kind, event.code, event.key, event.shift, event.double]
    return json.dumps([*pressed, sorted(event.held), event.sequence, event.time_ms, event.pointer])


@given(events)
def test_an_event_is_read_as_it_was_sent(event: KeyEvent) -> None:
    assert parse_key_event(message_of(event)) == event


@pytest.mark.parametrize("kind", ["clear", "ready"])
def test_an_event_without_a_key_is_read(kind) -> None:
    event = KeyEvent(kind, "", False, frozenset(), 3, 4.0)
    assert parse_key_event(message_of(event)) == event


def test_a_command_of_the_page_is_read() -> None:
    event = KeyEvent("command", "home", False, frozenset({"KeyW"}), 3, 4.0, double=True)
    assert parse_key_event(message_of(event)) == event


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, "jump"),
        (0, ["down"]),
        (0, "clear"),
        (0, "command"),
        (1, ""),
        (1, "Key W"),
        (1, 7),
        (2, None),
        (2, "w" * 33),
        (3, 0),
        (4, "true"),
        (5, "KeyW"),
        (5, [["KeyW"]]),
        (5, ["KeyW"] * 65),
        (6, 1.5),
        (6, True),
        (7, float("nan")),
        (7, float("inf")),
        (7, 10**400),
        (7, -1),
        (8, [0.5]),
        (8, [0.5, -1]),
        (8, "0.5"),
    ],
)
def test_one_wrong_field_is_enough_to_leave_a_message_alone(place: int, value) -> None:
    assert parse_key_event(json.dumps(PROPER)) is not None
    assert parse_key_event(json.dumps([*PROPER[:place], value, *PROPER[place + 1 :]])) is None


@pytest.mark.parametrize("message", ["", "null", "[" * 5000, "[" * 3000, json.dumps(PROPER[:-1])])
def test_what_is_no_list_of_all_fields_is_left_alone(message: str) -> None:
    assert parse_key_event(message) is None
