"""The GPU engine: the hardware's rasterizer draws the disks, through wgpu and WGSL.

One triangle a disk in the disk's own plane, fixed-function depth, and only the index map is read
back; ``shaders/surfel.wgsl`` has the idea. Disks that lie closer together than float32 resolves, and
pixels whose ray passes a rim, may come out otherwise than on the CPU: the depth of a pixel is the
hardware's interpolation between rounded corners. Exactly equal disks tie as on the CPU: the lowest
index wins, as disks are drawn in order.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import shaders
from vmem.cameras import Camera
from vmem.errors import VMemError
from vmem.raster.gpu_buffers import SurfelStore
from vmem.raster.gpu_target import Target
from vmem.surfels import Surfels
from vmem.views import U8

I32 = NDArray[np.int32]
T = TypeVar("T")

BACKENDS = ("Vulkan", "Metal", "DX12")
STORES = 3
"""Memories that the device holds at once: walks in several browsers take turns."""


class GpuUnavailable(VMemError, RuntimeError):
    """There is no GPU that can draw, or it stopped drawing; the message says why."""


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
            device.create_bind_group_layout(entries=[_binding(0, "uniform")]),
            device.create_bind_group_layout(
                entries=[
                    _binding(1, "uniform"),
                    _binding(2, "read-only-storage"),
                    _binding(3, "read-only-storage"),
                ]
            ),
        ]
        self._chunk_layout = groups[1]
        layout = device.create_pipeline_layout(bind_group_layouts=groups)
        self._view = device.create_buffer(size=80, usage="UNIFORM|COPY_DST")
        self._view_group = device.create_bind_group(
            layout=groups[0], entries=[{"binding": 0, "resource": {"buffer": self._view}}]
        )
        self._pipelines = {
            name: device.create_render_pipeline(
                layout=layout,
                vertex={"module": module, "entry_point": "vertex"},
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
        except _failures() as error:
            raise GpuUnavailable(f"the GPU gives no device: {_first_line(error)}") from error

    def index_map(self, surfels: Surfels, camera: Camera, near: float) -> I32:
        """(H, W) i32 index of the nearest front-facing disk a pixel's ray meets, -1 where none.

        Raises GpuUnavailable if the image is too large for the device or the device is lost.
        """
        pixels = self._drawn("index", surfels, None, camera, near, (0.0, 0.0, 0.0, 0.0))
        return pixels.view(np.uint32)[..., 0].astype(np.int32) - 1

    def paint(
        self,
        surfels: Surfels,
        colors: U8,
        camera: Camera,
        near: float,
        background: tuple[int, int, int] = (0, 0, 0),
    ) -> U8:
        """(H, W, 3) u8: disks in ``colors`` (S, 3), darkened with slant to 0.6 at the edge.

        The picture of any colouring: image, heat, owner, normal, depth. Raises GpuUnavailable as
        ``index_map`` does, ValueError where colours and surfels differ in number.
        """
        if colors.shape != (len(surfels), 3):
            raise ValueError(f"expected colours ({len(surfels)}, 3), got {colors.shape}")
        clear = (*(level / 255 for level in background), 1.0)
        return self._drawn("paint", surfels, colors, camera, near, clear)[..., :3].copy()

    def _drawn(
        self,
        what: str,
        surfels: Surfels,
        colors: U8 | None,
        camera: Camera,
        near: float,
        clear: tuple[float, ...],
    ) -> NDArray[np.uint8]:
        """(H, W, 4) u8: what one pass leaves in the target."""
        if max(camera.hw) > self._largest:
            raise GpuUnavailable(f"images of {camera.hw} exceed the GPU's {self._largest} pixels")

        def draw() -> NDArray[np.uint8]:
            target = self._target(what, camera.hw)
            self._device.queue.write_buffer(self._view, 0, _view(camera, near))
            encoder = self._device.create_command_encoder()
            rendering = target.begin(encoder, clear)
            if len(surfels):
                store = self._store(surfels)
                store.update(surfels)
                if colors is not None:
                    store.color(colors)
                rendering.set_pipeline(self._pipelines[what])
                rendering.set_bind_group(0, self._view_group)
                for chunk, start, stop in store.parts(len(surfels)):
                    rendering.set_bind_group(1, chunk.group)
                    rendering.draw(3 * (stop - start))
            rendering.end()
            return target.read(self._device, encoder)

        with self._lock:
            return self._attempt(draw)

    def _attempt(self, draw: Callable[[], T]) -> T:
        try:
            return draw()
        except _failures() as error:
            # What the device still holds is anyone's guess.
            self._stores.clear()
            self._targets.clear()
            raise GpuUnavailable(f"the GPU stopped drawing: {_first_line(error)}") from error

    def _store(self, surfels: Surfels) -> SurfelStore:
        """The copy of these surfels, or one that begins like them, or a new one."""
        head = surfels[:64]
        store = next((held for held in self._stores if held.knows(surfels)), None) or next(
            (held for held in self._stores if held.equal_rows(head) == len(head)), None
        )
        if store is None:
            fresh = len(self._stores) < STORES
            store = SurfelStore(self._device, self._chunk_layout) if fresh else self._stores[-1]
        else:
            self._stores.remove(store)
        if store in self._stores:
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


def request_adapter() -> Any:
    """wgpu's fastest adapter. Raises GpuUnavailable: no wgpu package, or no driver."""
    try:
        wgpu = _wgpu()
    except (ImportError, OSError) as error:
        raise GpuUnavailable(
            f'wgpu does not load ({_first_line(error)}); `pip install -e ".[gpu]"` installs it'
        ) from error
    try:
        with _quiet_wayland():
            return wgpu.gpu.request_adapter_sync(power_preference="high-performance")
    except _failures() as error:
        raise GpuUnavailable("no Vulkan, Metal or DirectX 12 driver was found") from error


@lru_cache(maxsize=1)
def shared_engine() -> GpuEngine:
    """The one engine of this process, made on first use. Raises GpuUnavailable (and tries again
    the next time)."""
    return GpuEngine.create()


def index_map(surfels: Surfels, camera: Camera, near: float) -> I32:
    """``GpuEngine.index_map`` of the process's own engine. Raises GpuUnavailable."""
    with _creating:
        engine = shared_engine()
    return engine.index_map(surfels, camera, near)


_creating = Lock()


@lru_cache(maxsize=1)
def _wgpu() -> Any:
    import wgpu
    from wgpu.backends.wgpu_native.extras import set_instance_extras

    # OpenGL stays out: it adds nothing where one of these is missing but software.
    set_instance_extras(backends=BACKENDS)
    return wgpu


def _failures() -> tuple[type[Exception], ...]:
    """What wgpu raises; only to be called once it has been imported."""
    wgpu = _wgpu()
    return (wgpu.GPUError, wgpu.GPUPipelineError, RuntimeError, ValueError)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


@contextmanager
def _quiet_wayland() -> Iterator[None]:
    """Drivers look for a Wayland display, and its library complains on stderr where the variable
    that names its folder is missing, as on servers: name a folder without one meanwhile."""
    name = "XDG_RUNTIME_DIR"
    if not sys.platform.startswith("linux") or name in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory() as nowhere:
        os.environ[name] = nowhere
        try:
            yield
        finally:
            del os.environ[name]


def _binding(number: int, kind: str) -> dict[str, Any]:
    return {"binding": number, "visibility": "VERTEX|FRAGMENT", "buffer": {"type": kind}}


def _view(camera: Camera, near: float) -> NDArray[np.float32]:
    """The shader's View, 20 floats."""
    h, w = camera.hw
    K = camera.K
    intrinsics = [K[0, 0], K[1, 1], K[0, 2], K[1, 2], w, h, near, 0]
    return np.concatenate([camera.w2c[:3].reshape(-1), intrinsics]).astype(np.float32)
