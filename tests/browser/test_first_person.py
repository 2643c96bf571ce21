"""The first-person picture's scripts in a real browser, without viser: files read back, walls kept
clear of, views drawn where they belong."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image
from playwright.sync_api import Browser, Page

import vmem
from tests.support.first_person import READ, drawn, picture_page, send
from viewer.first_person.depth_mesh import depth_mesh, triangles
from viewer.first_person.solids import Solids
from viewer.first_person.view_file import view_file
from vmem.cameras import Camera, default_K, pixel_rays
from vmem.session import Session
from vmem.types import View

pytestmark = pytest.mark.browser

SIDE = 192


@pytest.fixture(scope="module")
def blank(browser: Browser) -> Iterator[Page]:
    """A page with the scripts and a square canvas, and nothing else."""
    page = picture_page(browser, SIDE)
    yield page
    page.close()


@pytest.fixture(scope="module")
def walked() -> Session:
    """Two steps into the exact procedural scene."""
    session = vmem.open(None, backend="world", seed=0, size=SIDE)
    for _ in session.walk("w a"):
        pass
    return session


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((one / 255.0 - other / 255.0) ** 2)))


def test_a_file_is_read_back_as_it_was_written(blank: Page, walked: Session) -> None:
    view = walked.memory.views[-1]
    content = view_file(view)
    assert len(content) < 14_000
    got: Any = blank.evaluate(
        f"async (text) => {{ const v = await ({READ})(text); return [v.id, v.K, v.c2w, "
        "[...v.mesh.vertices], v.mesh.details.map((d) => [[...d.corners], d.solid, d.sheet]), "
        "v.picture.width]; }",
        base64.b64encode(content).decode(),
    )
    mesh = depth_mesh(np.asarray(view.depth))
    points = len(mesh.inverse)
    vertices = np.array(got[3]).reshape(-1, 6)
    rows, columns = np.nonzero(mesh.used)
    last = len(mesh.used) - 1
    assert_allclose(vertices[:points, :2], np.column_stack([columns, rows]) / last, atol=1e-6)
    assert_allclose(vertices[:points, 2], mesh.inverse, atol=mesh.inverse.max() / 65535)
    assert_allclose(vertices[:points, 4:], vertices[:points, :2])
    number = np.cumsum(mesh.used.ravel()) - 1
    wanted = number[triangles(mesh.used)]
    corners, solid, sheet = got[4][0]
    made = np.array(corners).reshape(-1, 3)
    whole = made[(made < points).all(axis=1)]
    known = set(map(tuple, wanted.tolist()))
    assert set(map(tuple, whole.tolist())) <= known
    # Each that is torn has two halves and a sheet.
    assert len(corners) == solid + sheet
    assert solid // 3 == len(wanted) + sheet // 3
    assert 0 < sheet // 3 < len(wanted) / 2
    assert got[0] == f"{view.id.node}.{view.id.number}" if view.id else None
    assert_allclose(np.array(got[2]).reshape(4, 4).T, view.camera.c2w)
    assert got[5] == SIDE


def test_at_a_views_own_place_it_is_that_view(blank: Page, walked: Session) -> None:
    send(blank, walked.memory.views[:1])
    fov = walked.memory.views[0].camera.fov[0]
    blank.evaluate("() => Object.assign(walker, {position: [0, 0, 0], yaw: 0, pitch: 0})")
    seen = drawn(blank, f"picture.draw(walker.eye, {fov}, 4, 0)")
    inside = slice(3, -3)
    assert psnr(seen[inside, inside], walked.memory.views[0].rgb[inside, inside]) > 30


def test_a_slanted_floor_at_its_views_own_place_is_that_view(blank: Page) -> None:
    """Few large triangles, near at one end and far at the other: their colours do not slide."""
    noise = np.random.default_rng(0).uniform(0, 255, (24, 24, 3)).astype(np.uint8)
    rgb = np.asarray(Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    camera = Camera(np.eye(4), default_K((SIDE, SIDE)), (SIDE, SIDE))
    down = pixel_rays(camera)[..., 1]
    depth = (1 / np.maximum(down + 0.55, 0.02)).astype(np.float32)
    send(blank, [View(rgb, camera, 0, depth, np.ones_like(depth))])
    blank.evaluate("() => Object.assign(walker, {position: [0, 0, 0], yaw: 0, pitch: 0})")
    seen = drawn(blank, f"picture.draw(walker.eye, {camera.fov[0]}, 4, 0)")
    inside = slice(3, -3)
    assert psnr(seen[inside, inside], rgb[inside, inside]) > 30


def test_between_two_views_it_is_near_to_the_truth(blank: Page, walked: Session) -> None:
    """Half a step from the photo, drawn from the photo and the views of the step."""
    send(blank, walked.memory.views[:5])
    views = walked.memory.views
    blank.evaluate(
        "(place) => Object.assign(walker, {position: place, yaw: 0, pitch: 0})",
        list(views[2].camera.position),
    )
    seen = drawn(blank, f"picture.draw(walker.eye, {views[2].camera.fov[0]}, 4, 0)")
    middle = slice(SIDE // 8, -SIDE // 8)
    assert psnr(seen[middle, middle], views[2].rgb[middle, middle]) > 26


def test_the_walker_keeps_clear_of_walls_and_slides(blank: Page, walked: Session) -> None:
    """Random pushes for many frames: never nearer than the clearance, but not stuck either."""
    points = Solids().added(walked.memory.surfels.position)
    got: Any = blank.evaluate(
        """(flat) => {
          const solids = new Solids(0.1);
          solids.add(Float32Array.from(flat));
          const w = new Walker();
          let seed = 1;
          const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
          let wish, nearest = 9, gone = 0;
          for (let i = 0; i < 600; i++) {
            if (i % 60 === 0) {
              w.look(random() * 6, 0);
              wish = { ahead: 1, right: random() - 0.5, up: 0, turn: 0, tilt: 0, pace: 1 };
            }
            const before = w.position;
            w.advance(1 / 30, wish, solids, 0);
            gone += Math.hypot(...w.position.map((x, k) => x - before[k]));
            const met = solids.nearest(w.position, 0.5);
            if (met) nearest = Math.min(nearest, met[0]);
          }
          return [nearest, gone, w.position];
        }""",
        points.ravel().tolist(),
    )
    assert got[0] >= 0.1 - 1e-6
    assert got[1] > 1.0


def test_a_mouse_look_turns_about_the_eye(blank: Page) -> None:
    got: Any = blank.evaluate(
        """() => {
          const w = new Walker();
          w.position = [0.3, -0.1, 0.7];
          w.look(0.4, -0.2);
          w.look(7, 9);
          return [w.position, w.yaw, w.pitch, w.eye];
        }"""
    )
    assert got[0] == [0.3, -0.1, 0.7]
    assert -np.pi <= got[1] <= np.pi
    assert got[2] == 1.4
    axes = np.array([got[3][axis] for axis in ("right", "down", "ahead")])
    assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    assert_allclose(np.cross(axes[0], axes[1]), axes[2], atol=1e-9)


def test_home_is_reached_smoothly_and_exactly(blank: Page) -> None:
    got: Any = blank.evaluate(
        """() => {
          const w = new Walker(), rest = { ahead: 0, right: 0, up: 0, turn: 0, tilt: 0, pace: 1 };
          w.place({ position: [1, 0, 2], yaw: 3, pitch: 0.5 }, 0, 0);
          w.place({ position: [0, 0, 0], yaw: -3, pitch: 0 }, 1, 0);
          const places = [];
          for (let t = 0; t <= 1100; t += 100) {
            w.advance(0.1, rest, null, t);
            places.push([...w.position, w.yaw]);
          }
          return [places, w.glide];
        }"""
    )
    places = np.array(got[0])
    assert_allclose(places[-1, :3], 0)
    assert_allclose(places[-1, 3], -3)
    assert np.abs(np.diff(places[:, 2])).max() < 0.4
    assert np.abs(places[:, 3]).min() > 2.9  # the short way round, through pi
    assert got[1] is None
