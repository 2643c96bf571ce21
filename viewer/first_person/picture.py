"""The first-person picture of one browser: what its page is told and says of the walker."""

from __future__ import annotations

import base64
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import viser

from shaders import load
from viewer.first_person.backdrop import Backdrop
from viewer.first_person.heat import PictureHeat
from viewer.first_person.opening import flat_view
from viewer.first_person.overlay import PictureOverlay
from viewer.first_person.reports import Report, WalkerPose, parse_report, yaw_pitch
from viewer.first_person.solids import CELL, Solids
from viewer.first_person.view_file import view_file
from viewer.first_person.view_folder import ViewFolder
from viewer.page.channel import Channel
from viewer.page.files import Files
from viewer.page.scripts import run_script
from viewer.settings import Layout, Mode
from vmem.arrays import F64, U8
from vmem.memory import MemorySnapshot
from vmem.memory.shared import shared_steps, shared_views
from vmem.types import View

NARROW = 1000
"""CSS pixels of width below which picture and scene do not fit side by side."""
SCRIPTS = (
    "mesh.js",
    "programs.js",
    "selection.js",
    "resolution.js",
    "heat.js",
    "backdrop.js",
    "picture.js",
    "known.js",
    "walker.js",
    "gamepad.js",
    "touch.js",
    "input.js",
    "stage.js",
    "capture.js",
    "hints.js",
    "status.js",
    "plan.js",
    "overlay.js",
    "first_person.js",
)
SHADERS = {
    "warpVertex": "warp.vert.glsl",
    "depthFragment": "depth.frag.glsl",
    "warpFragment": "warp.frag.glsl",
    "screenVertex": "screen.vert.glsl",
    "screenFragment": "screen.frag.glsl",
    "knownFragment": "known.frag.glsl",
}
MOST_FILES = 256
"""Files of views that are kept: of all walks together some 5 MB."""
_FILES: weakref.WeakKeyDictionary[View, bytes] = weakref.WeakKeyDictionary()
"""Files of views that a page has fetched: another tab or a reload asks again."""


def script() -> str:
    """The function expression that is run in the page once, and then for every call."""
    body = "\n".join(load(name) for name in SCRIPTS)
    return f"""(config) => {{
  const current = window.__vmemFirstPerson;
  if (!config.listen) {{
    if (current?.channel === config.channel) {{
      current.dispose();
      delete window.__vmemFirstPerson;
    }}
    return;
  }}
  current?.dispose();
  {body}
  window.__vmemFirstPerson = new FirstPerson(config);
}}"""


class FirstPersonPicture:
    """Not thread-safe: one thread calls it. ``on_report`` is called on viser's event loop."""

    def __init__(
        self,
        client: viser.ClientHandle,
        files: Files,
        on_report: Callable[[Report], object],
        hints: Mapping[str, str],
    ) -> None:
        self._client, self._files = client, files
        self._folder = ViewFolder(files, _file_of)
        self._ids = self._folder.show(())
        self._solids = Solids()
        self._shown = MemorySnapshot.empty()
        self._number = 0
        self._opening: U8 | None = None
        self._files_of: dict[str, str] = {}
        """Addresses of the single files: of the opening, of the backdrop."""
        self._channel = Channel(client, "first_person.js", parse_report, on_report, script())
        sources = {name: load(file) for name, file in SHADERS.items()}
        css = load("overlay.css")
        self._channel.call(sources=sources, cell=CELL, narrow=NARROW, hints=dict(hints), css=css)
        self.heat = PictureHeat(files, self._call)
        """Memory's colours over the picture."""
        self.overlay = PictureOverlay(self._call)
        """What lies over the picture."""

    def show_layout(self, layout: Layout) -> None:
        """Show the picture, viser's scene, or both."""
        self._call("show", layout=layout)

    def show_mode(self, mode: Mode) -> None:
        """Have held keys move the walker, stopped by what is solid or not, as the mode has it."""
        self._call("mode", walks=mode != "step", solid=mode != "scout")

    def show_controls(self, controls: Mapping[str, Any]) -> None:
        """Tell the page which keys walk and what buttons do: viewer.commands.page_controls."""
        self._call("controls", **controls)

    def tell(self, text: str) -> None:
        """Say something over the picture, for a while."""
        self._call("tell", text=text)

    def show_opening(self, photo: U8 | None) -> None:
        """Show the photo (H, W, 3) of a walk that has no memory yet, flat; None: no longer."""
        if photo is self._opening:
            return
        self._opening = photo
        address = self._offer("opening", None if photo is None else flat_view(photo))
        self._call("opening", address=address)

    def show_backdrop(self, backdrop: Backdrop | None) -> None:
        """Show a walk's backdrop behind all views; None: a dark, even one."""
        if backdrop is None:
            self._call("backdrop", address=self._offer("backdrop", None))
            return
        address = self._offer("backdrop", backdrop.jpeg())
        centre, radius = backdrop.centre.tolist(), backdrop.radius
        self._call("backdrop", address=address, centre=centre, radius=radius)

    def show_memory(self, memory: MemorySnapshot) -> None:
        """Tell the page which views and which solid places there are now. The flat photo of an
        opening goes when the page has the first view."""
        if memory is self._shown:
            return
        if self._opening is not None and memory.views:
            self._opening = None
            self._offer("opening", None)
            self._call("opened", c2w=memory.views[0].camera.c2w.T.ravel().tolist())
        before, self._shown = self._shown, memory
        kept = shared_views(before, memory)
        removed = [self._ids(view) for view in before.views[kept:]]
        self._ids = self._folder.show(memory.views, anew=kept == 0)
        self._call("views", add=[self._row(view) for view in memory.views[kept:]], remove=removed)
        self._show_solids(memory, before)
        self.heat.show_memory(memory, self._ids)

    def place(self, c2w: F64, seconds: float = 0.0) -> None:
        """Put the walker at a pose (4, 4), at once or over some seconds; roll is left out."""
        self._number += 1
        yaw, pitch = yaw_pitch(c2w)
        position = c2w[:3, 3].tolist()
        self._call(
            "pose", number=self._number, position=position, yaw=yaw, pitch=pitch, seconds=seconds
        )

    def screenshot(self) -> None:
        """Have the page save what is seen as a picture."""
        self._call("screenshot")

    def record(self) -> None:
        """Have the page begin a clip of what is seen, or end it and save it."""
        self._call("record")

    def keep_clip(self) -> None:
        """Have the page end and save the clip that is being recorded, if there is one."""
        self._call("keepClip")

    def knows(self, pose: WalkerPose) -> bool:
        """Whether a report is of after the last pose that Python has set."""
        return pose.number >= self._number

    def page_id(self, view: View) -> str:
        """What the page calls a view of the memory that is shown."""
        return self._ids(view)

    @property
    def shown(self) -> MemorySnapshot:
        """The memory that is shown."""
        return self._shown

    def dispose(self) -> None:
        """The browser is gone."""
        self._channel.dispose()
        self.heat.dispose()
        self._folder.close()
        for address in self._files_of.values():
            self._files.remove(address)

    def _offer(self, name: str, content: bytes | None) -> str | None:
        """Address of a single file, in place of the one of that name before it; None for none."""
        if name in self._files_of:
            self._files.remove(self._files_of.pop(name))
        if content is None:
            return None
        address = self._files_of[name] = self._files.add(lambda: content)
        return address

    def _row(self, view: View) -> list[Any]:
        c2w, address = view.camera.c2w, self._ids(view)
        return [address, address, c2w[:3, 3].tolist(), c2w[:3, 2].tolist()]

    def _show_solids(self, memory: MemorySnapshot, before: MemorySnapshot) -> None:
        grows = shared_steps(before, memory) == len(before.steps)
        if not grows:
            self._solids = Solids()
        points = self._solids.added(memory.surfels.position[len(before.surfels) if grows else 0 :])
        if grows and not len(points):
            return
        content = base64.b64encode(points.astype("<f4").tobytes()).decode()
        self._call("solids", points=content, clear=not grows)

    def _call(self, operation: str, **config: Any) -> None:
        call = f"(config) => window.__vmemFirstPerson?.{operation}(config)"
        run_script(self._client.gui, call, config)


def _file_of(view: View) -> bytes:
    made = _FILES.get(view)
    if made is None:
        made = view_file(view)
        while len(_FILES) >= MOST_FILES:
            _FILES.pop(next(iter(_FILES), view), None)  # the oldest
        _FILES[view] = made
    return made
