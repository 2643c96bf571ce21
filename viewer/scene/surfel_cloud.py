"""Surfels in the browser, as true oriented disks.

viser has no such primitive. Its point cloud carries position and colour; a hidden sibling carries
normal and radius; a script (``shaders/surfel/surfel_patch.js``) gives the point cloud shaders that
intersect each pixel's ray with each disk. Where the script does not apply, users still see round
points, and of those that were cut off some until they are merged.
What depends on viser's internals is in that script; this module uses its public API only.

A cloud NAME is a group of nodes:

- ``NAME`` an invisible frame; its axes_length is the size scale and its axes_radius the shade
- ``NAME/0000`` the first chunk: position f32, colour u8
- ``NAME/0000_normal_radius`` its hidden sibling: octahedral normal and radius, f16; its point_size
  is how many of the chunk's surfels are drawn

Chunks follow each other in the order of the surfels: whole ones of chunk_size, then a tail of
smaller ones. An append sends what is new, as one more of these. `SurfelCloud.tidy`, called when
there is time, sends the last ones again as one (see `chunks_to_merge`): in steps of 500, a surfel
travels 2.8 times until it is in a whole chunk. A truncation sends no surfel: chunks are removed,
and of the last one fewer are drawn. Node names are used again, so that viser keeps no tombstones
for them.

A page that is slow with many surfels thins them by distance, and draws those that stay larger; see
docs/stream.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import viser
from numpy.typing import NDArray

from shaders import load
from viewer.page.scripts import run_script
from vmem.arrays import F32, U8

F16 = NDArray[np.float16]

CHUNK_SIZE = 16_384
TAIL = 12
"""Chunks that are not whole which are left as they are: each costs the page a draw call."""
LONGEST_TAIL = 48
"""Chunks that are not whole, at most, however little time there was to merge them."""
NORMAL_RADIUS_SUFFIX = "_normal_radius"
THIN_FROM = 100_000
"""Surfels from which on a slow page leaves out some of those that are far away."""
SLOW_FRAME, QUICK_FRAME = 80, 40
"""Milliseconds from the beginning of a frame until the GPU has drawn it, above which the page
leaves out more, and below which it leaves out fewer. Some two frames are under way at a time."""


def inject_patch(gui: viser.GuiApi) -> None:
    """Teach a client's page to draw surfels: call once per client, or once on the server's GUI.

    Recordings of the scene (.viser, HTML) only show disks if the server's GUI was given the patch.
    """
    run_script(gui, load("surfel_patch.js"), patch_config())


def patch_config(**changed: object) -> dict[str, object]:
    """What ``shaders/surfel/surfel_patch.js`` is called with."""
    config: dict[str, object] = {
        "vertexShader": load("surfel.vert.glsl"),
        "fragmentShader": load("surfel.frag.glsl"),
        "suffix": NORMAL_RADIUS_SUFFIX,
        "chunkSize": CHUNK_SIZE,
        "thinFrom": THIN_FROM,
        "slow": SLOW_FRAME,
        "quick": QUICK_FRAME,
    }
    return config | changed


def encode_octahedral(normal: F32) -> F32:
    """Unit normals (S, 3) to points (S, 2) of the square [-1, 1]².

    The sphere is folded onto an octahedron and flattened (Meyer et al., "On Floating-Point Normal
    Vectors", 2010). A zero vector encodes as +z.
    """
    length = np.abs(normal).sum(axis=1, keepdims=True)
    folded = normal / np.maximum(length, np.finfo(np.float32).tiny)
    xy, lower = folded[:, :2], folded[:, 2:] < 0
    side = np.where(xy >= 0, 1.0, -1.0)
    return np.where(lower, (1.0 - np.abs(xy[:, ::-1])) * side, xy).astype(np.float32)


def decode_octahedral(encoded: NDArray[np.floating]) -> F32:
    """Inverse of encode_octahedral, as the vertex shader computes it: (S, 2) to unit (S, 3)."""
    xy = np.asarray(encoded, np.float32)
    z = 1.0 - np.abs(xy).sum(axis=1, keepdims=True)
    side = np.where(xy >= 0, 1.0, -1.0)
    xy = np.where(z < 0, (1.0 - np.abs(xy[:, ::-1])) * side, xy)
    normal = np.concatenate([xy, z], axis=1)
    return (normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Batch:
    """Surfels as they travel: position (S, 3) f32, normal_radius (S, 3) f16, rgb (S, 3) u8."""

    position: F32
    normal_radius: F16
    rgb: U8

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(self, rows: slice) -> _Batch:
        return _Batch(self.position[rows], self.normal_radius[rows], self.rgb[rows])


def _joined(batches: Sequence[_Batch]) -> _Batch:
    return _Batch(
        np.concatenate([batch.position for batch in batches]),
        np.concatenate([batch.normal_radius for batch in batches]),
        np.concatenate([batch.rgb for batch in batches]),
    )


def chunks_to_merge(sizes: Sequence[int], whole: int = CHUNK_SIZE) -> int:
    """How many of the last chunks to send again as one; 0 for none.

    sizes: surfels in each chunk; ``whole`` in a whole one. All that are not whole, once they make
    one. Else none, as long as there are no more than TAIL of them; then as few, yet two at least,
    as make a chunk no larger than the one before, so that the larger a chunk is, the more rarely
    it travels.
    """
    tail = 0
    while tail < len(sizes) and sizes[-1 - tail] < whole:
        tail += 1
    open_sizes = sizes[len(sizes) - tail :]
    if sum(open_sizes) >= whole:
        return tail
    if tail <= TAIL:
        return 0
    merged = open_sizes[-1] + open_sizes[-2]
    for taken in range(2, tail):
        if merged <= open_sizes[-1 - taken]:
            return taken
        merged += open_sizes[-1 - taken]
    return tail


class _Chunk:
    """The two scene nodes of one chunk. The handles also keep its data."""

    def __init__(
        self, disks: viser.PointCloudHandle, normal_radius: viser.PointCloudHandle, count: int
    ) -> None:
        self.disks = disks
        self.normal_radius = normal_radius
        self._count = count

    def __len__(self) -> int:
        """Number of its surfels that are drawn."""
        return self._count

    def cut(self, count: int) -> None:
        """Draw the first ``count`` only; the rest is left unused until the chunk is merged."""
        if count < self._count:
            self._count = count
            self.normal_radius.point_size = float(count)

    def recolor(self, rgb: U8) -> None:
        """Colour what is drawn, (S, 3) u8; nothing is sent where that changes nothing."""
        if np.array_equal(rgb, self.disks.colors[: self._count]):
            return
        colors = np.array(self.disks.colors, np.uint8)
        colors[: self._count] = rgb
        self.disks.colors = colors

    def data(self) -> _Batch:
        return _Batch(
            np.asarray(self.disks.points, np.float32),
            np.asarray(self.normal_radius.points, np.float16),
            np.asarray(self.disks.colors, np.uint8),
        )[: self._count]

    def remove(self) -> None:
        self.disks.remove()
        self.normal_radius.remove()


class SurfelCloud:
    """An append-only cloud of oriented disks in a viser scene.

    Call `inject_patch` for the clients that look at it. Not thread-safe: one thread at a time.

    ``size_scale`` multiplies every radius; ``shade`` in [0, 1] darkens disks seen at a grazing
    angle (0: colours exactly as given). Both can be assigned later, at the cost of one message.
    """

    def __init__(
        self,
        scene: viser.SceneApi,
        name: str,
        *,
        chunk_size: int = CHUNK_SIZE,
        size_scale: float = 1.0,
        shade: float = 0.0,
    ) -> None:
        self._scene = scene
        self._name = name
        self._chunk_size = chunk_size
        self._chunks: list[_Chunk] = []
        self._group = scene.add_frame(
            name, show_axes=False, axes_length=size_scale, axes_radius=shade
        )

    def __len__(self) -> int:
        """Number of surfels."""
        return sum(map(len, self._chunks))

    def append(self, position: F32, normal: F32, radius: F32, rgb: U8) -> None:
        """Add surfels at the end.

        position (S, 3) f32 and normal (S, 3) f32, unit, in the cloud's frame; radius (S,) f32 in
        scene units; rgb (S, 3) u8. Sends these surfels; others only if LONGEST_TAIL is reached.
        Raises ValueError if the shapes disagree.
        """
        count = len(position)
        _check_shape("position", position, (count, 3))
        _check_shape("normal", normal, (count, 3))
        _check_shape("radius", radius, (count,))
        _check_shape("rgb", rgb, (count, 3))
        if count == 0:
            return
        normal_radius = np.column_stack([encode_octahedral(normal), radius]).astype(np.float16)
        batch = _Batch(np.asarray(position, np.float32), normal_radius, np.asarray(rgb, np.uint8))
        self._send(batch)
        if sum(len(chunk) < self._chunk_size for chunk in self._chunks) > LONGEST_TAIL:
            self.tidy()

    def tidy(self) -> None:
        """Merge chunks of the tail, if there are many. Sends their surfels again."""
        merged = chunks_to_merge([len(chunk) for chunk in self._chunks], self._chunk_size)
        if merged == 0:
            return
        kept = len(self._chunks) - merged
        replaced = self._chunks[kept:]
        del self._chunks[kept:]
        self._send(_joined([chunk.data() for chunk in replaced]))
        # Behind the merged chunk, which has the place of the first ones: no frame lacks a surfel.
        for chunk in replaced[len(self._chunks) - kept :]:
            chunk.remove()

    def truncate(self, count: int) -> None:
        """Keep the first ``count`` surfels. Sends no surfel.

        Raises ValueError unless 0 <= count <= len(self).
        """
        if not 0 <= count <= len(self):
            raise ValueError(f"cannot keep {count} of {len(self)} surfels")
        surplus = len(self) - count
        while self._chunks and surplus >= len(self._chunks[-1]):
            chunk = self._chunks.pop()
            surplus -= len(chunk)
            chunk.remove()
        if surplus:
            self._chunks[-1].cut(len(self._chunks[-1]) - surplus)

    def set_colors(self, rgb: U8) -> None:
        """Recolour every surfel: rgb (S, 3) u8. Sends colours only, of chunks that changed.

        Raises ValueError if the shape is not (len(self), 3).
        """
        _check_shape("rgb", rgb, (len(self), 3))
        start = 0
        for chunk in self._chunks:
            chunk.recolor(rgb[start : start + len(chunk)])
            start += len(chunk)

    @property
    def visible(self) -> bool:
        """Whether the cloud is shown."""
        return self._group.visible

    @visible.setter
    def visible(self, visible: bool) -> None:
        self._group.visible = visible

    @property
    def size_scale(self) -> float:
        """Factor on every radius."""
        return self._group.axes_length

    @size_scale.setter
    def size_scale(self, size_scale: float) -> None:
        self._group.axes_length = size_scale

    @property
    def shade(self) -> float:
        """0: colours exactly as given · 1: darkened where seen at a grazing angle."""
        return self._group.axes_radius

    @shade.setter
    def shade(self, shade: float) -> None:
        self._group.axes_radius = shade

    def remove(self) -> None:
        """Take the whole cloud out of the scene; it cannot be used afterwards."""
        self._chunks.clear()
        self._group.remove()

    def _send(self, batch: _Batch) -> None:
        for start in range(0, len(batch), self._chunk_size):
            self._send_next_chunk(batch[start : start + self._chunk_size])

    def _send_next_chunk(self, batch: _Batch) -> None:
        """Add a chunk at the end, in place of whatever node has its name."""
        name, count = f"{self._name}/{len(self._chunks):04d}", len(batch)
        # viser's client takes a single colour to be that of all points, so there are always two.
        batch = _joined([batch, batch]) if count == 1 else batch
        normal_radius = self._scene.add_point_cloud(
            name + NORMAL_RADIUS_SUFFIX,
            batch.normal_radius,
            (0, 0, 0),
            point_size=float(count),
            precision="float16",
            visible=False,
        )
        # point_size, shape and shading are what users see where the patch does not apply.
        disks = self._scene.add_point_cloud(
            name,
            batch.position,
            batch.rgb,
            point_size=float(np.median(batch.normal_radius[:, 2])),
            point_shape="circle",
            point_shading="flat",
            precision="float32",
        )
        self._chunks.append(_Chunk(disks, normal_radius, count))


def _check_shape(name: str, array: NDArray, expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise ValueError(f"{name} has shape {array.shape}, expected {expected}")
