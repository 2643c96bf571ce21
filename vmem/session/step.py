"""One committed step, and the checks that what a backend returned must pass to enter memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vmem.cameras import Camera, Cameras
from vmem.errors import VMemError
from vmem.session.content import Whole
from vmem.session.history import Node
from vmem.types import Frames, PointMaps, Retrieval, StepRecord


class StepError(VMemError, RuntimeError):
    """A part of the step returned something that may not enter memory."""


@dataclass(frozen=True, eq=False, repr=False)
class Step:
    """One committed step of a walk."""

    index: int
    """Its number on the way from the photo (0) to it."""
    node: Node
    """Its node in the history."""
    record: StepRecord
    """What it added to memory."""
    retrieval: Retrieval
    """Which views it was made from, and why."""
    seconds: dict[str, float]
    """Time spent, by stage."""

    @property
    def frames(self) -> UInt8[np.ndarray, "T H W 3"]:
        """The new frames."""
        return np.stack([view.rgb for view in self.record.views])

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: the node without the tree that it hangs in."""
        node = Node(self.node.id, None, Whole(self.node.record), self.node.label, self.node.name)
        return vars(self) | {"node": node}

    def __repr__(self) -> str:
        views, total = len(self.record.views), sum(self.seconds.values())
        return f"<Step {self.index} {self.node.label!r}: {views} frames in {total:.2f} s>"


def check_camera(camera: Camera) -> None:
    """StepError unless the first camera is one."""
    if not isinstance(camera, Camera):
        raise StepError(f"the geometry's place() returned {_kind(camera)}, expected a Camera")


def check_frames(frames: Frames, targets: Cameras) -> None:
    """StepError unless there is one frame u8 of the targets' size for each of them."""
    if not isinstance(frames, Frames):
        raise StepError(f"the generator returned {_kind(frames)}, expected Frames: {_KEPT}")
    expected = f"uint8 {(len(targets), *targets.hw, 3)}"
    rgb = frames.rgb
    got = f"{rgb.dtype} {rgb.shape}" if isinstance(rgb, np.ndarray) else f"of a {_kind(rgb)}"
    if got != expected:
        raise StepError(f"the generator returned frames {got}, expected {expected}: {_KEPT}")


def check_maps(maps: PointMaps, targets: Cameras, min_confidence: float) -> None:
    """StepError unless maps fit the targets and are possible wherever they are confident."""
    if not isinstance(maps, PointMaps):
        raise StepError(f"the geometry returned {_kind(maps)}, expected PointMaps: {_KEPT}")
    map_shape = (len(targets), *targets.hw)
    expected = ((*map_shape, 3), map_shape, map_shape)
    got = (_shape(maps.points), _shape(maps.depth), _shape(maps.confidence))
    if got != expected:
        raise StepError(
            f"the geometry returned points, depth and confidence of shapes {got}, "
            f"expected {expected}: {_KEPT}"
        )
    trusted = maps.confidence >= min_confidence
    finite, in_front = np.isfinite(maps.points), maps.depth > 0
    # To pick out what is trusted is slow, and seldom needed: mostly all is as it should be.
    if not all(possible.all() or possible[trusted].all() for possible in (finite, in_front)):
        raise StepError(
            "the geometry is confident of points that are not finite or not in front of the "
            f"camera: {_KEPT}"
        )


_KEPT = "nothing was stored"


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _shape(value: object) -> tuple[int, ...] | str:
    """The shape of an array; of anything else its kind."""
    return value.shape if isinstance(value, np.ndarray) else _kind(value)
