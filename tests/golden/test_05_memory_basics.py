"""Surfels, merging, octree, drawing and votes equal what the published code computed."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.golden.packs import assert_close, assert_poses_close
from vmem.published.grid import HashGridMerge
from vmem.published.merge import merge_reference
from vmem.published.octree import Octree
from vmem.published.poses import average_pose, geodesic_distance
from vmem.published.render import QueryCamera, render_reference
from vmem.published.render_fast import render_polygons
from vmem.published.surfels import (
    Disks,
    disks_from_pointmap,
    downsample,
    normal_map,
    valid_pixels,
)
from vmem.published.votes import frame_distribution, gather_votes
from vmem.types import SurfelBuffers

PACKS = "05_memory"
TOLERANCE = 1e-5


def count(pack, pattern: str) -> int:
    """How many tensors have a name like ``f{i}.pointmap``, from 0 on."""
    found = {int(m[1]) for name in pack.tensors if (m := re.fullmatch(pattern, name))}
    assert found, f"nothing like {pattern} in this pack"
    return max(found) + 1


def lists(padded) -> list[list[int]]:
    return [[t for t in row if t >= 0] for row in padded.tolist()]


def frames_of(pack) -> list[Disks]:
    """The published surfels of every frame."""
    parts = ("position", "normal", "radius")
    n = count(pack, r"f(\d+)\.pointmap")
    return [Disks(*(pack[f"f{i}.surfel.{part}"] for part in parts)) for i in range(n)]


def scene_of(pack) -> Disks:
    return Disks(pack["scene.position"], pack["scene.normal"], pack["scene.radius"])


def test_downsample(pack):
    small = downsample(pack["down.depth_full"], pack.published_config().shrink_factor)
    assert_close(small, pack["down.depth"], TOLERANCE)


def test_normals(pack):
    for i in range(count(pack, r"f(\d+)\.pointmap")):
        normal = normal_map(pack[f"f{i}.pointmap"])
        assert_close(normal, pack[f"f{i}.normal_map"], TOLERANCE)


def test_degenerate_normals(pack):
    normal = normal_map(pack["degenerate.pointmap"])
    assert_close(normal, pack["degenerate.normal_map"], TOLERANCE)


def test_surfels(pack):
    config = pack.published_config()
    for i, published in enumerate(frames_of(pack)):
        points, depth, conf = (pack[f"f{i}.{name}"] for name in ("pointmap", "depth", "conf"))
        eye, focal = pack[f"f{i}.c2w"][:3, 3], pack[f"f{i}.focal"]
        mask = pack[f"f{i}.surfel.valid_mask"]
        np.testing.assert_array_equal(valid_pixels(depth, conf, config), mask)
        ours = disks_from_pointmap(points, depth, conf, eye, focal, config)
        for part in ("position", "normal", "radius"):
            got, expected = getattr(ours, part), getattr(published, part)
            assert_close(got, expected, TOLERANCE)


@pytest.mark.parametrize("way", ["octree", "grid"])
def test_merge(pack, way):
    """Frame by frame: threshold, what is kept, and who is credited."""
    threshold = pack.published_config().merge_normal_threshold
    first, *rest = frames_of(pack)
    scene, timesteps = first, [[0] for _ in range(len(first))]
    assert timesteps == lists(pack["merge0.timesteps"])
    grid = HashGridMerge(threshold)
    grid.merge(first)
    for i, new in enumerate(rest, 1):
        by_octree, by_grid = merge_reference(scene, new, threshold), grid.merge(new)
        np.testing.assert_array_equal(by_grid.credited, by_octree.credited)
        merge = by_grid if way == "grid" else by_octree
        np.testing.assert_allclose(merge.threshold, pack[f"merge{i}.pos_threshold"], rtol=TOLERANCE)
        np.testing.assert_array_equal(merge.kept, pack[f"merge{i}.kept"])
        for surfel in merge.credited[merge.credited >= 0]:
            if i not in timesteps[surfel]:
                timesteps[surfel].append(i)
        timesteps += [[i] for _ in merge.kept]
        assert timesteps == lists(pack[f"merge{i}.timesteps"])
        scene = Disks.concatenate([scene, new[merge.kept]])
    np.testing.assert_array_equal(scene.position, pack["scene.position"])


def test_octree_order(pack):
    tree = Octree.build(pack["scene.position"])
    results = [name for name in pack.tensors if name.startswith("octree.result_r")]
    assert results
    for name in results:
        radius = np.float32(name.removeprefix("octree.result_r"))
        found = [tree.query(at, radius) for at in pack["octree.query"]]
        assert found == lists(pack[name])


def camera_of(pack, i: int) -> QueryCamera:
    (fx, fy), (w, h) = pack[f"render{i}.focal"], pack[f"render{i}.size_wh"].tolist()
    return QueryCamera(pack[f"render{i}.c2w"], fx, fy, w / 2, h / 2, w, h)


def check_drawing(pack, i: int, buffers: SurfelBuffers) -> None:
    np.testing.assert_array_equal(buffers.index, pack[f"render{i}.index"])
    assert_close(buffers.depth, pack[f"render{i}.depth"], TOLERANCE)
    assert_close(buffers.cosine, pack[f"render{i}.cos"], TOLERANCE)


def test_drawing_and_votes(pack):
    scene = scene_of(pack)
    last = max(int(m[1]) for n in pack.tensors if (m := re.fullmatch(r"merge(\d+)\.timesteps", n)))
    timesteps = lists(pack[f"merge{last}.timesteps"])
    for i in range(count(pack, r"render(\d+)\.index")):
        buffers = render_polygons(scene, camera_of(pack, i))
        check_drawing(pack, i, buffers)
        votes = gather_votes(buffers, timesteps)
        np.testing.assert_array_equal(votes.timestep, pack[f"render{i}.votes.timestep"])
        np.testing.assert_array_equal(votes.count, pack[f"render{i}.votes.count"])
        assert_close(votes.weight, pack[f"render{i}.votes.weight"], TOLERANCE)


def test_slow_drawing(pack):
    """Pixel by pixel in Python, the smallest image of the pack."""
    smallest = min(
        range(count(pack, r"render(\d+)\.index")), key=lambda i: pack[f"render{i}.index"].size
    )
    buffers = render_reference(scene_of(pack), camera_of(pack, smallest))
    check_drawing(pack, smallest, buffers)


def test_distribution(pack):
    for i in range(count(pack, r"dist(\d+)\.ratios")):
        said = pack.meaning(f"dist{i}.ratios") + "; " + pack.meaning(f"dist{i}.result")
        n = re.search(r"(?:n\s*=\s*|frame_distribution\()(\d+)", said)
        if n is None:
            pytest.skip("the manifest does not say how many frames were distributed")
        result = frame_distribution(int(n[1]), pack[f"dist{i}.ratios"])
        np.testing.assert_array_equal(result, pack[f"dist{i}.result"])


def test_geodesic_distance(pack):
    names = [name for name in pack.tensors if name.startswith("geo.w")]
    assert names
    for name in names:
        weight = float(name.removeprefix("geo.w"))
        distance = geodesic_distance(pack["geo.a"], pack["geo.b"], weight)
        assert_close(distance, pack[name], TOLERANCE)


def test_average_pose(pack):
    for i in range(count(pack, r"avg(\d+)\.poses")):
        average = average_pose(pack[f"avg{i}.poses"])
        assert_poses_close(average, pack[f"avg{i}.out"], TOLERANCE)
