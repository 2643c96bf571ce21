"""Every benchmark says what its figures mean before it is run."""

from __future__ import annotations

from importlib import import_module

import pytest

import benchmarks.__main__ as program
from benchmarks._metrics import Metric, UndeclaredError, declaration, measured


@pytest.mark.parametrize("name", program.names())
def test_every_benchmark_declares_its_metrics(name):
    try:
        module = import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        pytest.importorskip(error.name or "")
        raise
    assert callable(module.run)
    assert module.METRICS
    assert all(isinstance(metric, Metric) for metric in module.METRICS)
    patterns = [metric.name for metric in module.METRICS]
    assert len(set(patterns)) == len(patterns)


def test_a_star_stands_for_a_part_of_a_name():
    metrics = (Metric("a.*.ms", "ms"), Metric("a.*.cpu_ms", "ms"), Metric("a.*.b_*", "ratio"))
    assert [declaration(name, metrics).name for name in ("a.1m.ms", "a.x.cpu_ms", "a.y.b_z")] == [
        "a.*.ms",
        "a.*.cpu_ms",
        "a.*.b_*",
    ]
    for name in ("a.ms", "a.b.c.ms", "xa.1.ms", "a.1.msx"):
        with pytest.raises(UndeclaredError, match="0 declarations"):
            declaration(name, metrics)


def test_a_row_has_one_declaration():
    with pytest.raises(UndeclaredError, match="2 declarations"):
        declaration("a.b", (Metric("a.*", "ms"), Metric("a.b", "ratio")))


def test_times_are_not_judged_and_ratios_are():
    assert not Metric("a", "ms").judged
    assert Metric("a", "ratio").judged
    assert not Metric("a", "ratio", of_machine=True).judged


@pytest.mark.parametrize(("name", "tolerance"), [("", 0.1), ("a", -0.1), ("a", float("nan"))])
def test_impossible_declarations(name, tolerance):
    with pytest.raises(ValueError, match="needs a name and a tolerance"):
        Metric(name, "ratio", tolerance=tolerance)


def test_a_row_with_remarks():
    assert measured("a", 1 / 3, why="so") == {"metric": "a", "value": 0.33333, "why": "so"}
