"""The command: prints, checks against what was committed, commits."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import benchmarks
from benchmarks import _gate as gate
from benchmarks.__main__ import main

FAKE = """
from benchmarks._metrics import Metric, measured

METRICS = (Metric("{name}.ratio", "ratio", "higher", tolerance=0.1), Metric("{name}.ms", "ms"))

def run():
    yield measured("{name}.ratio", {ratio})
    yield measured("{name}.ms", 3.0)
"""
SLOW = """
from benchmarks._metrics import Metric

METRICS = (Metric("hours", "s"),)

def run():
    raise AssertionError("run although there is nothing to judge")
"""


class Fakes:
    """Benchmarks in a folder of their own, in place of the true ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, ratio: float) -> None:
        self.write(name, FAKE.format(name=name, ratio=ratio))

    def write(self, name: str, source: str) -> None:
        (self.folder / f"{name}.py").write_text(source)
        sys.modules.pop(f"benchmarks.{name}", None)


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmarks, "__path__", [str(tmp_path)])
    monkeypatch.setattr(gate, "COMMITTED", tmp_path / "committed.json")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield Fakes(tmp_path)
    for name in set(sys.modules) - before:
        if name.startswith("benchmarks."):
            del sys.modules[name]
            delattr(benchmarks, name.removeprefix("benchmarks."))


def printed(capsys) -> list[list[str]]:
    """Words of the lines."""
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_rows_carry_what_was_declared(fakes, capsys):
    fakes.add("one", 5.0)
    assert main(["--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        {"benchmark": "one", "metric": "one.ratio", "value": 5.0}
        | {"unit": "ratio", "better": "higher"},
        {"benchmark": "one", "metric": "one.ms", "value": 3.0, "unit": "ms", "better": "lower"},
    ]
    assert main(["one"]) == 0
    assert printed(capsys) == [["one.ratio", "5.000", "ratio"], ["one.ms", "3.000", "ms"]]


@pytest.mark.parametrize(
    ("ratio", "verdict", "code"), [(4.0, "worse", 1), (4.9, "ok", 0), (6.0, "better", 0)]
)
def test_a_check_after_a_commit(fakes, capsys, ratio, verdict, code):
    fakes.add("one", 5.0)
    assert main(["--commit"]) == 0
    entry = gate.read(gate.COMMITTED)["one"]
    assert entry["values"] == {"one.ratio": 5.0, "one.ms": 3.0}
    assert entry["hardware"] == gate.this_machine()
    fakes.add("one", ratio)
    capsys.readouterr()
    assert main(["--check"]) == code
    assert [line[:2] for line in printed(capsys)] == [[verdict, "one.ratio"], ["shown", "one.ms"]]
    assert main(["--check", "--json", "one"]) == code
    (row, _) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (row["verdict"], row["value"], row["committed"]) == (verdict, ratio, 5.0)


def test_a_commit_keeps_what_it_did_not_measure(fakes):
    fakes.add("one", 5.0)
    fakes.add("two", 7.0)
    assert main(["--commit"]) == 0
    fakes.add("two", 8.0)
    assert main(["--commit", "two"]) == 0
    committed = gate.read(gate.COMMITTED)
    assert committed["one"]["values"]["one.ratio"] == 5.0
    assert committed["two"]["values"]["two.ratio"] == 8.0


def test_a_benchmark_that_was_never_committed_is_new(fakes, capsys):
    fakes.add("one", 5.0)
    assert main(["--check"]) == 0
    assert printed(capsys)[0][:2] == ["new", "one.ratio"]


def test_a_benchmark_that_is_gone_is_missed(fakes, capsys):
    fakes.add("one", 5.0)
    fakes.add("two", 5.0)
    assert main(["--commit"]) == 0
    (fakes.folder / "two.py").unlink()
    capsys.readouterr()
    assert main(["--check"]) == 1
    assert ["missing", "two.ratio"] in [line[:2] for line in printed(capsys)]
    assert main(["--check", "one"]) == 0


def test_without_names_only_what_can_be_judged_is_run(fakes, capsys):
    fakes.write("slow", SLOW)
    assert main(["--check"]) == 0
    assert printed(capsys) == []
    with pytest.raises(AssertionError, match="nothing to judge"):
        main(["--check", "slow"])


def test_unknown_names_and_contradictions(fakes, capsys):
    fakes.add("one", 5.0)
    assert main(["--check", "one", "zwei"]) == 2
    assert "unknown zwei: use one" in capsys.readouterr().err
    assert main(["--check", "--commit"]) == 2
    assert "not both" in capsys.readouterr().err
