"""A step's memory work as it was before issue 13, as the baseline of ``benchmarks.step``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np

from vmem.arrays import F32
from vmem.cameras import Camera, Cameras, pixel_rays
from vmem.memory import association
from vmem.memory.spawn import RADIUS_SCALE, cell_centres, disk_radius, view_cosine
from vmem.raster import cpu, shade
from vmem.types import Frames, PointMapError, PointMaps, Surfels


def estimate(frames: Frames, cameras: Cameras) -> PointMaps:
    """Point maps of frames that carry depth, with a copy for every change."""
    assert frames.depth is not None
    usable = np.isfinite(frames.depth) & (frames.depth > 0)
    depth = np.where(usable, frames.depth, 0).astype(np.float32)
    carried = 1.0 if frames.confidence is None else frames.confidence
    confidence = (usable * carried).astype(np.float32)
    points = [_unproject(one, camera) for one, camera in zip(depth, cameras, strict=True)]
    return PointMaps(np.stack(points), depth, confidence)


def _unproject(depth: F32, camera: Camera) -> F32:
    points = pixel_rays(camera) * depth[..., None]
    return (points @ camera.c2w[:3, :3].T + camera.position).astype(np.float32)


@contextmanager
def memory_work() -> Iterator[None]:
    """Within it association makes a surfel of every sample and validates by reduction over axes,
    and small drawings run on several threads."""
    with ExitStack() as stack:
        for where, name, value in (
            (association, "surfels_from_pointmap", _surfels),
            (PointMaps, "validated", _validated),
            (cpu, "SURFELS_ALONE", cpu.SURFELS_A_THREAD),
            (shade, "PIXELS_A_THREAD", 8192),
        ):
            stack.enter_context(patch.object(where, name, value))
        yield


def _validated(maps: PointMaps, shape: tuple[int, ...]) -> PointMaps:
    fine = np.isfinite(maps.points).all(axis=-1) & (maps.depth > 0) & (maps.depth < np.inf)
    if ((maps.confidence > 0) & ~fine).any() or maps.depth.shape != shape:
        raise PointMapError("not finite")
    return maps


def _surfels(points, depth, rgb, camera, grid, *, cells) -> Surfels:
    cell = np.ix_(*cell_centres(camera.hw, grid))
    position = points[cell]
    normal = _normals(position, depth[cell], camera.position)
    with np.errstate(invalid="ignore", over="ignore"):
        cosine = view_cosine(position, normal, camera)
        radius = disk_radius(depth[cell], cosine, camera, grid, RADIUS_SCALE)
    every = Surfels(
        np.ascontiguousarray(position.reshape(-1, 3), np.float32),
        np.ascontiguousarray(normal.reshape(-1, 3)),
        radius.reshape(-1),
        np.ascontiguousarray(rgb[cell].reshape(-1, 3)),
    )
    return every[cells]


def _normals(points, depth, eye):
    with np.errstate(invalid="ignore", over="ignore"):
        to_eye = _unit(eye.astype(np.float32) - points, np.array([0, 0, -1], np.float32))
        across, down = (_nearer_side(points, depth, axis).astype(np.float64) for axis in (1, 0))
        normal = _unit(np.cross(across, down), to_eye)
        facing = np.sum(normal * to_eye, axis=-1, keepdims=True)
    return np.where(facing < 0, -normal, normal)


def _nearer_side(points, depth, axis):
    with np.errstate(invalid="ignore"):
        forward = np.diff(points, axis=axis, append=np.take(points, [-1], axis=axis))
        jump = np.abs(np.diff(depth, axis=axis, append=np.take(depth, [-1], axis=axis)))
    backward = np.roll(forward, 1, axis=axis)
    jump[~(np.isfinite(jump) & np.isfinite(forward).all(axis=-1))] = np.inf
    last = [slice(None)] * 2
    last[axis] = slice(-1, None)
    jump[tuple(last)] = np.inf
    jump_back = np.roll(jump, 1, axis=axis)
    return np.where((jump_back < jump)[..., None], backward, forward)


def _unit(vectors, otherwise):
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    some = (length > 1e-30) & (length < np.inf)
    return np.where(some, vectors / np.where(some, length, 1), otherwise).astype(np.float32)
