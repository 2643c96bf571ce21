"""Surfels in a real browser: the pixels are those of disks, and no more is sent than must be."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import viser
from numpy.typing import NDArray
from playwright.sync_api import Page

from shaders import load
from viewer.inject import run_script
from viewer.surfel_cloud import NORMAL_RADIUS_SUFFIX, SurfelCloud, inject_patch

pytestmark = pytest.mark.browser

IDENTITY = (1.0, 0.0, 0.0, 0.0)
FOV = 0.9
SIZE = (240, 320)
RED, GREEN = (220, 30, 10), (10, 200, 40)

F32 = NDArray[np.float32]


def client_of(server: viser.ViserServer) -> viser.ClientHandle:
    deadline = time.monotonic() + 30
    while not server.get_clients():
        assert time.monotonic() < deadline, "no client connected"
        time.sleep(0.02)
    return next(iter(server.get_clients().values()))


def wait_for_disks(page: Page, count: int) -> None:
    page.wait_for_function(f"() => window.__vmemSurfels?.disks === {count}")
    assert page.evaluate("() => window.__vmemSurfels.error") is None


def picture(client: viser.ClientHandle, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """What a camera at the origin that looks along +z sees: (H, W, 4) u8, nothing is transparent."""
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
    unit = np.asarray(normal, np.float32) / np.linalg.norm(normal)
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
    viser_server: viser.ViserServer, viser_page: Page, artifacts: Path
) -> None:
    client = client_of(viser_server)
    inject_patch(client.gui)
    cases = [
        ((0.0, 0.0, 2.0), (0.0, 0.0, -1.0), 0.4),
        ((0.3, -0.2, 2.0), (1.0, 0.5, -0.5), 0.4),
        ((-0.5, 0.3, 1.5), (-0.2, 1.0, -0.6), 0.3),
        ((0.4, 0.3, 1.2), (0.7, 0.1, 0.6), 0.25),
    ]
    for index, (position, normal, radius) in enumerate(cases):
        cloud = SurfelCloud(client.scene, "/surfels")
        cloud.append(*disk(position, normal, radius, RED))
        wait_for_disks(viser_page, 2)
        image = picture(client)
        imageio.imwrite(artifacts / f"disk_{index}.png", image)
        drawn, expected = image[..., 3] > 0, exact_mask(position, normal, radius)
        assert np.all(image[drawn][:, :3] == RED)
        assert np.sum(drawn ^ expected) <= 0.01 * np.sum(expected) + 2
        cloud.remove()
        wait_for_disks(viser_page, 0)


def test_edge_on_disks_are_thin_and_near_ones_hide_far_ones(
    viser_server: viser.ViserServer, viser_page: Page
) -> None:
    client = client_of(viser_server)
    inject_patch(client.gui)
    cloud = SurfelCloud(client.scene, "/surfels")
    cloud.append(*disk((0, 0, 2), (1, 0, -0.05), 0.4, RED))
    wait_for_disks(viser_page, 2)
    thin = np.sum(picture(client)[..., 3] > 0)
    cloud.truncate(0)
    # The near disk is sent first, so that only depth can put it in front. The far one is tilted
    # and its centre is farther, yet its nearer half reaches in front of the near disk.
    cloud.append(*disk((0, 0, 2), (0, 0, -1), 0.4, GREEN))
    cloud.append(*disk((0, 0, 2.2), (1, 0, -1), 0.6, RED))
    wait_for_disks(viser_page, 4)
    image = picture(client)
    green = np.all(image[..., :3] == GREEN, axis=-1) & (image[..., 3] > 0)
    assert 0 < thin < 0.1 * np.sum(exact_mask((0, 0, 2), (0, 0, -1), 0.4))
    height, width = SIZE
    focal = 0.5 * height / np.tan(0.5 * FOV)
    for x in (-0.35, -0.3, -0.1, 0.0, 0.1, 0.3, 0.35):
        column = int(width / 2 + focal * x / 2)
        # Along this ray, (x, 0, 2) s, the tilted plane x = z - 2.2 is met at s = 2.2 / (2 - x).
        tilted = 2.2 / (2 - x)
        assert green[height // 2, column] == (tilted > 1 or abs(tilted * x) * 2**0.5 > 0.6)


def test_recolour_sends_colours_only(
    viser_server: viser.ViserServer,
    viser_page: Page,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = client_of(viser_server)
    inject_patch(client.gui)
    cloud = SurfelCloud(client.scene, "/surfels", chunk_size=2)
    cloud.append(*disk((-0.5, 0, 2), (0, 0, -1), 0.3, RED))
    cloud.append(*disk((0.5, 0, 2), (0, 0, -1), 0.3, RED))
    wait_for_disks(viser_page, 4)
    before = picture(client)
    sent = []
    connection = client._websock_connection
    queue_message = connection.queue_message
    monkeypatch.setattr(
        connection, "queue_message", lambda message: (sent.append(message), queue_message(message))
    )
    cloud.set_colors(np.uint8([RED, RED, GREEN, GREEN]))
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
    assert viser_page.evaluate("() => window.__vmemSurfels.error") is None


def test_append_and_truncate_reach_the_scene_tree(
    viser_server: viser.ViserServer, viser_page: Page
) -> None:
    client = client_of(viser_server)
    inject_patch(client.gui)
    cloud = SurfelCloud(client.scene, "/surfels", chunk_size=4)
    for count in (2, 4, 6, 8, 10):
        cloud.append(*disk((0, 0, 2), (0, 0, -1), 0.3, RED))
        wait_for_disks(viser_page, count)
    names = """() => Object.keys(window.__viserSceneTree.getState())
        .filter((name) => name.startsWith("/surfels/")).sort()"""
    expected = [f"/surfels/{i:04d}{s}" for i in range(3) for s in ("", NORMAL_RADIUS_SUFFIX)]
    assert viser_page.evaluate(names) == expected
    cloud.truncate(7)
    wait_for_disks(viser_page, 7)
    assert viser_page.evaluate(names) == expected[:4]
    cloud.visible = False
    viser_page.wait_for_function(
        "() => window.__viserSceneTree.getState()['/surfels'].visibility === false"
    )
    assert not np.any(picture(client)[..., 3])


def test_size_scale_and_shade(viser_server: viser.ViserServer, viser_page: Page) -> None:
    client = client_of(viser_server)
    inject_patch(client.gui)
    cloud = SurfelCloud(client.scene, "/surfels", size_scale=0.5, shade=1.0)
    cloud.append(*disk((0, 0, 2), (1, 0, -1), 0.4, RED))
    wait_for_disks(viser_page, 2)
    image = picture(client)
    drawn, expected = image[..., 3] > 0, exact_mask((0, 0, 2), (1, 0, -1), 0.2)
    assert np.sum(drawn ^ expected) <= 0.02 * np.sum(expected) + 2
    assert np.all(image[drawn][:, 0] < RED[0])
    cloud.size_scale, cloud.shade = 1.0, 0.0
    page_has = "() => window.__viserSceneTree.getState()['/surfels'].message.props.axes_length == 1"
    viser_page.wait_for_function(page_has)
    image = picture(client)
    drawn, expected = image[..., 3] > 0, exact_mask((0, 0, 2), (1, 0, -1), 0.4)
    assert np.sum(drawn ^ expected) <= 0.01 * np.sum(expected) + 2
    assert np.all(image[drawn][:, :3] == RED)


def test_a_shader_that_fails_leaves_round_points(
    viser_server: viser.ViserServer, viser_page: Page
) -> None:
    client = client_of(viser_server)
    config = {
        "vertexShader": load("surfel.vert.glsl"),
        "fragmentShader": "this is not GLSL",
        "suffix": NORMAL_RADIUS_SUFFIX,
    }
    run_script(client.gui, load("surfel_patch.js"), config)
    cloud = SurfelCloud(client.scene, "/surfels")
    cloud.append(*disk((0, 0, 2), (1, 0, -0.05), 0.4, RED))
    viser_page.wait_for_function("() => window.__vmemSurfels?.error")
    image = picture(client)
    drawn, round_point = image[..., 3] > 0, exact_mask((0, 0, 2), (0, 0, -1), 0.4)
    assert np.sum(drawn & round_point) > 0.5 * np.sum(round_point)


def test_a_cloud_on_the_page(
    viser_server: viser.ViserServer, viser_page: Page, artifacts: Path
) -> None:
    client = client_of(viser_server)
    inject_patch(client.gui)
    direction = np.random.default_rng(0).normal(size=(3000, 3)).astype(np.float32)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    rgb = np.uint8(127.5 + 127.4 * direction)
    cloud = SurfelCloud(client.scene, "/surfels", chunk_size=1024, shade=0.5)
    cloud.append(direction, direction, np.full(3000, 0.04, np.float32), rgb)
    wait_for_disks(viser_page, 3000)
    with client.atomic():
        client.camera.position, client.camera.look_at = (0, -2.5, 0.6), (0, 0, 0)
    viser_page.wait_for_timeout(500)
    shot = imageio.imread(viser_page.screenshot(path=artifacts / "surfel_cloud.png"))
    assert len(np.unique(shot[..., :3].reshape(-1, 3), axis=0)) > 500
    assert viser_page.evaluate("() => window.__vmemSurfels.error") is None
