"""What a step costs: bounds on ratios of counts, and the arithmetic that follows."""

from __future__ import annotations

import pytest

from benchmarks import costs
from vmem.generation.diffusion.sampling.presets import PRESETS
from vmem.generation.diffusion.sampling.shortcuts import Evaluation

WHOLE, SHALLOW = Evaluation(2, False), Evaluation(2, True)
ONE, ONE_SHALLOW = Evaluation(1, False), Evaluation(1, True)


def test_evaluations_cost_what_is_left_of_them():
    whole = costs.evaluation(WHOLE)
    assert 24 < whole < 26
    assert 0.30 < costs.evaluation(SHALLOW) / whole < 0.40
    assert costs.evaluation(ONE) / whole == pytest.approx(0.5, abs=0.01)
    assert costs.evaluation(ONE_SHALLOW) / costs.evaluation(SHALLOW) == pytest.approx(0.5, abs=0.01)


def test_presets_cost_what_their_evaluations_do():
    whole = costs.evaluation(WHOLE)
    spent = {name: costs.sampling(preset) for name, preset in PRESETS.items()}
    assert spent["reference"] == pytest.approx(50 * whole)
    assert spent["balanced"] == pytest.approx(20 * whole)
    of_fast = 3 * whole + costs.evaluation(ONE) + 6 * costs.evaluation(SHALLOW)
    assert spent["fast"] == pytest.approx(of_fast)
    assert spent["fast"] < 0.6 * 10 * whole


def test_seconds_are_arithmetic():
    got = costs.seconds_a_frame(165 * 0.45 * costs.TARGETS)
    assert got["rtx_4090"] == pytest.approx(1)
    assert got["h100_sxm"] == pytest.approx(165 / 989)


def test_rows_are_declared(monkeypatch):
    monkeypatch.setattr(costs, "ONCE_A_FRAME", {"vae_decode": lambda: 3.0, "clip": lambda: 0.5})
    rows = {row["metric"]: row["value"] for row in costs.run()}
    assert all(sum(m.covers(name) for m in costs.METRICS) == 1 for name in rows)
    assert rows["costs.fast.step"] - rows["costs.fast.network"] == pytest.approx(
        3.5 * costs.TARGETS, abs=1e-4
    )
