"""Trajectories of every length are cut into the published steps, with the published losses."""

from __future__ import annotations

import json

import pytest

from tests.golden.packs import golden_folder
from tests.golden.published.schedule import frames_returned, plan_steps

PACK = "10_trajectory_schedule*.json"


def rows() -> list:
    return [
        pytest.param(row, id=f"{path.stem}-{row['initial_frames']}+{row['trajectory_len']}")
        for path in sorted(golden_folder().glob(PACK))
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"]
    ]


@pytest.mark.parametrize("row", rows())
def test_steps(row):
    assert row["error"] is None
    n_frames, steps, stored = row["initial_frames"], [], []
    for step in plan_steps(n_frames, row["trajectory_len"]):
        steps.append(
            {
                "n_frames_before": step.n_frames_before,
                "n_context": step.n_context,
                "targets": list(step.targets),
            }
        )
        stored += step.stored
    assert steps == row["steps"]
    assert stored == row["stored_pose_tags"]
    assert frames_returned(n_frames + len(stored)) == row["returned"]
