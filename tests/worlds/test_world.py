"""The procedural world: exact against a slow oracle, deterministic, sound wherever one stands."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmem.cameras import Camera, Cameras, default_K, pixel_rays, rotation_x, rotation_y
from vmem.errors import BackendError
from vmem.generation import Context, Generator
from vmem.geometry import GeometryEstimator
from vmem.progress import Cancelled, CancelToken, Progress, silent
from vmem.types import Frames, Provenance
from vmem.worlds import rendering
from vmem.worlds.backend import (
    PLANS,
    SKY_DEPTH,
    World,
    WorldGenerator,
    WorldGeometry,
    is_free,
    make_world,
    render,
    start_camera,
)
from vmem.worlds.build import build_tree, cut
from vmem.worlds.materials import FIXED

HW = (48, 48)
NO_CONTEXT = cast(Context, None)
NO_MEMORY = cast(Any, None)


@pytest.fixture(scope="module")
def worlds() -> dict[str, World]:
    return {plan: make_world(0, plan) for plan in PLANS}


@pytest.fixture(scope="module")
def world(worlds: dict[str, World]) -> World:
    return worlds["house"]


@pytest.fixture(params=PLANS)
def any_world(worlds: dict[str, World], request: pytest.FixtureRequest) -> World:
    """The world of every plan."""
    return worlds[request.param]


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


def slow_depth(world: World, origin: np.ndarray, direction: np.ndarray) -> tuple[float, int, int]:
    """(t, box, face) of the first box that a ray enters, asking every one; box is -1 for none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        low = (world.boxes["low"] - origin) / direction
        high = (world.boxes["high"] - origin) / direction
    enter, leave = np.fmin(low, high).max(axis=1), np.fmax(low, high).min(axis=1)
    t = np.where((enter <= leave) & (enter > 1e-4), enter, np.inf)
    box = int(np.argmin(t))
    axis = int(np.argmax(np.fmin(low, high)[box]))
    face = 2 * axis + int(direction[axis] < 0)
    return float(t[box]), box if np.isfinite(t[box]) else -1, face


def test_depth_and_normal_agree_with_the_slow_oracle(any_world):
    rng = np.random.default_rng(1)
    faces_seen = set()
    for camera in random_cameras(any_world):
        seen = render(any_world, camera, shadows=False)
        rays = pixel_rays(camera) @ camera.c2w[:3, :3].T
        for y, x in rng.integers(0, HW[0], (40, 2)):
            t, box, face = slow_depth(any_world, camera.position, rays[y, x])
            assert seen.hit[y, x] == (box >= 0)
            if box >= 0:
                assert seen.depth[y, x] == pytest.approx(t, rel=1e-6)
                normal = np.zeros(3)
                normal[face // 2] = 1 if face % 2 else -1
                np.testing.assert_array_equal(seen.normal[y, x], normal)
                faces_seen.add(face)
    assert faces_seen == set(range(6))


def test_tree_holds_every_box_once_within_its_ancestors():
    rng = np.random.default_rng(3)
    low = rng.uniform(-5, 5, (77, 3))
    high = low + rng.uniform(0, 2, (77, 3))
    tree = build_tree(low, high)
    assert sorted(tree["box"][tree["box"] >= 0]) == list(range(77))
    for at, node in enumerate(tree):
        inside = tree[at : node["skip"]]
        assert (inside["low"] >= node["low"]).all()
        assert (inside["high"] <= node["high"]).all()
        if node["box"] >= 0:
            np.testing.assert_array_equal(node["low"], low[node["box"]])
            assert node["skip"] == at + 1


# --- what a render is ------------------------------------------------------------------------


def test_normals_are_unit_and_face_the_camera(any_world):
    for camera in random_cameras(any_world):
        seen = render(any_world, camera, shadows=False)
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


def test_no_view_sees_past_the_walls_of_a_closed_room(any_world):
    """Looking up in a room, one sees its ceiling: walls and ceilings leave no gap."""
    for region in places(any_world):
        if any_world.regions["open_sky"][region]:
            continue
        ceiling = any_world.regions["low"][region][1]
        for position in free_positions(any_world, region, 2):
            seen = render(any_world, camera_at(position, 0.0, math.pi / 2 - 1e-3), shadows=False)
            assert seen.hit.all()
            assert seen.depth.max() < 1.05 * (position[1] - ceiling)


def test_a_seen_point_is_seen_from_elsewhere_or_hidden_by_something_nearer(any_world):
    rng = np.random.default_rng(2)
    visible = 0
    for camera in random_cameras(any_world, per_place=1):
        seen = render(any_world, camera, shadows=False)
        rays = pixel_rays(camera) @ camera.c2w[:3, :3].T
        aside = camera.position + rng.normal(0, 0.02, 3)
        if not is_free(any_world, aside):
            continue
        for y, x in rng.integers(0, HW[0], (12, 2)):
            if not seen.hit[y, x]:
                continue
            point = camera.position + float(seen.depth[y, x]) * rays[y, x]
            towards = point - aside
            distance = float(np.linalg.norm(towards))
            yaw = math.atan2(towards[0], towards[2])
            pitch = math.asin(-towards[1] / distance)
            again = render(any_world, camera_at(aside, yaw, pitch, (1, 1)), shadows=False)
            assert again.depth[0, 0] <= distance * (1 + 1e-4)
            if again.depth[0, 0] >= distance * (1 - 1e-4):
                visible += 1
                assert again.normal[0, 0] @ seen.normal[y, x] > 0.99
    assert visible > 20


def test_a_tiny_motion_changes_little(any_world):
    for camera in random_cameras(any_world, per_place=1):
        c2w = camera.c2w.copy()
        c2w[:3, 3] += 1e-5
        moved = camera.moved_to(c2w)
        one, two = render(any_world, camera), render(any_world, moved)
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
    """Under the open sky; without shadows the sun does not shine into rooms at all."""
    courtyard = world.region_names.index("courtyard")
    position = free_positions(world, courtyard, 1)[0]
    for camera in (start_camera(world, HW), *(camera_at(position, yaw) for yaw in (0.0, 2.0, 4.0))):
        dark, bright = render(world, camera), render(world, camera, shadows=False)
        np.testing.assert_array_equal(dark.depth, bright.depth)
        if camera.position.any():
            assert dark.rgb.mean() < bright.rgb.mean()


# --- the place -------------------------------------------------------------------------------


def test_a_seed_makes_one_world_and_one_picture(world, monkeypatch):
    again = make_world(0)
    for field in dataclasses.fields(World):
        np.testing.assert_array_equal(getattr(world, field.name), getattr(again, field.name))
    camera = start_camera(world, HW)
    first = render(world, camera)
    monkeypatch.setattr(rendering, "thread_count", lambda: 1)
    second = render(again, camera)
    np.testing.assert_array_equal(first.rgb, second.rgb)
    np.testing.assert_array_equal(first.depth, second.depth)


@pytest.mark.parametrize(
    ("plan", "seed"), [("house", seed) for seed in range(1, 7)] + [(plan, 1) for plan in PLANS]
)
def test_every_seed_makes_a_sound_place_of_its_own(worlds, plan, seed):
    world = worlds[plan]
    other = make_world(seed, plan)
    assert (other.plan, other.seed) == (plan, seed)
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
    assert (other.boxes["high"] > other.boxes["low"]).all()


def test_bad_seeds_and_plans_are_refused():
    with pytest.raises(ValueError, match="negative"):
        make_world(-1)
    with pytest.raises(ValueError, match="use one of house, loop_corridor, two_rooms"):
        make_world(0, "castle")


def along(path: np.ndarray, spacing: float) -> np.ndarray:
    """(N, 3) points of a path, about ``spacing`` apart."""
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    stops = np.linspace(0, lengths[-1], int(lengths[-1] / spacing) + 2)
    return np.stack([np.interp(stops, lengths, path[:, axis]) for axis in range(3)], axis=1)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("plan", PLANS)
def test_the_loop_leads_through_free_space_and_home(plan, seed):
    world = make_world(seed, plan)
    np.testing.assert_array_equal(world.loop[[0, -1]], np.zeros((2, 3)))
    for point in along(world.loop, 0.03):
        assert is_free(world, point, 0.05), point / world.setting["metre"]


@pytest.mark.parametrize("plan", PLANS)
def test_the_loop_visits_rooms_that_do_not_see_each_other(worlds, plan):
    """Somewhere on the way nothing of the start can be seen."""
    world = worlds[plan]
    points = along(world.loop, 0.2)
    visited = set()
    hidden = 0
    for point in points:
        inside = (world.regions["low"] <= point) & (point <= world.regions["high"])
        visited |= {world.region_names[i] for i in np.flatnonzero(inside.all(axis=1))}
        reach = float(np.linalg.norm(point))
        if reach > 0.1:
            t, _, _ = slow_depth(world, np.zeros(3), point + 1e-12)
            hidden += t < 1
    assert len(visited - {"doorway"}) >= 2
    assert hidden > len(points) / 4


def test_the_stair_climbs_a_storey_by_steps(worlds):
    world = worlds["spiral_stair"]
    metre = float(world.setting["metre"])
    height = -world.loop[:, 1] / metre
    assert height.max() == pytest.approx(2.88)
    assert np.diff(height).max() == pytest.approx(0.24)
    for corner in world.loop:
        # Under every corner of the walk lies a floor, as far down as an eye is high.
        t, _, face = slow_depth(world, corner + 1e-4 * metre, np.array([1e-12, metre, 1e-12]))
        assert t == pytest.approx(1.5, abs=0.05)
        assert face == 2


@pytest.mark.parametrize("plan", PLANS)
def test_doors_are_open_and_the_wall_beside_them_is_closed(worlds, plan):
    world = worlds[plan]
    metre = float(world.setting["metre"])
    doors = [i for i, name in enumerate(world.region_names) if name == "doorway"]
    assert doors
    for i in doors:
        low, high = world.regions["low"][i], world.regions["high"][i]
        axis = 0 if high[0] - low[0] < high[2] - low[2] else 2
        middle, through = (low + high) / 2, np.full(3, 1e-12)
        start, through[axis] = middle.copy(), 1.0
        start[axis] = low[axis] - 0.1 * metre
        assert slow_depth(world, start, through)[0] > 0.4 * metre
        # Above the door is wall, as thick as the doorway is deep.
        start[1] = low[1] - 0.1 * metre
        inside = middle.copy()
        inside[1] = start[1]
        assert not is_free(world, inside, 0.0)
        assert slow_depth(world, start, through)[0] < 0.2 * metre


def test_no_two_surfaces_of_one_material_look_the_same(world):
    """Parallel walls of a room, seen straight on from the same distance, differ in their noise."""
    i = world.region_names.index("living room")
    low, high = world.regions["low"][i], world.regions["high"][i]
    same = world.boxes["material"]
    sides = [
        same[slow_depth(world, np.array([0, -0.2, 0]), np.array([x, 1e-9, 1e-9]))[1]]
        for x in (-1.0, 1.0)
    ]
    assert sides[0][1] == sides[1][0], "both walls show the paper of the room"
    views = []
    for side, yaw in ((low[0], -math.pi / 2), (high[0], math.pi / 2)):
        position = np.array([side - math.copysign(0.25, side), -0.2, 0.0])
        views.append(render(world, camera_at(position, yaw), shadows=False).rgb.astype(int))
    assert np.abs(views[0] - views[1]).mean() > 0.5
    assert np.abs(views[0] - views[1][:, ::-1]).mean() > 0.5


@given(st.integers(0, 10**6))
def test_cutting_keeps_everything_outside_the_hole(seed):
    """Against points: pieces do not overlap, and hold what the box holds and the hole does not."""
    rng = np.random.default_rng(seed)
    box = np.sort(rng.uniform(0, 1, (2, 3)), axis=0)
    hole = np.sort(rng.uniform(-0.2, 1.2, (2, 3)), axis=0)
    pieces = list(cut((tuple(box[0]), tuple(box[1]), 6 * (FIXED["white"],)), *map(tuple, hole)))
    points = rng.uniform(0, 1, (200, 3))

    def within(low, high) -> np.ndarray:
        return ((points > low) & (points < high)).all(axis=1)

    held = np.sum([within(low, high) for low, high, _ in pieces], axis=0)
    np.testing.assert_array_equal(held, within(*box) & ~within(*hole))


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


def test_is_free_knows_walls_furniture_and_the_outside(any_world):
    assert not is_free(any_world, (0, 50, 0))
    assert not is_free(any_world, (500, 0, 0))
    boxes = any_world.boxes
    low, high = any_world.regions["low"], any_world.regions["high"]
    for box in boxes[::7]:
        assert not is_free(any_world, (box["low"] + box["high"]) / 2)
    for position in free_positions(any_world, 0, 5):
        assert ((low <= position) & (position <= high)).all(axis=1).any()
        seen = render(any_world, camera_at(position, 0.0), shadows=False)
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
