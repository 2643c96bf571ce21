"""Processes that are killed while they walk, and disks that fill up: nothing is lost.

`python -m benchmarks crash` does the same hundreds of times.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks._crashing import Verdict, Walker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")


@pytest.fixture(scope="module")
def walker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walker]:
    made = Walker(tmp_path_factory.mktemp("walks"))
    yield made
    assert made.foreign_touched() == 0


def test_a_killed_walk_holds_every_step_that_was_reported(walker: Walker) -> None:
    assert [walker.round(0.25) for _ in range(6)] == [Verdict()] * 6
    assert len(walker.known.steps) > 1


def test_the_judge_sees_what_is_lost(walker: Walker) -> None:
    while not walker.known.steps:
        walker.round(0.25)
    known = walker.known
    known.hear({"what": "step", "id": 99, "step": [0, "w", 1], "head": 99})
    known.hear({"what": "name", "id": 0, "name": "never given"})
    verdict = walker.judge([])
    assert (verdict.steps_lost, verdict.moves_lost, verdict.unreadable) == (1, 2, 0)
    data = walker.path.read_bytes()
    walker.path.write_bytes(data[:5000])
    assert walker.judge([]).unreadable == 1


@pytest.mark.parametrize("limit", [50_000, 400_000])
def test_a_full_disk_costs_the_step_that_did_not_fit(walker: Walker, limit: int, tmp_path) -> None:
    small: Path = tmp_path / "small"
    small.mkdir()
    verdict, told = walker.full_round(small, limit, limit)
    assert verdict == Verdict()
    assert "walk.vmem: the disk" in told
