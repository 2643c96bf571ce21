"""A walk as files: frames, cameras, retrievals, surfels, video.

Everything shares the session's world (gravity is +y). Files are written beside their final name
and moved into place, so that an interrupted export leaves no half file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
from PIL import Image

from vmem.cameras import to_opengl
from vmem.errors import VMemError
from vmem.memory import MemorySnapshot

FPS = 8
"""Frames a second of the video: two steps of four views."""


class ExportError(VMemError, OSError):
    """The files could not be written; says where and what to do."""


def check_writable(directory: Path) -> None:
    """Make ``directory`` and try a file in it; ExportError says what stands in the way."""
    with _clear_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.write_bytes(b"")
        probe.unlink()


def export(kind: str, memory: MemorySnapshot, path: Path) -> None:
    """Write one kind of KINDS to ``path`` (a folder for "frames" and "walk", else a file).

    Raises ExportError for an unknown kind, and where nothing can be written.
    """
    if kind not in KINDS:
        raise ExportError(f"unknown export {kind!r}: use one of {', '.join(KINDS)}")
    with _clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        KINDS[kind](memory, path)


def export_walk(memory: MemorySnapshot, directory: Path) -> None:
    """Everything of a walk: frames/, transforms.json, retrieval.json, surfels.ply, walk.mp4.

    Raises ExportError where nothing can be written.
    """
    for kind, name in (
        ("frames", "frames"),
        ("transforms", "transforms.json"),
        ("retrieval", "retrieval.json"),
        ("surfels", "surfels.ply"),
        ("video", "walk.mp4"),
    ):
        export(kind, memory, directory / name)


def frame_name(view: int) -> str:
    """File name of a view's frame."""
    return f"{view:06d}.png"


def _frames(memory: MemorySnapshot, path: Path) -> None:
    path.mkdir(exist_ok=True)
    for i, view in enumerate(memory.views):
        with _replacing(path / frame_name(i)) as part:
            Image.fromarray(view.rgb).save(part, "PNG")
    for old in path.glob("*.png"):
        # A longer walk exported here before: its surplus frames belong to no view of this one.
        if re.fullmatch(r"\d{6}\.png", old.name) and int(old.stem) >= len(memory.views):
            old.unlink()


def _transforms(memory: MemorySnapshot, path: Path) -> None:
    frames = []
    for i, view in enumerate(memory.views):
        K, (h, w) = view.camera.K, view.camera.hw
        frames.append(
            {
                "file_path": f"frames/{frame_name(i)}",
                "transform_matrix": to_opengl(view.camera.c2w).tolist(),
                "step": view.step,
                "w": w,
                "h": h,
                "fl_x": K[0, 0],
                "fl_y": K[1, 1],
                "cx": K[0, 2],
                "cy": K[1, 2],
            }
        )
    _write_json(
        path,
        {"camera_model": "PINHOLE", "ply_file_path": "surfels.ply", "up": [0, -1, 0]}
        | {key: frames[0][key] for key in ("w", "h", "fl_x", "fl_y", "cx", "cy")}
        | {"frames": frames},
    )


def _retrieval(memory: MemorySnapshot, path: Path) -> None:
    _write_json(
        path,
        [
            {"step": step} | retrieval.to_json()
            for step, retrieval in enumerate(memory.retrievals)
            if retrieval is not None
        ],
    )


def _surfels(memory: MemorySnapshot, path: Path) -> None:
    import trimesh
    from trimesh.exchange.ply import export_ply

    surfels = memory.surfels
    cloud = trimesh.Trimesh(
        vertices=surfels.position,
        faces=np.zeros((0, 3), np.int64),
        vertex_normals=surfels.normal,
        vertex_colors=surfels.color,
        process=False,
    )
    cloud.vertex_attributes["radius"] = surfels.radius
    with _replacing(path) as part:
        part.write_bytes(export_ply(cloud, vertex_normal=True))


def _video(memory: MemorySnapshot, path: Path) -> None:
    with _replacing(path) as part:
        writer = imageio.get_writer(
            part, format="FFMPEG", fps=FPS, codec="libx264", quality=8, macro_block_size=2
        )
        with writer:
            for view in memory.views:
                writer.append_data(view.rgb)


KINDS: dict[str, Callable[[MemorySnapshot, Path], None]] = {
    "frames": _frames,
    "transforms": _transforms,
    "retrieval": _retrieval,
    "surfels": _surfels,
    "video": _video,
    "walk": export_walk,
}


def _write_json(path: Path, content: Any) -> None:
    with _replacing(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary neighbour with the same suffix that takes ``path``'s place if all goes well."""
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except ExportError:
        raise
    except OSError as error:
        # Unlike Path.exists, this is never an error: names too long, folders closed to us.
        existing = next(p for p in [path, *path.absolute().parents] if os.path.exists(p))
        free = shutil.disk_usage(existing).free / 1e6
        raise ExportError(
            f"cannot write {path}: {error.strerror or error} ({free:.0f} MB free there); "
            "choose another output directory"
        ) from error
