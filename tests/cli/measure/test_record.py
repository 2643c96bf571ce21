"""The record: plain JSON without places, and a table in which every value can be read."""

from __future__ import annotations

import json
import math
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmem.cli.measure.record import SCHEMA, Outcome, Record, Row, without_places
from vmem.cli.measure.table import table

RECORD = Record({"torch": "2.9"}, {"card": "H100", "pcie": None}, {"tiny": True})

values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
rows = st.builds(Row, st.text(max_size=20), st.dictionaries(st.text(max_size=8), values))
outcomes = st.builds(
    Outcome,
    st.sampled_from(["steps", "speed"]),
    st.sampled_from(["done", "failed"]),
    st.floats(0, 600),
    st.lists(rows, max_size=4).map(tuple),
)


@settings(max_examples=15)
@given(st.lists(outcomes, max_size=3))
def test_any_record_is_strict_json_and_has_a_table(made):
    record = replace(RECORD, outcomes=tuple(made))
    read = json.loads(json.dumps(record.to_json(), allow_nan=False))
    assert read["schema"] == SCHEMA
    assert [len(section["rows"]) for section in read["sections"]] == [len(o.rows) for o in made]
    assert table(record).startswith("hardware: card H100\nversions: torch 2.9")


def test_numbers_keep_six_digits_and_what_is_no_number_is_a_word():
    row = Row("a", {"s": 1.23456789, "n": 10**9, "bad": math.nan, "ok": True, "no": None})
    record = replace(RECORD, outcomes=(Outcome("steps", "done", 1.0, (row,)),))
    (section,) = record.to_json()["sections"]
    expected = {"name": "a", "s": 1.23457, "n": 10**9, "bad": "nan", "ok": True, "no": None}
    assert section["rows"] == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no file /home/ann lee/x/vae/config.json: check", "no file .../config.json: check"),
        ("cannot read /data/ann/weights.pth (denied)", "cannot read .../weights.pth (denied)"),
        ("in ~/models/vae/a.bin", "in .../a.bin"),
        (r"no C:\Users\Ann\models\a.pth", r"no ...\a.pth".replace("\\", "/")),
        ("see https://pytorch.org/get-started/locally", None),
        ("12.5 GB/s to, 1/2 of a/b/c", None),
        ("rms of std", None),
    ],
)
def test_folders_are_not_told(text, expected):
    assert without_places(text, known=["/home/ann lee"]) == (expected or text)


def test_home_and_host_are_not_told():
    said = without_places(f"{Path.home() / 'a.txt'} on {socket.gethostname()}")
    assert str(Path.home()) not in said
    assert socket.gethostname() not in said


def test_neighbours_with_equal_quantities_share_their_names():
    measured = (
        Row("one", {"s": 0.5, "peak GiB": None}),
        Row("two", {"s": 1234.5, "peak GiB": 7.25}),
        Row("three", {"error": "OutOfMemoryError: no room"}),
        Row("four", {"finite": True}),
    )
    done = Outcome("steps", "time up", 12.0, measured, "its 12 s are over")
    shown = table(replace(RECORD, outcomes=(done,))).splitlines()[3:]
    words = [line.split() for line in shown]
    assert shown[0] == "steps: time up after 12 s, 4 rows: its 12 s are over"
    assert words[1:] == [
        ["s", "peak", "GiB"],
        ["one", "0.5", "-"],
        ["two", "1234", "7.25"],
        ["three", "OutOfMemoryError:", "no", "room"],
        ["finite"],
        ["four", "yes"],
    ]
    assert len(shown[1]) == len(shown[2]) == len(shown[3])
