"""Surfels from point maps, against surfaces known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tests.support.fakes import HALF, box_colour, box_depth
from vmem.cameras import MOVES, Camera, apply_move, default_K, pixel_rays, unproject
from vmem.memory import grid_size, surfels_from_pointmap
from vmem.memory.spawn import RADIUS_SCALE, cell_centres, normals_from_points
from vmem.raster import rasterize
from vmem.types import SurfelError, Surfels

HW = (40, 56)


def camera_at(seed: int, hw: tuple[int, int] = HW) -> Camera:
    """Somewhere near the origin, looking anywhere."""
    rng = np.random.default_rng(seed)
    c2w = np.eye(4)
    c2w[:3, :3] = Rotation.random(None, rng).as_matrix()
    c2w[:3, 3] = rng.uniform(-0.3, 0.3, 3)
    return Camera(c2w, default_K(hw), hw)


def plane_depth(camera: Camera, normal: np.ndarray, distance: float) -> np.ndarray:
    """(H, W) f32 z-depth of the plane ``distance`` before the camera centre, facing it."""
    rays = pixel_rays(camera) @ camera.c2w[:3, :3].T
    return (-distance / (rays @ normal)).astype(np.float32)


def tilted_normal(camera: Camera, tilt: float, around: float) -> np.ndarray:
    """A unit normal ``tilt`` radians away from facing the camera."""
    local = np.array(
        [math.sin(tilt) * math.cos(around), math.sin(tilt) * math.sin(around), -math.cos(tilt)]
    )
    return camera.c2w[:3, :3] @ local


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.arccos(np.clip(np.sum(a * b, axis=-1), -1, 1))


def assert_unit_and_facing(normal: np.ndarray, points: np.ndarray, camera: Camera) -> None:
    np.testing.assert_allclose(np.linalg.norm(normal, axis=-1), 1, atol=1e-5)
    assert (np.sum(normal * (camera.position - points), axis=-1) >= 0).all()


# --- normals ---------------------------------------------------------------------------------


@given(st.integers(0, 2**31), st.floats(0, 0.9), st.floats(0, 6.3))
def test_normals_of_a_plane(seed, tilt, around):
    camera = camera_at(seed)
    expected = tilted_normal(camera, tilt, around)
    depth = plane_depth(camera, expected, 2.0)
    points = unproject(depth, camera)
    normal = normals_from_points(points, depth, camera.position)
    assert normal.dtype == np.float32
    assert_unit_and_facing(normal, points, camera)
    assert angles(normal, expected).max() < 2e-3


@given(st.integers(0, 2**31))
def test_normals_inside_a_sphere(seed):
    camera = camera_at(seed)
    centre, radius = np.array([0.1, -0.2, 0.2]), 2.5
    rays = pixel_rays(camera) @ camera.c2w[:3, :3].T
    offset = camera.position - centre
    a, b, c = np.sum(rays**2, -1), np.sum(rays * offset, -1), offset @ offset - radius**2
    depth = ((-b + np.sqrt(b * b - a * c)) / a).astype(np.float32)
    points = unproject(depth, camera)
    normal = normals_from_points(points, depth, camera.position)
    assert_unit_and_facing(normal, points, camera)
    # One-sided differences look half a pixel to one side, so half a pixel's angle astray.
    pixel = np.linalg.norm(points[1:] - points[:-1], axis=-1).max() / radius
    assert angles(normal, (centre - points) / radius).max() < 1.5 * pixel


def test_normals_do_not_lean_over_depth_edges():
    camera = Camera(np.eye(4), default_K(HW), HW)
    depth = np.full(HW, 3.0, np.float32)
    depth[10:30, 13:41] = 1.0
    normal = normals_from_points(unproject(depth, camera), depth, camera.position)
    np.testing.assert_allclose(normal, np.broadcast_to((0, 0, -1.0), normal.shape), atol=1e-4)


def test_normals_of_a_room_are_its_walls():
    c2w = apply_move(np.eye(4), MOVES["d"], amount=9)
    camera = Camera(c2w, default_K(HW), HW)
    depth = box_depth(camera)
    points = unproject(depth, camera)
    normal = normals_from_points(points, depth, camera.position)
    wall = np.abs(np.abs(points) / HALF - 1).argmin(axis=-1)
    expected = -np.sign(points) * np.eye(3)[wall]
    close = angles(normal, expected) < 0.02
    # A pixel in a crease has neighbours on two walls.
    crease = (wall[1:] != wall[:-1]).sum() + (wall[:, 1:] != wall[:, :-1]).sum()
    assert (~close).sum() <= 2 * crease
    assert_unit_and_facing(normal, points, camera)


def test_points_without_extent_look_at_the_eye():
    points = np.tile(np.array([0, 0, 2], np.float32), (4, 5, 1))
    normal = normals_from_points(points, np.full((4, 5), 2, np.float32), np.zeros(3))
    np.testing.assert_allclose(normal, np.broadcast_to((0, 0, -1.0), (4, 5, 3)))


def test_missing_depth_does_not_spread():
    camera = Camera(np.eye(4), default_K(HW), HW)
    depth = np.full(HW, 2.0, np.float32)
    depth[7, 9] = np.nan
    normal = normals_from_points(unproject(depth, camera), depth, camera.position)
    known = np.isfinite(depth)
    assert_unit_and_facing(normal[known], unproject(depth, camera)[known], camera)
    assert angles(normal[known], np.array([0, 0, -1.0])).max() < 2e-3


@given(st.integers(0, 2**31), st.floats(0, 0.9), st.sampled_from([0.0, 1e-3, 1e3, 1e12]))
def test_no_normal_is_dead_whatever_the_map_holds(seed, missing, scale):
    """Nothing, NaN, infinities and coinciding points anywhere: all normals are unit vectors."""
    rng = np.random.default_rng(seed)
    h, w = rng.integers(1, 12, 2).tolist()
    hw = (h, w)
    camera = Camera(np.eye(4), default_K(hw), hw)
    depth = (scale * rng.uniform(0.5, 3, hw)).astype(np.float32)
    gone = rng.random(hw) < missing
    depth[gone] = rng.choice([0, np.nan, np.inf, -np.inf], gone.sum())
    with np.errstate(invalid="ignore"):
        points = unproject(depth, camera)
    normal = normals_from_points(points, depth, np.zeros(3))
    assert np.isfinite(normal).all()
    np.testing.assert_allclose(np.linalg.norm(normal, axis=-1), 1, atol=1e-4)


def test_small_scenes_have_normals_too():
    camera = camera_at(5)
    expected = tilted_normal(camera, 0.4, 1.0)
    depth = plane_depth(camera, expected, 2.0)
    points = (1e-6 * (unproject(depth, camera) - camera.position)).astype(np.float32)
    normal = normals_from_points(points, (1e-6 * depth).astype(np.float32), np.zeros(3))
    assert angles(normal, expected).max() < 5e-3


# --- grids and radii -------------------------------------------------------------------------


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(4, 10_000))
def test_grids_keep_to_their_points_and_aspect(h, w, points):
    rows, columns = grid_size((h, w), points)
    assert rows >= 2
    assert columns >= 2
    # A grid of n x m whole strides may stick out by one row and one column.
    assert (rows - 1) * (columns - 1) <= max(points, 2 * max(rows, columns))
    if h * w <= points:
        assert (rows, columns) == (max(2, h), max(2, w))
    elif min(rows, columns) > 4:
        assert rows / columns == pytest.approx(h / w, rel=0.5)


@given(st.integers(2, 400), st.integers(2, 400), st.integers(100, 6000))
def test_cell_centres_lie_in_their_cells_at_even_steps(h, w, points):
    grid = grid_size((h, w), points)
    rows, columns = cell_centres((h, w), grid)
    assert (len(rows), len(columns)) == grid
    for centres, size, cells in ((rows, h, grid[0]), (columns, w, grid[1])):
        assert centres.min() >= 0
        assert centres.max() < size
        cell = np.arange(cells)
        assert (centres >= np.floor(cell * size / cells)).all()
        assert (centres <= np.ceil((cell + 1) * size / cells)).all()
        assert np.ptp(np.diff(centres)) <= 1


def test_surfels_take_position_colour_and_radius_from_their_samples():
    camera = camera_at(4)
    depth = box_depth(camera)
    points = unproject(depth, camera)
    rgb = box_colour(points)
    grid = (10, 14)
    surfels = surfels_from_pointmap(points, depth, rgb, camera, grid).validated()
    assert len(surfels) == 140
    rows, columns = cell_centres(HW, grid)
    for i in range(len(surfels)):
        row, column = rows[i // 14], columns[i % 14]
        np.testing.assert_array_equal(surfels.position[i], points[row, column])
        np.testing.assert_array_equal(surfels.color[i], rgb[row, column])
        to_eye = camera.position - points[row, column]
        cosine = float(surfels.normal[i] @ to_eye / np.linalg.norm(to_eye))
        assert cosine >= 0
        spacing = depth[row, column] * (HW[1] / 14) / camera.K[0, 0]
        expected = RADIUS_SCALE * spacing / max(cosine, 0.2)
        assert surfels.radius[i] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("side", [64, 80, 96, 128, 216, 240, 288, 304])
def test_a_flat_wall_has_no_holes(side):
    """Seen from its own camera, at the sizes in between too, where strides do not divide."""
    hw = (side, side)
    camera = camera_at(side, hw)
    depth = plane_depth(camera, tilted_normal(camera, 0.4, 1.0), 2.0)
    rgb = np.zeros((*hw, 3), np.uint8)
    surfels = surfels_from_pointmap(unproject(depth, camera), depth, rgb, camera, grid_size(hw))
    drawn = rasterize(surfels, camera)
    assert (drawn.index >= 0).all()
    np.testing.assert_allclose(drawn.depth, depth, rtol=0.01)


@given(
    st.tuples(st.integers(2, 90), st.integers(2, 90)),
    st.sampled_from([20, 50, 200, 1000, 9216]),
    st.sampled_from([0.7, 1.0, 1.4]),
)
@example((224, 7), 1000, 1.0)
@example((208, 50), 200, 1.0)
@example((169, 111), 200, 1.0)
@example((288, 512), 9216, 0.8)
@example((576, 288), 9216, 1.0)
def test_no_gaps_between_rounded_rows_or_at_the_borders(hw, points, stretch):
    """Steps between samples may be uneven, and focal lengths differ by axis."""
    K = default_K(hw)
    K[1, 1] *= stretch
    camera = Camera(np.eye(4), K, hw)
    depth = np.full(hw, 2, np.float32)
    rgb, grid = np.zeros((*hw, 3), np.uint8), grid_size(hw, points)
    surfels = surfels_from_pointmap(unproject(depth, camera), depth, rgb, camera, grid)
    assert (rasterize(surfels, camera, "cpu").index >= 0).all()


# --- the arrays ------------------------------------------------------------------------------


def some_surfels(n: int = 5) -> Surfels:
    rng = np.random.default_rng(n)
    normal = rng.normal(size=(n, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return Surfels(
        rng.normal(size=(n, 3)).astype(np.float32),
        normal.astype(np.float32),
        rng.uniform(0.1, 1, n).astype(np.float32),
        rng.integers(0, 256, (n, 3), np.uint8),
    )


def test_slices_and_concatenation():
    surfels = some_surfels()
    again = Surfels.concatenate([surfels[:2], Surfels.empty(), surfels[2:]])
    assert len(again) == 5
    for name in ("position", "normal", "radius", "color"):
        np.testing.assert_array_equal(getattr(again, name), getattr(surfels, name))
        assert getattr(again, name).dtype == getattr(surfels, name).dtype
    np.testing.assert_array_equal(surfels[surfels.radius > 0.5].radius > 0.5, True)
    assert len(Surfels.empty().validated()) == 0


def broken(name: str, index: int | tuple[int, int], value: float) -> Surfels:
    surfels = some_surfels()
    getattr(surfels, name)[index] = value
    return surfels


@pytest.mark.parametrize(
    ("surfels", "message"),
    [
        (broken("position", (3, 1), math.nan), "surfel 3 has a position"),
        (broken("position", (0, 0), math.inf), "surfel 0 has a position"),
        (broken("radius", 2, 0.0), "surfel 2 has a radius"),
        (broken("radius", 4, -1.0), "surfel 4 has a radius"),
        (broken("radius", 1, math.inf), "surfel 1 has a radius"),
        (broken("normal", (2, 0), 3.0), "surfel 2 has a normal"),
        (broken("normal", (1, 2), math.nan), "surfel 1 has a normal"),
    ],
)
def test_impossible_surfels_are_refused(surfels, message):
    with pytest.raises(SurfelError, match=message):
        surfels.validated()


@pytest.mark.usefixtures("unchecked_shapes")
def test_surfels_of_unequal_lengths_are_refused():
    five, four = some_surfels(5), some_surfels(4)
    with pytest.raises(SurfelError, match="expected shapes"):
        Surfels(five.position, five.normal, four.radius, five.color).validated()


@given(st.integers(0, 2**31), st.integers(0, 40))
def test_surfels_of_some_cells_are_those_among_all(seed, n):
    rng = np.random.default_rng(seed)
    camera = camera_at(4)
    depth = box_depth(camera)
    depth[rng.uniform(size=depth.shape) < 0.1] = rng.choice([0, np.inf, np.nan])
    with np.errstate(invalid="ignore"):
        points = unproject(depth, camera)
    rgb = rng.integers(0, 256, (*HW, 3), np.uint8)
    grid = (9, 13)
    cells = rng.permutation(grid[0] * grid[1])[:n]
    everything = surfels_from_pointmap(points, depth, rgb, camera, grid)
    some = surfels_from_pointmap(points, depth, rgb, camera, grid, cells=cells)
    assert len(some) == n
    for name in ("position", "normal", "radius", "color"):
        np.testing.assert_array_equal(getattr(some, name), getattr(everything, name)[cells])
