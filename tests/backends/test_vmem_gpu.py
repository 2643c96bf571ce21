"""Whole steps on a GPU, on tiny networks: presets, precisions, offloading, recovery, overflow.

To rehearse them without a GPU see tests/support/on_gpu.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.support import tiny
from tests.support.on_gpu import (  # noqa: F401
    DEVICE,
    allocated,
    allow_all,
    exact_float32,
    exhaust,
    needs_cuda_memory,
    needs_gpu,
)
from tests.support.released import frames_of, opened, state_of
from vmem.devices.devices import ROOM
from vmem.devices.memory_presets import PRESETS as MEMORY
from vmem.devices.memory_presets import NotEnoughMemoryError
from vmem.devices.precision import DTYPES
from vmem.devices.settings import NetworkSettings
from vmem.generation.diffusion import networks
from vmem.generation.diffusion.networks import SHARED, use_networks
from vmem.progress import CancelToken, Progress, silent

pytestmark = [*needs_gpu, pytest.mark.usefixtures("one_thread", "released", "exact_float32")]
LEVELS = {"float32": 1.0, "float16": 1.0, "bfloat16": 6.0}
"""Root mean square from the CPU's frames in float32 that is allowed, in levels of 255."""


@pytest.fixture(autouse=True)
def on_the_gpu(monkeypatch: pytest.MonkeyPatch, released: None) -> Iterator[None]:
    """A step uses the GPU, from networks that are loaded for the test."""
    monkeypatch.setenv("VMEM_DEVICE", DEVICE)
    SHARED.unload()
    yield
    SHARED.unload()
    ROOM.forget()


@pytest.fixture(scope="module")
def expected(files) -> np.ndarray:
    """Frames of a first step on the CPU, in float32."""
    from tests.support.released import environment

    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment(files).items():
            patched.setenv(name, value)
        return step()


def step() -> np.ndarray:
    """(3, H, W, 3) u8: the photo, and the frames of a step from it by the settings that are set."""
    session = opened()
    session.move("w")
    return frames_of(session)


def rms(frames: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.mean((frames.astype(float) - expected) ** 2)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("memory", MEMORY)
def test_a_step_gives_the_cpus_frames(expected, monkeypatch, memory, dtype):
    monkeypatch.setenv("VMEM_MEMORY", memory)
    monkeypatch.setenv("VMEM_DTYPE", dtype)
    frames = step()
    with use_networks(NetworkSettings.from_environment(), silent, CancelToken()) as loaded:
        assert loaded.device.type == torch.device(DEVICE).type
        assert loaded.unet.dtype == DTYPES[dtype]
        assert DEVICE == "cpu" or loaded.memory == MEMORY[memory]
    assert rms(frames, 255 - expected) > 0.1
    assert rms(frames[1:], expected[1:]) <= LEVELS[dtype]


@needs_cuda_memory
@pytest.mark.parametrize("memory", MEMORY)
def test_what_waits_elsewhere_leaves_no_bytes_on_the_gpu(monkeypatch, memory):
    monkeypatch.setenv("VMEM_MEMORY", memory)
    before = allocated()
    step()
    with use_networks(NetworkSettings.from_environment(), silent, CancelToken()) as loaded:
        parts = {
            loaded.unet: MEMORY[memory].network_stays,
            loaded.codec.vae: MEMORY[memory].codecs_stay,
            loaded.embedder.tower: MEMORY[memory].codecs_stay,
        }
        stay = sum(t.nbytes for part, here in parts.items() if here for t in part.parameters())
    kept = allocated() - before
    assert kept == 0 if stay == 0 else stay <= kept < 1.1 * stay + 2**20
    SHARED.unload()
    del loaded, parts
    assert allocated() == before


@needs_cuda_memory
@pytest.mark.parametrize("memory", ["auto", *MEMORY])
@pytest.mark.parametrize("stage", ["weights", "encode", "denoise", "decode"])
def test_a_step_recovers_from_memory_that_ran_out(monkeypatch, stage, memory):
    """Nothing is stored, the advice names a tighter preset, and the next step works."""
    monkeypatch.setenv("VMEM_MEMORY", memory)
    session = opened()
    taken: list[torch.Tensor] = []

    def take_all(progress: Progress) -> None:
        if progress.stage == stage and not taken:
            taken.extend(exhaust())

    before = state_of(session)
    advice = {
        "auto": "try again, the next step uses the memory preset",
        "resident": "VMEM_MEMORY=offload-codecs",
        "offload-codecs": "VMEM_MEMORY=offload-all",
        "offload-all": "VMEM_SIZE=448",
    }
    try:
        with pytest.raises(NotEnoughMemoryError, match=advice[memory]):
            session.move("w", on_progress=take_all)
    finally:
        taken.clear()
        allow_all()
    assert state_of(session) == before
    session.move("w")
    assert len(session.memory.views) == 3


def test_a_network_that_overflows_goes_on_in_a_wider_precision(tmp_path, monkeypatch, caplog):
    loud = 2e5 * tiny.tiny_unet().state_dict()["out.2.weight"]  # finite in float16 themselves
    tiny.write_unet(tmp_path / "unet", change={"out.2.weight": loud})
    monkeypatch.setenv("VMEM_UNET", str(tmp_path / "unet"))
    # On a GPU "auto" is float16 anyway, in a rehearsal it is not.
    monkeypatch.setattr(networks, "pick_dtype", lambda device, asked: torch.float16)
    session = opened()
    session.move("w")
    remarks = [r.message for r in caplog.records if "numbers overflow float16" in r.message]
    with use_networks(NetworkSettings.from_environment(), silent, CancelToken()) as loaded:
        newer = DEVICE != "cpu" and torch.cuda.get_device_capability(loaded.device) >= (8, 0)
        assert loaded.unet.dtype == (torch.bfloat16 if newer else torch.float32)
    session.move("w")
    assert [r.message for r in caplog.records if "numbers overflow" in r.message] == remarks
    assert len(remarks) == 1
