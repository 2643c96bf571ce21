"""Whole sessions of the vmem backend on pretended GPUs (`tests.support.pretend_gpu`)."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.pretend_walk import (
    EVALUATIONS,
    Machine,
    counted,
    nbytes,
    nbytes_of_generator,
    nbytes_of_geometries,
    nbytes_on_gpu,
    walking,
    write_all,
)
from tests.support.released import frames_of, generator
from vmem.devices.devices import ROOM
from vmem.devices.memory_presets import PRESETS as MEMORY
from vmem.generation import Context
from vmem.generation.diffusion import networks
from vmem.generation.diffusion.checks import NotFiniteError
from vmem.generation.diffusion.codecs.codecs import ImageCodec
from vmem.generation.diffusion.generator import DiffusionGenerator
from vmem.generation.diffusion.network.unet import MultiviewUNet
from vmem.generation.diffusion.networks import SHARED
from vmem.geometry.depth_anything import network as depth_anything
from vmem.progress import CancelToken, Progress
from vmem.session import Session

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with all parts as they are released, but tiny."""
    return write_all(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def two_gpus(files) -> Iterator[Machine]:
    """A machine that keeps its networks from test to test, as a process does."""
    with walking(files, count=2) as machine:
        yield machine


@pytest.fixture
def machine(two_gpus, monkeypatch) -> Machine:
    """That machine as its people find it."""
    ROOM.forget()
    two_gpus.gpu.capability = (8, 9)
    machine = replace(two_gpus, patched=monkeypatch)
    machine.set(device="cuda:0")  # "auto" would take the one without networks
    return machine


# --- every preset, sampler, geometry and generation of GPUs ------------------------------------

WALKS = [
    # Each memory preset, sampler and geometry twice, each time with others; each capability.
    ("resident", "reference", "layout", (7, 0)),
    ("offload-codecs", "balanced", "cut3r", (8, 6)),
    ("offload-all", "fast", "depth-anything", (8, 9)),
    *(
        pytest.param(*walk, marks=pytest.mark.every)
        for walk in (
            ("resident", "fast", "cut3r", (8, 0)),
            ("offload-codecs", "reference", "depth-anything", (7, 5)),
            ("offload-all", "balanced", "layout", (9, 0)),
        )
    ),
]


expected: dict[tuple[str, str], np.ndarray] = {}
"""The walks of each sampler and geometry on the CPU, in float32."""


def walked(machine: Machine, sampler: str, geometry: str) -> Session:
    """A walk of one step: three views."""
    machine.set(preset=sampler)
    session = machine.opened(geometry)
    session.move("w")
    return session


def error(machine: Machine, session: Session, sampler: str, geometry: str) -> np.ndarray:
    """Difference of the views from the walk on the CPU, in levels of 255."""
    if (sampler, geometry) not in expected:
        with machine.patched.context() as patched:
            cpu = replace(machine, patched=patched)
            cpu.set(device="cpu", dtype="auto")
            expected[sampler, geometry] = frames_of(walked(cpu, sampler, geometry)).astype(float)
    return np.abs(frames_of(session) - expected[sampler, geometry])


@pytest.mark.parametrize(("memory", "sampler", "geometry", "capability"), WALKS)
def test_a_walk_takes_float16_and_leaves_only_what_stays(
    machine, memory, sampler, geometry, capability
):
    preset, gpu = MEMORY[memory], machine.gpu
    gpu.capability = capability
    machine.set(memory=memory)
    session = walked(machine, sampler, geometry)
    nets = machine.networks()
    assert nets.memory is preset
    assert nets.unet.dtype == nets.codec.dtype == nets.embedder.dtype == torch.float16
    assert nbytes_on_gpu(nets.unet) == preset.network_stays * nbytes(nets.unet)
    for codec in (nets.codec.vae, nets.embedder.tower):
        assert nbytes_on_gpu(codec) == preset.codecs_stay * nbytes(codec)
    if geometry == "cut3r":
        depth_anything.SHARED.unload()
        assert (nbytes_of_geometries() > 0) == preset.everything_stays
    stays = nbytes_of_generator() + nbytes_of_geometries()
    assert gpu.allocated == stays
    difference = error(machine, session, sampler, geometry)
    assert 0 < np.sqrt((difference**2).mean()) < 0.5


@pytest.mark.parametrize(("memory", "sampler", "geometry", "capability"), WALKS[1:2])
def test_a_walk_in_float32_is_that_on_the_cpu(machine, memory, sampler, geometry, capability):
    machine.set(memory=memory, dtype="float32")
    session = walked(machine, sampler, geometry)
    nets, stays = machine.networks(), machine.gpu.allocated
    assert nets.unet.dtype == nets.codec.dtype == nets.embedder.dtype == torch.float32
    session.move("a")
    assert session.undo()
    assert machine.gpu.allocated == stays
    assert error(machine, session, sampler, geometry).max() <= 1  # the last bit of some pixels


# --- one set of networks ------------------------------------------------------------------------


def test_walks_of_other_memory_presets_do_not_load_again(machine):
    loads = counted(machine.patched, networks, "load_networks")
    machine.networks()
    loads.clear()
    for memory in ("24gb", "resident", "offload-all", "16gb", "auto"):
        machine.set(memory=memory)
        machine.networks()
    machine.opened().move("w")
    assert not loads
    assert machine.networks().codec.chunk == MEMORY["resident"].decode


def test_two_gpus_work_side_by_side(machine):
    """A walk on the second takes a whole step within an evaluation of the first's."""
    machine.set(device="cuda:1")
    other = machine.opened()
    machine.set(device="cuda:0")
    session = machine.opened()
    said: list[str] = []

    def meanwhile(progress: Progress) -> None:
        if (progress.stage, progress.done) == ("denoise", 1):
            cancel = CancelToken()

            def heard(progress: Progress) -> None:
                said.append(progress.stage)
                if progress.stage.startswith("waiting"):
                    cancel.cancel()

            other.move("w", on_progress=heard, cancel=cancel)

    session.move("w", on_progress=meanwhile)
    assert said[-1] == "memory"
    assert all(gpu.allocated > 1_000_000 for gpu in machine.gpus)
    np.testing.assert_array_equal(frames_of(session), frames_of(other))


def test_a_generator_from_a_pickle_does_not_code_the_photo_again(machine):
    session = machine.opened()
    session.move("w")
    coded = counted(machine.patched, ImageCodec, "encode")
    again: DiffusionGenerator = pickle.loads(pickle.dumps(generator(session)))
    views = pickle.loads(pickle.dumps(session.memory.views[:1]))
    targets = session.targets_to(session.camera.c2w)
    made = again.generate(Context(views, views[0], 2), targets, seed=0)
    assert not coded
    other = generator(session).generate(Context(views, views[0], 2), targets, seed=0)
    np.testing.assert_array_equal(made.rgb, other.rgb)


# --- numbers that overflow float16 --------------------------------------------------------------


@pytest.mark.parametrize(
    ("capability", "wider"),
    [((7, 5), torch.float32), ((8, 0), torch.bfloat16)],
)
@pytest.mark.parametrize("memory", ["resident", "offload-all"])
def test_a_step_that_overflows_goes_on_wider_from_the_same_evaluation(
    machine, caplog, capability, wider, memory
):
    machine.gpu.capability = capability
    machine.set(memory=memory)
    session = machine.opened()
    machine.networks()
    passes: list[torch.dtype] = []
    forward = MultiviewUNet.forward
    sides = 1 if memory == "resident" else 2

    def overflowing(self: MultiviewUNet, *arguments: Any, **named: Any) -> torch.Tensor:
        made = forward(self, *arguments, **named)
        passes.append(self.dtype)
        spoilt = self.dtype == torch.float16 and len(passes) > sides
        return made * torch.inf if spoilt else made

    machine.patched.setattr(MultiviewUNet, "forward", overflowing)
    session.move("w")
    # The first evaluation, the second in vain, then the second again and the others.
    again = [wider] * (EVALUATIONS - 1)
    assert passes[::sides] == [torch.float16, torch.float16, *again]
    warned = [r.getMessage() for r in caplog.records if "overflow" in r.getMessage()]
    name = str(wider).removeprefix("torch.")
    assert warned == [f"numbers overflow float16: from now on in {name}"]
    passes.clear()
    session.move("a")
    assert set(passes) == {wider}
    SHARED.unload()


def test_weights_whose_products_overflow_float16(machine, caplog):
    """The VAE decodes again in float32, the network goes on in bfloat16, and frames are good."""
    session = machine.opened()
    nets = machine.networks()
    with torch.no_grad():
        nets.unet.input_blocks[0][0].weight.mul_(2e5)
        nets.codec.vae.decoder.conv_in.weight.mul_(1e5)
    decoded = counted(machine.patched, type(nets.codec.vae), "decode")
    session.move("w")
    assert nets.unet.dtype == torch.bfloat16
    assert nets.codec.dtype == torch.float32
    assert frames_of(session)[1:].std() > 1
    assert len(decoded) == 2, "both frames in float16, and again"
    for word in ("numbers overflow float16", "decoded from latents overflow float16"):
        assert sum(word in record.getMessage() for record in caplog.records) == 1
    session.move("a")
    assert len(decoded) == 3
    SHARED.unload()


def test_a_precision_that_was_asked_for_is_kept(machine, caplog):
    machine.set(dtype="float16")
    session = machine.opened()
    nets = machine.networks()
    with torch.no_grad():
        nets.unet.input_blocks[0][0].weight.mul_(2e5)
    with pytest.raises(NotFiniteError, match="VMEM_DTYPE"):
        session.move("w")
    SHARED.unload()
