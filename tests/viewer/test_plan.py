"""The map's window and what memory holds in it."""

from __future__ import annotations

import numpy as np
import pytest

from viewer.paint.plan import CELLS, plan_of, scale_length, surfel_shade
from vmem.memory import MemorySnapshot
from vmem.types import View


def test_a_map_shows_every_view_and_its_places_are_where_they_are(walk: MemorySnapshot) -> None:
    plan = plan_of(walk)
    for view in walk.views:
        x, z = (view.camera.position[[0, 2]] - plan.low) / plan.side
        assert 0 < x < 1
        assert 0 < z < 1
        there = plan.place((x, 1 - z))
        np.testing.assert_allclose(there, view.camera.position[[0, 2]], atol=1e-9)


def test_the_map_of_a_long_walk_reads_few_depths(
    walk: MemorySnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewer.paint.thinning.NEWEST", 3)
    monkeypatch.setattr("viewer.paint.thinning.OLDER", 4)
    read: list[View] = []
    monkeypatch.setattr(
        "viewer.paint.plan._sight", lambda view: read.append(view) or view.camera.c2w[:2, [0, 2]]
    )
    plan = plan_of(walk)
    assert len(read) <= 7 < len(walk.views)
    places = (walk.poses[:, [0, 2], 3] - plan.low) / plan.side
    assert ((places > 0) & (places < 1)).all(), "every view lies on it"


def test_the_shade_counts_upright_surfels(walk: MemorySnapshot) -> None:
    low, high = np.array([-2.5, -1.5]), np.array([2.5, 3.5])
    counts = np.zeros((CELLS, CELLS))
    for position, normal in zip(walk.surfels.position, walk.surfels.normal, strict=True):
        column, row = np.floor((position[[0, 2]] - low) / (high - low) * CELLS).astype(int)
        if abs(normal[1]) < 0.7 and 0 <= column < CELLS and 0 <= row < CELLS:
            counts[row, column] += 1
    shade = surfel_shade(walk, len(walk.surfels), low, high)
    expected = np.sqrt(np.log1p(counts) / np.log1p(counts).max())
    assert (np.abs(shade - expected) < 1e-5).mean() > 0.999
    assert shade.max() == 1


def test_an_oblong_window_has_oblong_cells_of_one_size(walk: MemorySnapshot) -> None:
    shade = surfel_shade(walk, len(walk.surfels), np.array([-2.0, -3.0]), np.array([2.0, 3.0]))
    assert shade.shape == (CELLS, 107)


@pytest.mark.parametrize(("width", "length"), [(1, 0.2), (10, 2), (1.5, 0.5), (0.3, 0.1)])
def test_a_scale_bar_has_a_round_length(width: float, length: float) -> None:
    assert scale_length(width) == pytest.approx(length)


def test_there_is_no_map_without_views() -> None:
    with pytest.raises(ValueError, match="photo's own view"):
        plan_of(MemorySnapshot.empty())
