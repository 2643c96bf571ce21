"""Blocks of surfels: bounds that hold, growth that changes nothing, culling that nobody sees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.raster.test_raster import (
    CAMERA,
    TOWARD,
    assert_drawn_as_cast,
    disks,
    random_camera,
    random_surfels,
)
from vmem.cameras import Camera, default_K
from vmem.raster import NEAR, Blocks, RasterError, cpu, overlaid, rasterize
from vmem.raster.blocks import BLOCK, extended, truncated, visible_blocks
from vmem.raster.engines import ENGINES
from vmem.types import SurfelError, Surfels

seeds = st.integers(0, 2**31)


def tiled_wall(rows: int, depth: float, spacing: float, facing: float = -1.0) -> Surfels:
    """A square wall across the z axis of ``rows`` x ``rows`` disks, in tiles of 16 x 16."""
    i, j = (part.ravel() for part in np.indices((rows, rows)))
    order = np.lexsort((j, i, j // 16, i // 16))
    n = rows * rows
    position = np.stack([j - rows / 2, i - rows / 2, np.zeros(n)], axis=1)[order] * spacing
    position[:, 2] = depth
    normal = np.tile([0, 0, facing], (n, 1))
    radius = np.full(n, 0.8 * spacing)
    return Surfels(
        position.astype(np.float32),
        normal.astype(np.float32),
        radius.astype(np.float32),
        np.zeros((n, 3), np.uint8),
    )


def patches(rng: np.random.Generator, n: int) -> Surfels:
    """``n`` patches of about a block each, anywhere about the origin and facing anywhere."""
    parts = []
    for _ in range(n):
        part = random_surfels(rng, int(rng.integers(100, 400)), 0.15, 0.05)
        shared = rng.normal(size=3)
        normal = shared + 0.3 * rng.normal(size=part.normal.shape)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        position = part.position + rng.uniform(-2, 2, 3).astype(np.float32)
        parts.append(Surfels(position, normal.astype(np.float32), part.radius, part.color))
    return Surfels.concatenate(parts)


def boundless(surfels: Surfels) -> Blocks:
    """Blocks of which none can be ruled out."""
    n = -(-len(surfels) // BLOCK)
    return Blocks(
        np.tile(np.array([0, 0, 0, 1e9], np.float32), (n, 1)),
        np.tile(np.array([0, 0, 1, 2], np.float32), (n, 1)),
        len(surfels),
    )


@given(seeds, st.integers(0, 5))
def test_bounds_hold_every_disk_and_every_normal(seed, n):
    surfels = patches(np.random.default_rng(seed), n) if n else Surfels.empty()
    blocks = Blocks.of(surfels)
    assert len(blocks) == -(-len(surfels) // BLOCK)
    block = np.arange(len(surfels)) // BLOCK
    centre, reach = blocks.sphere[block, :3], blocks.sphere[block, 3]
    away = np.linalg.norm(surfels.position - centre, axis=1) + surfels.radius
    assert (away <= reach).all()
    cosine = np.sum(surfels.normal * blocks.cone[block, :3], axis=1)
    sine = np.sqrt(np.maximum(0, 1 - cosine.astype(np.float64) ** 2))
    assert ((cosine > 0) & (sine <= blocks.cone[block, 3]) | (blocks.cone[block, 3] > 1)).all()


@given(seeds, st.lists(st.integers(0, 700), max_size=6))
def test_growing_in_any_pieces_equals_starting_over(seed, pieces):
    surfels = random_surfels(np.random.default_rng(seed), sum(pieces), 2.0, 1.0)
    blocks = Blocks.empty()
    for stop in np.cumsum(pieces, dtype=int):
        blocks = extended(blocks, surfels[:stop])
    anew = Blocks.of(surfels)
    assert blocks.n_surfels == anew.n_surfels == len(surfels)
    np.testing.assert_array_equal(blocks.sphere, anew.sphere)
    np.testing.assert_array_equal(blocks.cone, anew.cone)


@given(seeds, st.integers(0, 1500), st.data())
def test_a_truncated_memory_draws_as_if_it_had_never_grown(seed, n, data):
    rng = np.random.default_rng(seed)
    surfels = random_surfels(rng, n, 2.0, 0.5)
    kept = data.draw(st.integers(0, n))
    blocks, camera = truncated(Blocks.of(surfels), kept), random_camera(rng)
    got = rasterize(surfels[:kept], camera, blocks=blocks).index
    np.testing.assert_array_equal(got, rasterize(surfels[:kept], camera).index)
    again = extended(blocks, surfels)
    np.testing.assert_array_equal(again.sphere, Blocks.of(surfels).sphere)


@given(seeds)
def test_what_is_passed_over_would_not_have_shown(seed):
    rng = np.random.default_rng(seed)
    surfels, camera = patches(rng, 12), random_camera(rng)
    got = rasterize(surfels, camera)
    everything = rasterize(surfels, camera, blocks=boundless(surfels))
    np.testing.assert_array_equal(got.index, everything.index)
    np.testing.assert_array_equal(got.depth, everything.depth)


@given(seeds)
def test_hidden_blocks_are_only_those_that_do_not_show(seed):
    rng = np.random.default_rng(seed)
    walls = [tiled_wall(64, depth, 0.03 * depth) for depth in rng.uniform(0.5, 3, 3)]
    surfels = Surfels.concatenate([*walls, patches(rng, 8)])
    blocks = Blocks.of(surfels)
    camera = Camera(np.eye(4), default_K((40, 56)), (40, 56))
    assert len(visible_blocks(blocks, camera, NEAR)) >= cpu.BLOCKS_TO_HIDE
    looked_for = rasterize(surfels, camera, blocks=blocks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "BLOCKS_TO_HIDE", len(blocks) + 1)
        drawn_anyway = rasterize(surfels, camera, blocks=blocks)
    np.testing.assert_array_equal(looked_for.index, drawn_anyway.index)


def test_blocks_behind_a_wall_are_never_opened(monkeypatch):
    near, far = tiled_wall(96, 1.0, 0.03), tiled_wall(96, 3.0, 0.03)
    surfels = Surfels.concatenate([far, near])
    drawn = []
    original = cpu._draw_blocks

    def watched(position, normal, radius, blocks, *rest):
        drawn.extend(blocks.tolist())
        original(position, normal, radius, blocks, *rest)

    monkeypatch.setattr(cpu, "_draw_blocks", watched)
    camera = Camera(np.eye(4), default_K((40, 40)), (40, 40))
    visible = visible_blocks(Blocks.of(surfels), camera, NEAR)
    assert (visible < len(far) // BLOCK).sum() > 4
    index = rasterize(surfels, camera).index
    assert (index >= len(far)).all()
    behind = [block for block in drawn if block < len(far) // BLOCK]
    assert len(drawn) > 0
    assert len(behind) < (visible < len(far) // BLOCK).sum() / 2


def test_blocks_out_of_sight_or_facing_away_are_passed_over():
    camera = Camera(np.eye(4), default_K((32, 32)), (32, 32))
    ahead = tiled_wall(16, 2.0, 0.02)
    assert len(visible_blocks(Blocks.of(ahead), camera, NEAR)) == 1
    for hidden in (
        tiled_wall(16, -2.0, 0.02),
        tiled_wall(16, 2.0, 0.02, facing=1.0),
        Surfels(
            ahead.position + np.array([9, 0, 0], np.float32),
            ahead.normal,
            ahead.radius,
            ahead.color,
        ),
        Surfels(
            ahead.position + np.array([0, -9, 0], np.float32),
            ahead.normal,
            ahead.radius,
            ahead.color,
        ),
    ):
        assert len(visible_blocks(Blocks.of(hidden), camera, NEAR)) == 0
    # All round: no cone rules it out.
    assert len(visible_blocks(Blocks.of(random_surfels(_rng(), 200, 0.1, 0.1)), CAMERA, NEAR)) == 1


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_visible_blocks_come_nearest_first():
    surfels = Surfels.concatenate([tiled_wall(16, depth, 0.02) for depth in (3.0, 1.0, 2.0)])
    assert visible_blocks(Blocks.of(surfels), CAMERA, NEAR).tolist() == [1, 2, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["position", "normal", "radius"])
def test_values_that_are_no_disk_are_not_drawn_and_hide_nothing(field, bad):
    surfels = disks(((0, 0, 1), TOWARD, 0.2), ((0, 0, 2), TOWARD, 9))
    arrays = {name: getattr(surfels, name).copy() for name in ("position", "normal", "radius")}
    arrays[field][0] = bad
    bad_ones = Surfels(**arrays, color=surfels.color)
    index = rasterize(bad_ones, CAMERA, blocks=Blocks.of(bad_ones)).index
    assert (index == 1).all()
    with pytest.raises(SurfelError, match=f"surfel 0 has a {field}"):
        rasterize(bad_ones, CAMERA)


@pytest.mark.parametrize("radius", [0.0, -1.0])
def test_disks_without_extent_are_not_drawn(radius):
    surfels = disks(((0, 0, 1), TOWARD, radius), ((0, 0, 2), TOWARD, 9))
    assert (rasterize(surfels, CAMERA, blocks=Blocks.of(surfels)).index == 1).all()
    first = surfels[:1]
    assert (rasterize(first, CAMERA, blocks=Blocks.of(first)).index == -1).all()


def test_a_radius_of_nothing_leaves_a_surfel_out_and_less_is_refused():
    assert (rasterize(disks(((0, 0, 1), TOWARD, 0.0)), CAMERA).index == -1).all()
    with pytest.raises(SurfelError, match=r"surfel 0 has a radius .* leave such"):
        rasterize(disks(((0, 0, 1), TOWARD, -0.1)), CAMERA)


@pytest.mark.parametrize("engine", sorted(ENGINES))
@pytest.mark.parametrize("length", [0.0, 0.1, 0.99, 1.01, 5.0])
def test_normals_of_another_length_are_refused(engine, length):
    surfels = disks(((0, 0, 1), TOWARD, 0.2))
    surfels.normal[:] *= np.float32(length)
    with pytest.raises(SurfelError, match="not of unit length"):
        rasterize(surfels, CAMERA, engine)


def test_numbers_beyond_float32_are_not_drawn():
    surfels = disks(((1e30, 0, 1e30), TOWARD, 1e20), ((0, 0, 2), TOWARD, 9))
    assert (rasterize(surfels, CAMERA, blocks=Blocks.of(surfels)).index == 1).all()
    wall = tiled_wall(256, 1.0, 0.005)
    position = wall.position.copy()
    position[::3] *= np.float32(1e30)
    huge = Surfels(position, wall.normal, wall.radius, wall.color)
    assert len(visible_blocks(Blocks.of(huge), CAMERA, NEAR)) >= cpu.BLOCKS_TO_HIDE
    index = rasterize(huge, CAMERA, blocks=Blocks.of(huge)).index
    assert (index[index >= 0] % 3 != 0).all()
    assert (index >= 0).any()


def test_blocks_of_other_surfels_are_refused():
    surfels = random_surfels(_rng(), 300, 1.0, 0.1)
    with pytest.raises(RasterError, match="299 surfels, but 300"):
        rasterize(surfels, CAMERA, blocks=Blocks.of(surfels[:299]))


def test_every_engine_answers_the_same():
    surfels = random_surfels(_rng(), 600, 2.0, 0.5)
    blocks = Blocks.of(surfels)
    assert "cpu" in ENGINES
    index = ENGINES["cpu"](surfels, blocks, CAMERA, NEAR)
    np.testing.assert_array_equal(rasterize(surfels, CAMERA, "cpu", blocks).index, index)


@given(seeds)
def test_two_drawings_overlaid_equal_one(seed):
    rng = np.random.default_rng(seed)
    surfels, camera = random_surfels(rng, 120, 1.5, 0.7), random_camera(rng)
    split = int(rng.integers(0, 121))
    both = overlaid(rasterize(surfels[:split], camera), rasterize(surfels[split:], camera), split)
    one = assert_drawn_as_cast(surfels, camera)
    # Depths closer than float32 resolves may be ordered either way.
    assert (both.index == one.index).mean() > 0.99
    np.testing.assert_allclose(both.depth, one.depth, rtol=1e-5)
    np.testing.assert_array_equal(
        both.cosine[both.index == one.index], one.cosine[both.index == one.index]
    )
