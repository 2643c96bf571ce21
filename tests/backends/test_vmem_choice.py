"""When the name ``vmem`` or ``auto`` means the released model here, and what is said if not."""

from __future__ import annotations

import pytest
import torch

from vmem.backends import resolve
from vmem.devices.memory_presets import GIB
from vmem.devices.settings import NetworkSettings
from vmem.errors import BackendError

pytestmark = pytest.mark.usefixtures("one_thread", "released")


def test_without_weights_one_screen_says_what_to_do(monkeypatch):
    for part in ("UNET", "VAE", "CLIP"):
        monkeypatch.delenv(f"VMEM_{part}")
    monkeypatch.setenv("HF_HUB_CACHE", "nowhere")
    monkeypatch.setattr("vmem.weights.hub.find", lambda source: None)
    monkeypatch.setenv("VMEM_DEVICE", "auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
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
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve("vmem") == ("vmem", "on the CPU as asked: expect many minutes a step")
    assert resolve("auto") == ("preview", "no NVIDIA GPU is in reach of torch")
    monkeypatch.setenv("VMEM_DEVICE", "auto")
    with pytest.raises(BackendError, match="no NVIDIA GPU is in reach of torch"):
        resolve("vmem")
    with pytest.raises(BackendError, match="cuda:3: 0 found"):
        resolve("vmem", NetworkSettings(device="cuda:3"))


def test_auto_takes_the_model_where_it_can_run(monkeypatch):
    monkeypatch.setenv("VMEM_DEVICE", "auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: GIB)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (11 * GIB, 24 * GIB))
    name, why = resolve("auto")
    assert name == "vmem"
    assert why.startswith("a card, memory preset offload-codecs")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4 * GIB, 24 * GIB))
    name, why = resolve("auto")
    assert name == "preview"
    assert "5.0 GiB free" in why
