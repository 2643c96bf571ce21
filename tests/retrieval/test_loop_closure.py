"""Turn away and come back, in the procedural world: the same place, from the first memories."""

from __future__ import annotations

import numpy as np
import pytest

from vmem.backends import Backend
from vmem.generation.preview.generator import PreviewGenerator
from vmem.geometry.layout.estimator import LayoutEstimator
from vmem.session import Session
from vmem.types import DEFAULT_STRATEGY
from vmem.worlds.backend import WorldGenerator, WorldGeometry, make_world, start_camera

SIZE = 96
TURNS = 15
"""Of 4 degrees each: 60 out, 60 back."""


@pytest.fixture(scope="module")
def world() -> WorldGenerator:
    return WorldGenerator(make_world(2))


def there_and_back(backend: Backend) -> Session:
    session = Session.open(None, backend=backend)
    for word in "a" * TURNS + "d" * TURNS:
        session.move(word)
    assert np.allclose(session.camera.c2w, session.memory.views[0].camera.c2w, atol=1e-6)
    return session


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def test_coming_back_retrieves_the_first_views(world: WorldGenerator) -> None:
    camera = start_camera(world.world, (SIZE, SIZE))
    backend = Backend(
        "world", "exact", world, WorldGeometry(), lambda: (world.render_frames([camera]), camera)
    )
    memory = there_and_back(backend).memory
    last = memory.retrievals[-1]
    assert last is not None
    way_out = memory.steps[TURNS].n_views
    assert last.strategy == DEFAULT_STRATEGY
    assert last.order[0] == 0, last.order
    assert all(view < way_out for view in last.order), last.order
    turned = memory.retrievals[TURNS]
    assert turned is not None
    assert 0 not in turned.order, "after 60 degrees the first view shows nothing of the target"
    assert psnr(memory.views[-1].rgb, memory.views[0].rgb) > 45


def test_the_preview_generator_finds_its_photo_again(world: WorldGenerator) -> None:
    camera = start_camera(world.world, (SIZE, SIZE))
    backend = Backend(
        "preview",
        "preview on exact depth",
        PreviewGenerator(),
        LayoutEstimator(),
        lambda: (world.render_frames([camera]), camera),
    )
    memory = there_and_back(backend).memory
    last = memory.retrievals[-1]
    assert last is not None
    assert last.strategy == DEFAULT_STRATEGY
    assert last.order[0] == 0, last.order
    # One may be from the way back: it alone links to the surfels that were made there.
    way_out = memory.steps[TURNS].n_views
    assert sum(view < way_out for view in last.order) >= 3, last.order
    difference = np.abs(memory.views[-1].rgb.astype(int) - memory.views[0].rgb).max(axis=-1)
    # Silhouettes may be a pixel wider: there the nearest of several views wins.
    assert (difference > 8).mean() < 0.08
    assert np.median(difference) == 0
