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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeVar, overload

import numpy as np
from jaxtyping import Float32, Float64
from numpy.typing import ArrayLike

from vmem.arrays import F64
from vmem.cameras.poses import invert_pose
from vmem.errors import VMemError

DEFAULT_FOV = math.radians(54.0)
"""Field of view along the shorter image side (the reference's 0.94247... rad)."""


LARGEST = 1e15
"""Bound on coordinates, focal lengths and their inverses: float32 still holds its square."""


class CameraError(VMemError, ValueError):
    """A camera that cannot be: wrong shape, non-rigid pose, degenerate intrinsics, empty image."""


@dataclass(frozen=True, eq=False, repr=False)
class Camera:
    """One pinhole camera, checked when it is made: CameraError says what is wrong with it.

    Its arrays are copies that cannot be written.
    """

    c2w: Float64[np.ndarray, "4 4"]
    """Rigid pose, camera to world."""
    K: Float64[np.ndarray, "3 3"]
    """Intrinsics in pixels of an image of size ``hw``, without skew."""
    hw: tuple[int, int]
    """(height, width) of the image in pixels."""

    def __post_init__(self) -> None:
        c2w, K, hw = _copied(self.c2w), _copied(self.K), checked_size(self.hw)
        if c2w.shape != (4, 4) or K.shape != (3, 3):
            raise CameraError(f"expected c2w (4, 4) and K (3, 3), got {c2w.shape} and {K.shape}")
        check_pose(c2w, "camera")
        check_intrinsics(K, "camera")
        _set(self, c2w, K, hw)

    def __repr__(self) -> str:
        return f"<Camera {_optics(self)}, at {_place(self)}>"

    @property
    def position(self) -> Float64[np.ndarray, 3]:
        """Camera centre in the world frame."""
        return self.c2w[:3, 3]

    @property
    def w2c(self) -> Float64[np.ndarray, "4 4"]:
        """Rigid inverse of ``c2w``."""
        return invert_pose(self.c2w)

    @property
    def fov(self) -> tuple[float, float]:
        """(vertical, horizontal) field of view in radians, for a centred principal point."""
        h, w = self.hw
        return 2 * math.atan(h / 2 / self.K[1, 1]), 2 * math.atan(w / 2 / self.K[0, 0])

    def resized(self, hw: tuple[int, int]) -> Camera:
        """This camera taking an image of another size: rows of ``K`` scale with the sides.

        Raises CameraError for sizes that are no sizes.
        """
        hw = checked_size(hw)
        return _made(Camera, self.c2w, _resize_K(self.K, self.hw, hw), hw)

    def moved_to(self, c2w: ArrayLike) -> Camera:
        """These intrinsics at another pose (4, 4). Raises CameraError for what is no rigid pose."""
        return Camera(_copied(c2w), self.K, self.hw)


@dataclass(frozen=True, eq=False, repr=False)
class Cameras(Sequence[Camera]):
    """N >= 1 cameras of one image size, checked when they are made: CameraError names the first bad
    one and what is wrong with it. Their arrays are copies that cannot be written."""

    c2w: Float64[np.ndarray, "N 4 4"]
    """Rigid poses, camera to world."""
    K: Float64[np.ndarray, "N 3 3"]
    """Intrinsics in pixels of an image of size ``hw``, without skew."""
    hw: tuple[int, int]
    """(height, width) of the images in pixels."""

    def __post_init__(self) -> None:
        c2w, K, hw = _copied(self.c2w), _copied(self.K), checked_size(self.hw)
        n = len(c2w) if c2w.ndim else 0
        if c2w.shape != (n, 4, 4) or K.shape != (n, 3, 3) or n == 0:
            raise CameraError(
                f"expected c2w (N, 4, 4) and K (N, 3, 3) with N > 0, got {c2w.shape} and {K.shape}"
            )
        for i in range(n):
            check_pose(c2w[i], f"camera {i}")
            check_intrinsics(K[i], f"camera {i}")
        _set(self, c2w, K, hw)

    @staticmethod
    def stack(cameras: Iterable[Camera]) -> Cameras:
        """Stack single cameras; CameraError if there are none, their sizes differ, or they are no
        cameras."""
        try:
            cameras = list(cameras)
        except TypeError as error:
            raise CameraError(f"expected cameras to stack, got {cameras!r}") from error
        for camera in cameras:
            if not isinstance(camera, Camera):
                raise CameraError(f"expected cameras to stack, got among them {camera!r}")
        sizes = {camera.hw for camera in cameras}
        if len(sizes) != 1:
            raise CameraError(f"cameras to stack need one common image size, got {sorted(sizes)}")
        c2w = np.stack([camera.c2w for camera in cameras])
        return _made(Cameras, c2w, np.stack([camera.K for camera in cameras]), cameras[0].hw)

    @staticmethod
    def of(targets: Cameras | Camera | Iterable[Camera]) -> Cameras:
        """One camera or several, as Cameras; CameraError as `stack` raises it."""
        if isinstance(targets, Cameras):
            return targets
        return Cameras.stack([targets] if isinstance(targets, Camera) else targets)

    def __repr__(self) -> str:
        return (
            f"<Cameras: {len(self)}, {_optics(self[0])}, {_place(self[0])} to {_place(self[-1])}>"
        )

    def __len__(self) -> int:
        return len(self.c2w)

    @overload
    def __getitem__(self, index: int) -> Camera: ...
    @overload
    def __getitem__(self, index: slice) -> Cameras: ...
    def __getitem__(self, index: int | slice) -> Camera | Cameras:
        if not isinstance(index, slice):
            try:
                index = operator.index(index)
            except TypeError as error:
                raise CameraError(
                    f"cameras are numbered, or taken by slices: got {index!r}"
                ) from error
        elif not len(self.c2w[index]):
            raise CameraError(f"no cameras at {index} of {len(self)}")
        kind: Any = Cameras if isinstance(index, slice) else Camera
        return _made(kind, self.c2w[index], self.K[index], self.hw)

    def __iter__(self) -> Iterator[Camera]:
        return (self[i] for i in range(len(self)))

    def resized(self, hw: tuple[int, int]) -> Cameras:
        """All cameras at another image size."""
        hw = checked_size(hw)
        return _made(Cameras, self.c2w, _resize_K(self.K, self.hw, hw), hw)


_C = TypeVar("_C", Camera, Cameras)


def _made(kind: type[_C], c2w: F64, K: F64, hw: tuple[int, int]) -> _C:
    """A camera from parts of checked ones, without checking them again."""
    camera = object.__new__(kind)
    _set(camera, c2w, K, hw)
    return camera


def _set(camera: Camera | Cameras, c2w: F64, K: F64, hw: tuple[int, int]) -> None:
    c2w.flags.writeable = K.flags.writeable = False  # each our own, or a slice of a camera's
    for name, value in (("c2w", c2w), ("K", K), ("hw", hw)):
        object.__setattr__(camera, name, value)


def _optics(camera: Camera) -> str:
    h, w = camera.hw
    shorter = math.degrees(camera.fov[0] if h < w else camera.fov[1])
    return f"{w} x {h} px, fov {shorter:.1f}°"


def _place(camera: Camera) -> str:
    return "({:.2f}, {:.2f}, {:.2f})".format(*camera.position)


def _copied(numbers: ArrayLike) -> F64:
    try:
        return np.array(numbers, np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise CameraError(f"c2w and K must be arrays of numbers: {error}") from error


def check_pose(c2w: Float64[np.ndarray, "*any"], name: str = "pose") -> None:
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


def check_intrinsics(K: Float64[np.ndarray, "3 3"], name: str = "intrinsics") -> None:
    """CameraError unless ``K`` is a pinhole's, without skew, and within float32's reach."""
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


def checked_size(hw: object) -> tuple[int, int]:
    """``hw`` as two whole numbers above zero; CameraError if it is anything else."""
    try:
        height, width = hw  # pyright: ignore[reportGeneralTypeIssues]
        size = operator.index(height), operator.index(width)
    except (TypeError, ValueError) as error:
        raise CameraError(f"image size must be (height, width), whole, got {hw!r}") from error
    if min(size) < 1:
        raise CameraError(f"image size (height, width) must be positive, got {hw!r}")
    return size


def default_K(hw: tuple[int, int], fov: float = DEFAULT_FOV) -> Float64[np.ndarray, "3 3"]:
    """Intrinsics with ``fov`` radians along the shorter side, principal point centred.

    Raises CameraError unless ``hw`` is a size and ``fov`` between 0 and pi.
    """
    hw = checked_size(hw)
    if not (isinstance(fov, Real) and 0 < fov < math.pi):
        raise CameraError(f"fov must be between 0 and pi, in radians, got {fov!r}")
    f = 0.5 * min(hw) / math.tan(fov / 2)
    return np.array([[f, 0, hw[1] / 2], [0, f, hw[0] / 2], [0, 0, 1]])


def _resize_K(K: F64, old: tuple[int, int], new: tuple[int, int]) -> F64:
    return K * np.array([[new[1] / old[1]], [new[0] / old[0]], [1.0]])


def pixel_rays(camera: Camera) -> Float64[np.ndarray, "H W 3"]:
    """Camera-frame rays with z = 1 through pixel centres, so ``point = depth * ray``."""
    h, w = camera.hw
    x = (np.arange(w) + 0.5 - camera.K[0, 2]) / camera.K[0, 0]
    y = (np.arange(h) + 0.5 - camera.K[1, 2]) / camera.K[1, 1]
    return np.stack([*np.broadcast_arrays(x[None], y[:, None], 1.0)], axis=-1)


def unproject(depth: Float32[np.ndarray, "H W"], camera: Camera) -> Float32[np.ndarray, "H W 3"]:
    """World points of a z-depth map seen by ``camera``."""
    x = (np.arange(camera.hw[1]) + 0.5 - camera.K[0, 2]) / camera.K[0, 0]
    y = (np.arange(camera.hw[0]) + 0.5 - camera.K[1, 2]) / camera.K[1, 1]
    points = np.empty((*depth.shape, 3), np.float32)
    # Axis by axis, since a ray's part along a world axis is a sum of one for its column and one
    # for its row.
    for axis, (right, down, ahead) in enumerate(camera.c2w[:3, :3]):
        along = right * x + (down * y + ahead)[:, None]
        along *= depth
        along += camera.position[axis]
        points[..., axis] = along
    return points


# --- between conventions -------------------------------------------------------------------


# --- moves ---------------------------------------------------------------------------------
