"""Finding a GPU to draw with, and saying plainly why there is none."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

from vmem.errors import VMemError
from vmem.extras import install_command

BACKENDS = ("Vulkan", "Metal", "DX12")
"""OpenGL stays out: it adds nothing where all of these are missing but software."""


class GpuUnavailable(VMemError, RuntimeError):
    """There is no GPU that can draw, or it stopped drawing; the message says why."""


def request_adapter() -> Any:
    """wgpu's fastest adapter. Raises GpuUnavailable: no wgpu package, or no driver."""
    try:
        wgpu = _wgpu()
    except (ImportError, OSError) as error:
        raise GpuUnavailable(
            f"wgpu does not load ({first_line(error)}); `{install_command()}` installs it"
        ) from error
    try:
        with _quiet_wayland():
            return wgpu.gpu.request_adapter_sync(power_preference="high-performance")
    except (*failures(), ValueError) as error:  # ValueError: an adapter named in the environment
        raise GpuUnavailable("no Vulkan, Metal or DirectX 12 driver was found") from error


@lru_cache(maxsize=1)
def _wgpu() -> Any:
    import wgpu
    from wgpu.backends.wgpu_native.extras import set_instance_extras

    with suppress(RuntimeError):  # an instance exists already: its adapters serve as well
        set_instance_extras(backends=BACKENDS)
    return wgpu


def failures() -> tuple[type[Exception], ...]:
    """What wgpu raises; only to be called once it has been imported."""
    wgpu = _wgpu()
    return (wgpu.GPUError, wgpu.GPUPipelineError, RuntimeError)


def first_line(error: Exception) -> str:
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
