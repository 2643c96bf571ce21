"""The scene of one explanation as files that open without Python.

Surfels in the colours of a heat map, the views with the chosen ones lit and lines to them, the
target, and its frame beside what memory knew of it. The scene is what the retrieval knew: surfels
and views of later steps are left out, but for the frames that this step made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shaders import load
from viewer.camera_rig import AHEAD, BEHIND
from viewer.heatmap import Painted, paint_surfels, paint_view
from viewer.inject import run_script
from viewer.offline import OfflineScene
from viewer.standing import AMBER, Billboards, Frustums, pose_wxyz
from viewer.surfel_cloud import SurfelCloud, inject_patch
from vmem.cameras import Camera, FloatArray
from vmem.memory import MemorySnapshot
from vmem.retrieval import Retrieval
from vmem.summary import summary
from vmem.surfels import Surfels
from vmem.views import View

SKY = (86, 180, 233)
WHITE = (240, 240, 240)
FOV = 1.05
"""Vertical field of view of the recording's first look, in radians."""
WINDOW = 1.5
"""Width over height of the window that the first look is made for."""
TARGET_SCALE = 0.045
STEPS_BACK = (1.0, 1.4, 2.0, 2.8, 4.0)
"""How far behind the target the first look may stand, in the distances of the live view."""
BAR_STOPS = 12


@dataclass(frozen=True)
class RecordingOptions:
    """heat: a mode of viewer.heatmap.MODES · billboards: frames beside their heat maps ·
    labels: rank and share at the chosen views · shade: see SurfelCloud."""

    heat: str = "weight"
    billboards: bool = True
    labels: bool = True
    shade: float = 0.0


@dataclass(frozen=True, eq=False)
class Recording:
    """viser: the bytes of a ``.viser`` file, for viser's own client · html: one page with client
    and scene, which needs no server."""

    viser: bytes
    html: str


def record_scene(
    memory: MemorySnapshot,
    retrieval: Retrieval,
    step: int | None,
    options: RecordingOptions | None = None,
) -> Recording:
    """The explanation of ``retrieval`` as a scene.

    memory: the retrieval's own or a longer one · step: whose retrieval it is, None for the ghost's,
    which has no frames. Nothing listens on a port for this. ValueError for a mode of heat that does
    not exist, or a step that ``memory`` does not have.
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
    frustums = Frustums(scene, lambda view: None)
    for view in memory.views[: len(retrieval.votes)]:
        frustums.add(view, visible=True)
    frustums.light(set(retrieval.order), retrieval.share)
    _add_targets(offline, retrieval)
    _add_lines(offline, memory, retrieval, options.labels)
    if options.billboards:
        pictures = [paint_view(buffers, color) for buffers in retrieval.buffers]
        pairs = (
            [(view.rgb, picture) for view, picture in zip(made, pictures, strict=False)]
            if made
            else [(picture, None) for picture in pictures]
        )
        Billboards(scene).show(target, pairs)

    lit = [memory.views[view].camera.position for view in retrieval.order]
    eye, ahead = first_look(surfels, target, np.array(lit).reshape(-1, 3))
    offline.initial_camera.position, offline.initial_camera.look_at = eye, ahead
    offline.initial_camera.fov = FOV
    title = heading(step)
    words = summary(memory, retrieval, step)
    run_script(offline.page, load("caption.js"), _caption(title, words, painted, bool(made)))
    return Recording(*offline.recorded(title))


def heading(step: int | None) -> str:
    """What an explanation is called."""
    return "Why these views: " + ("the ghost's target" if step is None else f"step {step}")


def frames_of(memory: MemorySnapshot, step: int | None) -> tuple[View, ...]:
    """The views that ``step`` made, none for None. ValueError for no such step."""
    if step is None:
        return ()
    if not 0 < step < len(memory.steps):
        raise ValueError(f"step {step} retrieved nothing: use 1 to {len(memory.steps) - 1}")
    return memory.views[memory.steps[step - 1].n_views : memory.steps[step].n_views]


def first_look(surfels: Surfels, target: Camera, lit: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eye and look-at points, (3,) each, from which the target and most of ``lit`` (N, 3) show.

    Behind the target as in the live view, further back where that shows more.
    """
    ahead = _from(target, AHEAD)
    best, most = _from(target, BEHIND), -1
    for factor in STEPS_BACK:
        eye = _from(target, BEHIND * factor)
        if not _clear(surfels, eye, target.position[None])[0]:
            # What lies behind a wall would be looked at through its back.
            break
        shown = _framed(eye, ahead, lit) & _clear(surfels, eye, lit)
        if shown.sum() > most:
            best, most = eye, int(shown.sum())
    return best, ahead


def _from(camera: Camera, point: FloatArray) -> FloatArray:
    return camera.c2w[:3, :3] @ point + camera.position


def _framed(eye: FloatArray, ahead: FloatArray, points: FloatArray) -> np.ndarray:
    """(N,) bool: points (N, 3) well inside the window of an eye that looks level."""
    z = (ahead - eye) / np.linalg.norm(ahead - eye)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= max(np.linalg.norm(x), 1e-9)
    offset = points - eye
    depth = offset @ z
    half = 0.9 * np.tan(FOV / 2) * depth
    return (
        (depth > 1e-3)
        & (np.abs(offset @ x) < WINDOW * half)
        & (np.abs(offset @ np.cross(z, x)) < half)
    )


def _clear(surfels: Surfels, eye: FloatArray, points: FloatArray) -> np.ndarray:
    """(N,) bool: no disk, from whichever side, stands between the eye and points (N, 3)."""
    offset = surfels.position - eye.astype(np.float32)
    plane = (offset * surfels.normal).sum(axis=1)
    free = np.empty(len(points), bool)
    for i, point in enumerate(points):
        way = (point - eye).astype(np.float32)
        slope = surfels.normal @ way
        along = plane / np.where(slope == 0, np.inf, slope)
        near = np.flatnonzero((along > 0.02) & (along < 0.98))
        miss = np.linalg.norm(along[near, None] * way - offset[near], axis=1)
        free[i] = not (miss < surfels.radius[near]).any()
    return free


def _add_targets(offline: OfflineScene, retrieval: Retrieval) -> None:
    """The targets as the live ghost is drawn, the last one's lines the thickest."""
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


def _add_lines(
    offline: OfflineScene, memory: MemorySnapshot, retrieval: Retrieval, labels: bool
) -> None:
    """The way walked, a line from the target to every chosen view, and what each is."""
    stops = np.array([view.camera.position for view in memory.views[: len(retrieval.votes)]])
    here = retrieval.targets[-1].position
    ends = np.array([memory.views[view].camera.position for view in retrieval.order])
    for name, color, start, end in (
        ("/path", SKY, stops[:-1], stops[1:]),
        ("/retrieval", AMBER, np.broadcast_to(here, ends.shape), ends),
    ):
        if len(start):
            # A line of no length upsets the client: keep a hair.
            points = np.stack([start, end + 1e-4], axis=1).astype(np.float32)
            offline.scene.add_line_segments(
                name, points, color, thickness=2.0, thickness_units="screen"
            )
    for rank, (view, end) in enumerate(zip(retrieval.order, ends, strict=True)):
        if labels:
            text = f"{rank + 1}: view {view}, {100 * retrieval.share[view]:.0f} %"
            offline.scene.add_label(f"/chosen/{rank}", text, position=end, font_screen_scale=0.8)


def _caption(title: str, words: str, painted: Painted, framed: bool) -> dict[str, list[str]]:
    """The configuration of caption.js."""
    boards = (
        "Pictures: the generated frame and, right of it, what memory knew of it."
        if framed
        else "Pictures: what memory knows of the target."
    )
    lines = [
        title,
        words.replace("**", ""),
        f"Colours: {painted.legend}",
        f"Amber: the target and the views used. {boards}",
    ]
    bar = []
    if painted.bar is not None:
        stops = np.linspace(0, painted.bar.shape[1] - 1, BAR_STOPS).astype(int)
        bar = ["rgb({},{},{})".format(*painted.bar[0, stop].tolist()) for stop in stops]
    return {"lines": lines, "bar": bar}
