"""Undo forgets what the published one forgets, and keeps what it keeps."""

from __future__ import annotations

import re

import numpy as np

from tests.golden.published.memory import PublishedMemory
from vmem.published.surfels import Disks

PACKS = "10_undo"


def memory_before(pack) -> PublishedMemory:
    """A memory of as many frames as the manifest says, its surfels numbered by their radius."""
    before = pack["before.timesteps"]
    said = re.search(r"(\d+) frames", pack.config.get("note", ""))
    # Else as many as the surfels know: in a full memory every frame has seen something.
    n = int(said[1]) if said else int(before.max()) + 1
    memory = PublishedMemory(np.eye(4))
    memory.c2w = np.tile(np.eye(4, dtype=np.float32), (n, 1, 1))
    memory.depths = [np.ones((2, 2), np.float32)] * n
    memory.focals = [300.0] * int(pack["after.n_surfel_Ks"])
    zeros = np.zeros((len(before), 3), np.float32)
    memory.disks = Disks(zeros, zeros, np.arange(len(before), dtype=np.float32))
    memory.timesteps = [[t for t in row if t >= 0] for row in before.tolist()]
    return memory


def test_undo(pack):
    memory = memory_before(pack)
    assert memory.undo()
    assert len(memory) == pack["after.n_frames"]
    assert len(memory.depths) == pack["after.n_surfel_depths"]
    assert len(memory.focals) == pack["after.n_surfel_Ks"]
    assert memory.global_step == pack["after.global_step"]
    np.testing.assert_array_equal(memory.disks.radius, pack["after.surfel_ids"])
    after = [[t for t in row if t >= 0] for row in pack["after.timesteps"].tolist()]
    assert memory.timesteps == after


def test_the_first_frame_stays():
    assert not PublishedMemory(np.eye(4)).undo()
