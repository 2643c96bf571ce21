"""Cameras, moves and interpolation: inverses, invariants, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vmem.arrays import F64
from vmem.cameras import (
    MAX_COUNT,
    MAX_PITCH,
    MOVES,
    STEP_SIZE,
    TURN_ANGLE,
    Camera,
    CameraError,
    Cameras,
    MoveError,
    apply_move,
    default_K,
    interpolate_poses,
    invert_pose,
    parse_moves,
    path_targets,
    pixel_rays,
    pose_distance,
    rotation_angle,
    to_opengl,
    unproject,
)

HW = (24, 32)
INVERSES = ["ws", "sw", "ad", "da", "qe", "eq", "rf", "fr", "tg", "gt"]


def random_pose(seed: int) -> F64:
    rng = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(None, rng).as_matrix()
    pose[:3, 3] = rng.uniform(-3, 3, 3)
    return pose


def level_pose(yaw: float, pitch: float, position: tuple[float, float, float]) -> F64:
    """A pose without roll, as walks have it."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("YX", [yaw, pitch]).as_matrix()
    pose[:3, 3] = position
    return pose


def pitch_of(pose: F64) -> float:
    """Radians by which the camera looks above the horizon."""
    return math.asin(-pose[1, 2])


def project(points: NDArray, camera: Camera) -> F64:
    """(..., 2) pixel coordinates of world points (..., 3)."""
    local = points @ camera.w2c[:3, :3].T + camera.w2c[:3, 3]
    pixel = local @ camera.K.T
    return (pixel[..., :2] / pixel[..., 2:]).astype(np.float64)


def pixel_centres(hw: tuple[int, int]) -> F64:
    columns, rows = np.meshgrid(np.arange(hw[1]) + 0.5, np.arange(hw[0]) + 0.5)
    return np.stack([columns, rows], axis=-1).astype(np.float64)


poses = st.integers(0, 2**31).map(random_pose)
coordinates = st.floats(-4, 4)
level_poses = st.builds(
    level_pose,
    st.floats(-math.pi, math.pi),
    st.floats(-1.2, 1.2),
    st.tuples(coordinates, coordinates, coordinates),
)


# --- poses and projections -------------------------------------------------------------------


@given(poses)
def test_invert_pose(pose):
    np.testing.assert_allclose(invert_pose(pose) @ pose, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(invert_pose(pose), np.linalg.inv(pose), atol=1e-12)


def test_invert_pose_of_many():
    many = np.stack([random_pose(seed) for seed in range(6)]).reshape(2, 3, 4, 4)
    np.testing.assert_allclose(invert_pose(many), np.linalg.inv(many), atol=1e-12)


@given(poses)
def test_opengl_and_back(pose):
    np.testing.assert_array_equal(to_opengl(to_opengl(pose)), pose)
    np.testing.assert_array_equal(to_opengl(pose)[:3, 3], pose[:3, 3])
    np.testing.assert_array_equal(to_opengl(pose)[:3, 2], -pose[:3, 2])


@given(poses, st.integers(0, 2**31), st.floats(5, 60), st.floats(5, 60))
def test_unproject_then_project(pose, seed, fx, fy):
    K = np.array([[fx, 0, 11.3], [0, fy, 14.9], [0, 0, 1]])
    camera = Camera(pose, K, HW)
    depth = np.random.default_rng(seed).uniform(0.5, 9, HW).astype(np.float32)
    points = unproject(depth, camera)
    assert points.shape == (*HW, 3)
    assert points.dtype == np.float32
    np.testing.assert_allclose(project(points, camera), pixel_centres(HW), atol=1e-3)
    in_camera = points @ camera.w2c[:3, :3].T + camera.w2c[:3, 3]
    np.testing.assert_allclose(in_camera[..., 2], depth, rtol=1e-5, atol=1e-5)


@given(st.integers(1, 50), st.integers(1, 50))
def test_resized_keeps_the_rays_of_the_corners(h, w):
    camera = Camera(np.eye(4), np.array([[21.0, 0, 9], [0, 23, 15], [0, 0, 1]]), HW)
    corners = np.array([[0, 0, 1], [HW[1], 0, 1], [0, HW[0], 1], [HW[1], HW[0], 1]], float)
    small_corners = corners * (w / HW[1], h / HW[0], 1)
    resized = camera.resized((h, w))
    assert resized.hw == (h, w)
    np.testing.assert_allclose(
        np.linalg.solve(resized.K, small_corners.T), np.linalg.solve(camera.K, corners.T)
    )
    np.testing.assert_allclose(resized.resized(HW).K, camera.K)


def test_resized_stack_equals_resized_cameras():
    cameras = Cameras(np.tile(np.eye(4), (2, 1, 1)), np.tile(default_K(HW), (2, 1, 1)), HW)
    for one, camera in zip(cameras.resized((7, 9)), cameras, strict=True):
        np.testing.assert_array_equal(one.K, camera.resized((7, 9)).K)


def test_default_field_of_view_spans_the_shorter_side():
    for hw in ((30, 30), (20, 50), (50, 20)):
        camera = Camera(np.eye(4), default_K(hw, 0.9), hw)
        assert min(camera.fov) == pytest.approx(0.9)
        assert camera.fov[0] <= camera.fov[1] or hw[0] > hw[1]


def test_rays_pass_through_pixel_centres():
    camera = Camera(np.eye(4), default_K(HW), HW)
    rays = pixel_rays(camera)
    np.testing.assert_allclose((rays @ camera.K.T)[..., :2], pixel_centres(HW))
    np.testing.assert_array_equal(rays[..., 2], 1)


# --- stacks ----------------------------------------------------------------------------------


def test_stack_index_and_iterate():
    singles = [Camera(random_pose(i), default_K(HW), HW) for i in range(4)]
    cameras = Cameras.stack(singles)
    assert len(cameras) == 4
    for got, single in zip(cameras, singles, strict=True):
        np.testing.assert_array_equal(got.c2w, single.c2w)
    assert isinstance(cameras[1:3], Cameras)
    np.testing.assert_array_equal(cameras[1:3].c2w, cameras.c2w[1:3])
    np.testing.assert_array_equal(cameras[-1].position, singles[-1].c2w[:3, 3])


def test_stack_refuses_none_and_mixed_sizes():
    with pytest.raises(CameraError, match="one common image size"):
        Cameras.stack([])
    mixed = [Camera(np.eye(4), default_K(hw), hw) for hw in (HW, (8, 8))]
    with pytest.raises(CameraError, match="one common image size"):
        Cameras.stack(mixed)
    for wrong, says in ((3, "got 3"), ([None], "among them None")):
        with pytest.raises(CameraError, match=says):
            Cameras.stack(wrong)  # pyright: ignore
    assert len(Cameras.stack(camera for camera in mixed[:1])) == 1


@pytest.mark.parametrize("index", [None, "a", 1.0, [0], (0, 1)])
def test_cameras_are_taken_by_number_or_slice(index):
    with pytest.raises(CameraError, match="numbered"):
        with_pose(0, 3, 1.0)[index]
    with pytest.raises(IndexError):
        with_pose(0, 3, 1.0)[3]


def test_cameras_cannot_be_written():
    c2w, K = np.eye(4), default_K(HW)
    camera, cameras = Camera(c2w, K, HW), Cameras(c2w[None], K[None], HW)
    parts = [camera, cameras, cameras[0], cameras[:1], camera.resized((4, 4)), camera.moved_to(c2w)]
    for made in [*parts, Cameras.stack([camera]), cameras.resized((4, 4))]:
        for array in (made.c2w, made.K):
            with pytest.raises(ValueError, match="read-only"):
                array[:] = np.nan
    c2w[:], K[:] = np.nan, np.nan  # the caller's own
    assert np.isfinite(camera.c2w).all()
    assert np.isfinite(cameras.K).all()


@pytest.mark.parametrize("fov", [0, -1, 4, math.pi, math.nan, "a", None])
@pytest.mark.usefixtures("unchecked_shapes")
def test_a_field_of_view_is_less_than_half_a_circle(fov):
    with pytest.raises(CameraError, match="between 0 and pi"):
        default_K(HW, fov)
    with pytest.raises(CameraError, match="image size"):
        default_K((0, 0))


def test_one_line_says_where_a_camera_stands():
    camera = Camera(np.eye(4), default_K((288, 384)), (288, 384))
    assert repr(camera) == "<Camera 384 x 288 px, fov 54.0°, at (0.00, 0.00, 0.00)>"
    assert repr(Cameras.stack([camera] * 3)) == (
        "<Cameras: 3, 384 x 288 px, fov 54.0°, (0.00, 0.00, 0.00) to (0.00, 0.00, 0.00)>"
    )


def with_pose(row: int, column: int, value: float) -> Cameras:
    c2w = np.tile(np.eye(4), (3, 1, 1))
    c2w[2, row, column] = value
    return Cameras(c2w, np.tile(default_K(HW), (3, 1, 1)), HW)


def with_K(row: int, column: int, value: float) -> Cameras:
    K = np.tile(default_K(HW), (3, 1, 1))
    K[2, row, column] = value
    return Cameras(np.tile(np.eye(4), (3, 1, 1)), K, HW)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: with_pose(0, 0, 1.1), "camera 2.*rotation"),
        (lambda: with_pose(0, 0, -1.0), "camera 2.*rotation"),
        (lambda: with_pose(3, 0, 0.5), "camera 2.*last row"),
        (lambda: with_pose(0, 3, math.nan), "camera 2.*finite"),
        (lambda: with_pose(1, 3, math.inf), "camera 2.*finite"),
        (lambda: with_K(0, 0, 0.0), "camera 2.*focal"),
        (lambda: with_K(1, 1, -5.0), "camera 2.*focal"),
        (lambda: with_pose(0, 3, 1e300), "camera 2.*beyond"),
        (lambda: with_K(0, 2, math.nan), "camera 2.*finite"),
        (lambda: with_K(0, 2, 1e30), "camera 2.*principal point"),
        (lambda: with_K(0, 0, 1e300), "camera 2.*focal"),
        (lambda: with_K(1, 1, 1e-300), "camera 2.*focal"),
        (lambda: with_K(0, 1, 0.5), "camera 2.*skew"),
        (lambda: with_K(2, 0, 0.5), "camera 2.*skew"),
        (lambda: with_K(2, 2, 0.0), "camera 2.*skew"),
        (lambda: Cameras(np.eye(4)[None], default_K(HW)[None], (0, 4)), "must be positive"),
        (lambda: Cameras(np.eye(4)[None], default_K(HW)[None], (3.5, 4)), "whole"),  # pyright: ignore
        (lambda: Cameras(np.eye(4)[None], default_K(HW)[None], (3, 4, 5)), "whole"),  # pyright: ignore
        (lambda: Cameras(np.eye(4)[None], default_K(HW)[None], None), "whole"),  # pyright: ignore
        (lambda: Cameras([["a"]], default_K(HW)[None], HW), "numbers"),  # pyright: ignore
        (lambda: Cameras(np.zeros((0, 4, 4)), np.zeros((0, 3, 3)), HW), "N > 0"),
        (lambda: Cameras(np.eye(4)[None], default_K(HW)[None].repeat(2, 0), HW), "expected c2w"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_impossible_cameras_are_refused(make, message):
    with pytest.raises(CameraError, match=message):
        make()


@pytest.mark.parametrize("hw", [(0, 5), (-3, 5), (2.5, 5)])
@pytest.mark.usefixtures("unchecked_shapes")
def test_images_without_pixels_are_no_size_to_change_to(hw):
    camera = Camera(np.eye(4), default_K(HW), HW)
    with pytest.raises(CameraError, match="image size"):
        camera.resized(hw)
    with pytest.raises(CameraError, match="image size"):
        Camera(np.eye(4), default_K(HW), hw).resized(HW)
    with pytest.raises(CameraError, match=r"\(3, 3\)"):
        Camera(np.eye(4), np.eye(4), HW)


@pytest.mark.usefixtures("unchecked_shapes")
def test_whole_numbers_and_lists_will_do():
    camera = Camera(np.eye(4, dtype=int).tolist(), np.diag([9, 9, 1]), HW)  # pyright: ignore
    assert (camera.c2w.dtype, camera.K.dtype, camera.hw) == (np.float64, np.float64, HW)


# --- moves -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", INVERSES)
@given(pose=level_poses)
def test_moves_undo_each_other(pair, pose):
    assume(abs(pitch_of(pose)) < MAX_PITCH - 2 * TURN_ANGLE)
    there = apply_move(pose, MOVES[pair[0]])
    assert np.abs(there - pose).max() > 1e-3
    np.testing.assert_allclose(apply_move(there, MOVES[pair[1]]), pose, atol=1e-12)


@given(level_poses, st.sampled_from("wsqerf"))
def test_translations_cover_one_step_along_the_cameras_axes(pose, word):
    moved = apply_move(pose, MOVES[word])
    axis = {"w": 2, "s": 2, "q": 0, "e": 0, "r": 1, "f": 1}[word]
    sign = -1 if word in "sqr" else 1
    step = sign * STEP_SIZE * pose[:3, axis]
    np.testing.assert_allclose(moved[:3, 3] - pose[:3, 3], step, atol=1e-12)
    np.testing.assert_array_equal(moved[:3, :3], pose[:3, :3])


@given(poses, st.sampled_from("ad"), st.floats(0.1, 60))
def test_turning_keeps_position_and_horizon(pose, word, amount):
    moved = apply_move(pose, MOVES[word], amount=amount)
    np.testing.assert_array_equal(moved[:3, 3], pose[:3, 3])
    # Row y of the rotation holds the height of each camera axis: pitch and roll stay.
    np.testing.assert_allclose(moved[1, :3], pose[1, :3], atol=1e-12)


def test_d_turns_right_and_t_looks_up():
    assert apply_move(np.eye(4), MOVES["d"])[0, 2] == pytest.approx(math.sin(TURN_ANGLE))
    assert pitch_of(apply_move(np.eye(4), MOVES["t"])) == pytest.approx(TURN_ANGLE)
    assert apply_move(np.eye(4), MOVES["r"])[1, 3] == pytest.approx(-STEP_SIZE)


@given(level_poses, st.sampled_from("tg"), st.integers(1, 60))
def test_pitch_stops_short_of_the_poles(pose, word, count):
    assume(abs(pitch_of(pose)) <= MAX_PITCH)
    begin = pitch_of(pose)
    for _ in range(count):
        pose = apply_move(pose, MOVES[word])
    wanted = begin + (1 if word == "t" else -1) * count * TURN_ANGLE
    assert pitch_of(pose) == pytest.approx(np.clip(wanted, -MAX_PITCH, MAX_PITCH), abs=1e-6)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)


@given(level_poses, st.sampled_from(sorted(MOVES)), st.floats(0, 3))
def test_moves_leave_their_argument_alone(pose, word, amount):
    before = pose.copy()
    apply_move(pose, MOVES[word], amount=amount)
    np.testing.assert_array_equal(pose, before)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("w", "w"),
        ("w*3 a d", "wwwad"),
        ("  W*2\tq\n", "wwq"),
        ("t*1 g*01", "tg"),
    ],
)
def test_parse_moves(text, words):
    assert parse_moves(text) == list(words)


def test_parse_moves_takes_the_largest_count():
    assert parse_moves(f"w*{MAX_COUNT}") == ["w"] * MAX_COUNT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no moves"),
        ("   ", "no moves"),
        ("w x", "unknown move 'x'"),
        ("ww", "unknown move 'ww'"),
        ("w*", "unknown move"),
        ("*3", "unknown move"),
        ("w*2.5", "unknown move"),
        ("w * 2", "unknown move"),
        ("w*2*2", "unknown move"),
        ("w,a", "unknown move"),
        ("w*0", "between 1 and"),
        ("w*-2", "between 1 and"),
        (f"w*{MAX_COUNT + 1}", "between 1 and"),
        ("w*1" + "0" * 5000, "between 1 and"),
    ],
)
def test_unreadable_moves_are_refused(text, message):
    with pytest.raises(MoveError, match=message):
        parse_moves(text)


# --- interpolation and distance --------------------------------------------------------------


@given(poses, poses, st.integers(1, 9))
def test_interpolation_ends_at_its_goal_at_constant_speed(start, end, n):
    angle = float(rotation_angle(start[:3, :3], end[:3, :3]))
    assume(angle < 3.1)  # half a turn has two shortest ways
    between = interpolate_poses(start, end, n)
    assert between.shape == (n, 4, 4)
    np.testing.assert_allclose(between[-1], end, atol=1e-9)
    path = np.concatenate([start[None], between])
    steps = np.diff(path[:, :3, 3], axis=0)
    np.testing.assert_allclose(steps, np.tile((end - start)[:3, 3] / n, (n, 1)), atol=1e-9)
    turns = rotation_angle(path[1:, :3, :3], path[:-1, :3, :3])
    np.testing.assert_allclose(turns, angle / n, atol=1e-6)


def test_interpolation_between_equal_poses_stays():
    pose = random_pose(5)
    np.testing.assert_allclose(interpolate_poses(pose, pose, 3), np.tile(pose, (3, 1, 1)))


def test_path_targets_keep_intrinsics_and_size():
    start = Camera(random_pose(1), default_K(HW), HW)
    targets = path_targets(start, random_pose(2), 4)
    assert len(targets) == 4
    assert targets.hw == HW
    np.testing.assert_array_equal(targets.K, np.tile(start.K, (4, 1, 1)))


@given(poses, poses, poses, st.floats(0, 5))
def test_pose_distance_is_a_metric(a, b, c, weight):
    def distance(x: F64, y: F64) -> float:
        return float(pose_distance(x, y, weight))

    # arccos turns rounding in the trace into its square root near zero.
    rounding = 1e-6
    assert distance(a, a) < rounding
    assert distance(a, b) == pytest.approx(distance(b, a))
    assert (distance(a, b) > rounding) == (not np.array_equal(a[:3, :3], b[:3, :3]))
    assert distance(a, c) <= distance(a, b) + distance(b, c) + rounding
    assert distance(c @ a, c @ b) == pytest.approx(distance(a, b), abs=rounding)


def test_pose_distance_adds_units_and_radians():
    moved = apply_move(apply_move(np.eye(4), MOVES["w"]), MOVES["d"])
    expected = 0.1 * STEP_SIZE + TURN_ANGLE
    assert float(pose_distance(np.eye(4), moved)) == pytest.approx(expected)
    many = np.tile(np.eye(4), (2, 3, 1, 1))
    assert pose_distance(many, moved).shape == (2, 3)
