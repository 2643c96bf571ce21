"""Shared by the tests of alignment: a walk through the procedural world, seen exactly."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.predictions import exact_frames, remembered, walk_cameras
from vmem.cameras import Cameras
from vmem.memory import MemorySnapshot
from vmem.types import Frames
from vmem.worlds.backend import World, make_world


@pytest.fixture(scope="session")
def world() -> World:
    return make_world(0)


@pytest.fixture(scope="session")
def steps(world) -> list[Cameras]:
    return walk_cameras(world, "w w a")


@pytest.fixture(scope="session")
def memory(world, steps) -> MemorySnapshot:
    return remembered(world, steps[:3])


@pytest.fixture(scope="session")
def cameras(steps) -> Cameras:
    """The step to be aligned: it turns away a little from all that memory holds."""
    return steps[3]


@pytest.fixture(scope="session")
def frames(world, cameras) -> Frames:
    return exact_frames(world, cameras)


@pytest.fixture(scope="session")
def truth(frames) -> NDArray[np.float32]:
    """(T, H, W) f32 z-depth of the step to be aligned."""
    return frames.depth
