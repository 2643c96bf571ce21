"""Walks of the vmem backend on pretended GPUs: tiny networks of all parts, few evaluations a step.

Networks and memory presets are kept for a process: `walking` forgets them before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import tiny
from tests.support.fakes import BoxGeometry
from tests.support.pretend_gpu import GIB, pretend_gpus
from tests.support.pretend_tensor import PretendGpu, PretendTensor
from tests.support.released import CONFIG, PHOTO, environment, write_released
from vmem.backends import create_backend
from vmem.devices.devices import ROOM
from vmem.devices.settings import NetworkSettings
from vmem.devices.shared import SharedModel
from vmem.generation.diffusion import networks
from vmem.generation.diffusion.networks import Networks, use_networks
from vmem.generation.diffusion.sampling.presets import PRESETS
from vmem.geometry.cut3r import loading as cut3r
from vmem.geometry.cut3r.estimator import Cut3rEstimator
from vmem.geometry.depth_anything import network as depth_anything
from vmem.progress import CancelToken, silent
from vmem.session import Session

EVALUATIONS = 2
"""Of the network in a step, by any sampler: ten would show the same."""
PARTS = ("unet", "vae", "clip", "cut3r", "depth_anything")


def write_all(folder: Path) -> Path:
    """Write the parts of the backend and of all geometries; returns the folder."""
    write_released(folder)
    tiny.write_cut3r(folder / "cut3r")
    tiny.write_depth_anything(folder / "depth_anything")
    return folder


def forget_networks() -> None:
    """Unload all shared networks and drop what was decided for the devices."""
    for shared in (networks.SHARED, cut3r.SHARED, depth_anything.SHARED):
        shared.unload()
    ROOM.forget()


@dataclass(frozen=True)
class Machine:
    """A machine with pretended GPUs and all weights."""

    gpus: tuple[PretendGpu, ...]
    patched: pytest.MonkeyPatch
    """What the machine's people change; undone when it is left."""

    @property
    def gpu(self) -> PretendGpu:
        """The first GPU."""
        return self.gpus[0]

    def opened(self, geometry: str = "exact", seed: int = 0) -> Session:
        """A session that looks at the photo by that geometry, as the environment says else."""
        made = create_backend("vmem", geometry="layout" if geometry == "exact" else geometry)
        if geometry == "exact":
            made = replace(made, geometry=BoxGeometry())
        elif geometry == "cut3r":
            estimator = Cut3rEstimator(NetworkSettings.from_environment(), size=64)
            made = replace(made, geometry=estimator)
        return Session.open(PHOTO, backend=made, seed=seed, config=CONFIG)

    def set(self, **values: str) -> None:
        """Set variables of the environment: VMEM_ and the name."""
        for name, value in values.items():
            self.patched.setenv(f"VMEM_{name.upper()}", value)

    def networks(self) -> Networks:
        """The networks as the next step finds them."""
        settings = NetworkSettings.from_environment()
        with use_networks(settings, silent, CancelToken()) as found:
            return found

    def fail_in(
        self,
        owner: Any,
        name: str,
        error: Callable[[], BaseException],
        *,
        call: int = 1,
        after: int = 0,
    ) -> None:
        """Let the first allocation in the ``call``-th call of a function fail, or one ``after``."""
        function, calls = getattr(owner, name), 0

        def failing(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call:
                self.gpu.fail(error, after)
            return function(*arguments, **named)

        bound = hasattr(function, "__self__")
        self.patched.setattr(owner, name, staticmethod(failing) if bound else failing)


def counted(patched: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    """Its list grows by the first argument of every call of a function."""
    function: Callable[..., Any] = getattr(owner, name)
    calls: list[Any] = []

    def counting(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments[0])
        return function(*arguments, **named)

    patched.setattr(owner, name, counting)
    return calls


def nbytes(module: torch.nn.Module) -> int:
    """Bytes of a module's tensors."""
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


def nbytes_on_gpu(module: torch.nn.Module) -> int:
    """Bytes of those of a module's tensors that are on a pretended GPU."""
    tensors = (*module.parameters(), *module.buffers())
    return sum(tensor.nbytes for tensor in tensors if isinstance(tensor, PretendTensor))


def nbytes_of_geometries() -> int:
    """Bytes that the loaded networks of geometries hold on the first GPU."""
    shared = (cut3r.SHARED, depth_anything.SHARED)
    return sum(nbytes_on_gpu(loaded.net) for one in shared for loaded in _loaded(one))


def nbytes_of_generator() -> int:
    """Bytes that the loaded networks of the generator hold on the first GPU."""
    found: list[Networks] = _loaded(networks.SHARED)
    modules = [part for n in found for part in (n.unet, n.codec.vae, n.embedder.tower)]
    return sum(map(nbytes_on_gpu, modules))


def _loaded(shared: SharedModel[Any]) -> list[Any]:
    slot = shared._slots.get(torch.device("cuda", 0))
    return list(slot.loaded.values()) if slot else []


@contextmanager
def walking(
    files: Path,
    *,
    capability: tuple[int, int] = (8, 9),
    free: int = 23 * GIB,
    count: int = 1,
) -> Iterator[Machine]:
    """A machine with the weights of `write_all` in ``files``, GPUs, and no networks loaded."""
    forget_networks()
    with (
        pytest.MonkeyPatch.context() as patched,
        pretend_gpus(capability, free, count=count) as gpus,
    ):
        for name, value in environment(files).items():
            patched.setenv(name, value)
        for part in PARTS:
            patched.setenv(f"VMEM_{part.upper()}", str(files / part))
        for name in ("GEOMETRY", "DTYPE", "MEMORY", "COMPILE", "TAESD"):
            patched.delenv(f"VMEM_{name}", raising=False)
        patched.setenv("VMEM_DEVICE", "auto")
        patched.setattr(depth_anything, "SIDE", 5 * depth_anything.PATCH)
        for name, sampler in PRESETS.items():
            patched.setitem(PRESETS, name, replace(sampler, steps=EVALUATIONS))
        try:
            yield Machine(gpus, patched)
        finally:
            forget_networks()
