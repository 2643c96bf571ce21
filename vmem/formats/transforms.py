"""``transforms.json``: the camera of every view, in the format that NeRF programs read.

Camera axes are OpenGL's (+x right, +y up, looking along -z); the world is the walk's own, in which
gravity points along +y. Intrinsics are in pixels.
"""

from __future__ import annotations

import json
from pathlib import Path

from vmem.cameras import to_opengl
from vmem.formats.files import json_bytes
from vmem.formats.frames import frame_name
from vmem.formats.ply import PLY_NAME
from vmem.memory import MemorySnapshot

TRANSFORMS_NAME = "transforms.json"
"""File name in a walk's folder."""
_INTRINSICS = ("w", "h", "fl_x", "fl_y", "cx", "cy")
_KEYS = {"camera_model", "ply_file_path", "up", *_INTRINSICS, "frames"}


def transforms_content(memory: MemorySnapshot) -> list[bytes]:
    """The cameras of all views as the content of the file in one piece; their frames are expected
    in ``frames/`` beside it."""
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
    content = {"camera_model": "PINHOLE", "ply_file_path": PLY_NAME, "up": [0, -1, 0]}
    content |= {key: frames[0][key] for key in _INTRINSICS} | {"frames": frames}
    return [json_bytes(content)]


def is_of_a_walk(path: Path) -> bool:
    """Whether the file at ``path`` is one that a walk wrote.

    Told by its structure: no keys but ours, our file names in order, each with the step that made
    the view.
    """
    if not path.is_file():  # to open a pipe is to wait for its writer
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return (
            content.keys() == _KEYS
            and content["ply_file_path"] == PLY_NAME
            and all(
                frame["file_path"] == f"frames/{frame_name(i)}" and isinstance(frame["step"], int)
                for i, frame in enumerate(content["frames"])
            )
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
