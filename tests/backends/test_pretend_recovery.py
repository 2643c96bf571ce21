"""Memory that runs out, and GPUs that stop answering, at every stage of a walk on a pretended GPU.

Each failure is that of an allocation within the stage, so that the tensors of the step are alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.pretend_gpu import GIB
from tests.support.pretend_walk import (
    Machine,
    forget_networks,
    nbytes_of_generator,
    nbytes_of_geometries,
    walking,
    write_all,
)
from tests.support.released import state_of
from vmem.devices.devices import ROOM
from vmem.devices.memory_presets import NotEnoughMemoryError
from vmem.devices.recovery import DeviceLostError
from vmem.generation.diffusion import generator, networks
from vmem.generation.diffusion.codecs import codecs
from vmem.generation.diffusion.codecs.codecs import ImageCodec, ImageEmbedder
from vmem.generation.diffusion.codecs.previews import LinearPreview
from vmem.generation.diffusion.network.unet import MultiviewUNet
from vmem.geometry.cut3r import estimator
from vmem.geometry.cut3r import loading as cut3r
from vmem.geometry.cut3r.network import Cut3r
from vmem.geometry.depth_anything import network as depth_anything
from vmem.geometry.depth_anything.network import DepthNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

Error = Callable[[], BaseException]
KINDS: dict[str, Error] = {
    "torch": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cublas": lambda: RuntimeError(
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    ),
    "cudnn": lambda: RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "python": MemoryError,
}


def each(stages: Iterable[str], always: int) -> list[Any]:
    """(stage, kind of failure) for all stages, the kinds in turn; one in ``always`` runs always."""
    kinds = list(KINDS)
    return [
        pytest.param(name, kinds[i % len(kinds)], marks=[pytest.mark.every] if i % always else [])
        for i, name in enumerate(stages)
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with all parts as they are released, but tiny."""
    return write_all(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def one_gpu(files) -> Iterator[Machine]:
    """A machine that keeps its networks from test to test, as a process does."""
    with walking(files) as machine:
        machine.set(preset="fast")
        yield machine


@pytest.fixture
def machine(one_gpu, monkeypatch) -> Iterator[Machine]:
    """That machine as its people find it."""
    ROOM.forget()
    one_gpu.gpu.free = 23 * GIB
    yield replace(one_gpu, patched=monkeypatch)
    one_gpu.gpu.fail_never()


def bytes_of_networks() -> int:
    """Bytes that loaded networks hold on the GPU, and so all that may be held between steps."""
    return nbytes_of_generator() + nbytes_of_geometries()


# --- generating ---------------------------------------------------------------------------------

Stage = tuple[Any, str, int, int, str]
LOADING: dict[str, Stage] = {
    # What is called, which of its calls fails, after how many allocations; what is said.
    "load UNet": (networks, "_unet", 1, 9, "weights"),
    "load VAE": (ImageCodec, "from_state", 1, 5, "weights"),
    "load CLIP": (ImageEmbedder, "from_state", 1, 5, "weights"),
    "fit the preview": (networks, "_preview", 1, 5, "weights"),
}
STEP: dict[str, Stage] = {
    "arrange": (networks, "_arranged", 1, 3, "weights"),
    "place": (generator, "placed", 1, 3, "encode"),
    "encode": (ImageCodec, "encode", 1, 5, "encode"),
    "embed the photo": (ImageEmbedder, "embed", 1, 4, "encode"),
    "condition": (generator, "conditioned", 1, 1, "encode"),
    "place the UNet": (generator, "placed", 3, 20, "denoise"),
    "prepare": (MultiviewUNet, "prepare", 1, 3, "denoise"),
    "denoise": (MultiviewUNet, "forward", 2, 40, "denoise"),
    "forming frames": (LinearPreview, "__call__", 1, 2, "denoise"),
    "decode": (ImageCodec, "decode", 1, 9, "decode"),
    "embed frames": (ImageEmbedder, "embed", 2, 7, "decode"),
}
PLACES = {"arrange": "resident", "place": "offload-codecs", "place the UNet": "offload-all"}
"""Presets with which there is something to bring to the GPU."""


def check_recovery(machine: Machine, stage: Stage, error: Error, advice: str) -> None:
    """The first move fails in that stage with the advice, and leaves the walk and the GPU as they
    were; the second works."""
    owner, name, call, after, said = stage
    session = machine.opened()
    before = state_of(session)
    machine.fail_in(owner, name, error, call=call, after=after)
    with pytest.raises(NotEnoughMemoryError, match=rf"in stage '{said}', nothing was.*{advice}"):
        session.move("w")
    assert state_of(session) == before
    assert machine.gpu.allocated == bytes_of_networks()
    assert machine.gpu.reserved == machine.gpu.allocated
    session.move("w")
    assert len(session.memory.views) == 3
    assert machine.gpu.allocated == bytes_of_networks()


@pytest.mark.parametrize(
    ("name", "kind"),
    each(LOADING, always=4),
)
def test_memory_that_runs_out_while_networks_load(machine, name, kind):
    forget_networks()
    advice = r"memory preset offload-codecs \("
    check_recovery(machine, LOADING[name], KINDS[kind], advice)
    assert machine.networks().memory.name == "offload-codecs"


@pytest.mark.parametrize(
    ("name", "kind"),
    each(STEP, always=3),
)
def test_memory_that_runs_out_in_a_step(machine, name, kind):
    preset = PLACES.get(name, "offload-codecs")
    if name == "arrange":
        machine.set(memory="offload-all")
    machine.networks().codes.clear()
    machine.set(memory=preset)
    below = {"resident": "offload-codecs", "offload-codecs": "offload-all"}.get(preset)
    advice = f"VMEM_MEMORY={below}" if below else "VMEM_SIZE=448"
    if name != "arrange":
        machine.networks()
    check_recovery(machine, STEP[name], KINDS[kind], advice)
    assert machine.networks().memory.name == preset


def test_auto_steps_down_until_the_tightest(machine):
    session = machine.opened()
    for name in ("offload-codecs", "offload-all"):
        machine.fail_in(MultiviewUNet, "forward", KINDS["cublas"], after=30)
        with pytest.raises(NotEnoughMemoryError, match=rf"the memory preset {name} \("):
            session.move("w")
        session.move("w")
        assert machine.networks().memory.name == name
    machine.fail_in(MultiviewUNet, "forward", KINDS["cudnn"], after=30)
    with pytest.raises(NotEnoughMemoryError, match="smaller frames"):
        session.move("w")
    assert machine.networks().memory.name == "offload-all"
    session.move("w")


def test_a_gpu_too_small_wherever_that_shows(machine):
    """Memory from what a step needs down to what networks hold: it fits, or fails and recovers."""
    machine.set(memory="resident")
    session, gpu = machine.opened(), machine.gpu
    machine.networks().codes.clear()
    held = bytes_of_networks()
    gpu.peak = 0
    session.move("w")
    need, failed = gpu.peak - held, 0
    for share in (1.0, 0.95, 0.5, 0.0):
        session.undo()
        machine.networks().codes.clear()
        before = state_of(session)
        gpu.free = held + int(share * need)
        try:
            session.move("w")
        except NotEnoughMemoryError:
            failed += 1
            assert state_of(session) == before
            gpu.free = 23 * GIB
            session.move("w")
        assert gpu.allocated == held
    assert failed == 3


@pytest.mark.parametrize("memory", ["resident", "offload-all"])
def test_memory_that_runs_out_while_the_network_widens(machine, memory):
    """Weights of two precisions would not compute."""
    machine.set(memory=memory)
    session = machine.opened()
    forward = MultiviewUNet.forward

    def overflowing(self: MultiviewUNet, *arguments: Any, **named: Any) -> torch.Tensor:
        made = forward(self, *arguments, **named)
        return made * torch.inf if self.dtype == torch.float16 else made

    machine.patched.setattr(MultiviewUNet, "forward", overflowing)
    machine.fail_in(generator, "name_of", KINDS["torch"], after=20)
    with pytest.raises(NotEnoughMemoryError):
        session.move("w")
    assert machine.gpu.allocated == bytes_of_networks()
    session.move("w")
    assert machine.networks().unet.dtype == torch.bfloat16
    networks.SHARED.unload()


def test_memory_that_runs_out_while_the_vae_widens(machine):
    machine.set(memory="offload-codecs")
    session = machine.opened()
    with torch.no_grad():
        machine.networks().codec.vae.decoder.conv_in.weight.mul_(1e5)
    machine.fail_in(codecs, "name_of", KINDS["torch"], after=20)
    with pytest.raises(NotEnoughMemoryError):
        session.move("w")
    assert machine.gpu.allocated == bytes_of_networks()
    session.move("w")
    assert machine.networks().codec.dtype == torch.float32
    networks.SHARED.unload()


# --- geometries ---------------------------------------------------------------------------------

GEOMETRIES: dict[str, tuple[str, Stage]] = {
    # The geometry; as above, and whether it shows at the photo or at a move.
    "load CUT3R": ("cut3r", (cut3r, "load_network", 1, 5, "photo")),
    "place CUT3R": ("cut3r", (cut3r, "placed", 1, 5, "photo")),
    "CUT3R encodes": ("cut3r", (Cut3r, "encode", 1, 9, "photo")),
    "CUT3R decodes": ("cut3r", (Cut3r, "step", 3, 20, "move")),
    "go on from a state": ("cut3r", (estimator._Run, "going_on", 2, 1, "move")),
    "load Depth Anything": ("depth-anything", (depth_anything, "load_network", 1, 5, "photo")),
    "Depth Anything looks": (
        "depth-anything",
        (DepthNetwork, "__call__", 3, 9, "move"),
    ),
}


@pytest.mark.parametrize(
    ("name", "kind"),
    each(GEOMETRIES, always=3),
)
def test_memory_that_runs_out_while_a_geometry_looks(machine, name, kind):
    geometry, (owner, function, call, after, when) = GEOMETRIES[name]
    machine.set(memory="offload-codecs")
    if function == "load_network":
        owner.SHARED.unload()
    machine.fail_in(owner, function, KINDS[kind], call=call, after=after)
    match = r"while (CUT3R|Depth Anything) looked.*VMEM_MEMORY=offload-all"
    if when == "photo":
        with pytest.raises(NotEnoughMemoryError, match=match):
            machine.opened(geometry)
        assert machine.gpu.allocated == bytes_of_networks()
        session = machine.opened(geometry)
    else:
        session = machine.opened(geometry)
        before = state_of(session)
        with pytest.raises(NotEnoughMemoryError, match=match):
            session.move("w")
        assert state_of(session) == before
        assert machine.gpu.allocated == bytes_of_networks()
    session.move("w")
    assert len(session.memory.views) == 3
    assert machine.gpu.allocated == bytes_of_networks()


def test_cut3r_makes_room_at_once_when_auto_steps_down(machine):
    """It waits on the GPU with the roomiest preset, and looks only after the step that failed."""
    depth_anything.SHARED.unload()  # which is small, and stays
    session = machine.opened("cut3r")
    session.move("w")
    assert nbytes_of_geometries() > 3_000_000
    machine.fail_in(MultiviewUNet, "forward", KINDS["torch"], after=30)
    with pytest.raises(NotEnoughMemoryError):
        session.move("w")
    assert nbytes_of_geometries() == 0
    assert machine.gpu.allocated == bytes_of_networks()
    session.move("w")
    assert nbytes_of_geometries() == 0


# --- a lost GPU ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("geometry", "owner", "name", "call"),
    [
        ("exact", MultiviewUNet, "forward", 1),
        ("cut3r", Cut3r, "step", 2),
        ("depth-anything", DepthNetwork, "__call__", 2),
    ],
)
def test_a_lost_gpu_asks_for_a_new_start(machine, geometry, owner, name, call):
    session = machine.opened(geometry)
    before = state_of(session)

    def lost() -> BaseException:
        return RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be")

    machine.fail_in(owner, name, lost, call=call, after=3)
    with pytest.raises(DeviceLostError, match=r"launch failure.*walk is kept.*restart the program"):
        session.move("w")
    assert state_of(session) == before
