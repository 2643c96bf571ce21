"""The first-person picture in a headless Chromium without a GPU: CPU a frame, bytes, likeness.

- ``half_4`` and ``full_8``: CPU of the whole browser for a frame of 1280 x 720, of the 4 views
  nearest to the walker at half the resolution, and of 8 at the whole: they are alike, so this is
  the dearest case. ``chosen`` is what is drawn at the whole resolution when the picture chooses
  among all views. ``over_disks`` is by what the surfels take in viser's page from the same place,
  and ``over_plain_disks`` by that without antialiasing.
- ``bytes``: of the files of a walk's views.
- ``photo_db``: the photo, and the picture from its place in a wide window, over the photo's part.
- ``between_db``: halfway between the last views of steps through an exact world, with only those
  views given to the page, and the true render; ``between_over_disks``: by how much better than the
  surfels of the whole walk.
- ``hold``: in the whole program, views a second while a key is held, and how long it takes from
  asking for a view to its being seen.
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import viser
from PIL import Image

import vmem
from benchmarks import _holding
from benchmarks._metrics import Metric, Row, measured
from benchmarks._page_cpu import browser_seconds
from benchmarks.pointer import ARGUMENTS, CHROMIUM
from shaders import load
from viewer.first_person.picture import SCRIPTS, SHADERS
from viewer.first_person.reports import pose_of, yaw_pitch
from viewer.first_person.view_file import view_file
from viewer.paint.surfel_colors import paint_view
from viewer.scene.camera_rig import CameraRig
from viewer.scene.surfel_cloud import SurfelCloud, inject_patch
from vmem.arrays import U8
from vmem.cameras import Camera, default_K
from vmem.raster import rasterize
from vmem.session import Session
from vmem.worlds import make_world, render

PHOTOS = Path(__file__).parents[1] / "assets"
HELD_IN = "garden_path.jpg"
SCENES = {"hotel": "hotel_room.jpg", "garden": "garden_path.jpg", "world": None}
WALK = "w*2 a*2 d*2 w"
WINDOW = {"width": 1280, "height": 720}
SIZE = 288
FRAMES, ROUNDS = 6, 2
"""Frames of a round, and rounds of which the cheapest counts."""
MOST_VIEWS = 6
CASES = {"half_4": (0.5, 4), "full_8": (1.0, 8), "chosen": (1.0, 0)}
"""Share of the window's pixels a side, and views; 0: those that the picture chooses."""
POSES = [(0.1 * np.sin(a), 0.15 + 0.1 * np.cos(a), 0.2 * np.sin(a)) for a in np.arange(FRAMES)]
"""x, z and yaw of each frame."""

WITHOUT_ANTIALIASING = """(() => {
  const real = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, asked) {
    return real.call(this, kind, kind === "webgl2" ? { ...asked, antialias: false } : asked);
  };
})()"""
SET_UP = """(sources) => {
  document.body.style.margin = 0;
  document.body.innerHTML = "<canvas style='width:100vw;height:100vh;display:block'></canvas>";
  window.picture = new Picture(document.querySelector("canvas"), sources);
  window.walker = new Walker();
}"""
ADD = """async (files) => {
  [...picture.views.keys()].forEach((id) => picture.remove(id));
  for (const [id, text] of files.entries()) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    picture.add({ ...(await readViewFile(bytes.buffer)), id });
  }
}"""
DRAW = """async ([poses, fov, most]) => {
  picture.suiting = most
    ? (eye, fov, most, views) => nearest(views, eye, most)
    : Picture.prototype.suiting;
  for (const [x, z, yaw] of poses) {
    Object.assign(walker, { position: [x, 0, z], yaw, pitch: 0 });
    picture.before = -Infinity; // all that is chosen has come
    picture.draw(walker.eye, fov, most || MOST, performance.now());
    await new Promise(requestAnimationFrame);
  }
  const { gl } = picture;
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
}""".replace("MOST", str(MOST_VIEWS))
SEE = """([pose, fov, most]) => {
  delete picture.suiting;
  Object.assign(walker, pose);
  picture.before = -Infinity;
  picture.draw(walker.eye, fov, most, performance.now());
  return picture.canvas.toDataURL("image/png");
}"""
POINTS = """(count) => {
  let found = 0;
  window.__viserMutable.scene.traverse((node) => {
    if (node.isPoints && node.visible) found += node.geometry.attributes.position.count;
  });
  return found >= count;
}"""
AT_DISTANCE = """(distance) =>
  Math.abs(window.__viserMutable.camera.position.length() - distance) < 1e-3"""
DRAW_DISKS = """async (frames) => {
  const { scene, requestRender } = window.__viserMutable;
  const before = scene.onAfterRender;
  let drawn = 0;
  scene.onAfterRender = function (...given) {
    before?.apply(this, given);
    drawn += 1;
  };
  while (drawn < frames) {
    requestRender();
    await new Promise(requestAnimationFrame);
  }
  scene.onAfterRender = before;
  const gl = document.querySelector("canvas").getContext("webgl2");
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
}"""

METRICS = (
    Metric("first_person.*.*.cpu_ms", "ms"),
    Metric("first_person.*.*.over_disks", "ratio", tolerance=0.5, optional=True),
    Metric("first_person.*.*.over_plain_disks", "ratio", tolerance=0.5, optional=True),
    *_holding.METRICS,
    Metric("first_person.*.bytes.mean", "kB", tolerance=0.05),
    Metric("first_person.*.bytes.largest", "kB", tolerance=0.05),
    Metric("first_person.*.photo_db", "dB", "higher", tolerance=1.0, optional=True),
    Metric("first_person.world.between_db", "dB", "higher", tolerance=1.0, optional=True),
    Metric("first_person.world.between_over_disks", "dB", "higher", tolerance=1.0, optional=True),
)


def run() -> Iterator[Row]:
    """Rows of output; without a Chromium only those of bytes."""
    sessions = {name: _walked(photo) for name, photo in SCENES.items()}
    for name, session in sessions.items():
        kilobytes = [len(view_file(view)) / 1024 for view in session.memory.views]
        yield measured(f"first_person.{name}.bytes.mean", float(np.mean(kilobytes)))
        yield measured(f"first_person.{name}.bytes.largest", max(kilobytes))
    if not CHROMIUM.exists():
        return
    with _chromium() as chromium:
        yield from _holding.run(chromium, PHOTOS / HELD_IN, SIZE)
        for name, session in sessions.items():
            yield from _costs(name, session, chromium)
        page = _picture_page(chromium)
        for name, session in sessions.items():
            yield measured(f"first_person.{name}.photo_db", _photo_db(page, session))
        ours, disks = _between(page, sessions["world"])
        yield measured("first_person.world.between_db", ours)
        yield measured("first_person.world.between_over_disks", ours - disks)


def _walked(photo: str | None) -> Session:
    source, backend = (None, "world") if photo is None else (str(PHOTOS / photo), "preview")
    session = vmem.open(source, backend=backend, seed=0, size=SIZE)
    for _ in session.walk(WALK):
        pass
    return session


@contextmanager
def _chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        chromium.close()


def _costs(name: str, session: Session, chromium: Any) -> Iterator[Row]:
    disks = {plain: _disks_ms(session, chromium, plain) for plain in (False, True)}
    yield measured(f"first_person.{name}.disks.cpu_ms", disks[False])
    yield measured(f"first_person.{name}.plain_disks.cpu_ms", disks[True])
    page = _picture_page(chromium)
    _give(page, session.memory.views)
    for case, (scale, most) in CASES.items():
        _resize(page, round(scale * WINDOW["width"]), round(scale * WINDOW["height"]))
        fov = session.memory.views[0].camera.fov[0]
        ms = _frame_ms(lambda fov=fov, most=most: page.evaluate(DRAW, [POSES, fov, most]))
        yield measured(f"first_person.{name}.{case}.cpu_ms", ms)
        yield measured(f"first_person.{name}.{case}.over_disks", ms / disks[False])
        yield measured(f"first_person.{name}.{case}.over_plain_disks", ms / disks[True])
    page.close()


def _frame_ms(draw: Any) -> float:
    """CPU of the browser for one of the FRAMES frames that ``draw`` draws."""
    spent = []
    draw()
    for _ in range(ROUNDS):
        before = browser_seconds()
        draw()
        spent.append(browser_seconds() - before)
    return 1e3 * min(spent) / FRAMES


def _disks_ms(session: Session, chromium: Any, plain: bool) -> float:
    """CPU of viser's page for a frame of the surfels, seen from the middle of the POSES."""
    with redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    try:
        server.scene.world_axes.visible = False
        inject_patch(server.gui)
        page = chromium.new_page(viewport=WINDOW)
        if plain:
            page.add_init_script(WITHOUT_ANTIALIASING)
        page.goto(f"http://127.0.0.1:{server.get_port()}/?fixedDpr=1")
        page.wait_for_function("() => window.__viserMutable?.cameraControl")
        while not server.get_clients():
            time.sleep(0.02)
        client = next(iter(server.get_clients().values()))
        client.scene.set_up_direction("-y")
        surfels = session.memory.surfels
        cloud = SurfelCloud(client.scene, "/surfels")
        cloud.append(surfels.position, surfels.normal, surfels.radius, surfels.color)
        page.wait_for_function(POINTS, arg=len(surfels))
        eyes = _camera(pose_of(np.array([0.0, 0.0, 0.15]), 0.0, 0.0), (SIZE, SIZE))
        client.camera.fov = eyes.fov[0]
        CameraRig(client, print).look_through(eyes)
        page.wait_for_function(AT_DISTANCE, arg=float(eyes.position[2]))
        page.wait_for_timeout(1_000)
        ms = _frame_ms(lambda: page.evaluate(DRAW_DISKS, FRAMES))
        page.close()
        return ms
    finally:
        with redirect_stdout(io.StringIO()):
            server.stop()


def _photo_db(page: Any, session: Session) -> float:
    """The photo's own part of a window that is wider than it."""
    _give(page, session.memory.views)
    _resize(page, 2 * SIZE, SIZE)
    photo = session.memory.views[0]
    seen = _seen(page, photo.camera)
    return _psnr(seen[:, SIZE // 2 : -SIZE // 2], photo.rgb)


def _between(page: Any, session: Session) -> tuple[float, float]:
    """Mean PSNR of the picture, and of the surfels, halfway between the last views of steps."""
    memory = session.memory
    ends = [memory.views[step.n_views - 1] for step in memory.steps]
    world = make_world(0)
    _give(page, ends)
    _resize(page, SIZE, SIZE)
    ours, disks = [], []
    for one, other in pairwise(ends):
        camera = _halfway(one.camera, other.camera)
        truth = render(world, camera).rgb
        ours.append(_psnr(_seen(page, camera), truth))
        drawn = paint_view(rasterize(memory.surfels, camera, "cpu"), memory.surfels.color)
        disks.append(_psnr(drawn, truth))
    return float(np.mean(ours)), float(np.mean(disks))


def _halfway(one: Camera, other: Camera) -> Camera:
    place = (one.position + other.position) / 2
    looks = np.eye(4)
    looks[:3, 2] = one.c2w[:3, 2] + other.c2w[:3, 2]
    looks[:3, 2] /= np.linalg.norm(looks[:3, 2])
    return _camera(pose_of(place, *yaw_pitch(looks)), one.hw)


def _camera(c2w: np.ndarray, hw: tuple[int, int]) -> Camera:
    return Camera(c2w, default_K(hw), hw)


def _psnr(one: U8, other: U8) -> float:
    return float(-10 * np.log10(np.mean((one / 255.0 - other / 255.0) ** 2)))


def _picture_page(chromium: Any) -> Any:
    page = chromium.new_page(viewport=WINDOW)
    page.add_script_tag(content="\n".join(load(name) for name in SCRIPTS[:-1]))
    page.evaluate(SET_UP, {name: load(file) for name, file in SHADERS.items()})
    return page


def _give(page: Any, views: Any) -> None:
    page.evaluate(ADD, [base64.b64encode(view_file(view)).decode() for view in views])


def _resize(page: Any, width: int, height: int) -> None:
    page.evaluate("([width, height]) => picture.resize(width, height)", [width, height])


def _seen(page: Any, camera: Camera) -> U8:
    """What the page draws from a camera's place, its angle over the canvas's height."""
    yaw, pitch = yaw_pitch(camera.c2w)
    pose = {"position": camera.position.tolist(), "yaw": yaw, "pitch": pitch}
    data = page.evaluate(SEE, [pose, camera.fov[0], MOST_VIEWS])
    content = base64.b64decode(data.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
