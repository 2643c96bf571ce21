"""Camera frustums in the 3-D scene: one a view, with its thumbnail; of a long walk the newest, the
selected, and every so many of the others.

viser draws a frustum as a node of its own, at six draw calls a frame and view. Here all of them
are two nodes, lines and pictures, which ``shaders/page/frustums.js`` fills with what it is told in
a line of script: views that are added, how many stay, and colours that change. It also lights the
frustum under the pointer; which one is clicked is found here, from the click's ray.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence

import numpy as np
import viser
import viser.transforms as vtf
from numpy.typing import NDArray

from shaders import load
from viewer.page.scripts import run_script
from viewer.page.thumbnails import jpeg_url
from viewer.paint.palette import AMBER, DARK, FAINT, QUIET, RGB, SKY
from viewer.paint.resize import thumbnail
from viewer.paint.thinning import NEWEST, OLDER, thinned
from viewer.scene.picking import pick_frustum
from vmem.arrays import F64
from vmem.cameras import Camera
from vmem.types import View

THUMBNAIL = 56
"""Longer side of a frustum's picture, in pixels."""
SCALE = 0.03
"""Size of a frustum, in scene units: the cube root of three times its volume."""
MOST_LIT = 64
"""Views, selected or pointed at, that are shown although they would not be."""
MOST = NEWEST + OLDER + MOST_LIT
"""Frustums that a page has at most, however long the walk is."""

CHANGE = "(config) => window.__vmemFrustums[config.node].change(config)"


def pose_wxyz(c2w: F64) -> NDArray[np.floating]:
    """Quaternion (4,) wxyz of a pose (4, 4)."""
    return vtf.SO3.from_matrix(c2w[:3, :3]).wxyz


def half_size(camera: Camera, scale: float = SCALE) -> F64:
    """Half width, half height and depth (3,) of a camera's frustum, in scene units."""
    half = np.tan(camera.fov[0] / 2) * np.array([camera.hw[1] / camera.hw[0], 1.0])
    size = np.array([*half, 1.0])
    return scale * size / np.cbrt(size.prod() / 3)


class Frustums:
    """The frustums of a walk's views; only those that are new and colours that change are sent."""

    def __init__(
        self,
        scene: viser.SceneApi,
        on_clicked: Callable[[int], None] | None = None,
        *,
        name: str = "/views",
        scale: float = SCALE,
        thickness: float = 1.2,
    ) -> None:
        """``on_clicked(view)`` is called on one of viser's threads; thickness in pixels."""
        self._scene = scene
        self._name = name
        self._scale = scale
        self._views: list[View] = []
        self._faded: list[bool] = []
        """By view."""
        self._ends: list[int] | None = []
        """Numbers of the views that are not faded; None: none is."""
        self._lit: frozenset[int] = frozenset()
        """Views that are shown because they are selected or pointed at."""
        self.numbers: list[int] = []
        """By frustum: the number of its view."""
        self.colors: list[RGB] = []
        """By frustum."""
        # Of viser's nodes lines cannot be clicked; what is in a node that can is clicked with it.
        self._group = scene.add_frame(name, show_axes=False)
        scene.add_line_segments(
            f"{name}/lines",
            np.zeros((1, 2, 3), np.float32),
            np.zeros((1, 2, 3), np.uint8),
            thickness=thickness,
            thickness_units="screen",
        )
        blank = np.zeros((1, 1, 3), np.uint8)
        scene.add_image(f"{name}/pictures", blank, 0.0, 0.0, format="png", cast_shadow=False)
        clickable = on_clicked is not None
        if on_clicked is not None:
            clicked = on_clicked
            self._group.on_click(lambda event: self._click(event, clicked))
        run_script(scene, load("frustums.js"), {"node": name, "clickable": clickable})

    def add(self, views: Sequence[View], full: Collection[int] | None = None) -> None:
        """Add the next views; ``full``: numbers of those that are not faded, None for all."""
        kept = len(self._views)
        self._views += views
        numbers = range(kept, kept + len(views))
        self._faded += [full is not None and number not in full for number in numbers]
        if full is None and not kept:
            self._ends = None
        elif self._ends is not None:
            self._ends += [number for number in numbers if not self._faded[number]]
        self._arrange()

    def truncate(self, n: int) -> None:
        """Keep the first ``n`` views."""
        if n < len(self._views):
            del self._views[n:], self._faded[n:]
            self._ends = self._ends and self._ends[: bisect_left(self._ends, n)]
            self._lit = frozenset(view for view in self._lit if view < n)
            self._arrange()

    def __len__(self) -> int:
        """Number of views, of which at most MOST have a frustum."""
        return len(self._views)

    @property
    def shown(self) -> list[int]:
        """Numbers of the views that are shown whether they are selected or not, ascending."""
        return thinned(len(self._views), self._ends)

    def _arrange(self) -> None:
        """Have the page draw the frustums of the views to be shown, and no others."""
        wanted = {*self.shown, *self._lit}
        there = set(self.numbers)
        if there == wanted:
            return
        # What goes from the end is said in one number.
        keep = len(self.numbers)
        while keep and self.numbers[keep - 1] not in wanted:
            keep -= 1
        drop = [at for at in range(keep) if self.numbers[at] not in wanted]
        left = [at for at in range(keep) if self.numbers[at] in wanted]
        new = sorted(wanted - there)
        self.numbers = [*(self.numbers[at] for at in left), *new]
        colors = [DARK if self._faded[number] else QUIET for number in new]
        news: dict[str, object] = {"drop": drop} if drop else {}
        if new:
            news["add"] = [self._told(number) for number in new]
            places = range(len(left), len(self.numbers))
            news["colors"] = [*map(list, zip(places, colors, strict=True))]
        self.colors = [*(self.colors[at] for at in left), *colors]
        self._change(keep=keep, **news)

    def _told(self, number: int) -> dict[str, object]:
        view = self._views[number]
        return {
            "pose": self._pose(view.camera),
            "picture": jpeg_url(thumbnail(view.rgb, THUMBNAIL)),
            "faded": self._faded[number],
        }

    @property
    def visible(self) -> bool:
        """Whether they are shown."""
        return self._group.visible

    @visible.setter
    def visible(self, visible: bool) -> None:
        self._group.visible = visible

    def highlight(self, selected: set[int], share: np.ndarray, pointed: int | None = None) -> None:
        """Colour frustums: amber if selected, pale with votes, else faint; blue if pointed at.
        Of those that are faded, the ones neither selected nor pointed at are dark.

        share (V,): of all votes, by view; it may be of fewer views than there are.
        """
        lit = {*selected, pointed} - {None}
        known = sorted(view for view in lit if view is not None and view < len(self._views))
        self._lit = frozenset(known[-MOST_LIT:])
        self._arrange()
        changed: list[list[object]] = []
        for at, view in enumerate(self.numbers):
            voted = view < len(share) and share[view] > 0
            color = DARK if self._faded[view] else QUIET if voted else FAINT
            color = AMBER if view in selected else color
            color = SKY if view == pointed else color
            if color != self.colors[at]:
                self.colors[at] = color
                changed.append([at, color])
        if changed:
            self._change(keep=len(self.numbers), colors=changed)

    def _pose(self, camera: Camera) -> list[float]:
        """Rows of the pose (3, 4), then half width, half height and depth."""
        numbers = [*camera.c2w[:3].ravel(), *half_size(camera, self._scale)]
        return [round(float(number), 7) for number in numbers]

    def _change(self, **news: object) -> None:
        run_script(self._scene, CHANGE, {"node": self._name, **news})

    def _click(self, event: viser.SceneNodePointerEvent, clicked: Callable[[int], None]) -> None:
        numbers = self.numbers
        cameras = [self._views[number].camera for number in numbers]
        if cameras:
            poses = np.stack([camera.c2w for camera in cameras])
            sizes = np.stack([half_size(camera, self._scale) for camera in cameras])
            ray = np.array(event.ray_origin), np.array(event.ray_direction)
            clicked(numbers[pick_frustum(poses, sizes, *ray)])
