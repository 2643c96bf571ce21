"""``transforms.json``: the camera of every view, in the format that NeRF programs read.

Camera axes are OpenGL's (+x right, +y up, looking along -z); the world is the walk's own, in which
gravity points along +y. Intrinsics are in pixels.
"""

from __future__ import annotations

import json
from pathlib import Path

from vmem.cameras import to_opengl
from vmem.formats.files import write_json
from vmem.memory import MemorySnapshot

PLY_NAME = "surfels.ply"
"""File name of the point cloud that the cameras share their world with."""


def frame_name(view: int) -> str:
    """File name of a view's frame."""
    return f"{view:06d}.png"


def write_transforms(memory: MemorySnapshot, path: Path) -> None:
    """Write the cameras of all views; their frames are expected in ``frames/`` beside ``path``."""
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
    write_json(
        path,
        {"camera_model": "PINHOLE", "ply_file_path": PLY_NAME, "up": [0, -1, 0]}
        | {key: frames[0][key] for key in ("w", "h", "fl_x", "fl_y", "cx", "cy")}
        | {"frames": frames},
    )


def is_of_a_walk(path: Path) -> bool:
    """Whether the file at ``path`` is one that write_transforms wrote.

    Told by its structure: our file names in order, each with the step that made the view.
    """
    if not path.is_file():  # to open a pipe is to wait for its writer
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content["ply_file_path"] == PLY_NAME and all(
            frame["file_path"] == f"frames/{frame_name(i)}" and isinstance(frame["step"], int)
            for i, frame in enumerate(content["frames"])
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
