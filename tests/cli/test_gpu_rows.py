"""What ``doctor`` says of GPUs, on pretended machines."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.support.gpu_answers import MACHINE, Gpu, pretend
from vmem.cli.gpu import gpu_rows
from vmem.devices.devices import ROOM
from vmem.devices.machine import Build, Machine
from vmem.devices.memory_presets import GIB, explain


@pytest.fixture
def machine_with(monkeypatch):
    """A function that makes torch speak of these GPUs; the first has the fused kernels of its
    generation, but not cuDNN's."""
    for name in ("VMEM_DEVICE", "VMEM_MEMORY", "VMEM_DTYPE"):
        monkeypatch.delenv(name, raising=False)
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, device, **more: empty(*size, **more))

    def set_up(*gpus: Gpu, **known) -> None:
        pretend(monkeypatch, *gpus, **known)
        ampere = bool(gpus) and gpus[0].capability >= (8, 0)
        for name, usable in (("flash", ampere), ("efficient", ampere), ("cudnn", False)):
            function = f"can_use_{name}_attention"
            monkeypatch.setattr(torch.backends.cuda, function, lambda asked, usable=usable: usable)

    yield set_up
    ROOM.forget()


def test_one_gpu(machine_with):
    machine_with(Gpu((8, 9), 10))
    rows = gpu_rows()
    assert rows == [
        "torch    2.13.0+cu130, for CUDA 13.0; NVIDIA driver 580.65",
        "ok       cuda:0 card 0, 10.0 of 24.0 GiB free, compute capability 8.9",
        "device   cuda:0 (the only GPU)",
        "numbers  float16 (VMEM_DTYPE=auto), bfloat16 after an overflow; CUT3R in float32",
        "kernels  fused attention: flash, memory-efficient",
        "memory   offload-codecs (VMEM_MEMORY=auto, 10.0 GiB free on cuda:0)",
        *explain(10 * GIB),
    ]


def test_several_gpus_and_settings(machine_with, monkeypatch):
    machine_with(Gpu((7, 5), 3), Gpu((6, 1), 20), Gpu((8, 0), 20))
    text = "\n".join(gpu_rows())
    for words in (
        "cuda:0 card 0, 3.0 of 24.0",
        "card 1 (compute capability 6.1) has no kernels",
        "whl/cu126",
        "cuda:2 card 2, 20.0 of 24.0",
        "device   cuda:2 (most free memory of 3 GPUs)",
        "memory   resident",
    ):
        assert words in text
    monkeypatch.setenv("VMEM_DEVICE", "cuda:0")
    monkeypatch.setenv("VMEM_DTYPE", "float32")
    text = "\n".join(gpu_rows())
    for words in (
        "device   cuda:0 (VMEM_DEVICE=cuda:0)",
        "float32 (VMEM_DTYPE=float32); CUT3R in float32",
        "no fused attention",
        "no       the GPU has 3.0 GiB free",
    ):
        assert words in text


def test_a_card_without_kernels(machine_with, monkeypatch):
    machine_with(Gpu((7, 0)))
    torch_row, *rows = gpu_rows()
    assert torch_row.startswith("torch    2.13.0+cu130")
    assert rows[0].startswith("no       card 0 (compute capability 7.0) has no kernels")
    assert len(rows) == 3
    monkeypatch.setenv("VMEM_DEVICE", "cuda:1")
    assert "no       no NVIDIA GPU is in reach of torch as cuda:1" in gpu_rows()


def test_no_gpu(machine_with):
    machine_with(machine_here=replace(MACHINE, driver="535.1"))
    rows = gpu_rows()
    assert rows[1].startswith("none     the NVIDIA driver 535.1 is too old")
    assert "580 or later" in rows[2]
    assert rows[3].strip().startswith("pip install")
    assert "preview and world need no GPU" in rows[-1]


def test_an_amd_gpu_is_not_called_a_cpu_build(machine_with):
    machine_with(Gpu((11, 0), 20), build=Build("2.13.0+rocm7.1", None, "7.1", ("gfx1100",)))
    assert gpu_rows()[0].startswith("torch    2.13.0+rocm7.1, for AMD's GPUs (ROCm 7.1), untested")


def test_an_apple_gpu(machine_with):
    machine_with(mps=True, build=Build("2.13.0"), machine_here=Machine("Darwin"))
    assert "shares the computer's memory" in gpu_rows()[-1]


def test_a_driver_that_fails_ends_no_report(machine_with, monkeypatch):
    def fail(index) -> None:
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy\nand more")

    machine_with(Gpu((8, 9), 10))
    monkeypatch.setattr(torch.cuda, "mem_get_info", fail)
    assert gpu_rows()[-1].endswith(
        "torch cannot use the GPU: CUDA error: all CUDA-capable devices are busy"
    )
    monkeypatch.setenv("VMEM_DEVICE", "tpu")
    assert gpu_rows() == ["no       unknown device 'tpu': use auto, cuda, cuda:0, mps or cpu"]
