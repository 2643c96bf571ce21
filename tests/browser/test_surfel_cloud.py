"""Surfels in a real browser: the pixels are those of disks, and no more is sent than must be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import viser
from numpy.typing import NDArray
from playwright.sync_api import Page

from shaders import load
from viewer.page.scripts import run_script
from viewer.scene.surfel_cloud import (
    NORMAL_RADIUS_SUFFIX,
    SurfelCloud,
    inject_patch,
    patch_config,
)
from vmem.arrays import F32

pytestmark = pytest.mark.browser

IDENTITY = (1.0, 0.0, 0.0, 0.0)
FOV = 0.9
SIZE = (240, 320)
RED, GREEN = (220, 30, 10), (10, 200, 40)


def client_of(server: viser.ViserServer) -> viser.ClientHandle:
    deadline = time.monotonic() + 30
    while not server.get_clients():
        assert time.monotonic() < deadline, "no client connected"
        time.sleep(0.02)
    return next(iter(server.get_clients().values()))


@pytest.fixture(scope="module")
def client(shared_viser_server: viser.ViserServer, shared_viser_page: Page) -> viser.ClientHandle:
    """The client behind shared_viser_page, patched."""
    client = client_of(shared_viser_server)
    inject_patch(client.gui)
    return client


@pytest.fixture
def cloud(client: viser.ClientHandle) -> Iterator[SurfelCloud]:
    """An empty cloud with chunks of four."""
    cloud = SurfelCloud(client.scene, "/surfels", chunk_size=4)
    yield cloud
    cloud.remove()


def wait_for_disks(page: Page, count: int) -> None:
    page.wait_for_function(f"() => window.__vmemSurfels?.disks === {count}")
    assert page.evaluate("() => window.__vmemSurfels.error") is None


def picture(client: viser.ClientHandle, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """What a camera at the origin sees along +z: (H, W, 4) u8, alpha 0 where there is nothing."""
    return client.get_render(
        *size,
        wxyz=IDENTITY,
        position=(0.0, 0.0, 0.0),
        fov=FOV,
        transport_format="png",
        timeout=60.0,
    )


def disk(
    position: Any, normal: Any, radius: float, rgb: Any
) -> tuple[F32, F32, F32, NDArray[np.uint8]]:
    """One surfel, twice: the smallest chunk that is drawn as disks."""
    unit = (np.asarray(normal) / np.linalg.norm(normal)).astype(np.float32)
    return (
        np.tile(np.float32(position), (2, 1)),
        np.tile(unit, (2, 1)),
        np.full(2, radius, np.float32),
        np.tile(np.uint8(rgb), (2, 1)),
    )


def exact_mask(position: Any, normal: Any, radius: float, size: tuple[int, int] = SIZE) -> Any:
    """Pixels whose ray meets the disk."""
    height, width = size
    focal = 0.5 * height / np.tan(0.5 * FOV)
    v, u = np.mgrid[:height, :width] + 0.5
    ray = np.stack([(u - width / 2) / focal, (v - height / 2) / focal, np.ones(size)], axis=-1)
    normal = np.asarray(normal) / np.linalg.norm(normal)
    distance = (np.asarray(position) @ normal) / (ray @ normal)
    hit = ray * distance[..., None]
    return (distance > 0) & (np.linalg.norm(hit - position, axis=-1) <= radius)


def test_disks_cover_exactly_the_pixels_whose_rays_meet_them(
    client: viser.ClientHandle, cloud: SurfelCloud, shared_viser_page: Page, artifacts: Path
) -> None:
    cases = [
        ((0.0, 0.0, 2.0), (0.0, 0.0, -1.0), 0.4),
        ((0.3, -0.2, 2.0), (1.0, 0.5, -0.5), 0.4),
        ((-0.5, 0.3, 1.5), (-0.2, 1.0, -0.6), 0.3),
        ((0.4, 0.3, 1.2), (0.7, 0.1, 0.6), 0.25),
    ]
    for index, (position, normal, radius) in enumerate(cases):
        cloud.append(*disk(position, normal, radius, RED))
        wait_for_disks(shared_viser_page, 2)
        image = picture(client)
        imageio.imwrite(artifacts / f"disk_{index}.png", image)
        drawn, expected = image[..., 3] > 0, exact_mask(position, normal, radius)
        assert np.all(image[drawn][:, :3] == RED)
        assert np.sum(drawn ^ expected) <= 0.01 * np.sum(expected) + 2
        cloud.truncate(0)
        wait_for_disks(shared_viser_page, 0)


def test_a_chunk_that_was_out_of_sight_is_drawn_where_its_surfels_are_now(
    client: viser.ClientHandle, cloud: SurfelCloud, shared_viser_page: Page
) -> None:
    # Chunks out of sight are left out by their bounds, which must not outlive what they bound.
    cloud.append(*disk((0, 0, -5), (0, 0, 1), 0.4, RED))
    wait_for_disks(shared_viser_page, 2)
    assert not picture(client)[..., 3].any()
    cloud.truncate(0)
    cloud.append(*disk((0, 0, 2), (0, 0, -1), 0.4, RED))
    wait_for_disks(shared_viser_page, 2)
    drawn, expected = picture(client)[..., 3] > 0, exact_mask((0, 0, 2), (0, 0, -1), 0.4)
    assert np.sum(drawn ^ expected) <= 0.01 * np.sum(expected) + 2
    culled = shared_viser_page.evaluate(
        """() => {
          const found = [];
          window.__viserMutable.nodeRefFromName["/surfels/0000"].traverse((object) => {
            if (object.isPoints) found.push(object.frustumCulled);
          });
          return found;
        }"""
    )
    assert culled == [True]


def test_a_disk_seen_edge_on_is_thin(
    client: viser.ClientHandle, cloud: SurfelCloud, shared_viser_page: Page
) -> None:
    cloud.append(*disk((0, 0, 2), (1, 0, -0.05), 0.4, RED))
    wait_for_disks(shared_viser_page, 2)
    thin = np.sum(picture(client)[..., 3] > 0)
    assert 0 < thin < 0.1 * np.sum(exact_mask((0, 0, 2), (0, 0, -1), 0.4))


def test_the_nearer_part_hides_the_farther(
    client: viser.ClientHandle, cloud: SurfelCloud, shared_viser_page: Page, artifacts: Path
) -> None:
    # The red disk is drawn last and its centre is the farther one, yet it leans through the green
    # one: only true depth in every pixel tells which of the two is in front.
    lean = (1, 0, -1)
    cloud.append(*disk((0, 0, 2), (0, 0, -1), 0.4, GREEN))
    cloud.append(*disk((0, 0, 2.2), lean, 0.6, RED))
    wait_for_disks(shared_viser_page, 4)
    image = picture(client)
    imageio.imwrite(artifacts / "disks_that_cross.png", image)
    height, width = SIZE
    focal = 0.5 * height / np.tan(0.5 * FOV)
    x = (np.arange(width) + 0.5 - width / 2) / focal
    red_depth = 2.2 / (1 - x)
    red_is_nearer = red_depth < 2
    both = exact_mask((0, 0, 2), (0, 0, -1), 0.4) & exact_mask((0, 0, 2.2), lean, 0.6)
    is_red = np.all(image[..., :3] == RED, axis=-1)
    expected = np.broadcast_to(red_is_nearer, SIZE)
    assert 0.1 < np.mean(expected[both]) < 0.9
    assert np.mean(is_red[both] == expected[both]) > 0.98


def test_recolour_sends_colours_only(
    client: viser.ClientHandle,
    cloud: SurfelCloud,
    shared_viser_page: Page,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for x in (-0.5, -0.5, 0.5, 0.5):
        cloud.append(*disk((x, 0, 2), (0, 0, -1), 0.3, RED))
    cloud.tidy()
    wait_for_disks(shared_viser_page, 8)
    before = picture(client)
    sent = []
    connection = client._websock_connection
    queue_message = connection.queue_message
    monkeypatch.setattr(
        connection, "queue_message", lambda message: (sent.append(message), queue_message(message))
    )
    cloud.set_colors(np.repeat(np.array([RED, GREEN], np.uint8), 4, axis=0))
    monkeypatch.undo()
    assert [(message.name, list(message.updates)) for message in sent] == [
        ("/surfels/0001", ["colors"])
    ]
    after = picture(client)
    left, right = np.s_[:, : SIZE[1] // 2], np.s_[:, SIZE[1] // 2 :]
    np.testing.assert_array_equal(before[left], after[left])
    drawn = after[right][..., 3] > 0
    assert np.any(drawn)
    assert np.all(after[right][drawn][:, :3] == GREEN)
    assert shared_viser_page.evaluate("() => window.__vmemSurfels.error") is None


def test_append_and_truncate_reach_the_scene_tree(
    client: viser.ClientHandle, cloud: SurfelCloud, shared_viser_page: Page
) -> None:
    names = """() => Object.keys(window.__viserSceneTree.getState())
        .filter((name) => name.startsWith("/surfels/")).sort()"""
    expected = [f"/surfels/{i:04d}{s}" for i in range(3) for s in ("", NORMAL_RADIUS_SUFFIX)]
    for count in (2, 4, 6, 8, 10):
        cloud.append(*disk((0, 0, 2), (0, 0, -1), 0.3, RED))
        wait_for_disks(shared_viser_page, count)
        cloud.tidy()
        wait_for_disks(shared_viser_page, count)
    assert shared_viser_page.evaluate(names) == expected
    cloud.truncate(7)
    wait_for_disks(shared_viser_page, 7)
    assert shared_viser_page.evaluate(names) == expected[:4]
    assert np.any(picture(client)[..., 3])
    cloud.visible = False
    assert not np.any(picture(client)[..., 3])


def test_size_scale_and_shade(
    client: viser.ClientHandle, cloud: SurfelCloud, shared_viser_page: Page
) -> None:
    position, normal = (0, 0, 2), (1, 0, -1)
    cloud.append(*disk(position, normal, 0.4, RED))
    wait_for_disks(shared_viser_page, 2)
    for size_scale, shade in ((0.5, 1.0), (1.0, 0.0)):
        cloud.size_scale, cloud.shade = size_scale, shade
        image = picture(client)
        drawn, expected = image[..., 3] > 0, exact_mask(position, normal, 0.4 * size_scale)
        assert np.sum(drawn ^ expected) <= 0.02 * np.sum(expected) + 2
        assert np.all(image[drawn][:, 0] < RED[0]) == (shade > 0)


def test_a_cloud_on_the_page(
    client: viser.ClientHandle, cloud: SurfelCloud, shared_viser_page: Page, artifacts: Path
) -> None:
    direction = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    rgb = (127.5 + 127.4 * direction).astype(np.uint8)
    cloud.shade = 0.5
    cloud.append(direction, direction, np.full(400, 0.1, np.float32), rgb)
    wait_for_disks(shared_viser_page, 400)
    with client.atomic():
        client.camera.position, client.camera.look_at = (0, -2.5, 0.6), (0, 0, 0)
    shared_viser_page.wait_for_timeout(500)
    shot = imageio.imread(shared_viser_page.screenshot(path=artifacts / "surfel_cloud.png"))
    assert len(np.unique(shot[..., :3].reshape(-1, 3), axis=0)) > 300
    assert shared_viser_page.evaluate("() => window.__vmemSurfels.error") is None


def test_a_shader_that_fails_leaves_round_points(
    viser_server: viser.ViserServer, viser_page: Page
) -> None:
    client = client_of(viser_server)
    config = patch_config(fragmentShader="this is not GLSL")
    run_script(client.gui, load("surfel_patch.js"), config)
    cloud = SurfelCloud(client.scene, "/surfels")
    cloud.append(*disk((0, 0, 2), (1, 0, -0.05), 0.4, RED))
    viser_page.wait_for_function("() => window.__vmemSurfels?.error")
    image = picture(client)
    drawn, round_point = image[..., 3] > 0, exact_mask((0, 0, 2), (0, 0, -1), 0.4)
    assert np.sum(drawn & round_point) > 0.5 * np.sum(round_point)


def wall(distance: float, side: int = 100) -> tuple[F32, F32, F32, NDArray[np.uint8]]:
    """Disks that overlap, in rows, on a square of one unit that faces the eye."""
    step = 1 / side
    x, y = np.meshgrid((np.arange(side) + 0.5) * step - 0.5, (np.arange(side) + 0.5) * step - 0.5)
    position = np.stack([x.ravel(), y.ravel(), np.full(side * side, distance)], axis=1)
    normal = np.tile(np.array([0, 0, -1], np.float32), (side * side, 1))
    radius = np.full(side * side, 0.75 * step, np.float32)
    return (
        position.astype(np.float32),
        normal,
        radius,
        np.tile(np.array(RED, np.uint8), (side * side, 1)),
    )


DRAWN = """() => {
  let drawn = 0;
  for (const name in window.__viserMutable.nodeRefFromName) {
    if (!/^.surfels.[0-9]+$/.test(name)) continue;
    window.__viserMutable.nodeRefFromName[name].traverse((object) => {
      if (object.isPoints) drawn += object.geometry.drawRange.count;
    });
  }
  return drawn;
}"""


def test_a_slow_page_thins_far_surfels_and_brings_them_back(
    viser_server: viser.ViserServer, viser_page: Page, artifacts: Path
) -> None:
    client = client_of(viser_server)
    config = patch_config(chunkSize=1000, thinFrom=5000, slow=0, quick=-1)  # never quick enough
    run_script(client.gui, load("surfel_patch.js"), config)
    cloud = SurfelCloud(client.scene, "/surfels", chunk_size=1000)
    with client.atomic():
        client.camera.up_direction = (0, -1, 0)
        client.camera.position, client.camera.look_at = (0, 0, 0), (0, 0, 1)

    def settled(condition: str) -> None:
        viser_page.wait_for_function(
            f"""() => {{
              window.__viserMutable.requestRender();
              return window.__vmemSurfels && ({condition})(window.__vmemSurfels);
            }}"""
        )

    def coverage() -> float:
        """Share of the wall that is seen, less its rim."""
        taken = viser_page.screenshot(path=artifacts / "thinned.png")
        shot = np.asarray(imageio.imread(taken))[..., :3]
        h, w = shot.shape[:2]
        half = round(0.45 * 0.5 * h / np.tan(0.5 * client.camera.fov) / 4)
        patch = shot[h // 2 - half : h // 2 + half, w // 2 - half : w // 2 + half].astype(int)
        return float((np.abs(patch - RED).max(axis=-1) < 40).mean())

    few = wall(4.0, 60)
    cloud.append(*few)
    settled("(s) => s.disks === 3600")
    viser_page.wait_for_timeout(300)
    assert viser_page.evaluate("() => window.__vmemSurfels.fullWithin") is None
    cloud.truncate(0)

    cloud.append(*wall(4.0))
    settled("(s) => s.disks === 10000 && s.fullWithin !== null && s.fullWithin < 2")
    viser_page.wait_for_timeout(300)
    assert 100 < viser_page.evaluate(DRAWN) < 4000
    assert coverage() > 0.97
    taken = picture(client)
    assert np.sum(taken[..., 3] > 0) > 0, "a picture for the server"

    viser_page.evaluate(
        "() => Object.assign(window.__vmemSurfels.config, { slow: 1e9, quick: 1e9 })"
    )
    settled("(s) => s.fullWithin === null")
    viser_page.wait_for_timeout(300)
    assert viser_page.evaluate(DRAWN) == 10000
    assert coverage() > 0.99
    assert viser_page.evaluate("() => window.__vmemSurfels.error") is None
