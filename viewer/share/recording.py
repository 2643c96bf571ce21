"""The 3D scene of one explanation as files that open without Python.

It shows the surfels in the colours of a heat map, all views, the chosen ones highlighted and with
lines to the target, and the target's frames beside what memory held of them. Surfels and views of
later steps are left out, except the frames that this step made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shaders import load
from viewer.page.offline_scene import OfflineScene
from viewer.page.scripts import run_script
from viewer.paint.palette import AMBER
from viewer.paint.surfel_colors import Painted, paint_surfels, paint_view
from viewer.scene.billboards import Billboards
from viewer.scene.frustums import Frustums, pose_wxyz
from viewer.scene.surfel_cloud import SurfelCloud, inject_patch
from viewer.settings import Heat
from viewer.share.first_camera import FOV, first_camera
from vmem.arrays import F64
from vmem.memory import MemorySnapshot
from vmem.types import Retrieval, View

SKY = (86, 180, 233)
WHITE = (240, 240, 240)
TARGET_SCALE, CHOSEN_SCALE = 0.045, 0.037
"""Sizes of frustums, in scene units."""
LABEL_ROOM = 0.012
"""Scene units; labels closer than this are merged."""
BAR_STOPS = 12
"""Colours that stand for a colour map in the page."""


@dataclass(frozen=True)
class RecordingOptions:
    """How a scene is recorded."""

    heat: Heat = "weight"
    """Colouring of the surfels, one of viewer.paint.surfel_colors.MODES."""
    billboards: bool = True
    """Whether frames and what memory held of them are shown as pictures."""
    labels: bool = True
    """Whether the chosen views have labels with rank and number."""
    shade: float = 0.0
    """Shading of slanted surfels, as of SurfelCloud."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A scene in two formats."""

    viser: bytes
    """Content of a ``.viser`` file, which viser's own client plays."""
    html: str
    """A page with client and scene, which needs no server."""


def record_scene(
    memory: MemorySnapshot,
    retrieval: Retrieval,
    step: int | None,
    options: RecordingOptions | None = None,
) -> Recording:
    """Record the scene that explains ``retrieval``, without opening a port.

    memory: the retrieval's own or a longer one. step: whose retrieval it is, None for that of the
    ghost, which has no frames. Raises ValueError for a step that ``memory`` does not have.
    """
    options = options or RecordingOptions()
    made = frames_of(memory, step)
    n = len(retrieval.surfel_weight)
    painted = paint_surfels(options.heat, memory, retrieval)
    surfels, color = memory.surfels[:n], painted.color[:n]

    offline = OfflineScene()
    scene = offline.scene
    scene.set_up_direction("-y")
    inject_patch(offline.page)
    cloud = SurfelCloud(scene, "/surfels")
    cloud.shade = options.shade
    cloud.append(surfels.position, surfels.normal, surfels.radius, color)

    target = retrieval.targets[-1]
    views = memory.views[: len(retrieval.votes)]
    others = [view for view in range(len(views)) if view not in retrieval.order]
    frustums = Frustums(scene)
    frustums.add([views[view] for view in others])
    frustums.highlight(set(), retrieval.share[others])
    # Larger, so that views in the same place do not hide them.
    chosen = Frustums(scene, name="/chosen_views", scale=CHOSEN_SCALE, thickness=2.5)
    chosen.add([views[view] for view in retrieval.order])
    chosen.highlight(set(range(len(retrieval.order))), retrieval.share)
    _add_targets(offline, retrieval)
    _add_lines(offline, memory, retrieval)
    if options.labels:
        _add_labels(offline, memory, retrieval)
    if options.billboards:
        picture = paint_view(retrieval.buffers[-1], color)
        pair = (made[-1].rgb, picture) if made else (picture, None)
        Billboards(scene).show(target, *pair)

    stops = [memory.views[view].camera.position for view in retrieval.order]
    camera = offline.initial_camera
    camera.position, camera.look_at = first_camera(surfels, target, np.array(stops).reshape(-1, 3))
    camera.fov = FOV
    title = heading(step)
    words = retrieval.summary(step)
    run_script(offline.page, load("caption.js"), _caption(title, words, painted, bool(made)))
    return Recording(*offline.recorded(title))


def heading(step: int | None) -> str:
    """Title of an explanation; step None means the ghost's target."""
    return "Why these views: " + ("the ghost's target" if step is None else f"step {step}")


def frames_of(memory: MemorySnapshot, step: int | None) -> tuple[View, ...]:
    """The views that ``step`` made, none for None. Raises ValueError if there is no such step."""
    if step is None:
        return ()
    if not 0 < step < len(memory.steps):
        raise ValueError(f"step {step} retrieved nothing: use 1 to {len(memory.steps) - 1}")
    return memory.views[memory.steps[step - 1].n_views : memory.steps[step].n_views]


def _add_targets(offline: OfflineScene, retrieval: Retrieval) -> None:
    """Frustums of the targets; the last one is larger, thicker and amber."""
    last = len(retrieval.targets) - 1
    for i, target in enumerate(retrieval.targets):
        offline.scene.add_camera_frustum(
            f"/targets/{i}",
            target.fov[0],
            target.hw[1] / target.hw[0],
            scale=TARGET_SCALE * (1.0 if i == last else 0.6),
            thickness=2.5 if i == last else 1.5,
            thickness_units="screen",
            color=AMBER if i == last else WHITE,
            wxyz=pose_wxyz(target.c2w),
            position=target.position,
        )


def _add_lines(offline: OfflineScene, memory: MemorySnapshot, retrieval: Retrieval) -> None:
    """The path of the walk, and a line from the target to every chosen view."""
    stops = np.array([view.camera.position for view in memory.views[: len(retrieval.votes)]])
    here = retrieval.targets[-1].position
    ends = np.array([memory.views[view].camera.position for view in retrieval.order])
    for name, color, start, end in (
        ("/path", SKY, stops[:-1], stops[1:]),
        ("/retrieval", AMBER, np.broadcast_to(here, ends.shape), ends),
    ):
        if len(start):
            # The client draws nonsense for lines of length zero.
            points = np.stack([start, end + 1e-4], axis=1).astype(np.float32)
            offline.scene.add_line_segments(
                name, points, color, thickness=2.0, thickness_units="screen"
            )


def _add_labels(offline: OfflineScene, memory: MemorySnapshot, retrieval: Retrieval) -> None:
    """Rank and number of every chosen view in front of it; close labels are merged into one."""
    labels: list[tuple[F64, list[str]]] = []
    for rank, view in enumerate(retrieval.order):
        place = (memory.views[view].camera.c2w @ [0, 0, CHOSEN_SCALE, 1])[:3]
        text = f"{rank + 1}: view {view}"
        for other, texts in labels:
            if np.linalg.norm(place - other) < LABEL_ROOM:
                texts.append(text)
                break
        else:
            labels.append((place, [text]))
    for i, (place, texts) in enumerate(labels):
        offline.scene.add_label(
            f"/chosen/{i}", ", ".join(texts), position=place, font_screen_scale=0.8
        )


def _caption(title: str, words: str, painted: Painted, framed: bool) -> dict[str, list[str]]:
    """The configuration of caption.js."""
    boards = (
        "Pictures: the generated frame and, right of it, what memory knew of it."
        if framed
        else "Pictures: what memory knows of the target."
    )
    lines = [
        title,
        words.replace("**", "").replace(" %", "\u00a0%"),
        f"Colours: {painted.legend}",
        f"Amber: the target and the views used. {boards}",
    ]
    bar = []
    if painted.bar is not None:
        stops = np.linspace(0, painted.bar.shape[1] - 1, BAR_STOPS).astype(int)
        bar = ["rgb({},{},{})".format(*painted.bar[0, stop].tolist()) for stop in stops]
    return {"lines": lines, "bar": bar}
