"""A whole walk: memory grows step by step, and every step chooses the published context."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden.packs import assert_close, assert_poses_close
from tests.golden.published.memory import PublishedMemory
from vmem.published.grid import merge_over_grid
from vmem.published.surfels import PublishedConfig

PACKS = "05_context"
TOLERANCE = 1e-5


@pytest.fixture
def config(pack) -> PublishedConfig:
    return pack.published_config()


def test_replay(pack, config):
    # The slow merge_reference gives the same, bit for bit: test_05_memory_basics.
    memory = PublishedMemory(pack["c2ws"][0], config, merge_over_grid)
    step = 0
    while f"s{step}.targets" in pack.tensors:
        here = {
            name.removeprefix(f"s{step}."): tensor
            for name, tensor in pack.tensors.items()
            if name.startswith(f"s{step}.")
        }
        targets = here["targets"]
        assert len(memory) == here["n_frames_before"]
        nms = None if here["nms"] < 0 else bool(here["nms"])
        choice = memory.choose_context(targets, nms)
        check_choice(choice, here)

        n = len(memory) + len(targets)
        assert_poses_close(targets, pack["c2ws"][len(memory) : n], TOLERANCE)
        maps = (pack[name][:n] for name in ("pointmap_ds", "depth_ds", "conf_ds", "focals"))
        memory.add_step(targets, *maps)
        assert len(memory.disks) == here["n_surfels_after"]
        assert len(memory.focals) == here["surfel_Ks_len"]
        step += 1
    assert step > 0

    for part in ("position", "normal", "radius"):
        got = getattr(memory.disks, part)
        assert_close(got, pack[f"final.{part}"], TOLERANCE, what=part)
    final = [[t for t in row if t >= 0] for row in pack["final.timesteps"].tolist()]
    assert memory.timesteps == final


def check_choice(choice, here):
    assert list(choice.order) == here["selected"].tolist()
    if "initial_threshold" in here:
        np.testing.assert_allclose(choice.threshold, here["initial_threshold"], rtol=TOLERANCE)
    if "query_c2w" not in here:
        assert choice.query is None
        return
    assert_poses_close(choice.query.c2w, here["query_c2w"], TOLERANCE)
    focal = (choice.query.fx, choice.query.fy)
    np.testing.assert_allclose(focal, here["query_focal"], rtol=TOLERANCE)
    np.testing.assert_array_equal(choice.buffers.index, here["render.index"])
    np.testing.assert_array_equal(choice.votes.timestep, here["votes.timestep"])
    np.testing.assert_array_equal(choice.votes.count, here["votes.count"])
    assert_close(choice.votes.weight, here["votes.weight"], TOLERANCE)
