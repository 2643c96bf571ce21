"""When the name ``vmem`` or ``auto`` means the released model here, and what is said if not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.support.gpu_answers import MACHINE, Gpu, pretend
from vmem.backends import resolve
from vmem.devices.devices import ROOM
from vmem.devices.machine import Build, Machine
from vmem.devices.settings import NetworkSettings
from vmem.errors import BackendError

pytestmark = pytest.mark.usefixtures("one_thread", "released")


@pytest.fixture(autouse=True)
def decide_anew():
    """Tests pretend other GPUs than the next."""
    yield
    ROOM.forget()


def test_without_weights_one_screen_says_what_to_do(monkeypatch):
    for part in ("UNET", "VAE", "CLIP"):
        monkeypatch.delenv(f"VMEM_{part}")
    monkeypatch.setenv("HF_HUB_CACHE", "nowhere")
    monkeypatch.setattr("vmem.weights.hub.find", lambda source: None)
    monkeypatch.setenv("VMEM_DEVICE", "auto")
    pretend(monkeypatch, build=Build("2.13.0+cpu"), machine_here=Machine("Linux"))
    with pytest.raises(BackendError) as caught:
        resolve("vmem")
    screen = str(caught.value)
    for wanted in (
        "no NVIDIA GPU",
        "5.06 GB",
        "https://huggingface.co/liguang0115/vmem",
        "hf auth login",
        "python -m vmem weights download all",
        "--backend preview",
        "VMEM_DEVICE=cpu",
    ):
        assert wanted in screen
    lines = screen.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 90
    name, why = resolve("auto")
    assert name == "preview"
    assert "weights are not here" in why


def test_a_wrong_place_for_weights_is_named(monkeypatch):
    monkeypatch.setenv("VMEM_VAE", "/no/such/folder/at/all")
    with pytest.raises(BackendError, match="/no/such/folder/at/all"):
        resolve("vmem")


def test_the_cpu_is_used_only_where_it_is_asked_for(monkeypatch):
    pretend(monkeypatch, build=Build("2.13.0+cpu"), machine_here=Machine("Linux"))
    assert resolve("vmem") == ("vmem", "on the CPU as asked: expect many minutes a step")
    assert resolve("auto") == ("preview", "no NVIDIA GPU is in reach of torch")
    monkeypatch.setenv("VMEM_DEVICE", "auto")
    with pytest.raises(BackendError, match="no NVIDIA GPU is in reach of torch"):
        resolve("vmem")
    with pytest.raises(BackendError, match="no NVIDIA GPU is in reach of torch"):
        resolve("vmem", NetworkSettings(device="cuda:3"))


def test_auto_takes_the_model_where_it_can_run(monkeypatch):
    monkeypatch.setenv("VMEM_DEVICE", "auto")
    pretend(monkeypatch, Gpu(free=10))
    name, why = resolve("auto")
    assert name == "vmem"
    assert why.startswith("card 0, memory preset offload-codecs")
    pretend(monkeypatch, Gpu(free=5))
    name, why = resolve("auto")
    assert name == "preview"
    assert "5.0 GiB free" in why


@pytest.mark.parametrize(
    ("gpus", "machine_here", "cause", "todo"),
    [
        ((), replace(MACHINE, driver="535.1"), "driver 535.1 is too old", "580 or later"),
        ((Gpu((7, 0)),), MACHINE, "(compute capability 7.0) has no kernels", "cu126"),
        ((), replace(MACHINE, container=True, device_files=False), "no access", "--gpus all"),
    ],
)
def test_what_keeps_a_gpu_from_being_used_is_said(monkeypatch, gpus, machine_here, cause, todo):
    monkeypatch.setenv("VMEM_DEVICE", "auto")
    pretend(monkeypatch, *gpus, machine_here=machine_here)
    with pytest.raises(BackendError) as caught:
        resolve("vmem")
    screen = str(caught.value)
    first, _, second = " ".join(screen.split()).partition("What to do")
    assert cause in first
    assert todo in second
    assert "use a machine with an NVIDIA GPU" not in screen
    commands = [line for line in screen.splitlines() if "pip install" in line]
    assert all(line.strip().startswith("pip install --force-reinstall") for line in commands)
    assert max(len(line) for line in screen.splitlines() if line not in commands) <= 90
    name, why = resolve("auto")
    assert name == "preview"
    assert cause in why
    assert todo in why


def test_untested_gpus_are_used_only_where_they_are_asked_for(monkeypatch):
    monkeypatch.setenv("VMEM_DEVICE", "auto")
    pretend(monkeypatch, mps=True)
    assert resolve("auto")[0] == "preview"
    assert "Apple GPU" in resolve("auto")[1]
    assert "has no fused attention" in resolve("vmem")[1]
    monkeypatch.setattr(torch.version, "hip", "7.1")
    pretend(monkeypatch, Gpu())
    assert resolve("auto")[0] == "preview"
    assert "AMD GPU" in resolve("auto")[1]
    assert "card 0, an AMD GPU, which nobody has tried yet, memory preset" in resolve("vmem")[1]
