"""A view as the page's first-person picture gets it: one small binary file.

u32 length of the header, header (JSON), then the parts in the order of ``header["parts"]``. The
reader is shaders/first_person/mesh.js.
"""

from __future__ import annotations

import json
import zlib

import cv2
import numpy as np

from viewer.first_person.depth_mesh import DepthMesh, depth_mesh
from vmem.types import View

QUALITIES = (85, 78, 70, 62, 54, 46)
"""Of the JPEG: the first with which the file is small enough, else the last."""
BYTES_PER_PIXEL = 0.262
"""Of the whole file: 21.7 kB at 288 pixels."""
HEADER = 600
"""Bytes of the header, about."""


def view_file(view: View) -> bytes:
    """The file of a view: about 20 kB at 288 pixels."""
    mesh = depth_mesh(np.asarray(view.depth, np.float32))
    shape = _deflated(mesh)
    left = BYTES_PER_PIXEL * view.depth.size - HEADER - sum(map(len, shape.values()))
    parts = {"picture": _jpeg(view, left), **shape}
    camera, (h, w) = view.camera, view.camera.hw
    header = {
        "id": None if view.id is None else f"{view.id.node}.{view.id.number}",
        "side": len(mesh.used),
        "nearest": float(mesh.inverse.max()),
        "K": [camera.K[0, 0] / w, camera.K[1, 1] / h, camera.K[0, 2] / w, camera.K[1, 2] / h],
        "c2w": camera.c2w.T.ravel().tolist(),
        "parts": [(name, len(content)) for name, content in parts.items()],
    }
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([len(head).to_bytes(4, "little"), head, *parts.values()])


def _jpeg(view: View, most: float) -> bytes:
    made = b""
    for quality in QUALITIES:
        coded = cv2.imencode(".jpg", view.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        made = coded.tobytes()
        if len(made) <= most:
            break
    return made


def _deflated(mesh: DepthMesh) -> dict[str, bytes]:
    levels = (mesh.inverse / mesh.inverse.max() * 65535).round().astype(np.int32)
    steps = np.diff(levels, prepend=0).astype(np.uint16)  # modulo 2^16
    return {
        "used": zlib.compress(np.packbits(mesh.used).tobytes()),
        "inverse": zlib.compress(steps.astype("<u2").tobytes()),
        "bent": zlib.compress(np.packbits(mesh.bent).tobytes()),
    }
