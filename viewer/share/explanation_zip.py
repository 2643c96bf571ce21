"""One zip that explains a retrieval: figure, numbers and 3D scene, all to open without Python."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import viser

from viewer.share.recording import RecordingOptions, heading, record_scene
from vmem.arrays import U8
from vmem.memory import MemorySnapshot
from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.retrieval.explain.to_json import explanation_json
from vmem.types import Retrieval

STAGE = "explanation"
WHEN = (1980, 1, 1, 0, 0, 0)
"""The earliest date of the format, so that equal explanations make equal files."""

README = """\
{heading}, written by VMem Viewer.

panel.png         what was asked, used, left out and invented, as a figure for a paper
explanation.json  every number of it: query, targets, all views with votes, coverage and reason
scene.html        the scene to look around in: open it in a browser, nothing else is needed
scene.viser       the same scene for the client of viser {version}: lay it beside the client's
                  index.html on any web server and add ?darkMode&playbackPath=scene.viser
"""


def pack_explanation(
    memory: MemorySnapshot,
    retrieval: Retrieval,
    step: int | None,
    *,
    options: RecordingOptions | None = None,
    frame: U8 | None = None,
    extra: Mapping[str, Any] | None = None,
    on_progress: OnProgress = silent,
    cancel: CancelToken | None = None,
) -> bytes:
    """Make a zip with panel.png, explanation.json, scene.viser, scene.html and README.txt.

    options: of record_scene. frame: of explanation_figure. extra: of explanation_json. Their errors
    are raised, and Cancelled if ``cancel`` was set between two parts.
    """
    # Importing matplotlib takes a third of the viewer's start, so only who needs it waits for it.
    from viewer.share.figure import explanation_figure

    def numbers() -> str:
        content = explanation_json(memory, retrieval, step, extra)
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    def scene() -> dict[str, bytes | str]:
        recording = record_scene(memory, retrieval, step, options)
        return {"scene.viser": recording.viser, "scene.html": recording.html}

    parts: list[Callable[[], dict[str, bytes | str]]] = [
        lambda: {"panel.png": explanation_figure(memory, retrieval, step, frame)},
        lambda: {"explanation.json": numbers()},
        scene,
        lambda: {"README.txt": README.format(heading=heading(step), version=viser.__version__)},
    ]
    cancel = cancel or CancelToken()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for done, part in enumerate(parts):
            cancel.check()
            on_progress(Progress(STAGE, done, len(parts)))
            for name, content in part().items():
                entry = zipfile.ZipInfo(name, WHEN)
                packed = name.endswith((".png", ".viser"))
                entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)
    cancel.check()
    on_progress(Progress(STAGE, len(parts), len(parts)))
    return out.getvalue()
