"""Moves and interpolation equal the published navigator's."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.golden.packs import assert_poses_close
from vmem.arrays import F64
from vmem.cameras import MOVES, apply_move, interpolate_poses

PACKS = "06_navigator"
TOLERANCE = 1e-5

# The published poses are OpenGL's in a world with y up, ours OpenCV's in one with y down: both the
# camera's and the world's axes flip.
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def ours(pose: F64) -> F64:
    return FLIP @ pose @ FLIP


def walked(pose: F64, commands: Sequence[tuple[str, float]], config: Any) -> list[F64]:
    """The poses of each command: ``w``/``s`` by steps, ``a``/``d`` by degrees."""
    poses = []
    for word, amount in commands:
        target = apply_move(
            pose,
            MOVES[word],
            amount=amount,
            step_size=config["step_size"],
            turn_angle=math.radians(1),
        )
        poses.append(interpolate_poses(pose, target, config["num_interpolation_frames"]))
        pose = poses[-1][-1]
    return poses


def test_commands(pack):
    poses = walked(ours(pack["init"]), pack.config["commands"], pack.config)
    assert poses
    for i, got in enumerate(poses):
        assert_poses_close(got, ours(pack[f"cmd{i}.poses"]), TOLERANCE)


def test_command_words(pack):
    """A string of words: ``w s`` are one step, ``a d`` four degrees."""
    words = re.search(r"navigate\(list\('(\w+)'\)\)", pack.meaning("navigate.poses"))
    if words is None:
        pytest.skip("the manifest does not say which words were given")
    amounts = {"w": 1, "s": 1, "a": 4, "d": 4}
    commands = [(word, amounts[word]) for word in words[1] if word in amounts]
    poses = np.concatenate(walked(ours(pack["init"]), commands, pack.config))
    assert_poses_close(poses, ours(pack["navigate.poses"]), TOLERANCE)


def test_interpolation(pack):
    start, end = ours(pack["interp.a"]), ours(pack["interp.b"])
    counts = [int(name[6:]) for name in pack.tensors if re.fullmatch(r"interp\d+", name)]
    assert counts
    for n in counts:
        got = interpolate_poses(start, end, n)
        assert_poses_close(got, ours(pack[f"interp{n}"]), TOLERANCE)
