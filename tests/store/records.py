"""Small steps with every kind of content, for walks on disk, and equality to the bit."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vmem.cameras import Camera, Cameras, default_K
from vmem.store import Origin, WalkFile
from vmem.types import (
    PictureShares,
    Query,
    Reason,
    ReasonKind,
    Retrieval,
    StepRecord,
    StepRequest,
    SurfelBuffers,
    Surfels,
    View,
    ViewId,
)

ORIGIN = Origin(
    backend="preview",
    label="preview with the room layout",
    geometry=None,
    seed=3,
    size=12,
    config={"seed": 3, "target_views": 2},
    networks=None,
    photo="quay.jpg",
    versions={"vmem": "0.1"},
)
VIEWS, SURFELS, LINKS = 2, 7, 9
"""What each step adds to memory."""


def make_record(node: int, depth: int | None = None, *, size: int = 12) -> StepRecord:
    """A step with that number, ``depth`` steps after the photo (by default as many)."""
    depth = node if depth is None else depth
    rng = np.random.default_rng(node)
    views_before, surfels_before = VIEWS * depth, SURFELS * depth
    targets = Cameras.stack([_camera(rng, size) for _ in range(VIEWS)])
    return StepRecord(
        views=tuple(_view(rng, targets[i], depth, ViewId(node, i)) for i in range(VIEWS)),
        surfels=_surfels(rng),
        link_surfel=np.sort(rng.integers(0, surfels_before + SURFELS, LINKS).astype(np.int32)),
        link_view=rng.integers(0, views_before + VIEWS, LINKS).astype(np.int32),
        retrieval=_retrieval(rng, targets, views_before, surfels_before) if depth else None,
        note="placed by the layout" if node % 2 else "",
        request=StepRequest(targets, Query(3, pinned=(0,)), node, None, label="w")
        if depth
        else None,
    )


def save_walk(path: Path, steps: int) -> Path:
    """A walk straight on, closed again: the photo and so many steps."""
    with WalkFile.create(path, ORIGIN) as file:
        for node in range(steps + 1):
            file.add(
                node, node - 1 if node else None, f"step {node}", make_record(node), {"a": 0.5}
            )
    return path


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal to the bit, arrays in type and shape too."""
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, np.ndarray)
            and (a.dtype, a.shape) == (b.dtype, b.shape)
            and a.tobytes() == b.tobytes()
        )
    if is_dataclass(a):
        names = [field.name for field in fields(a)]
        return type(a) is type(b) and all(same(getattr(a, n), getattr(b, n)) for n in names)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


def without(record: StepRecord, *names: str) -> StepRecord:
    """The step with these optional parts of its views left out."""
    views = tuple(replace(view, **dict.fromkeys(names)) for view in record.views)
    return replace(record, views=views)


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _camera(rng: np.random.Generator, size: int) -> Camera:
    c2w = np.eye(4)
    turn = rng.uniform(-1, 1)
    c2w[:3, :3] = [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    c2w[:3, 3] = rng.normal(size=3)
    return Camera(c2w, default_K((size, size)), (size, size))


def _view(rng: np.random.Generator, camera: Camera, step: int, id: ViewId) -> View:
    hw = camera.hw
    return View(
        rgb=rng.integers(0, 256, (*hw, 3), np.uint8),
        camera=camera,
        step=step,
        depth=rng.uniform(1, 9, hw).astype(np.float32),
        confidence=np.ones(hw, np.float32),
        provenance=rng.integers(0, 3, hw).astype(np.uint8),
        age=np.full(hw, np.float32(step)),
        latents={"code": rng.integers(0, 1 << 16, (4, 3, 3)).astype(np.uint16)},
        geometry_state={"pose": rng.normal(size=(1, 8)).astype(np.float32), "empty": np.zeros(0)}
        if id.number
        else None,
        id=id,
    )


def _surfels(rng: np.random.Generator) -> Surfels:
    normal = rng.normal(size=(SURFELS, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return Surfels(
        rng.normal(size=(SURFELS, 3)).astype(np.float32),
        normal.astype(np.float32),
        rng.uniform(0.1, 1, SURFELS).astype(np.float32),
        rng.integers(0, 256, (SURFELS, 3), np.uint8),
    )


def _retrieval(rng: np.random.Generator, targets: Cameras, views: int, surfels: int) -> Retrieval:
    kinds = list(ReasonKind)
    reasons = [
        Reason(
            kinds[int(rng.integers(len(kinds)))],
            view=None if rng.uniform() < 0.3 else int(rng.integers(9)),
            distance=None if rng.uniform() < 0.3 else float(rng.uniform()),
            share=None if rng.uniform() < 0.3 else -0.0,
            text="" if rng.uniform() < 0.5 else "for its light",
        )
        for _ in range(views)
    ]
    weight = rng.uniform(size=surfels) * (rng.uniform(size=surfels) < 0.5)
    hw = (8, 8)
    return Retrieval(
        query=Query(3, pinned=(0,), suppression=0.25, density=0.5),
        targets=targets,
        votes=rng.uniform(size=views).astype(np.float32),
        share=rng.uniform(size=views).astype(np.float32),
        coverage=rng.uniform(size=views).astype(np.float32),
        pose_distance=rng.uniform(size=views).astype(np.float32),
        rank=rng.permutation(views).astype(np.int32),
        chosen=rng.uniform(size=views) < 0.5,
        reasons=tuple(reasons),
        order=tuple(int(view) for view in rng.permutation(views)[:3]),
        surfel_weight=weight.astype(np.float32),
        surfel_pixels=np.ceil(3 * weight).astype(np.float32),
        buffers=tuple(
            SurfelBuffers(
                rng.integers(-1, surfels, hw).astype(np.int32),
                rng.uniform(1, 2, hw).astype(np.float32),
                rng.uniform(0, 1, hw).astype(np.float32),
            )
            for _ in targets
        ),
        picture=PictureShares(0.5, 0.125, 0.375),
        note="few views" if views < 3 else "",
    )
