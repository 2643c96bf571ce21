"""The procedural world: exact against a slow oracle, deterministic, sound wherever one stands."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import numpy as np
import pytest

from vmem.cameras import Camera, Cameras, default_K, pixel_rays, rotation_x, rotation_y
from vmem.errors import BackendError
from vmem.generation import Context, Generator
from vmem.geometry import GeometryEstimator
from vmem.progress import Cancelled, CancelToken, Progress, silent
from vmem.types import Frames, Provenance
from vmem.worlds.backend import (
    SKY_DEPTH,
    World,
    WorldGenerator,
    WorldGeometry,
    is_free,
    make_world,
    render,
    start_camera,
)
from vmem.worlds.house import render as render_module
from vmem.worlds.house.records import Shape
from vmem.worlds.house.tree import build_tree

HW = (48, 48)
NO_CONTEXT = cast(Context, None)
NO_MEMORY = cast(Any, None)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(0)


def camera_at(position: np.ndarray, yaw: float, pitch: float = 0.0, hw=HW) -> Camera:
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_y(yaw) @ rotation_x(pitch)
    c2w[:3, 3] = position
    return Camera(c2w, default_K(hw), hw)


def free_positions(world: World, region: int, count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    low, high = world.regions["low"][region], world.regions["high"][region]
    found: list[np.ndarray] = []
    for _ in range(2000):
        position = rng.uniform(low, high)
        if is_free(world, position):
            found.append(position)
            if len(found) == count:
                return found
    raise AssertionError(f"hardly any free space in {world.region_names[region]}")


def places(world: World) -> list[int]:
    return [i for i, name in enumerate(world.region_names) if name != "doorway"]


def random_cameras(world: World, per_place: int = 2, hw=HW) -> list[Camera]:
    rng = np.random.default_rng(5)
    return [
        camera_at(position, rng.uniform(-math.pi, math.pi), rng.uniform(-0.6, 0.6), hw)
        for region in places(world)
        for position in free_positions(world, region, per_place)
    ]


# --- a slow oracle ---------------------------------------------------------------------------


def slow_depth(world: World, origin: np.ndarray, direction: np.ndarray) -> tuple[float, int]:
    """(t, solid) of the first solid that a ray enters, asking every one; (inf, -1) for none."""
    best = (math.inf, -1)
    for i, solid in enumerate(world.solids):
        to_local = rotation_y(math.atan2(solid["sine"], solid["cosine"])).T
        o, d = to_local @ (origin - solid["center"]), to_local @ direction
        half = solid["half"]
        if solid["shape"] == Shape.ELLIPSOID:
            roots = sphere_roots(o / half, d / half)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                slabs = np.sort([(-half - o) / d, (half - o) / d], axis=0)
            if solid["shape"] == Shape.CYLINDER:
                round_roots = sphere_roots(o[[0, 2]] / half[0], d[[0, 2]] / half[0])
                if round_roots is None:
                    continue
                slabs = np.array([[slabs[0][1], round_roots[0]], [slabs[1][1], round_roots[1]]])
            roots = (slabs[0].max(), slabs[1].min())
        if roots is not None and 1e-4 < roots[0] <= roots[1] and roots[0] < best[0]:
            best = (float(roots[0]), i)
    return best


def slow_normal(world: World, origin: np.ndarray, direction: np.ndarray) -> np.ndarray | None:
    """Normal from three neighbouring rays; None where they do not meet one smooth surface."""
    points, solids = [], set()
    for nudge in ((0, 0, 0), (2e-5, 0, 1e-5), (1e-5, 2e-5, 0)):
        ray = direction + np.array(nudge)
        t, solid = slow_depth(world, origin, ray)
        points.append(origin + t * ray)
        solids.add(solid)
    if len(solids) > 1:
        return None
    cross = np.cross(points[1] - points[0], points[2] - points[0])
    return cross / np.linalg.norm(cross) * -np.sign(cross @ direction)


def sphere_roots(o: np.ndarray, d: np.ndarray) -> tuple[float, float] | None:
    roots = np.roots([d @ d, 2 * o @ d, o @ o - 1])
    return None if np.iscomplex(roots).any() else (min(roots.real), max(roots.real))


def test_depth_and_normal_agree_with_the_slow_oracle(world):
    rng = np.random.default_rng(1)
    solids_seen, normals_checked = set(), 0
    for camera in random_cameras(world):
        seen = render(world, camera, shadows=False)
        rays = pixel_rays(camera) @ camera.c2w[:3, :3].T
        for y, x in rng.integers(0, HW[0], (4, 2)):
            t, solid = slow_depth(world, camera.position, rays[y, x])
            assert seen.hit[y, x] == (solid >= 0)
            if solid >= 0:
                assert seen.depth[y, x] == pytest.approx(t, rel=1e-5)
                solids_seen.add(int(world.solids["shape"][solid]))
                normal = slow_normal(world, camera.position, rays[y, x])
                if normal is not None:
                    assert seen.normal[y, x] @ normal > 0.999
                    normals_checked += 1
    assert normals_checked > 25
    assert solids_seen == set(Shape)


def test_tree_holds_every_box_once_within_its_ancestors():
    rng = np.random.default_rng(3)
    low = rng.uniform(-5, 5, (77, 3))
    high = low + rng.uniform(0, 2, (77, 3))
    tree = build_tree(low, high)
    assert sorted(tree["item"][tree["item"] >= 0]) == list(range(77))
    for at, node in enumerate(tree):
        inside = tree[at : node["skip"]]
        assert (inside["low"] >= node["low"]).all()
        assert (inside["high"] <= node["high"]).all()
        if node["item"] >= 0:
            np.testing.assert_array_equal(node["low"], low[node["item"]])
            assert node["skip"] == at + 1


# --- what a render is ------------------------------------------------------------------------


def test_normals_are_unit_and_face_the_camera(world):
    for camera in random_cameras(world):
        seen = render(world, camera, shadows=False)
        rays = pixel_rays(camera) @ camera.c2w[:3, :3].T
        np.testing.assert_allclose(np.linalg.norm(seen.normal, axis=-1), 1, atol=1e-5)
        assert ((seen.normal * rays).sum(axis=-1) < 1e-6).all()


def test_sky_is_far_and_everything_else_is_nearer(world):
    courtyard = world.region_names.index("courtyard")
    position = free_positions(world, courtyard, 1)[0]
    up = render(world, camera_at(position, 0.3, 1.2))
    assert not up.hit.all()
    assert (up.depth[~up.hit] == SKY_DEPTH).all()
    for camera in random_cameras(world):
        seen = render(world, camera, shadows=False)
        assert ((seen.depth < 0.9 * SKY_DEPTH) == seen.hit).all()
        assert (seen.depth > 0).all()


def test_no_view_sees_past_the_walls_of_a_closed_room(world):
    """Looking up in a room, one sees its ceiling: walls and ceilings leave no gap."""
    metre = float(world.setting["metre"])
    for name in ("living room", "second room", "hall", "third room"):
        region = world.region_names.index(name)
        for position in free_positions(world, region, 2):
            seen = render(world, camera_at(position, 0.0, math.pi / 2 - 1e-3), shadows=False)
            assert seen.hit.all()
            assert seen.depth.max() < 2.8 * metre


def test_a_seen_point_is_seen_from_elsewhere_or_hidden_by_something_nearer(world):
    rng = np.random.default_rng(2)
    visible = 0
    for camera in random_cameras(world, per_place=1):
        seen = render(world, camera, shadows=False)
        rays = pixel_rays(camera) @ camera.c2w[:3, :3].T
        aside = camera.position + rng.normal(0, 0.02, 3)
        if not is_free(world, aside):
            continue
        for y, x in rng.integers(0, HW[0], (12, 2)):
            if not seen.hit[y, x]:
                continue
            point = camera.position + float(seen.depth[y, x]) * rays[y, x]
            towards = point - aside
            distance = float(np.linalg.norm(towards))
            yaw = math.atan2(towards[0], towards[2])
            pitch = math.asin(-towards[1] / distance)
            again = render(world, camera_at(aside, yaw, pitch, (1, 1)), shadows=False)
            assert again.depth[0, 0] <= distance * (1 + 1e-4)
            if again.depth[0, 0] >= distance * (1 - 1e-4):
                visible += 1
                assert again.normal[0, 0] @ seen.normal[y, x] > 0.99
    assert visible > 20


def test_a_tiny_motion_changes_little(world):
    for camera in random_cameras(world, per_place=1):
        moved = camera.moved_to(camera.c2w + 0)
        moved.c2w[:3, 3] += 1e-5
        one, two = render(world, camera), render(world, moved)
        calm = np.abs(one.depth - two.depth) < 1e-3
        assert calm.mean() > 0.98
        assert np.median(np.abs(one.rgb.astype(int) - two.rgb)) <= 1
        assert np.abs(one.rgb.astype(int) - two.rgb)[calm].mean() < 1.5


@pytest.mark.parametrize("hw", [(1, 1), (3, 17), (33, 20)])
def test_any_image_size(world, hw):
    seen = render(world, start_camera(world, hw))
    assert seen.rgb.shape == (*hw, 3)
    assert seen.depth.shape == seen.hit.shape == hw


def test_resolution_does_not_move_things(world):
    fine = render(world, start_camera(world, (99, 99)), shadows=False)
    coarse = render(world, start_camera(world, (33, 33)), shadows=False)
    np.testing.assert_allclose(fine.depth[1::3, 1::3], coarse.depth, rtol=1e-6)


def test_shadows_darken_and_never_move_anything(world):
    camera = start_camera(world, HW)
    dark, bright = render(world, camera), render(world, camera, shadows=False)
    np.testing.assert_array_equal(dark.depth, bright.depth)
    assert dark.rgb.mean() < bright.rgb.mean()


# --- the place -------------------------------------------------------------------------------


def test_a_seed_makes_one_world_and_one_picture(world, monkeypatch):
    again = make_world(0)
    for field in dataclasses.fields(World):
        np.testing.assert_array_equal(getattr(world, field.name), getattr(again, field.name))
    camera = start_camera(world, HW)
    first = render(world, camera)
    monkeypatch.setattr(render_module, "thread_count", lambda: 1)
    second = render(again, camera)
    np.testing.assert_array_equal(first.rgb, second.rgb)
    np.testing.assert_array_equal(first.depth, second.depth)


@pytest.mark.parametrize("seed", range(1, 7))
def test_every_seed_makes_a_sound_place_of_its_own(world, seed):
    other = make_world(seed)
    assert is_free(other, (0, 0, 0))
    camera = start_camera(other, (64, 64))
    np.testing.assert_array_equal(camera.c2w, np.eye(4))
    seen = render(other, camera)
    assert np.median(seen.depth) == pytest.approx(1.0, rel=1e-3)
    assert seen.rgb.std() > 25
    assert 50 < seen.rgb.mean() < 205
    assert np.abs(seen.rgb.astype(int) - render(world, camera).rgb).mean() > 10
    for i, name in enumerate(other.region_names):
        middle = (other.regions["low"][i] + other.regions["high"][i]) / 2
        if name == "doorway":
            assert is_free(other, middle), "a doorway must be open"
        else:
            assert len(free_positions(other, i, 3)) == 3
    assert other.solids["half"].min() > 0


def test_negative_seed_is_refused():
    with pytest.raises(ValueError, match="negative"):
        make_world(-1)


def test_every_place_looks_different(world):
    """Mean colours of whole places keep apart, so that a view tells where it was taken."""
    means = []
    for region in places(world):
        views = [
            render(world, camera_at(position, yaw)).rgb.reshape(-1, 3).mean(axis=0)
            for position in free_positions(world, region, 2)
            for yaw in (0.0, 2.1, 4.2)
        ]
        means.append(np.mean(views, axis=0))
    for i, a in enumerate(means):
        for b in means[i + 1 :]:
            assert np.abs(a - b).max() > 8


def test_is_free_knows_walls_furniture_and_the_outside(world):
    assert not is_free(world, (0, 50, 0))
    assert not is_free(world, (500, 0, 0))
    center = world.solids["center"]
    low, high = world.regions["low"], world.regions["high"]
    for solid in np.flatnonzero(world.solids["half"].min(axis=1) > 0.01)[:200:7]:
        assert not is_free(world, center[solid])
    for position in free_positions(world, 0, 5):
        assert ((low <= position) & (position <= high)).all(axis=1).any()
        seen = render(world, camera_at(position, 0.0), shadows=False)
        assert seen.depth.min() > 0.02


# --- the backend -----------------------------------------------------------------------------


def targets(world: World, count: int = 3) -> Cameras:
    start = start_camera(world, HW)
    c2w = np.tile(np.eye(4), (count, 1, 1))
    c2w[:, 2, 3] = 0.05 * np.arange(count)
    return Cameras(c2w, np.tile(start.K, (count, 1, 1)), HW)


def test_generator_renders_the_targets_and_reports(world):
    generator: Generator = WorldGenerator(world)
    heard: list[Progress] = []
    cameras = targets(world)
    frames = generator.generate(
        NO_CONTEXT, cameras, seed=9, on_progress=heard.append, cancel=CancelToken()
    )
    assert heard == [Progress("render", i, 3) for i in (1, 2, 3)]
    assert frames.depth is not None
    assert frames.provenance is not None
    assert frames.age is not None
    for i, camera in enumerate(cameras):
        seen = render(world, camera)
        np.testing.assert_array_equal(frames.rgb[i], seen.rgb)
        np.testing.assert_array_equal(frames.depth[i], seen.depth)
    assert (frames.provenance == Provenance.OBSERVED).all()
    assert (frames.age == 0).all()


def test_generator_stops_when_asked(world):
    token = CancelToken()

    def cancel_after_first(progress: Progress) -> None:
        assert progress.done == 1
        token.cancel()

    with pytest.raises(Cancelled):
        WorldGenerator(world).generate(
            NO_CONTEXT, targets(world), seed=0, on_progress=cancel_after_first, cancel=token
        )


def test_geometry_puts_points_where_the_depth_says(world):
    courtyard = world.region_names.index("courtyard")
    camera = camera_at(free_positions(world, courtyard, 1)[0], 0.4, 0.3)
    cameras = Cameras.stack([camera, start_camera(world, HW)])
    frames = WorldGenerator(world).generate(
        NO_CONTEXT, cameras, seed=0, on_progress=silent, cancel=CancelToken()
    )
    geometry: GeometryEstimator = WorldGeometry()
    maps = geometry.estimate(frames, cameras, NO_MEMORY)
    assert frames.depth is not None
    assert maps.points.dtype == maps.confidence.dtype == np.float32
    np.testing.assert_array_equal(maps.depth, frames.depth)
    np.testing.assert_array_equal(maps.confidence == 0, frames.depth >= SKY_DEPTH)
    assert 0 < maps.confidence[0].mean() < 1
    for i, camera in enumerate(cameras):
        local = maps.points[i] @ camera.w2c[:3, :3].T + camera.w2c[:3, 3]
        np.testing.assert_allclose(local[..., 2], frames.depth[i], rtol=1e-4)
        pixel = local @ camera.K.T
        np.testing.assert_allclose(pixel[10, 20, :2] / pixel[10, 20, 2], (20.5, 10.5), atol=1e-2)


def test_geometry_says_what_it_cannot_do(world):
    with pytest.raises(ValueError, match="with depth"):
        WorldGeometry().estimate(
            Frames(np.zeros((1, *HW, 3), np.uint8)), targets(world, 1), NO_MEMORY
        )
    with pytest.raises(BackendError, match="takes no photo"):
        WorldGeometry().place(np.zeros((*HW, 3), np.uint8))
