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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vmem.arrays import F64
from vmem.cameras.poses import invert_pose
from vmem.errors import VMemError

DEFAULT_FOV = math.radians(54.0)
"""Field of view along the shorter image side (the reference's 0.94247... rad)."""


LARGEST = 1e15
"""Bound on coordinates, focal lengths and their inverses: float32 still holds its square."""


class CameraError(VMemError, ValueError):
    """A camera that cannot be: wrong shape, non-rigid pose, degenerate intrinsics, empty image."""


@dataclass(frozen=True, eq=False)
class Camera:
    """One pinhole camera: ``c2w`` (4, 4) f64, ``K`` (3, 3) f64 in pixels of an image ``hw``."""

    c2w: F64
    K: F64
    hw: tuple[int, int]

    @property
    def position(self) -> F64:
        """(3,) camera centre in the world frame."""
        return self.c2w[:3, 3]

    @property
    def w2c(self) -> F64:
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

    c2w: F64
    K: F64
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


def check_pose(c2w: F64, name: str = "pose") -> None:
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


def check_intrinsics(K: F64, name: str = "intrinsics") -> None:
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


def default_K(hw: tuple[int, int], fov: float = DEFAULT_FOV) -> F64:
    """(3, 3) intrinsics with ``fov`` radians along the shorter side, principal point centred."""
    f = 0.5 * min(hw) / math.tan(fov / 2)
    return np.array([[f, 0, hw[1] / 2], [0, f, hw[0] / 2], [0, 0, 1]])


def _resize_K(K: F64, old: tuple[int, int], new: tuple[int, int]) -> F64:
    old, new = checked_size(old), checked_size(new)
    if K.shape[-2:] != (3, 3):
        raise CameraError(f"K must be (3, 3), got {K.shape}")
    return K * np.array([[new[1] / old[1]], [new[0] / old[0]], [1.0]])


def pixel_rays(camera: Camera) -> F64:
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


# --- moves ---------------------------------------------------------------------------------
