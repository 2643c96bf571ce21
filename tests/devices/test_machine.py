"""What is read from the system, from files and a nvidia-smi that the tests write."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from vmem.devices.machine import Build, Card, Machine, look, torch_build, torch_complaint

RTX = Card("NVIDIA GeForce RTX 4090", (8, 9))


def write(root: Path, name: str, text: str = "") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def smi(root: Path, script: str) -> dict[str, str]:
    """An environment in which nvidia-smi is a script of the shell."""
    write(root, "bin/nvidia-smi", f"#!/bin/sh\n{script}\n").chmod(0o755)
    return {"PATH": str(root / "bin")}


needs_shell = pytest.mark.skipif(sys.platform == "win32", reason="runs a script of the shell")


def seen(root: Path, environment: dict[str, str] | None = None, **options) -> Machine:
    options = {"system": "Linux", "release": "6.8.0-generic"} | options
    return look(root, environment or {"PATH": str(root / "none")}, **options)


def test_nothing_there(tmp_path):
    assert seen(tmp_path) == Machine("Linux")


@needs_shell
def test_nvidia_smi(tmp_path):
    rows = "echo '580.65.06, 8.9, NVIDIA GeForce RTX 4090'; echo '580.65.06, 7.0, Tesla V100'"
    found = seen(tmp_path, smi(tmp_path, rows) | {"CUDA_VISIBLE_DEVICES": "1"})
    assert found.driver == "580.65.06"
    assert found.cards == (RTX, Card("Tesla V100", (7, 0)))
    assert found.visible == "1"


@needs_shell
def test_nvidia_smi_that_knows_no_compute_capability(tmp_path):
    script = (
        'case "$*" in *compute_cap*) echo \'Field "compute_cap" is not valid\'; exit 2;; esac\n'
        "echo '470.256.02, NVIDIA GeForce GTX 1080'"
    )
    found = seen(tmp_path, smi(tmp_path, script))
    assert (found.driver, found.cards) == ("470.256.02", (Card("NVIDIA GeForce GTX 1080"),))


@needs_shell
@pytest.mark.parametrize(
    "script",
    [
        "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18",
        "echo",
        "exit 9",
    ],
)
def test_nvidia_smi_that_fails(tmp_path, script):
    loaded = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 2024\n"
    write(tmp_path, "proc/driver/nvidia/version", loaded)
    found = seen(tmp_path, smi(tmp_path, script))
    assert (found.driver, found.cards) == ("550.54.15", ())


def test_the_open_kernel_module(tmp_path):
    text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build\n"
    write(tmp_path, "proc/driver/nvidia/version", text)
    assert seen(tmp_path).driver == "570.86.10"


@pytest.mark.parametrize(
    ("vendor", "kind", "on_bus"),
    [
        ("0x10de", "0x030000", True),
        ("0x10de", "0x030200", True),
        ("0x10de", "0x040300", False),  # the sound of a card, which may be switched off itself
        ("0x1002", "0x030000", False),
    ],
)
def test_a_card_on_the_bus(tmp_path, vendor, kind, on_bus):
    write(tmp_path, "sys/bus/pci/devices/0000:01:00.0/vendor", f"{vendor}\n")
    write(tmp_path, "sys/bus/pci/devices/0000:01:00.0/class", f"{kind}\n")
    assert seen(tmp_path).on_bus is on_bus


@pytest.mark.parametrize("name", [".dockerenv", "run/.containerenv"])
def test_a_container(tmp_path, name):
    write(tmp_path, name)
    assert seen(tmp_path).container
    assert seen(tmp_path / "none", {"PATH": "", "APPTAINER_CONTAINER": "x.sif"}).container


def test_linux_within_windows(tmp_path):
    write(tmp_path, "dev/dxg")
    found = seen(tmp_path, release="5.15.153.1-microsoft-standard-WSL2")
    assert (found.wsl, found.device_files) == (True, True)


@needs_shell
def test_a_mac_is_not_asked(tmp_path):
    environment = smi(tmp_path, "echo '580.65.06, 8.9, NVIDIA GeForce RTX 4090'")
    assert seen(tmp_path, environment, system="Darwin").driver == ""


def test_the_build_of_torch(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_90", "compute_90"])
    assert torch_build() == Build(torch.__version__, "13.0", None, ("sm_90", "compute_90"))
    monkeypatch.setattr(torch.version, "cuda", None)
    assert torch_build() == Build(torch.__version__)


def test_what_torch_says(monkeypatch):
    def fail() -> None:
        raise RuntimeError("The NVIDIA driver\nis too old")

    monkeypatch.setattr(torch.cuda, "init", fail)
    assert torch_complaint() == "The NVIDIA driver is too old"
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    assert torch_complaint() == ""
