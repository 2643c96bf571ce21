"""The first-person picture's renderer in a real browser: which views it draws, how they come and
go, silhouettes seen from elsewhere, and its resolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from playwright.sync_api import Browser, Page

from tests.support.first_person import drawn, picture_page, send
from vmem.arrays import F32, F64
from vmem.cameras import Camera, default_K
from vmem.types import View

pytestmark = pytest.mark.browser

SIDE = 160
FOV = float(Camera(np.eye(4), default_K((SIDE, SIDE)), (SIDE, SIDE)).fov[0])
ASPECT = 16 / 9
RED, BLUE = np.array([220, 40, 30]), np.array([20, 60, 210])


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    page = picture_page(browser, SIDE)
    yield page
    page.close()


def unit(yaw: float) -> list[float]:
    return [float(np.sin(yaw)), 0.0, float(np.cos(yaw))]


def look(position: Any, yaw: float) -> dict[str, list[float]]:
    """A level walker's eye."""
    ahead = unit(yaw)
    right = [ahead[2], 0.0, -ahead[0]]
    return {"position": list(position), "right": right, "down": [0.0, 1.0, 0.0], "ahead": ahead}


def suitable(page: Page, views: list, eye: dict, most: int, kept: list[int] = []) -> list[int]:  # noqa: B006
    """Numbers of the views that the page's selection finds."""
    rows = [{"id": i, "from": list(p), "ahead": unit(yaw)} for i, (p, yaw) in enumerate(views)]
    call = "([v, e, f, a, m, k]) => suitable(v, e, f, a, m, new Set(k)).map(({id}) => id)"
    return page.evaluate(call, [rows, eye, FOV, ASPECT, most, kept])


def slowly_suitable(views: list, eye: dict, most: int) -> list[int]:
    """Oracle: in order, the view with the largest sum of what it adds over 9 x 5 x 3 points."""
    x, y = (2 * np.arange(9) + 1) / 9 - 1, (2 * np.arange(5) + 1) / 5 - 1
    grid = np.stack(np.meshgrid(x * ASPECT, y, indexing="ij"), -1).reshape(-1, 2)
    grid = np.column_stack([grid * np.tan(FOV / 2), np.ones(len(grid))])
    axes = np.array([eye["right"], eye["down"], eye["ahead"]])
    seen = np.concatenate([d * grid @ axes for d in (0.5, 1.2, 4)])
    suits = np.zeros((len(views), len(seen)))
    for i, (place, yaw) in enumerate(views):
        own = seen + eye["position"] - place
        ahead = np.array(unit(yaw))
        depth, across, down = own @ ahead, own @ [ahead[2], 0, -ahead[0]], own[:, 1]
        edge = 1 - np.maximum(np.abs(across), np.abs(down)) / (0.51 * depth)
        near, far = (seen**2).sum(1), (own**2).sum(1)
        side = 1 - np.maximum(0, (own * seen).sum(1)) ** 2 / (near * far)
        apart = ((np.array(eye["position"]) - place) ** 2).sum() / near
        fine = np.clip(near / far, 0.02, 1) / (1 + 400 * side**2 + 20 * side + 100 * apart)
        suits[i] = np.where((depth > 0) & (edge > 0), np.minimum(1, 8 * edge) * fine, 0)
    found, best = [], np.zeros(len(seen))
    while len(found) < most:
        gain = np.maximum(0, suits - best).sum(1)
        if gain.max() <= 0.004 * len(seen):
            break
        found.append(int(gain.argmax()))
        best = np.maximum(best, suits[found[-1]])
    return found


@pytest.mark.parametrize("seed", range(5))
def test_views_are_chosen_as_a_slow_search_does(page, seed):
    rng = np.random.default_rng(seed)
    places = rng.uniform(-0.6, 0.6, (40, 3)) * [1, 0.1, 1]
    views = list(zip(places.tolist(), rng.uniform(-1.5, 1.5, 40), strict=True))
    eye = look(rng.uniform(-0.3, 0.3, 3) * [1, 0.1, 1], rng.uniform(-1, 1))
    expected = slowly_suitable(views, eye, 5)
    assert len(expected) > 1
    assert suitable(page, views, eye, 5) == expected


def test_views_that_are_alike_count_once_and_the_sides_are_filled(page):
    alike = [([0.005 * i, 0.0, 0.01 * i], 0.0) for i in range(20)]
    sides = [([0.0, 0.0, 0.0], -0.7), ([0.0, 0.0, 0.0], 0.7)]
    found = suitable(page, alike + sides, look([0.02, 0, 0.03], 0.0), 4)
    assert {20, 21} < set(found)
    assert sum(i < 20 for i in found) < 3


def test_something_is_drawn_even_where_nothing_suits(page):
    views = [([0.0, 0.0, 0.0], 0.0), ([0.0, 0.0, -3.0], 0.0)]
    assert suitable(page, views, look([0, 0, 0], np.pi), 4) == [0]
    assert suitable(page, [], look([0, 0, 0], 0.0), 4) == []


def test_the_set_does_not_flicker_about_a_place(page):
    """Where two views are about as good, a tremble of the head must not swap them."""
    views = [([-0.1, 0.0, 0.0], 0.0), ([0.1, 0.0, 0.0], 0.0)]
    left, right = look([-1e-3, 0, 0], 0.0), look([1e-3, 0, 0], 0.0)
    assert suitable(page, views, left, 1) != suitable(page, views, right, 1)
    kept = suitable(page, views, left, 1)
    assert suitable(page, views, right, 1, kept) == kept
    far = look([0.1, 0, 0], 0.0)
    assert suitable(page, views, far, 1, kept) == [1]


def test_views_fade_in_and_out_and_rest(page):
    """Shares go up and down with time, whatever the rate of frames; the first is there at once."""
    got: Any = page.evaluate(
        """() => {
          const p = Object.create(Picture.prototype);
          p.views = new Map([..."ab"].map((id) => [id, { id, share: 0 }]));
          p.before = -Infinity;
          const shares = [];
          const at = (now, ...chosen) => {
            p.chosen = new Set(chosen);
            const drawn = p.faded(now).map((v) => v.id).join("");
            shares.push([p.views.get("a").share, p.views.get("b").share, p.fading, drawn]);
          };
          at(0, "a"); at(16, "a", "b"); at(116, "b"); at(216, "b"); at(716, "b");
          return shares;
        }"""
    )
    shares = np.array([row[:2] for row in got])
    wanted = [[1, 0], [1, 0.04], [0.75, 0.29], [0.5, 0.54], [0, 1]]
    assert_allclose(shares, wanted, atol=1e-9)
    assert [row[2:] for row in got] == [
        [False, "a"], [True, "ab"], [True, "ab"], [True, "ab"], [False, "b"],
    ]  # fmt: skip


def square_before_wall(soft: float = 0.0) -> View:
    """A red square at depth 1 in the middle, a blue wall at 2.5; ``soft``: sigma of the edge."""
    inside = np.zeros((SIDE, SIDE), bool)
    inside[50:110, 50:110] = True
    inverse: F64 = np.where(inside, 1.0, 0.4)
    if soft:
        inverse = np.asarray(cv2.GaussianBlur(inverse, (0, 0), soft), np.float64)
    rgb = np.where(inside[..., None], RED, BLUE).astype(np.uint8)
    depth: F32 = (1 / inverse).astype(np.float32)
    camera = Camera(np.eye(4), default_K((SIDE, SIDE)), (SIDE, SIDE))
    return View(rgb, camera, 0, depth, np.ones_like(depth))


@pytest.mark.parametrize("soft", [0.0, 0.8])
def test_silhouettes_are_clean_from_elsewhere(page, soft):
    """From the side the square keeps its size, the gap is filled as the wall is, and hardly any
    pixel is of neither: with edges of exact depth and of depth that was estimated."""
    send(page, [square_before_wall(soft)])
    page.evaluate("() => Object.assign(walker, {position: [0.15, 0, 0], yaw: 0, pitch: 0})")
    seen = drawn(page, f"picture.draw(walker.eye, {FOV}, 4, 0)").astype(int)
    known = seen[10:-10, 10:-45]  # right of it the wall is out of the view's frame
    red = np.abs(known - RED).max(-1) < 45
    blue = np.abs(known - BLUE).max(-1) < 45
    assert (red | blue).mean() > 0.975
    assert 58 <= np.median(red.sum(1)[50:90]) <= 64
    assert 56**2 < red.sum() < 64**2


def test_a_large_slanted_wall_is_not_bent(page):
    """Two triangles, depth from 0.7 to 5: from the view's own place each stripe is where it was."""
    column = np.arange(SIDE)
    depth = np.broadcast_to(1 / np.linspace(0.2, 1.4, SIDE), (SIDE, SIDE)).astype(np.float32)
    stripes = np.where(column // 8 % 2, 230, 30).astype(np.uint8)
    rgb = np.broadcast_to(stripes[None, :, None], (SIDE, SIDE, 3)).copy()
    camera = Camera(np.eye(4), default_K((SIDE, SIDE)), (SIDE, SIDE))
    send(page, [View(rgb, camera, 0, depth, np.ones_like(depth))])
    page.evaluate("() => Object.assign(walker, {position: [0, 0, 0], yaw: 0, pitch: 0})")
    seen = drawn(page, f"picture.draw(walker.eye, {FOV}, 4, 0)").astype(int)
    assert np.abs(seen[4:-4, 4:-4] - rgb[4:-4, 4:-4]).mean() < 6


RESOLUTION = """(cases) => cases.map(([cost, fixed, seed]) => {
  // A machine that draws a whole frame in `cost` ms, and everything else in `fixed`; ten minutes.
  // With an odd seed it is eight times slower for ten seconds in twenty: something else runs on it.
  const resolution = new Resolution();
  let [state, now, changes, last] = [seed, 0, [], resolution.scale];
  const random = () => (state = (state * 16807) % 2147483647) / 2147483647;
  while (now < 600e3) {
    const other = seed % 2 && Math.floor(now / 10e3) % 2 ? 8 : 1;
    const busy = other * (0.9 + 0.2 * random()) * (fixed + cost * resolution.scale ** 2);
    const ms = Math.ceil(busy / 16.7) * 16.7;
    resolution.moved(ms);
    now += ms;
    if (resolution.scale !== last) changes.push(now);
    last = resolution.scale;
  }
  return [changes, resolution.scale];
})"""


def test_the_resolution_settles_whatever_the_machine(page):
    """Ten minutes of walking on many machines: few changes, ever rarer, and what suits them."""
    rng = np.random.default_rng(0)
    machines = [[float(rng.uniform(1, 250)), float(rng.uniform(0, 30)), 1 + i] for i in range(12)]
    machines += [[2.0, 1.0, 98], [2000.0, 5.0, 98], [9.0, 2.0, 99]]
    for (cost, fixed, seed), (changes, scale) in zip(
        machines, page.evaluate(RESOLUTION, machines), strict=True
    ):
        assert len(changes) < 36, (cost, fixed)
        assert sum(at > 300e3 for at in changes) <= 4, (cost, fixed)
        if 1.1 * (cost + fixed) < 16 and seed % 2 == 0:
            assert scale == 1
        if cost * 0.25 > 60:
            assert scale == 0.35


def test_at_rest_the_whole_resolution_is_drawn_once(page):
    got: Any = page.evaluate(
        """() => {
          const r = new Resolution(0);
          const said = [];
          const rest = (n) => { for (let i = 0; i < n; i++) said.push([r.rested(50), r.scale]); };
          r.moved(20); rest(8);
          r.moved(20); said.push([null, r.scale]);
          return said;
        }"""
    )
    assert [scale for _, scale in got] == [0.35] * 4 + [1] * 4 + [0.35]
    assert [again for again, _ in got] == [False] * 4 + [True] + [False] * 3 + [None]


def test_frames_wait_only_while_he_moves_on_a_page_that_cannot_keep_up(page):
    got: Any = page.evaluate(
        """() => [0, 1].map((level) => {
          const r = new Resolution(level);
          r.moved(20);
          const moving = [r.holds(50), r.holds(200)];
          r.rested(300);
          return [...moving, r.holds(50)];
        })"""
    )
    assert got == [[True, False, False], [False, False, False]]
