"""nerfview's render thread, made safe for one browser of many.

Kept apart because importing nerfview imports torch: a few seconds that only those pay who stream.
What of nerfview is used, what is put out of action and why is in docs/stream.md.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

from nerfview import CameraState
from nerfview._renderer import Renderer, RenderTask


class Drawing(Protocol):
    """What the thread draws with: a `viewer.scene.stream.SurfelStream`."""

    def picture_size(self, state: Any) -> tuple[int, int]:
        """(width, height) in pixels of the next picture in a state of the thread."""
        ...

    def failed(self, error: Exception, *, ended: bool = False) -> None:
        """Report an error of drawing; ``ended``: the thread is over."""
        ...


class StreamThread(Renderer):
    """Draws for a `SurfelStream`: on a move soon and coarse, sharper once nothing moves.

    nerfview decides when (its table of transitions; the latest task wins); the stream decides how.
    """

    # nerfview traces every line of Python in the render thread, to interrupt a picture half-way.
    # Kernels cannot be interrupted by that, and everything around them would be slower.
    _may_interrupt_trace: Any = None

    def __init__(self, stream: Drawing) -> None:
        # Its own lock: nerfview's viewers share one, so that browsers would wait for each other.
        super().__init__(stream, stream, threading.Lock())  # pyright: ignore[reportArgumentType]
        self.name = "stream"
        self._stream = stream

    def _get_img_wh(self, aspect: float) -> tuple[int, int]:
        # nerfview's guess takes the time to be proportional to the pixels; with surfels much of it
        # is the same for any size, and its pictures would shrink and shrink.
        return self._stream.picture_size(self._state)

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            # What nerfview does outside its own try; inside, it would end the process.
            if self.running:
                self._stream.failed(error, ended=True)


def task(action: Any, fov: float, aspect: float, c2w: Any) -> RenderTask:
    """What to draw next and why: "move" or "rerender"; c2w (4, 4), vertical fov in radians."""
    return RenderTask(action, CameraState(fov=fov, aspect=aspect, c2w=c2w))
