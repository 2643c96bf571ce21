"""Surfel clouds without a browser: the encoding, and which chunks are sent when."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import viser
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from viewer.scene.surfel_cloud import (
    CHUNK_SIZE,
    LONGEST_TAIL,
    NORMAL_RADIUS_SUFFIX,
    TAIL,
    SurfelCloud,
    chunks_to_merge,
    decode_octahedral,
    encode_octahedral,
)

CHUNK = 4
finite = st.floats(-1, 1, width=32)


@given(st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=20))
def test_octahedral_round_trip(vectors: list[tuple[float, float, float]]) -> None:
    array = np.array(vectors, np.float32)
    length = np.linalg.norm(array, axis=1)
    normal = array[length > 1e-3] / length[length > 1e-3, None]
    encoded = encode_octahedral(normal)
    assert encoded.shape == (len(normal), 2)
    assert np.all(np.abs(encoded) <= 1)
    np.testing.assert_allclose(decode_octahedral(encoded), normal, atol=1e-6)
    np.testing.assert_allclose(decode_octahedral(encoded.astype(np.float16)), normal, atol=2e-3)


def test_octahedral_axes_and_zero() -> None:
    axes = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)
    np.testing.assert_array_equal(decode_octahedral(encode_octahedral(axes)), axes)
    zero = decode_octahedral(encode_octahedral(np.zeros((1, 3), np.float32)))
    np.testing.assert_array_equal(zero, [[0, 0, 1]])


@dataclass
class FakeNode:
    """A scene node that notes what it sends."""

    scene: FakeScene
    name: str
    points: NDArray[Any]
    _colors: NDArray[np.uint8]
    point_size: float

    @property
    def colors(self) -> NDArray[np.uint8]:
        return self._colors

    @colors.setter
    def colors(self, colors: NDArray[np.uint8]) -> None:
        assert colors.shape == self._colors.shape
        self._colors = colors.copy()
        self.scene.recoloured.append(self.name)

    def remove(self) -> None:
        del self.scene.nodes[self.name]


@dataclass
class FakeScene:
    """Stands in for viser.SceneApi: the nodes that exist, and what was sent to make it so."""

    nodes: dict[str, Any] = field(default_factory=dict)
    points_sent: int = 0
    recoloured: list[str] = field(default_factory=list)

    def add_frame(self, name: str, **props: Any) -> SimpleNamespace:
        def remove() -> None:
            self.nodes = {key: node for key, node in self.nodes.items() if not key.startswith(name)}

        self.nodes[name] = SimpleNamespace(visible=True, remove=remove, **props)
        return self.nodes[name]

    def add_point_cloud(
        self,
        name: str,
        points: NDArray[Any],
        colors: Any,
        *,
        precision: str,
        point_size: float,
        **_: Any,
    ) -> FakeNode:
        assert points.dtype == np.dtype(precision)
        assert len(points) > 1, "of one point viser's client takes the colour to be that of all"
        colors = np.array(colors, np.uint8)
        self.nodes[name] = FakeNode(self, name, points.copy(), colors, point_size)
        if not name.endswith(NORMAL_RADIUS_SUFFIX):
            self.points_sent += len(points)
        return self.nodes[name]


def make_cloud(chunk_size: int = CHUNK) -> tuple[FakeScene, SurfelCloud]:
    scene = FakeScene()
    return scene, SurfelCloud(cast(viser.SceneApi, scene), "/surfels", chunk_size=chunk_size)


def make_surfels(count: int, seed: int) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(seed)
    position = rng.normal(size=(count, 3)).astype(np.float32)
    normal = rng.normal(size=(count, 3)).astype(np.float32)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    radius = rng.uniform(0.01, 0.1, count).astype(np.float32)
    return position, normal, radius, rng.integers(0, 256, (count, 3), np.uint8)


def scene_content(scene: FakeScene) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Position, normal_radius and rgb of all chunks, after checking how they are laid out."""
    names = sorted(name for name in scene.nodes if name.count("/") == 2)
    chunks = [name for name in names if not name.endswith(NORMAL_RADIUS_SUFFIX)]
    assert names == sorted([*chunks, *(name + NORMAL_RADIUS_SUFFIX for name in chunks)])
    assert chunks == [f"/surfels/{index:04d}" for index in range(len(chunks))]
    disks = [scene.nodes[name] for name in chunks]
    siblings = [scene.nodes[name + NORMAL_RADIUS_SUFFIX] for name in chunks]
    assert [len(node.points) for node in disks] == [len(node.points) for node in siblings]
    drawn = [int(node.point_size) for node in siblings]
    assert all(0 < count <= max(CHUNK, 2) for count in drawn)
    assert sum(count < CHUNK for count in drawn) <= LONGEST_TAIL
    if not disks:
        return np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3))
    return (
        np.concatenate([node.points[:n] for node, n in zip(disks, drawn, strict=True)]),
        np.concatenate([node.points[:n] for node, n in zip(siblings, drawn, strict=True)]),
        np.concatenate([node.colors[:n] for node, n in zip(disks, drawn, strict=True)]),
    )


def drawn_counts(scene: FakeScene) -> list[int]:
    """How many surfels each chunk draws."""
    names = sorted(name for name in scene.nodes if name.endswith(NORMAL_RADIUS_SUFFIX))
    return [int(scene.nodes[name].point_size) for name in names]


operations = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 3 * CHUNK)),
        st.tuples(st.just("truncate"), st.floats(0, 1)),
        st.tuples(st.just("recolour"), st.floats(0, 1)),
        st.tuples(st.just("tidy"), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(operations)
def test_the_scene_always_holds_exactly_the_surfels(history: list[tuple[str, float]]) -> None:
    scene, cloud = make_cloud()
    expected: list[NDArray[Any]] = [np.zeros((0, 3), kind) for kind in ("f4", "f2", "u1")]
    for seed, (operation, argument) in enumerate(history):
        scene.points_sent = 0
        scene.recoloured.clear()
        if operation == "append":
            position, normal, radius, rgb = make_surfels(int(argument), seed)
            cloud.append(position, normal, radius, rgb)
            normal_radius = np.column_stack([encode_octahedral(normal), radius])
            added = (position, normal_radius.astype(np.float16), rgb)
            expected = [np.concatenate(pair) for pair in zip(expected, added, strict=True)]
            assert scene.points_sent <= len(position) + 1
        elif operation == "tidy":
            cloud.tidy()
        elif operation == "truncate":
            count = int(argument * len(cloud))
            cloud.truncate(count)
            expected = [array[:count] for array in expected]
            assert scene.points_sent == 0
        else:
            first = int(argument * len(cloud))
            expected[2] = expected[2].copy()
            expected[2][first:] ^= 255
            cloud.set_colors(expected[2])
            assert scene.points_sent == 0
            ends = np.cumsum(drawn_counts(scene))
            assert scene.recoloured == [
                f"/surfels/{index:04d}" for index, end in enumerate(ends) if end > first
            ]
        assert len(cloud) == len(expected[0])
        for actual, wanted in zip(scene_content(scene), expected, strict=True):
            np.testing.assert_array_equal(actual, wanted)


def test_settings_travel_on_the_frame() -> None:
    scene, cloud = make_cloud()
    cloud.size_scale, cloud.shade, cloud.visible = 1.5, 0.25, False
    frame = scene.nodes["/surfels"]
    assert (frame.axes_length, frame.axes_radius, frame.visible) == (1.5, 0.25, False)
    assert (cloud.size_scale, cloud.shade, cloud.visible) == (1.5, 0.25, False)


def test_remove_leaves_nothing() -> None:
    scene, cloud = make_cloud()
    cloud.append(*make_surfels(9, 0))
    cloud.remove()
    assert scene.nodes == {}
    assert len(cloud) == 0


def test_mistakes_are_told() -> None:
    _, cloud = make_cloud()
    position, normal, radius, rgb = make_surfels(5, 0)
    with pytest.raises(ValueError, match=r"radius has shape \(4,\), expected \(5,\)"):
        cloud.append(position, normal, radius[:4], rgb)
    cloud.append(position, normal, radius, rgb)
    with pytest.raises(ValueError, match="cannot keep 6 of 5"):
        cloud.truncate(6)
    with pytest.raises(ValueError, match="rgb"):
        cloud.set_colors(rgb[:4])


# --- how often a surfel travels --------------------------------------------------------------


def walked(appends: list[int], whole: int = CHUNK_SIZE) -> tuple[int, list[int]]:
    """Surfels sent by appends that are tidied one after the other, and the chunks at the end."""
    sizes: list[int] = []
    sent = 0
    for count in appends:
        sizes += [whole] * (count // whole) + [count % whole] * (count % whole > 0)
        merged = chunks_to_merge(sizes, whole)
        total = sum(sizes[len(sizes) - merged :])
        sizes[len(sizes) - merged :] = [whole] * (total // whole) + [total % whole] * (
            total % whole > 0
        )
        sent += count + total
        assert sum(size < whole for size in sizes) <= TAIL
    assert sum(sizes) == sum(appends)
    return sent, sizes


def test_steps_of_500_surfels_send_at_most_three_times_their_bytes() -> None:
    first, steps = 3000, [500] * 400
    sent, sizes = walked([first, *steps])
    assert sent - first <= 3 * sum(steps)
    assert sizes[:-TAIL] == [CHUNK_SIZE] * (len(sizes) - TAIL)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=120))
def test_a_surfel_travels_rarely_whatever_the_steps_are(appends: list[int]) -> None:
    sent, _ = walked(appends, 1024)
    assert sent <= 6 * sum(appends)


def test_nothing_is_merged_until_the_tail_is_full_or_makes_a_whole_chunk() -> None:
    assert chunks_to_merge([], 1000) == 0
    assert chunks_to_merge([1000, 5, 5], 1000) == 0
    assert chunks_to_merge([1000, 600, 300, 100], 1000) == 3
    assert chunks_to_merge([1000, 1000], 1000) == 0
    full = [1000, *[300, 200], *[10] * (TAIL - 1)]
    assert chunks_to_merge(full, 1000) == TAIL - 1, "all that is small, but not the 200"
    assert chunks_to_merge([*[10] * (TAIL - 1), 1, 1], 1000) == 2, "no more than needed"


def test_a_tail_that_is_never_tidied_does_not_grow_for_ever() -> None:
    scene, cloud = make_cloud(10_000)
    for seed in range(3 * LONGEST_TAIL):
        cloud.append(*make_surfels(3, seed))
        assert len(drawn_counts(scene)) <= LONGEST_TAIL
    assert len(cloud) == 9 * LONGEST_TAIL


def test_an_undo_and_a_redo_send_the_step_and_nothing_else() -> None:
    scene, cloud = make_cloud(1000)
    for seed in range(40):
        cloud.append(*make_surfels(3, seed))
    names = set(scene.nodes)
    for _ in range(3):
        cloud.truncate(len(cloud) - 3)
        scene.points_sent = 0
        scene.recoloured.clear()
        cloud.append(*make_surfels(3, 39))
        assert scene.points_sent == 3
        assert scene.recoloured == []
    assert len(scene.nodes) <= len(names) + 2, "the cut chunk has one more behind it"


def test_a_single_surfel_is_drawn_once_though_it_travels_twice() -> None:
    scene, cloud = make_cloud()
    cloud.append(*make_surfels(1, 0))
    assert len(cloud) == 1
    assert drawn_counts(scene) == [1]
    assert len(scene.nodes["/surfels/0000"].points) == 2
