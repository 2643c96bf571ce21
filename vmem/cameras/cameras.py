"""Cameras, poses and moves: the conventions of the whole project, stated once.

* World and cameras are OpenCV: +x right, +y down, +z forward; ``p_world = c2w @ p_cam``.
* The world is level: gravity points along +y. The first camera stands at the origin and is
  pitched and rolled as the photo was taken, so that turning never tilts the horizon.
* ``K`` is in pixels of the image that it travels with; pixel (i, j) has its centre at
  (j + 0.5, i + 0.5). Sizes are ``hw = (height, width)``.
* Lengths are scene units, angles radians. Degrees appear in move words and user interfaces only.
* Anything else carries it in its name: ``c2w_opengl``, ``K_normalized``.

This is the only module in which axes flip.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation, Slerp

from vmem.errors import VMemError

FloatArray = NDArray[np.float64]

DEFAULT_FOV = math.radians(54.0)
"""Field of view along the shorter image side (the reference's 0.94247... rad)."""

_FLIP_YZ = np.diag([1.0, -1.0, -1.0, 1.0])


LARGEST = 1e15
"""Bound on coordinates, focal lengths and their inverses: float32 still holds its square."""


class CameraError(VMemError, ValueError):
    """A camera that cannot be: wrong shape, non-rigid pose, degenerate intrinsics, empty image."""


@dataclass(frozen=True, eq=False)
class Camera:
    """One pinhole camera: ``c2w`` (4, 4) f64, ``K`` (3, 3) f64 in pixels of an image ``hw``."""

    c2w: FloatArray
    K: FloatArray
    hw: tuple[int, int]

    @property
    def position(self) -> FloatArray:
        """(3,) camera centre in the world frame."""
        return self.c2w[:3, 3]

    @property
    def w2c(self) -> FloatArray:
        """(4, 4) rigid inverse of ``c2w``."""
        return invert_pose(self.c2w)

    @property
    def fov(self) -> tuple[float, float]:
        """(vertical, horizontal) field of view in radians, for a centred principal point."""
        h, w = self.hw
        return 2 * math.atan(h / 2 / self.K[1, 1]), 2 * math.atan(w / 2 / self.K[0, 0])

    def resized(self, hw: tuple[int, int]) -> Camera:
        """The same camera taking an image of another size: rows of ``K`` scale with the sides.

        CameraError for sizes that are no sizes, or a ``K`` that is not (3, 3).
        """
        return Camera(self.c2w, _resize_K(self.K, self.hw, hw), hw)

    def moved_to(self, c2w: ArrayLike) -> Camera:
        """The same intrinsics at another pose (4, 4)."""
        return Camera(np.asarray(c2w, np.float64), self.K, self.hw)


@dataclass(frozen=True, eq=False)
class Cameras(Sequence[Camera]):
    """N cameras of one image size: ``c2w`` (N, 4, 4) f64, ``K`` (N, 3, 3) f64, ``hw``."""

    c2w: FloatArray
    K: FloatArray
    hw: tuple[int, int]

    @staticmethod
    def stack(cameras: Sequence[Camera]) -> Cameras:
        """Stack single cameras; CameraError if there are none or their sizes differ."""
        sizes = {camera.hw for camera in cameras}
        if len(sizes) != 1:
            raise CameraError(f"cameras to stack need one common image size, got {sorted(sizes)}")
        c2w = np.stack([camera.c2w for camera in cameras])
        return Cameras(c2w, np.stack([camera.K for camera in cameras]), cameras[0].hw)

    def __len__(self) -> int:
        return len(self.c2w)

    @overload
    def __getitem__(self, index: int) -> Camera: ...
    @overload
    def __getitem__(self, index: slice) -> Cameras: ...
    def __getitem__(self, index: int | slice) -> Camera | Cameras:
        kind = Cameras if isinstance(index, slice) else Camera
        return kind(self.c2w[index], self.K[index], self.hw)

    def __iter__(self) -> Iterator[Camera]:
        return (self[i] for i in range(len(self)))

    def resized(self, hw: tuple[int, int]) -> Cameras:
        """All cameras at another image size."""
        return Cameras(self.c2w, _resize_K(self.K, self.hw, hw), hw)

    def validated(self) -> Cameras:
        """Self, as f64 arrays, or CameraError that says which camera is wrong and how."""
        try:
            c2w, K = np.asarray(self.c2w, np.float64), np.asarray(self.K, np.float64)
        except (TypeError, ValueError) as error:
            raise CameraError(f"c2w and K must be arrays of numbers: {error}") from error
        n = len(c2w) if c2w.ndim else 0
        if c2w.shape != (n, 4, 4) or K.shape != (n, 3, 3) or n == 0:
            raise CameraError(
                f"expected c2w (N, 4, 4) and K (N, 3, 3) with N > 0, got {c2w.shape} and {K.shape}"
            )
        hw = checked_size(self.hw)
        for i in range(n):
            check_pose(c2w[i], f"camera {i}")
            check_intrinsics(K[i], f"camera {i}")
        same = c2w is self.c2w and K is self.K and hw == self.hw
        return self if same else Cameras(c2w, K, hw)


def check_pose(c2w: FloatArray, name: str = "pose") -> None:
    """CameraError unless ``c2w`` (4, 4) is finite and rigid (rotation within 1e-4)."""
    if c2w.shape != (4, 4) or not np.isfinite(c2w).all():
        raise CameraError(f"{name}: c2w must be a finite 4x4 matrix")
    if np.abs(c2w).max() > LARGEST:
        raise CameraError(f"{name}: a camera at {c2w[:3, 3].tolist()} is beyond {LARGEST:g} units")
    R = c2w[:3, :3]
    if np.abs(R @ R.T - np.eye(3)).max() > 1e-4 or np.linalg.det(R) < 0:
        raise CameraError(f"{name}: the upper left 3x3 of c2w must be a rotation")
    if not np.allclose(c2w[3], (0, 0, 0, 1)):
        raise CameraError(f"{name}: the last row of c2w must be 0 0 0 1")


def check_intrinsics(K: FloatArray, name: str = "intrinsics") -> None:
    """CameraError unless ``K`` (3, 3) is a pinhole's, without skew, and within float32's reach."""
    if not np.isfinite(K).all():
        raise CameraError(f"{name}: K must be finite, got {K.tolist()}")
    focal, centre = K[[0, 1], [0, 1]], K[:2, 2]
    if not ((focal > 1 / LARGEST).all() and (focal < LARGEST).all()):
        raise CameraError(
            f"{name}: focal lengths must be positive, in pixels; got {focal[0]}, {focal[1]}"
        )
    if not (np.abs(centre) < LARGEST).all():
        raise CameraError(f"{name}: no image has its principal point at {centre.tolist()}")
    if K[0, 1] or K[1, 0] or not np.allclose(K[2], (0, 0, 1)):
        raise CameraError(
            f"{name}: K must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], without skew; "
            f"got {K.tolist()}"
        )


def checked_camera(camera: Camera) -> Camera:
    """The same camera as f64 arrays, or CameraError that says what is wrong with it."""
    try:
        c2w, K = (np.asarray(array, np.float64)[None] for array in (camera.c2w, camera.K))
    except (TypeError, ValueError) as error:
        raise CameraError(f"c2w and K must be arrays of numbers: {error}") from error
    return Cameras(c2w, K, camera.hw).validated()[0]


def checked_size(hw: object) -> tuple[int, int]:
    """``hw`` as two whole numbers above zero; CameraError if it is anything else."""
    try:
        height, width = hw  # pyright: ignore[reportGeneralTypeIssues]
        size = operator.index(height), operator.index(width)
    except (TypeError, ValueError) as error:
        raise CameraError(f"image size must be (height, width), whole, got {hw!r}") from error
    if min(size) < 1:
        raise CameraError(f"image size (height, width) must be positive, got {hw}")
    return size


def default_K(hw: tuple[int, int], fov: float = DEFAULT_FOV) -> FloatArray:
    """(3, 3) intrinsics with ``fov`` radians along the shorter side, principal point centred."""
    f = 0.5 * min(hw) / math.tan(fov / 2)
    return np.array([[f, 0, hw[1] / 2], [0, f, hw[0] / 2], [0, 0, 1]])


def _resize_K(K: FloatArray, old: tuple[int, int], new: tuple[int, int]) -> FloatArray:
    old, new = checked_size(old), checked_size(new)
    if K.shape[-2:] != (3, 3):
        raise CameraError(f"K must be (3, 3), got {K.shape}")
    return K * np.array([[new[1] / old[1]], [new[0] / old[0]], [1.0]])


def invert_pose(c2w: FloatArray) -> FloatArray:
    """Rigid inverse of poses (..., 4, 4)."""
    R_T = np.swapaxes(c2w[..., :3, :3], -1, -2)
    out = np.zeros_like(c2w)
    out[..., :3, :3] = R_T
    out[..., :3, 3] = -(R_T @ c2w[..., :3, 3:])[..., 0]
    out[..., 3, 3] = 1
    return out


def pixel_rays(camera: Camera) -> FloatArray:
    """(H, W, 3) camera-frame rays with z = 1 through pixel centres, so ``point = depth * ray``."""
    h, w = camera.hw
    x = (np.arange(w) + 0.5 - camera.K[0, 2]) / camera.K[0, 0]
    y = (np.arange(h) + 0.5 - camera.K[1, 2]) / camera.K[1, 1]
    return np.stack([*np.broadcast_arrays(x[None], y[:, None], 1.0)], axis=-1)


def unproject(depth: NDArray[np.float32], camera: Camera) -> NDArray[np.float32]:
    """World points (H, W, 3) f32 of a z-depth map (H, W) seen by ``camera``."""
    points = pixel_rays(camera) * depth[..., None]
    return (points @ camera.c2w[:3, :3].T + camera.position).astype(np.float32)


# --- between conventions -------------------------------------------------------------------


def to_opengl(c2w: FloatArray) -> FloatArray:
    """OpenGL c2w (camera y up, looking along -z) in the same world, and back again."""
    return c2w @ _FLIP_YZ


# --- moves ---------------------------------------------------------------------------------

STEP_SIZE = 0.1
"""Scene units that one translating move covers."""
TURN_ANGLE = math.radians(4.0)
"""Radians that one turning move covers."""
MAX_COUNT = 1000
"""Largest repeat count a move word may carry: beyond it, it is surely a slip."""


@dataclass(frozen=True)
class Move:
    """One elementary motion: camera-frame translation in steps, yaw and pitch in turns."""

    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    pitch: float = 0.0


MOVES: dict[str, Move] = {
    "w": Move((0, 0, 1)),
    "s": Move((0, 0, -1)),
    "a": Move(yaw=-1),
    "d": Move(yaw=1),
    "q": Move((-1, 0, 0)),
    "e": Move((1, 0, 0)),
    "r": Move((0, -1, 0)),
    "f": Move((0, 1, 0)),
    "t": Move(pitch=1),
    "g": Move(pitch=-1),
}
"""Move words: w s forward/back, a d turn left/right, q e strafe, r f up/down, t g pitch up/down."""

MAX_PITCH = math.radians(85.0)


class MoveError(VMemError, ValueError):
    """A move word that cannot be read."""


def parse_moves(text: str) -> list[str]:
    """Split ``"w*3 a d"`` into single words ``["w", "w", "w", "a", "d"]``.

    Raises MoveError on an unknown word, a count below 1 or above MAX_COUNT, or no word at all.
    """
    words: list[str] = []
    for token in text.split():
        match = re.fullmatch(r"([A-Za-z]+)(?:\*(-?\d+))?", token)
        if match is None or match[1].lower() not in MOVES:
            known = " ".join(MOVES)
            raise MoveError(f"unknown move {token!r}: use {known}, each with an optional *count")
        count = int((match[2] or "1")[:9])  # Python refuses to read thousands of digits
        if not 1 <= count <= MAX_COUNT:
            raise MoveError(f"count of move {token!r} must be between 1 and {MAX_COUNT}")
        words += [match[1].lower()] * count
    if not words:
        raise MoveError("no moves given; an example: --moves 'w*2 a d'")
    return words


def rotation_y(angle: float) -> FloatArray:
    """(3, 3) rotation about the world's vertical; positive turns the view to the right."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def rotation_x(angle: float) -> FloatArray:
    """(3, 3) rotation about the camera's x axis; positive pitches the view up."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def apply_move(
    c2w: FloatArray,
    move: Move,
    *,
    amount: float = 1.0,
    step_size: float = STEP_SIZE,
    turn_angle: float = TURN_ANGLE,
) -> FloatArray:
    """Pose (4, 4) after ``amount`` times ``move``.

    Translation follows the camera's own axes before turning; yaw turns about the world's vertical
    through the camera (the reference's left-multiplied Ry); pitch stops short of the poles.
    """
    out = c2w.copy()
    out[:3, 3] += c2w[:3, :3] @ (np.asarray(move.translation) * step_size * amount)
    if move.yaw:
        out[:3, :3] = rotation_y(move.yaw * turn_angle * amount) @ out[:3, :3]
    if move.pitch:
        now = math.asin(float(np.clip(-out[1, 2], -1, 1)))
        goal = float(np.clip(now + move.pitch * turn_angle * amount, -MAX_PITCH, MAX_PITCH))
        out[:3, :3] = out[:3, :3] @ rotation_x(goal - now)
    return out


def interpolate_poses(start: FloatArray, end: FloatArray, n: int) -> FloatArray:
    """(n, 4, 4) poses at (i + 1)/n from ``start`` to ``end``: lerp and slerp; the last is ``end``.

    Source: reference navigator (specification, section 6).
    """
    u = (np.arange(n) + 1) / n
    out = np.tile(np.eye(4), (n, 1, 1))
    out[:, :3, 3] = (1 - u)[:, None] * start[:3, 3] + u[:, None] * end[:3, 3]
    ends = Rotation.from_matrix(np.stack([start[:3, :3], end[:3, :3]]))
    out[:, :3, :3] = Slerp([0, 1], ends)(u).as_matrix()
    return out


def path_targets(start: Camera, end_c2w: FloatArray, n: int) -> Cameras:
    """Cameras for one generation step: ``n`` interpolated poses up to and including ``end_c2w``."""
    c2w = interpolate_poses(start.c2w, end_c2w, n)
    return Cameras(c2w, np.tile(start.K, (n, 1, 1)), start.hw)


def rotation_angle(a: FloatArray, b: FloatArray) -> FloatArray:
    """Angle in radians between rotations (..., 3, 3), broadcast."""
    trace = np.einsum("...ij,...ij->...", a, b)
    return np.arccos(np.clip((trace - 1) / 2, -1, 1))


def pose_distance(a: FloatArray, b: FloatArray, translation_weight: float = 0.1) -> FloatArray:
    """``translation_weight * |t_a - t_b| + angle(R_a, R_b)`` for poses (..., 4, 4), broadcast.

    Source: reference, ranking of context views (specification, section 5.7, item 5).
    """
    distance = np.linalg.norm(a[..., :3, 3] - b[..., :3, 3], axis=-1)
    return translation_weight * distance + rotation_angle(a[..., :3, :3], b[..., :3, :3])
