"""A new view meets the memory: what links, what spawns, what is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.fakes import box_colour, box_depth
from vmem.cameras import MOVES, Camera, apply_move, default_K, unproject
from vmem.memory import Association, associate, association, grid_size
from vmem.memory.association import TILE, tile_order
from vmem.memory.spawn import cell_centres
from vmem.raster import SurfelBuffers, rasterize
from vmem.types import AssociationConfig, Surfels

HW = (48, 64)
CONFIG = AssociationConfig(points_per_frame=800)
CAMERA = Camera(np.eye(4), default_K(HW), HW)
GRID = grid_size(HW, CONFIG.points_per_frame)


def taken_in(
    memory: Surfels,
    depth: NDArray[np.float32],
    camera: Camera = CAMERA,
    confidence: NDArray[np.float32] | None = None,
    config: AssociationConfig = CONFIG,
    recent: Surfels | None = None,
) -> Association:
    """Associate a view of the given depth, by default fully confident."""
    points = unproject(depth, camera)
    sure = np.ones_like(depth) if confidence is None else confidence
    return associate(memory, points, depth, sure, box_colour(points), camera, config, recent=recent)


def wall(depth: float) -> NDArray[np.float32]:
    return np.full(HW, depth, np.float32)


def visible(memory: Surfels, camera: Camera) -> set[int]:
    """Surfels that show at twice the sampling grid, where association looks."""
    fine = (2 * GRID[0], 2 * GRID[1])
    return set(np.unique(rasterize(memory, camera.resized(fine)).index)) - {-1}


def test_the_first_view_spawns_a_surfel_a_sample():
    found = taken_in(Surfels.empty(), box_depth(CAMERA))
    assert len(found.seen) == 0
    assert len(found.spawned.validated()) == GRID[0] * GRID[1]


def test_the_same_view_again_links_all_that_shows_and_spawns_almost_nothing():
    depth = box_depth(CAMERA)
    memory = taken_in(Surfels.empty(), depth).spawned
    again = taken_in(memory, depth)
    assert len(again.spawned) <= 0.01 * len(memory)
    shown = visible(memory, CAMERA)
    assert set(again.seen) <= shown
    assert len(again.seen) >= 0.99 * len(shown)
    assert len(again.seen) >= 0.9 * len(memory)


def test_links_are_ascending_and_unique():
    memory = taken_in(Surfels.empty(), box_depth(CAMERA)).spawned
    turned = CAMERA.moved_to(apply_move(CAMERA.c2w, MOVES["d"], amount=3))
    seen = taken_in(memory, box_depth(turned), turned).seen
    assert seen.dtype == np.int32
    assert len(seen) > 0
    assert (np.diff(seen) > 0).all()


def test_a_turned_view_spawns_only_what_comes_into_sight():
    memory = taken_in(Surfels.empty(), box_depth(CAMERA)).spawned
    turned = CAMERA.moved_to(apply_move(CAMERA.c2w, MOVES["d"], amount=3))
    found = taken_in(memory, box_depth(turned), turned)
    # The photo's image plane ends at its right border; new surfels lie beyond or on its rim.
    local = found.spawned.position @ CAMERA.w2c[:3, :3].T
    column = CAMERA.K[0, 0] * local[:, 0] / local[:, 2] + CAMERA.K[0, 2]
    assert 0.05 * len(memory) < len(found.spawned) < 0.5 * len(memory)
    assert (column > HW[1] - 2 * HW[1] / GRID[1]).mean() > 0.95


def test_a_new_surface_in_front_spawns_and_links_nothing_behind_it():
    memory = taken_in(Surfels.empty(), wall(2.0)).spawned
    depth = wall(2.0)
    depth[:, : HW[1] // 2] = 1.2
    found = taken_in(memory, depth)
    rows, columns = cell_centres(HW, GRID)
    in_front = int((depth[np.ix_(rows, columns)] < 2).sum())
    assert len(found.spawned) == in_front
    np.testing.assert_allclose(found.spawned.position[:, 2], 1.2, rtol=1e-6)
    # A disk at the edge is cut by it and may show on either side.
    assert (memory.position[found.seen, 0] > -0.1).all()
    assert len(found.seen) >= 0.95 * (len(memory) - in_front)


@pytest.mark.parametrize(("offset", "links"), [(1.04, True), (1.06, False), (0.96, True)])
def test_depths_agree_up_to_the_tolerance(offset, links):
    memory = taken_in(Surfels.empty(), wall(2.0)).spawned
    found = taken_in(memory, wall(2.0 * offset))
    assert (len(found.seen) > 0.9 * len(memory)) == links
    assert (len(found.spawned) == 0) == links


@pytest.mark.parametrize("distance", [0.4, 2.0, 9.0])
@pytest.mark.parametrize(("offset", "links"), [(1.04, True), (1.06, False)])
def test_the_tolerance_grows_with_depth(distance, offset, links):
    memory = taken_in(Surfels.empty(), wall(distance)).spawned
    found = taken_in(memory, wall(distance * offset))
    assert (len(found.seen) > 0.9 * len(memory)) == links


def test_samples_without_confidence_neither_link_nor_spawn():
    depth = wall(2.0)
    depth[:, 32:] = np.nan
    confidence = np.ones(HW, np.float32)
    confidence[:, 32:] = 0
    first = taken_in(Surfels.empty(), depth, confidence=confidence)
    assert len(first.spawned.validated()) == GRID[0] * GRID[1] // 2
    assert (first.spawned.position[:, 0] < 0.05).all()

    everywhere = taken_in(Surfels.empty(), wall(2.0)).spawned
    again = taken_in(everywhere, depth, confidence=confidence)
    assert len(again.spawned) == 0
    assert (everywhere.position[again.seen, 0] < 0.05).all()
    assert len(again.seen) > 0.4 * len(everywhere)


def test_nothing_confident_adds_nothing():
    nowhere = np.zeros(HW, np.float32)
    memory = taken_in(Surfels.empty(), wall(2.0)).spawned
    for known in (Surfels.empty(), memory):
        found = taken_in(known, wall(2.0), confidence=nowhere)
        assert len(found.seen) == 0
        assert len(found.spawned) == 0


@pytest.mark.parametrize(("times", "respawns"), [(1.9, False), (2.1, True)])
def test_much_coarser_memory_is_refined(times, respawns):
    samples = taken_in(Surfels.empty(), wall(2.0)).spawned
    coarse = replace(samples, radius=samples.radius * np.float32(times))
    found = taken_in(coarse, wall(2.0))
    assert len(found.spawned) == (len(samples) if respawns else 0)
    # Coarse or not, what agrees in depth was seen again.
    assert len(found.seen) > 0.8 * len(samples)


def test_walking_up_to_a_wall_refines_it():
    far = taken_in(Surfels.empty(), wall(2.0)).spawned
    near_camera = CAMERA.moved_to(apply_move(CAMERA.c2w, MOVES["w"], amount=13))
    close = taken_in(far, wall(0.7), near_camera)
    assert len(close.spawned) == GRID[0] * GRID[1]
    both = Surfels.concatenate([far, close.spawned])
    again = taken_in(both, wall(0.7), near_camera)
    assert len(again.spawned) <= 0.02 * len(close.spawned)
    # The coarse surfels lie in the same plane and hide the fine ones; both are seen.
    fine = again.seen[again.seen >= len(far)]
    assert len(fine) >= 0.9 * len(close.spawned)
    assert 0 < len(again.seen) - len(fine) < len(far)


def test_the_back_of_a_surface_is_another_surface():
    memory = taken_in(Surfels.empty(), wall(2.0)).spawned
    turned_round = np.diag([-1.0, 1, -1, 1])
    turned_round[2, 3] = 4.0
    behind = CAMERA.moved_to(turned_round)
    found = taken_in(memory, wall(2.0), behind)
    assert len(found.seen) == 0
    assert len(found.spawned) == GRID[0] * GRID[1]


def test_what_the_same_step_spawned_before_counts_as_known():
    depth = box_depth(CAMERA)
    turned = CAMERA.moved_to(apply_move(CAMERA.c2w, MOVES["d"], amount=3))
    first = taken_in(Surfels.empty(), depth).spawned
    second = taken_in(first, box_depth(turned), turned).spawned
    both = Surfels.concatenate([first, second])
    between = CAMERA.moved_to(apply_move(CAMERA.c2w, MOVES["d"], amount=1.5))
    at_once = taken_in(both, box_depth(between), between)
    in_two = taken_in(first, box_depth(between), between, recent=second)
    assert (in_two.seen >= len(first)).any()
    np.testing.assert_array_equal(in_two.seen, at_once.seen)
    np.testing.assert_array_equal(in_two.spawned.position, at_once.spawned.position)


def test_surfels_are_appended_in_tiles():
    grid = (40, 37)
    order = tile_order(grid)
    assert sorted(order) == list(range(40 * 37))
    row, column = order // 37, order % 37
    tile = np.stack([row // TILE, column // TILE], axis=1)
    assert len(np.unique(tile[:256], axis=0)) == 1
    changes = (np.diff(tile, axis=0) != 0).any(axis=1).sum()
    assert changes == 3 * 3 - 1, "a tile is left and entered again"


@pytest.mark.parametrize("confidence", [0.15, 0.5, 0.8, 1.0, 7.0])
def test_the_tolerance_shrinks_as_confidence_grows(confidence):
    memory = taken_in(Surfels.empty(), wall(2.0)).spawned
    sure = np.full(HW, confidence, np.float32)
    width = CONFIG.depth_tolerance * (2 - min(confidence, 1))
    for share, links in ((0.95, True), (1.05, False)):
        # The tolerance is relative to the new depth, so nearer than memory by this much.
        found = taken_in(memory, wall(2.0 / (1 + share * width)), confidence=sure)
        assert (len(found.seen) > 0.9 * len(memory)) == links
        assert (len(found.spawned) == 0) == links


def test_uncertain_depth_has_more_tolerance():
    memory = taken_in(Surfels.empty(), wall(2.0)).spawned
    depth = wall(2.0 * 1.07)
    assert len(taken_in(memory, depth).seen) == 0
    unsure = np.full(HW, 0.2, np.float32)
    assert len(taken_in(memory, depth, confidence=unsure).seen) > 0.9 * len(memory)
    strict = replace(CONFIG, doubt=0.0)
    assert len(taken_in(memory, depth, confidence=unsure, config=strict).seen) == 0


@pytest.mark.parametrize("recent", [False, True])
def test_what_was_drawn_before_is_not_drawn_again(recent, monkeypatch):
    memory = taken_in(Surfels.empty(), box_depth(CAMERA)).spawned
    turned = CAMERA.moved_to(apply_move(CAMERA.c2w, MOVES["d"], amount=3))
    new = taken_in(memory, box_depth(turned), turned).spawned if recent else None
    depth = box_depth(turned)
    points = unproject(depth, turned)
    given = points, depth, np.ones_like(depth), box_colour(points), turned, CONFIG
    plain = associate(memory, *given, recent=new)
    drawings: list[Surfels] = []

    def watched(surfels: Surfels, *rest: Any) -> SurfelBuffers:
        drawings.append(surfels)
        return rasterize(surfels, *rest)

    monkeypatch.setattr(association, "rasterize", watched)
    for side, times in ((2, 0), (3, 1)):  # of another size it is of no use
        drawings.clear()
        size = (side * GRID[0], side * GRID[1])
        drawn = rasterize(memory, turned.resized(size))
        found = associate(memory, *given, recent=new, drawn=drawn)
        assert sum(one is memory for one in drawings) == times
        np.testing.assert_array_equal(found.seen, plain.seen)
        np.testing.assert_array_equal(found.spawned.position, plain.spawned.position)
