"""Why geometry that aligns its depth enters memory with bend_depth."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.predictions import HW, Spoilt, exact_frames, predicted, walk_cameras
from vmem.backends import Backend
from vmem.geometry.alignment.fit_views import align
from vmem.geometry.layout.estimator import LayoutEstimator
from vmem.memory import MemorySnapshot, ViewMemory, make_record
from vmem.session import Session, SessionConfig
from vmem.types import AssociationConfig, Frames
from vmem.worlds.backend import make_world


@pytest.fixture(scope="module")
def walks() -> dict[bool, tuple[MemorySnapshot, np.ndarray]]:
    """By bend_depth: memory after there and back through depth with smooth errors of 10 %, and the
    share of its true scale that each view has."""
    world = make_world(0)
    steps = walk_cameras(world, "w w d d a a s s")
    frames = [exact_frames(world, cameras) for cameras in steps]
    found = {}
    for bend in (False, True):
        memory = ViewMemory()
        config = AssociationConfig(bend_depth=bend)
        for k, (cameras, one) in enumerate(zip(steps, frames, strict=True)):
            assert one.depth is not None
            scales = np.exp(0.3 * np.random.default_rng(k).normal(size=len(cameras)))
            how = Spoilt(scale=tuple(scales), noise=0.1, seed=k)
            now = memory.snapshot()
            maps = align(predicted(cameras, one.depth, how), cameras, now).maps
            memory.append(make_record(now, one, cameras, maps, None, config))
        snapshot = memory.snapshot()
        true = np.concatenate([one.depth for one in frames if one.depth is not None])
        pairs = zip(snapshot.views, true, strict=True)
        ratio = np.array([np.median(view.depth / depth) for view, depth in pairs])
        found[bend] = snapshot, ratio / ratio[0]
    return found


def test_smooth_errors_do_not_make_the_same_surface_anew(walks):
    plain, bent = (len(walks[bend][0].surfels) for bend in (False, True))
    assert bent < 0.4 * plain


def test_scale_stays_where_alignment_put_it(walks):
    assert np.abs(walks[True][1] - 1).max() < 0.05


def test_a_session_chooses_so():
    layout = LayoutEstimator()
    backend = Backend("test", "test", None, layout, aligned_depth=True)  # pyright: ignore
    config = SessionConfig(association=AssociationConfig(bend_depth=False))
    photo = np.full((*HW, 3), 128, np.uint8)
    session = Session(backend, Frames(photo[None]), layout.place(photo), config)
    assert session.association.bend_depth
