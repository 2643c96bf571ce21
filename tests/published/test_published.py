"""The published behaviour: its fast forms equal its slow ones, its quirks are there, and the
strategy made of it chooses what it would choose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.published.memory import PublishedCodeFailsError, PublishedMemory
from tests.golden.published.schedule import plan_steps
from tests.support.fakes import box_depth
from vmem.cameras import Camera, Cameras, default_K, rotation_y, to_opengl, unproject
from vmem.memory import MemorySnapshot
from vmem.published.context import spread
from vmem.published.grid import HashGridMerge
from vmem.published.merge import merge_reference
from vmem.published.octree import Octree
from vmem.published.pairwise import mean_and_std
from vmem.published.poses import geodesic_distance
from vmem.published.render import QueryCamera, render_reference
from vmem.published.render_fast import render_polygons
from vmem.published.surfels import Disks, PublishedConfig, normal_map
from vmem.published.votes import frame_distribution, gather_votes
from vmem.retrieval.evidence import NOTHING_VISIBLE
from vmem.retrieval.strategies.published import published_selection
from vmem.types import StepEnd, SurfelBuffers, SurfelError, Surfels, View

# --- merging ---------------------------------------------------------------------------------


def random_disks(rng: np.random.Generator, n: int, lattice: bool) -> Disks:
    """Disks about the faces of a cube; on a lattice many of them share faces of octree nodes."""
    position = rng.uniform(-1, 1, (n, 3))
    position[np.arange(n), rng.integers(0, 3, n)] = rng.choice([-1, 1], n)
    if lattice:
        position = np.round(position * 4) / 4
    normal = rng.normal(size=(n, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    normal[rng.random(n) < 0.05] = 0
    radius = rng.uniform(0.02, 0.3, n)
    return Disks(*(rows.astype(np.float32) for rows in (position, normal, radius)))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    lattice=st.booleans(),
    scale=st.sampled_from([1e-3, 1.0, 700.0]),
    offset=st.sampled_from([0.0, 37.3]),
)
def test_the_grid_credits_whom_the_octree_credits(seed, sizes, lattice, scale, offset):
    rng = np.random.default_rng(seed)
    grid, scene = HashGridMerge(), Disks.empty()
    for n in sizes:
        new = random_disks(rng, n, lattice)
        position = (new.position * scale + offset).astype(np.float32)
        new = Disks(position, new.normal, new.radius * np.float32(scale))
        if n == 0 and not len(scene):
            continue
        expected, found = merge_reference(scene, new), grid.merge(new)
        np.testing.assert_array_equal(found.credited, expected.credited)
        assert found.threshold == expected.threshold
        scene = Disks.concatenate([scene, new[expected.kept]])
        np.testing.assert_array_equal(grid.disks.position, scene.position)


@pytest.mark.parametrize("radius", [0.02, 0.1, 0.5])
def test_the_grid_in_a_crowd(radius):
    """Leaves smaller and nodes larger than cells, whatever the radius; later also appended."""
    rng = np.random.default_rng(5)
    scene, more, new = (random_disks(rng, n, False) for n in (900, 400, 200))
    grid = HashGridMerge()
    for part in (scene, more):
        radius_rows = np.full(len(part), radius, np.float32)
        grid.append(Disks(part.position, part.normal, radius_rows))
    new = Disks(new.position, new.normal, np.full(len(new), radius, np.float32))
    expected = merge_reference(grid.disks, new)
    assert (expected.credited >= 0).any()
    np.testing.assert_array_equal(grid.credited(new, expected.threshold), expected.credited)


@pytest.mark.parametrize(
    ("at", "found"), [((1, 1, 1), [*range(25)]), ((0, 0, 0), [*range(25)]), ((0.3, 0.7, 1.1), [])]
)
def test_more_coinciding_points_than_fit_a_leaf(at, found):
    """Splitting ends, and where rounding loses the points, it loses them for both."""
    points = np.tile(np.array([at], np.float32), (25, 1))
    normal = np.tile(np.array([[0, 0, 1]], np.float32), (25, 1))
    near = Disks(points, normal, np.full(25, 0.1, np.float32))
    far = Disks(points + 1, normal, near.radius)
    scene = Disks.concatenate([near, far])
    assert Octree.build(scene.position).query(points[0], np.float32(0.1)) == found
    grid = HashGridMerge()
    grid.append(scene)
    for new in (near, far):
        expected = merge_reference(scene, new)
        np.testing.assert_array_equal(grid.credited(new, expected.threshold), expected.credited)


def test_a_nan_radius_switches_merging_off():
    scene = random_disks(np.random.default_rng(1), 20, False)
    broken = Disks(scene.position, scene.normal, scene.radius.copy())
    broken.radius[3] = np.nan
    grid = HashGridMerge()
    grid.append(scene)
    assert len(merge_reference(scene, broken).kept) == len(grid.merge(broken).kept) == 20


def test_points_without_extent():
    point = np.ones((3, 3), np.float32)
    scene = Disks(point, point, np.zeros(3, np.float32))
    grid = HashGridMerge()
    grid.append(scene)
    expected = merge_reference(scene, scene)
    np.testing.assert_array_equal(grid.merge(scene).credited, expected.credited)


@pytest.mark.parametrize("n", [1, 7, 8, 129, 1000, 32_769, 100_003, 300_000])
def test_mean_and_std_are_numpys_to_the_bit(n):
    values = np.random.default_rng(n).lognormal(size=n).astype(np.float32)
    assert mean_and_std(values) == (np.mean(values), np.std(values))


def test_positions_to_merge_are_finite():
    scene = random_disks(np.random.default_rng(1), 20, False)
    scene.position[4, 1] = np.nan
    with pytest.raises(SurfelError, match="finite"):
        HashGridMerge().merge(scene)


# --- drawing ---------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), single=st.booleans(), turn=st.floats(-3, 3))
def test_the_compiled_drawing_is_the_slow_one(seed, single, turn):
    rng = np.random.default_rng(seed)
    disks = random_disks(rng, 40, False)
    disks.normal[0] = np.nan
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_y(turn)
    c2w[:3, 3] = rng.uniform(-0.9, 0.9, 3)
    camera = QueryCamera(c2w.astype(np.float32) if single else c2w, 20.0, 18.0, 16.0, 9.0, 32, 18)
    slow, fast = render_reference(disks, camera), render_polygons(disks, camera)
    assert (slow.index >= 0).any() or not (fast.index >= 0).any()
    for part in ("index", "depth", "cosine"):
        np.testing.assert_array_equal(getattr(fast, part), getattr(slow, part))


def test_disks_show_from_behind_and_the_first_keeps_a_tie():
    towards = np.array([[0, 0, 2], [0, 0, 2], [0, 0, 1]], np.float32)
    normal = np.array([[0, 0, 1], [0, 0, 1], [0, 0, -1]], np.float32)
    disks = Disks(towards, normal, np.full(3, 0.5, np.float32))
    camera = QueryCamera(np.eye(4), 10, 10, 8, 8, 16, 16)
    drawn = render_polygons(disks, camera)
    assert set(np.unique(drawn.index)) == {-1, 0}
    assert drawn.depth[8, 8] == 2
    assert drawn.cosine[8, 8] == 1


# --- votes and choice ------------------------------------------------------------------------


def test_the_first_vote_counts_twice():
    index = np.array([[0, 1], [1, -1]], np.int32)
    ones = np.ones((2, 2), np.float32)
    votes = gather_votes(SurfelBuffers(index, ones, ones), [[3], [3, 1]])
    assert votes.candidates == [1, 3]
    # Timestep 3: pixels 0, 1, 2 and 0 again; timestep 1: pixels 1, 2 and 1 again; each 1/2.
    np.testing.assert_allclose(votes.weight, [3 / 7, 4 / 7])


def test_nothing_visible_is_no_votes():
    nothing = np.full((2, 2), -1, np.int32)
    zeros = np.zeros((2, 2), np.float32)
    assert gather_votes(SurfelBuffers(nothing, zeros, zeros), []).candidates == []


def test_remainders_are_set_not_added():
    assert frame_distribution(14, np.array([0.35, 0.33, 0.32])).tolist() == [1, 1, 4]
    assert frame_distribution(2, np.array([0.2, 0.4, 0.4])).tolist() == [0, 1, 1]


@given(st.integers(1, 30), st.lists(st.floats(0.01, 1), min_size=1, max_size=20))
def test_fewer_frames_than_ratios_go_to_the_largest(n, ratios):
    shared = frame_distribution(n, np.array(ratios) / sum(ratios))
    assert shared.max() >= 1
    if len(ratios) >= n:
        assert shared.sum() == n
        assert min(np.array(ratios)[shared == 1]) >= max(np.array(ratios)[shared == 0], default=0)


def along_x(*at: float) -> np.ndarray:
    poses = np.tile(np.eye(4, dtype=np.float32), (len(at), 1, 1))
    poses[:, 0, 3] = at
    return poses


def test_suppression_shrinks_until_there_are_enough():
    poses = along_x(0, 0.001, 5, 5.001, 10)
    assert spread([0, 1, 2, 3, 4], poses, 3, 0.4, True, 0.1) == (0, 2, 4)
    assert spread([0, 1, 2, 3, 4], poses, 4, 0.4, True, 0.1)[:3] == (0, 2, 4)
    assert sorted(spread([0, 1, 2, 3, 4], poses, 5, 0.4, True, 0.1)) == [0, 1, 2, 3, 4]


def test_without_suppression_the_newest_may_repeat():
    poses = along_x(0, 1, 2)
    assert spread([2, 1, 0], poses, 3, 1e8, False, 0.1) == (2, 2, 1)


def test_distance_is_in_scene_units_and_radians():
    a = np.eye(4)
    b = np.eye(4)
    b[:3, :3], b[:3, 3] = rotation_y(0.5), (3, 0, 4)
    assert geodesic_distance(a, b) == pytest.approx(1.0, abs=1e-6)
    assert geodesic_distance(a, b).dtype == np.float32


@given(st.integers(1, 20), st.integers(0, 40))
def test_schedules_store_a_prefix_once(n_frames, length):
    stored = [tag for step in plan_steps(n_frames, length) for tag in step.stored]
    assert stored == list(range(len(stored)))
    assert length - 2 <= len(stored) <= length or length < 3


def test_normals_at_borders_and_gaps():
    camera = Camera(np.eye(4), default_K((6, 8)), (6, 8))
    points = unproject(np.full((6, 8), 2, np.float32), camera)
    points[2, 3] = points[2, 4]
    normal = normal_map(points)
    assert np.isnan(normal[2, 3]).all()
    assert (normal[-1] == 0).all()
    assert (normal[:, -1] == 0).all()
    np.testing.assert_allclose(normal[0, 0], (0, 0, 1), atol=1e-6)


# --- memory and strategy ---------------------------------------------------------------------

MAP = (19, 25)
FULL = (384, 512)
SHRUNK = Camera(np.eye(4), default_K(FULL), FULL).resized(MAP)


def walk(n: int) -> np.ndarray:
    """(n, 4, 4) f32 OpenGL poses: ahead, turning."""
    poses = np.tile(np.eye(4), (n, 1, 1))
    for i in range(n):
        poses[i, :3, :3] = rotation_y(0.12 * i)
        poses[i, :3, 3] = (0.05 * i, 0.02 * i, 0.1 * i)
    return to_opengl(poses).astype(np.float32)


def reconstruct(c2w_opengl: np.ndarray):
    """points, depth, confidence and focals of all frames, as a reconstruction would give them."""
    cameras = [SHRUNK.moved_to(pose) for pose in to_opengl(c2w_opengl.astype(np.float64))]
    depth = [box_depth(camera) for camera in cameras]
    points = np.stack([unproject(d, camera) for d, camera in zip(depth, cameras, strict=True)])
    depth = np.stack(depth)
    return points, depth, np.full_like(depth, 2), np.full(len(depth), default_K(FULL)[0, 0])


def walked(*steps: int) -> PublishedMemory:
    poses = walk(1 + sum(steps))
    memory = PublishedMemory(poses[0])
    for count in steps:
        n = len(memory) + count
        memory.add_step(poses[len(memory) : n], *reconstruct(poses[:n]))
    return memory


def as_snapshot(memory: PublishedMemory) -> MemorySnapshot:
    """The same disks and links in our memory."""
    camera = Camera(np.eye(4), default_K(FULL), FULL)
    blank = np.zeros((1, 1), np.float32)
    rgb = np.zeros((1, 1, 3), np.uint8)
    poses = to_opengl(memory.c2w.astype(np.float64))
    views = tuple(View(rgb, camera.moved_to(pose), 0, blank, blank) for pose in poses)
    disks, linked = memory.disks, memory.timesteps
    color = np.zeros((len(disks), 3), np.uint8)
    surfel = np.repeat(np.arange(len(disks)), [len(frames) for frames in linked])
    view = np.array([t for frames in linked for t in frames], np.int32)
    surfels = Surfels(disks.position, -disks.normal, disks.radius, color)
    end = StepEnd(len(views), len(disks), len(view))
    return MemorySnapshot(surfels, surfel.astype(np.int32), view, views, (end,), (None,))


def targets_at(c2w_opengl: np.ndarray) -> Cameras:
    n = len(c2w_opengl)
    K = np.tile(default_K(FULL), (n, 1, 1))
    return Cameras(to_opengl(c2w_opengl.astype(np.float64)), K, FULL)


def test_merged_surfels_remember_all_their_frames():
    memory = walked(4, 4)
    assert len(memory) == 9
    assert len(memory.focals) == 5 + 9
    assert len(memory.timesteps) == len(memory.disks)
    assert max(len(frames) for frames in memory.timesteps) > 4
    assert all(frames == sorted(set(frames)) for frames in memory.timesteps)


def test_one_frame_is_its_own_context():
    choice = PublishedMemory(walk(1)[0]).choose_context(walk(4))
    assert choice.order == (0,)
    assert choice.query is None


def test_suppression_needs_to_have_met_five_frames():
    memory = walked(7)
    with pytest.raises(PublishedCodeFailsError, match="no threshold"):
        memory.choose_context(memory.c2w[-4:])
    assert memory.choose_context(memory.c2w[-4:], nms=False).threshold == 1e8
    assert len(memory.choose_context(memory.c2w[-4:]).order) == 4


def test_nothing_visible_fails_as_published():
    memory = walked(4)
    outside = walk(4)
    outside[:, :3, 3] = (0, 0, -5000)
    with pytest.raises(PublishedCodeFailsError, match="visible"):
        memory.choose_context(outside)


def test_undo_removes_surfels_that_nobody_else_saw():
    memory = walked(4, 4)
    before = walked(4)
    assert memory.undo()
    np.testing.assert_array_equal(memory.disks.position, before.disks.position)
    assert memory.timesteps == before.timesteps
    assert memory.undo()
    assert not memory.undo()


@pytest.fixture(scope="module")
def thirteen() -> PublishedMemory:
    """A memory of 13 frames that met suppression when it had five."""
    memory = walked(4)
    memory.choose_context(memory.c2w[-1:])
    for n in (9, 13):
        memory.add_step(walk(n)[-4:], *reconstruct(walk(n)))
    return memory


@pytest.mark.parametrize("view", range(13))
def test_the_strategy_chooses_as_the_memory_does(thirteen, view):
    targets = walk(13)[max(0, view - 3) : view + 1]
    expected = thirteen.choose_context(targets)
    chosen = published_selection(as_snapshot(thirteen), targets_at(targets))
    assert chosen.order == expected.order
    assert sorted(chosen.ranking) == list(range(13))
    assert all(chosen.reasons[v].is_chosen for v in chosen.order)
    assert sum(reason.is_chosen for reason in chosen.reasons) == len(chosen.order)


def test_the_strategy_looks_from_the_last_target_only():
    snapshot = as_snapshot(walked(4, 4))
    ahead, back = walk(9)[[8]], walk(9)[[0]]
    both = targets_at(np.concatenate([back, ahead]))
    assert published_selection(snapshot, both) == published_selection(snapshot, targets_at(ahead))


def test_the_strategy_always_answers():
    snapshot = as_snapshot(walked(4))
    outside = walk(1)
    outside[:, :3, 3] = (0, 0, -5000)
    chosen = published_selection(snapshot, targets_at(outside), k=3)
    assert chosen.note == NOTHING_VISIBLE
    assert len(chosen.order) == 3
    alone = as_snapshot(PublishedMemory(walk(1)[0]))
    assert published_selection(alone, targets_at(walk(1))).order == (0,)


def test_one_view_asked_for_is_the_nearest():
    snapshot = as_snapshot(walked(4, 4))
    assert published_selection(snapshot, targets_at(walk(9)[[6]]), k=1).order == (6,)


def test_settings_are_the_published_ones():
    config = PublishedConfig()
    assert (config.width, config.height, config.radius_scale) == (512, 288, 0.5)
