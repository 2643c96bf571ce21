"""The GPU engine: the hardware's rasterizer draws the disks, through wgpu and WGSL.

One triangle a disk in the disk's own plane, fixed-function depth, and only the index map is read
back; ``shaders/surfel/surfel.wgsl`` explains the method. Where a ray passes a rim, or two disks are
closer in depth than float32 resolves, a pixel may differ from the CPU's: depth is the hardware's
interpolation between corners that it rounded. Equal disks tie as on the CPU: the lowest index wins,
since disks are drawn in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int32, UInt8
from numpy.typing import NDArray

import shaders
from vmem.arrays import I32, U8
from vmem.cameras import Camera
from vmem.raster.blocks import BLOCK, Blocks, visible_blocks
from vmem.raster.gpu.adapter import GpuUnavailable, failures, first_line, request_adapter
from vmem.raster.gpu.buffers import BlockList, Chunk, SurfelStore
from vmem.raster.gpu.target import Target
from vmem.types import Surfels

T = TypeVar("T")

STORES = 3
"""Memories that the device holds at once: walks in several browsers take turns."""


class GpuEngine:
    """Draws on one device. Safe for threads: they take turns.

    ``adapter`` names the hardware; ``is_software`` tells that it is the CPU in disguise.
    """

    def __init__(self, adapter: Any, device: Any) -> None:
        info = adapter.info
        self.adapter: str = f"{info['device']} ({info['backend_type']})"
        self.is_software: bool = info["adapter_type"] == "CPU"
        self._device = device
        self._lock = Lock()
        self._stores: list[SurfelStore] = []
        self._targets: dict[tuple[str, int, int], Target] = {}
        self._largest = int(device.limits["max-texture-dimension-2d"])
        module = device.create_shader_module(code=shaders.load("surfel.wgsl"))
        groups = [
            device.create_bind_group_layout(entries=_bindings("uniform", "read-only-storage")),
            device.create_bind_group_layout(
                entries=_bindings("uniform", "read-only-storage", "read-only-storage")
            ),
        ]
        self._chunk_layout = groups[1]
        layout = device.create_pipeline_layout(bind_group_layouts=groups)
        self._view = device.create_buffer(size=80, usage="UNIFORM|COPY_DST")
        self._blocks = BlockList(device, groups[0], self._view)
        self._pipelines = {
            name: device.create_render_pipeline(
                layout=layout,
                vertex={"module": module, "entry_point": "vertex_disk"},
                primitive={"topology": "triangle-list"},
                depth_stencil={
                    "format": "depth32float",
                    "depth_write_enabled": True,
                    "depth_compare": "greater",
                },
                fragment={
                    "module": module,
                    "entry_point": f"fragment_{name}",
                    "targets": [{"format": pixel}],
                },
            )
            for name, pixel in (("index", "r32uint"), ("paint", "rgba8unorm"))
        }

    @staticmethod
    def create() -> GpuEngine:
        """An engine on the fastest adapter, software ones included; takes a second or so.

        Raises GpuUnavailable with the reason.
        """
        adapter = request_adapter()
        try:
            return GpuEngine(adapter, adapter.request_device_sync())
        except failures() as error:
            raise GpuUnavailable(f"the GPU gives no device: {first_line(error)}") from error

    def index_map(
        self,
        surfels: Surfels,
        camera: Camera,
        near: float,
        visible: Int32[np.ndarray, " M"] | None = None,
    ) -> Int32[np.ndarray, "H W"]:
        """Index of the nearest front-facing disk a pixel's ray meets, -1 where none.

        ``visible``: numbers of the blocks (of BLOCK surfels) to draw, in any order; all if None.
        Raises GpuUnavailable if the image is too large for the device or the device is lost.
        """
        black = (0.0, 0.0, 0.0, 0.0)
        pixels = self._drawn("index", surfels, None, camera, near, visible, black)
        return pixels.view(np.uint32)[..., 0].astype(np.int32) - 1

    def paint(
        self,
        surfels: Surfels,
        colors: UInt8[np.ndarray, "S 3"],
        camera: Camera,
        near: float,
        visible: Int32[np.ndarray, " M"] | None = None,
        background: tuple[int, int, int] = (0, 0, 0),
    ) -> UInt8[np.ndarray, "H W 3"]:
        """Disks in ``colors``, darkened with slant to 0.6 at the edge.

        The picture of any colouring: image, heat, owner, normal, depth. ``visible`` and errors as
        for ``index_map``; ValueError where colours and surfels differ in number.
        """
        if colors.shape != (len(surfels), 3):
            raise ValueError(f"expected colours ({len(surfels)}, 3), got {colors.shape}")
        clear = (*(level / 255 for level in background), 1.0)
        return self._drawn("paint", surfels, colors, camera, near, visible, clear)[..., :3].copy()

    def _drawn(
        self,
        what: str,
        surfels: Surfels,
        colors: U8 | None,
        camera: Camera,
        near: float,
        visible: I32 | None,
        clear: tuple[float, ...],
    ) -> NDArray[np.uint8]:
        """(H, W, 4) u8: what one pass leaves in the target."""
        if max(camera.hw) > self._largest:
            raise GpuUnavailable(f"images of {camera.hw} exceed the GPU's {self._largest} pixels")

        # In order, so that among equal depths the lowest index is drawn first and stays.
        n_blocks = -(-len(surfels) // BLOCK)
        blocks = np.arange(n_blocks) if visible is None else np.unique(visible)
        blocks = blocks.astype(np.uint32)

        def draw() -> NDArray[np.uint8]:
            target = self._target(what, camera.hw)
            self._device.queue.write_buffer(self._view, 0, _view(camera, near, len(surfels)))
            encoder = self._device.create_command_encoder()
            rendering = target.begin(encoder, clear)
            if len(blocks):
                store = self._store(surfels)
                store.update(surfels)
                if colors is not None:
                    store.color(colors)
                rendering.set_pipeline(self._pipelines[what])
                self._draw(rendering, store.chunks(len(surfels)), blocks)
            rendering.end()
            return target.read(self._device, encoder)

        with self._lock:
            return self._attempt(draw)

    def _draw(self, rendering: Any, chunks: Sequence[Chunk], blocks: NDArray[np.uint32]) -> None:
        """One draw a chunk, of those of its blocks that are in ``blocks``, ascending."""
        self._blocks.send(blocks)
        rendering.set_bind_group(0, self._blocks.group)
        firsts = [chunk.first // BLOCK for chunk in chunks]
        edges = [*np.searchsorted(blocks, firsts).tolist(), len(blocks)]
        for chunk, (start, stop) in zip(chunks, pairwise(edges), strict=True):
            if start < stop:
                rendering.set_bind_group(1, chunk.group)
                rendering.draw(3 * BLOCK * (stop - start), 1, 3 * BLOCK * start)

    def _attempt(self, draw: Callable[[], T]) -> T:
        try:
            return draw()
        except failures() as error:
            # What the device still holds is anyone's guess.
            self._stores.clear()
            self._targets.clear()
            raise GpuUnavailable(f"the GPU stopped drawing: {first_line(error)}") from error

    def _store(self, surfels: Surfels) -> SurfelStore:
        """The copy of these surfels, or one that begins like them, or a new one."""
        head = surfels[:64]
        store = next((held for held in self._stores if held.knows(surfels)), None) or next(
            (held for held in self._stores if held.equal_rows(head) == len(head)), None
        )
        if store is None and len(self._stores) == STORES:
            store = self._stores[-1]  # used longest ago
        if store is None:
            store = SurfelStore(self._device, self._chunk_layout)
        else:
            self._stores.remove(store)
        self._stores.insert(0, store)
        return store

    def _target(self, what: str, hw: tuple[int, int]) -> Target:
        key = (what, *hw)
        target = self._targets.pop(key, None)
        if target is None:
            if len(self._targets) >= 4:
                del self._targets[next(iter(self._targets))]
            target = Target(self._device, hw, "r32uint" if what == "index" else "rgba8unorm")
        self._targets[key] = target  # the last one is the one used last
        return target


def shared_engine() -> GpuEngine:
    """The one engine of this process, made on first use. Raises GpuUnavailable, and tries again
    the next time."""
    with _creating:
        return _shared_engine()


def index_map(
    surfels: Surfels, blocks: Blocks, camera: Camera, near: float
) -> Int32[np.ndarray, "H W"]:
    """``GpuEngine.index_map`` of the process's own engine. Raises GpuUnavailable."""
    visible = visible_blocks(blocks, camera, near)
    return shared_engine().index_map(surfels, camera, near, visible)


_creating = Lock()


@lru_cache(maxsize=1)
def _shared_engine() -> GpuEngine:
    return GpuEngine.create()


def _bindings(*kinds: str) -> list[dict[str, Any]]:
    return [
        {"binding": number, "visibility": "VERTEX|FRAGMENT", "buffer": {"type": kind}}
        for number, kind in enumerate(kinds)
    ]


def _view(camera: Camera, near: float, count: int) -> NDArray[np.float32]:
    """The shader's View: 20 words."""
    h, w = camera.hw
    K = camera.K
    intrinsics = [K[0, 0], K[1, 1], K[0, 2], K[1, 2], w, h, near, 0]
    view = np.concatenate([camera.w2c[:3].reshape(-1), intrinsics]).astype(np.float32)
    view[-1:].view(np.uint32)[0] = count
    return view
