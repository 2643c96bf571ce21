"""Figures against those committed: what is worse, better, new, missing or only shown."""

from __future__ import annotations

from datetime import date

import pytest

from benchmarks import _gate as gate
from benchmarks._gate import Verdict, judged
from benchmarks._metrics import Metric, UndeclaredError, measured

SPEED = Metric("speed", "ratio", "higher", tolerance=0.1)
COST = Metric("cost", "ratio", tolerance=0.1)
LIKENESS = Metric("likeness", "dB", "higher", tolerance=0.5)


@pytest.mark.parametrize(
    ("metric", "committed", "value", "verdict"),
    [
        (SPEED, 200, 179, Verdict.WORSE),
        (SPEED, 200, 181, Verdict.OK),
        (SPEED, 200, 219, Verdict.OK),
        (SPEED, 200, 221, Verdict.BETTER),
        (COST, 0.5, 0.56, Verdict.WORSE),
        (COST, 0.5, 0.54, Verdict.OK),
        (COST, 0.5, 0.44, Verdict.BETTER),
        (COST, 0.5, float("nan"), Verdict.WORSE),
        (LIKENESS, 40, 39.4, Verdict.WORSE),
        (LIKENESS, 40, 39.6, Verdict.OK),
        (LIKENESS, -0.1, -0.5, Verdict.OK),
        (COST, None, 7.0, Verdict.NEW),
        (Metric("ms", "ms"), 1.0, 50.0, Verdict.SHOWN),
        (Metric("ms", "ms"), None, 50.0, Verdict.SHOWN),
    ],
)
def test_one_metric(metric, committed, value, verdict):
    before = {} if committed is None else {metric.name: committed}
    (found,) = judged([metric], [measured(metric.name, value)], before)
    assert found.verdict is verdict
    assert found.committed == committed
    assert str(found).startswith(verdict)


@pytest.mark.parametrize(
    ("metrics", "verdict"),
    [
        ([COST], Verdict.MISSING),
        ([], Verdict.MISSING),
        ([Metric("cost", "ms")], Verdict.SHOWN),
        ([Metric("cost", "ratio", optional=True)], Verdict.SHOWN),
    ],
)
def test_what_was_committed_and_is_not_measured(metrics, verdict):
    (found,) = judged(metrics, [], {"cost": 0.5})
    assert found.verdict is verdict
    assert found.value is None
    assert "0.5" in str(found)


def test_only_worse_and_missing_fail():
    assert {verdict for verdict in Verdict if verdict.fails} == {Verdict.WORSE, Verdict.MISSING}


def test_a_row_that_is_not_declared():
    with pytest.raises(UndeclaredError, match="speed"):
        list(judged([COST], [measured("speed", 1)], {}))


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "committed.json"
    assert gate.read(path) == {}
    entry = gate.entry([measured("cost", 0.5)], date(2026, 1, 2), "an abacus")
    gate.write({"b": entry, "a": entry}, path)
    assert list(gate.read(path)) == ["a", "b"]
    assert gate.read(path)["b"] == {
        "date": "2026-01-02",
        "hardware": "an abacus",
        "values": {"cost": 0.5},
    }


def test_this_machine_has_a_name_and_cores():
    assert gate.this_machine().endswith(" cores")
