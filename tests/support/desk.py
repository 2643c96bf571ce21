"""The retrieval debugger as its user has it before him, and what the page truly shows."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from playwright.sync_api import Locator, Page

from tests.support.walking import pixels, session_of, until
from viewer.browser.client import Client
from viewer.debugger.debugger import Debugger
from viewer.debugger.explained import Explained
from viewer.scene.surfel_cloud import NORMAL_RADIUS_SUFFIX
from viewer.settings import Settings
from viewer.walk.workspace import Workspace
from vmem.cameras import Camera
from vmem.memory import MemorySnapshot
from vmem.types import Retrieval

AMBER, SKY, INVENTED = (255, 176, 46), (86, 180, 233), (213, 94, 0)
QUIET_ROW = (139, 145, 156)
"""Text of a row whose view was not chosen."""
BLANK = (5, 5)
"""A place in the window where nothing is."""

WAY = "eddaaw"
"""Strafe, turn away twice, back twice, forward: the last step draws on the first ones."""
LAST = len(WAY)
RETURN = 5
"""The step that looks again at what step 1 saw."""
COLORS = """(radii) => {
  const nodes = window.__viserSceneTree.getState();
  const chunks = Object.keys(nodes).filter((name) => /^\\/surfels\\/\\d+$/.test(name)).sort();
  let text = "";
  for (const name of chunks) {
    const { props } = nodes[name].message;
    const drawn = props.colors.subarray(0, 3 * nodes[name + radii].message.props.point_size);
    for (let i = 0; i < drawn.length; i += 32768)
      text += String.fromCharCode(...drawn.subarray(i, i + 32768));
  }
  return btoa(text);
}"""
"""All at once: at rest, chunks are merged."""
PROPERTY = """([name, key]) => {
  const value = window.__viserSceneTree.getState()[name]?.message.props[key];
  if (!ArrayBuffer.isView(value)) return value ?? null;
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768)
    text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return { kind: value.constructor.name, data: btoa(text) };
}"""
EYE = """() => {
  const { camera, nodeRefFromName, canvas } = window.__viserMutable;
  const box = canvas.getBoundingClientRect();
  const scene = nodeRefFromName["/surfels"].matrixWorld;
  return { size: [box.width, box.height], matrices: [camera.projectionMatrix,
    camera.matrixWorldInverse, scene].map((matrix) => [...matrix.elements]) };
}"""
ROWS = """() => [...document.querySelectorAll("tr.vmem-row")].map((row) => ({
  view: Number(row.getAttribute("data-vmem").split(":")[1]),
  cells: [...row.cells].map((cell) => cell.innerText.trim()),
  color: getComputedStyle(row).color.match(/\\d+/g).slice(0, 3).map(Number),
  swatch: getComputedStyle(row.cells[0].firstElementChild).color.match(/\\d+/g).map(Number),
  pointed: row.classList.contains("pointed"),
  toggled: [...row.querySelectorAll(".vmem-toggle.on")].map((toggle) => toggle.innerText),
}))"""
IMAGE = """(width) => {
  const all = [...document.querySelectorAll("img")];
  const found = all.filter((one) => one.offsetParent && one.complete && one.naturalWidth === width);
  if (found.length !== 1) return null;
  const canvas = document.createElement("canvas");
  const size = [(canvas.width = width), (canvas.height = found[0].naturalHeight)];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(found[0], 0, 0);
  const data = context.getImageData(0, 0, ...size).data;
  let text = "";
  for (let i = 0; i < data.length; i += 32768)
    text += String.fromCharCode(...data.subarray(i, i + 32768));
  return { size, data: btoa(text) };
}"""


@dataclass(frozen=True)
class Row:
    """A row of the table as the page shows it; colours as (r, g, b)."""

    view: int
    cells: tuple[str, ...]
    color: tuple[int, ...]
    swatch: tuple[int, ...]
    pointed: bool
    toggled: tuple[str, ...]


class Desk:
    """A page that shows the Memory tab of a walk."""

    def __init__(self, page: Page, workspace: Workspace, client: Client) -> None:
        self.page, self.workspace, self.client = page, workspace, client
        self.home = session_of(workspace).history.head.id
        self.strides = workspace.settings.step_size, workspace.settings.turn_degrees

    # --- the program's state ---------------------------------------------------------------

    @property
    def debugger(self) -> Debugger:
        return self.client.debugger

    @property
    def explained(self) -> Explained:
        assert self.debugger.explained is not None
        return self.debugger.explained

    @property
    def retrieval(self) -> Retrieval:
        return self.explained.retrieval

    @property
    def memory(self) -> MemorySnapshot:
        return session_of(self.workspace).memory

    def reset(self) -> None:
        """As it was when the walk had been made, whatever a test did."""
        session = session_of(self.workspace)
        until(self.page, lambda: not self.workspace.worker.busy)
        if session.history.head.id != self.home:
            self.client.commands.switch(self.home)
            self.until(lambda: session.history.head.id == self.home)
            self.until(lambda: not self.workspace.worker.busy)
        forgotten = threading.Event()
        self.client.post(self._forget)
        self.client.post(forgotten.set)
        self.until(forgotten.is_set)
        for note in self.page.locator(".mantine-Notification-root button:visible").all():
            note.click()
        self.page.get_by_role("tab", name="Memory").click()
        self.rest()
        self.until(lambda: self.debugger.step is None and self.explained.step is None)
        self.until(lambda: self.shown_order() == self.retrieval.order)

    def _forget(self) -> None:
        debugger, actions, fresh = self.debugger, self.client.actions, Settings()
        self.client.notifications.close_window()
        debugger.point(None)
        if debugger.playing:
            debugger.play_steps()
        actions.set_query("strategy", fresh.strategy)
        actions.set_query("context_views", fresh.context_views)
        actions.clear_what_ifs()
        actions.set_use_next(True)
        actions.set_heat("image")
        actions.set_layer("scene")
        actions.set_wipe(1.0)
        actions.set_mode("step")
        actions.set_strides(*self.strides)
        self.client.show_session()
        actions.live()
        actions.return_to_ghost()

    # --- hands -----------------------------------------------------------------------------

    def until(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        until(self.page, condition, seconds)

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def explain(self, step: int) -> Retrieval:
        """Go back to a step with the comma, and see its table; what it was made from."""
        while self.debugger.step != step:
            before = self.debugger.step
            self.press(",")
            self.until(lambda before=before: self.debugger.step != before)
        self.until(lambda: self.explained.step == step)
        self.until(lambda: self.shown_order() == self.retrieval.order)
        return self.retrieval

    def rest(self) -> None:
        """Take the mouse and the keyboard's focus away."""
        self.page.mouse.move(*BLANK)
        self.page.evaluate("() => document.activeElement?.blur()")

    def mark(self, target: str) -> Locator:
        return self.page.locator(f"[data-vmem='{target}']").first

    def set_number(self, label: str, value: float) -> None:
        """Type into the field of a slider."""
        name = self.page.locator("label", has_text=re.compile(f"^{re.escape(label)}$"))
        slider = name.get_attribute("for")
        field = self.page.locator(f"xpath=//*[@id='{slider}']/following-sibling::*//input").last
        field.fill(str(value))
        field.press("Enter")
        self.rest()

    def choose(self, label: str, option: str) -> None:
        self.page.get_by_label(label, exact=True).first.click()
        self.page.get_by_role("option", name=option, exact=True).click()
        self.rest()

    # --- what the page shows ---------------------------------------------------------------

    def says(self, text: str) -> Locator:
        """Where the panel says something."""
        return self.page.get_by_text(text).first

    def rows(self) -> list[Row]:
        """The table of views."""
        found: list[dict[str, Any]] = self.page.evaluate(ROWS)
        for row in found:
            row |= {key: tuple(v) for key, v in row.items() if isinstance(v, list)}
        return [Row(**row) for row in found]

    def shown_order(self) -> tuple[int, ...]:
        """Views that the table shows as chosen, from its top."""
        return tuple(row.view for row in self.rows() if row.color == AMBER)

    def part(self, name: str, key: str) -> np.ndarray:
        """What the page has of a node of the scene: its property ``key``."""
        found = self.page.evaluate(PROPERTY, [name, key])
        if isinstance(found, dict) and "data" in found:
            kind = {"Float32Array": np.float32, "Uint8Array": np.uint8}[found["kind"]]
            return np.frombuffer(base64.b64decode(found["data"]), kind)
        return np.array(found)

    def stands(self, name: str) -> bool:
        """Whether a node is in the scene and is to be seen."""
        seen = "(name) => window.__viserSceneTree.getState()[name]?.effectiveVisibility ?? false"
        return self.page.evaluate(seen, name)

    def frustum(self, view: int) -> tuple[int, ...]:
        """Colour of a view's frustum."""
        drawn = "(view) => window.__vmemFrustums['/views'].colorsDrawn()[view]"
        return tuple(self.page.evaluate(drawn, view))

    def lines(self, name: str) -> np.ndarray:
        """(N, 2, 3) f32 ends of a node's lines."""
        return self.part(name, "points").reshape(-1, 2, 3)

    def colors(self) -> np.ndarray:
        """(S, 3) u8 of all surfels."""
        found = self.page.evaluate(COLORS, NORMAL_RADIUS_SUFFIX)
        return np.frombuffer(base64.b64decode(found), np.uint8).reshape(-1, 3)

    def image(self, name: str) -> np.ndarray:
        """(h, w, 3) i16 picture that stands in the scene."""
        return pixels(self.part(name, "_data").tobytes())

    def picture(self, width: int) -> np.ndarray:
        """(h, w, 3) i16 the one picture of the panel that is ``width`` pixels wide by itself."""
        found: list[dict] = []

        def loaded() -> bool:
            found.append(self.page.evaluate(IMAGE, width))
            return found[-1] is not None

        self.until(loaded)
        w, h = found[-1]["size"]
        data = np.frombuffer(base64.b64decode(found[-1]["data"]), np.uint8)
        return data.reshape(h, w, 4)[..., :3].astype(np.int16)

    def canvas(self) -> np.ndarray:
        """(H, W, 3) i16 what is seen of the 3-D scene."""
        width, height = self.page.evaluate(EYE)["size"]
        clip = {"x": 0, "y": 0, "width": width, "height": height}
        return pixels(self.page.screenshot(clip=clip))  # pyright: ignore[reportArgumentType]

    def drawn(self, ends: np.ndarray, image: np.ndarray, color: tuple[int, ...]) -> float:
        """Share of a line (2, 3) of the world, as far as it is in the picture, that is seen."""
        start, stop = self.project(ends)
        at = (start + (stop - start) * np.linspace(0, 1, 200)[:, None]).round().astype(int)
        inside = ((at > 2) & (at < np.array(image.shape[1::-1]) - 3)).all(axis=1)
        boxes = [image[y - 2 : y + 3, x - 2 : x + 3] for x, y in at[inside]]
        return float(np.mean([near(box, color, 40).any() for box in boxes]))

    def _eye(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(4, 4) from the world to the eye and on to clip space, and the window's size."""
        eye = self.page.evaluate(EYE)
        clip, view, scene = (np.array(m).reshape(4, 4).T for m in eye["matrices"])
        return view @ scene, clip, np.array(eye["size"])

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) pixels of the window at which points (N, 3) of the world are drawn."""
        to_eye, clip, size = self._eye()
        found = np.c_[points, np.ones(len(points))] @ (clip @ to_eye).T
        return (found[:, :2] / found[:, 3:] * [1, -1] + 1) / 2 * size

    def ray(self, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
        """Origin (3,) and unit direction (3,) in the world of the ray through a pixel."""
        to_eye, clip, size = self._eye()
        at = (np.array([x, y]) / size * 2 - 1) * [1, -1]
        ahead = np.array([*(at / np.diag(clip)[:2]), -1.0, 1.0])  # the eye looks along -z
        back = np.linalg.inv(to_eye)
        direction = (back @ ahead)[:3] - back[:3, 3]
        return back[:3, 3], direction / np.linalg.norm(direction)


def near(image: np.ndarray, color: tuple[int, ...], tolerance: int = 24) -> np.ndarray:
    """(H, W) bool pixels of nearly a colour."""
    return np.abs(image - np.array(color)).max(axis=-1) <= tolerance


def saw(memory: MemorySnapshot, views: list[int] | tuple[int, ...]) -> np.ndarray:
    """(S,) bool surfels that any of ``views`` saw, from the link log itself."""
    found = np.zeros(len(memory.surfels), bool)
    found[memory.link_surfel[np.isin(memory.link_view, list(views))]] = True
    return found


def enlarged(image: np.ndarray, side: int = 288) -> np.ndarray:
    """A picture as one of ``side`` rows, its pixels repeated."""
    scale = side / len(image)
    sides = (np.arange(round(n * scale)) for n in image.shape[:2])
    rows, columns = (((pixel + 0.5) / scale).astype(int) for pixel in sides)
    return image[rows][:, columns]


def same(shown: np.ndarray, image: np.ndarray, tolerance: float = 6) -> bool:
    """Whether a picture on the page is ``image``, of another size."""
    found = enlarged(image.astype(np.int16), len(shown))[:, : shown.shape[1]]
    return bool(np.abs(shown[:, : found.shape[1]] - found).mean() < tolerance)


def surfel_under(desk: Desk, x: float, y: float) -> int:
    """The nearest disk on the ray of a pixel, one by one."""
    origin, direction = desk.ray(x, y)
    surfels = desk.memory.surfels
    best, nearest = -1, np.inf
    disks = zip(surfels.position.astype(float), surfels.normal.astype(float), strict=True)
    for i, (p, n) in enumerate(disks):
        slope = float(np.dot(n, direction))
        if slope == 0:
            continue
        t = float(np.dot(n, p - origin)) / slope
        if 0 < t < nearest and np.linalg.norm(origin + t * direction - p) <= surfels.radius[i]:
            best, nearest = i, t
    assert best >= 0
    return best


def spots(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Places all over a camera's picture: pixels (N, 2) i64, and points (N, 3) of the world."""
    h, w = camera.hw
    grid = np.meshgrid(np.arange(0.2, 0.8, 0.02) * w, np.arange(0.2, 0.8, 0.02) * h)
    at = np.stack(grid, axis=-1).reshape(-1, 2).astype(int)
    ahead = np.linalg.inv(camera.K) @ np.c_[at + 0.5, np.ones(len(at))].T
    return at, camera.position + (camera.c2w[:3, :3] @ ahead).T
