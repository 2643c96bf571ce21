"""What this machine and this torch have to do with GPUs, read without using a GPU."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Capability = tuple[int, int]
"""An NVIDIA GPU's compute capability, (major, minor)."""

_PCI_NVIDIA, _PCI_DISPLAY = "0x10de", "0x03"
_SMI_SECONDS = 10
"""Longest wait for nvidia-smi: a driver that is not kept loaded takes seconds to start."""


@dataclass(frozen=True)
class Card:
    """An NVIDIA GPU."""

    name: str
    """The card's name, in the driver's words."""
    capability: Capability | None = None
    """Its compute capability; None if the driver is too old to say it."""


@dataclass(frozen=True)
class Machine:
    """What the system says of GPUs, whatever torch finds."""

    system: str
    """"Linux", "Windows" or "Darwin"."""
    driver: str = ""
    """The NVIDIA driver's version, "" where none was found."""
    cards: tuple[Card, ...] = ()
    """The GPUs that the driver lists."""
    on_bus: bool = False
    """Whether an NVIDIA GPU is on the PCI bus; known on Linux only."""
    device_files: bool = False
    """Whether the files through which a program reaches the driver are there (Linux)."""
    container: bool = False
    """Whether this is a container."""
    wsl: bool = False
    """Whether this is Linux within Windows."""
    visible: str | None = None
    """CUDA_VISIBLE_DEVICES, None where it is not set."""


@dataclass(frozen=True)
class Build:
    """What a torch was built for."""

    version: str
    """torch's version with its build, such as "2.13.0+cpu"."""
    cuda: str | None = None
    """The CUDA version of a CUDA build."""
    hip: str | None = None
    """The HIP version of a ROCm build, which is for AMD's GPUs."""
    architectures: tuple[str, ...] = ()
    """What its kernels are compiled for: "sm_90", "compute_120"; empty if unknown."""


def torch_build() -> Build:
    """The torch that is installed here. Imports torch."""
    import torch

    cuda, hip = torch.version.cuda, torch.version.hip
    architectures = tuple(torch.cuda.get_arch_list()) if cuda or hip else ()
    return Build(torch.__version__, cuda, hip, architectures)


def torch_complaint() -> str:
    """What torch says when it is made to start CUDA and cannot, as one line, else "".

    The warning that ``torch.cuda.is_available()`` gives of it appears once a process only.
    """
    import torch

    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return " ".join(str(error).split())
    return ""


@cache
def this_machine() -> Machine:
    """`look` at this machine, once a process: what it finds cannot change under a running torch."""
    return look()


def look(
    root: Path = Path("/"),
    environment: Mapping[str, str] | None = None,
    system: str = "",
    release: str = "",
) -> Machine:
    """Ask nvidia-smi and the system's files under ``root``. Uses no GPU, and raises nothing.

    environment, system, release: by default this process's and this system's.
    """
    environment = os.environ if environment is None else environment
    system = system or platform.system()
    driver, cards = ("", ()) if system == "Darwin" else _ask_smi(root, environment)
    return Machine(
        system=system,
        driver=driver or _loaded_driver(root),
        cards=cards,
        on_bus=_on_bus(root),
        device_files=(root / "dev/nvidiactl").exists() or (root / "dev/dxg").exists(),
        container=any((root / name).exists() for name in (".dockerenv", "run/.containerenv"))
        or any(environment.get(name) for name in ("container", "APPTAINER_CONTAINER")),
        wsl="microsoft" in (release or platform.release()).lower(),
        visible=environment.get("CUDA_VISIBLE_DEVICES"),
    )


def _ask_smi(root: Path, environment: Mapping[str, str]) -> tuple[str, tuple[Card, ...]]:
    """The driver's version and its GPUs by nvidia-smi, in one question."""
    in_wsl = root / "usr/lib/wsl/lib/nvidia-smi"  # not always on the PATH there
    program = shutil.which("nvidia-smi", path=environment.get("PATH", ""))
    if program is None and not in_wsl.is_file():
        return "", ()
    for fields in ("driver_version,compute_cap,name", "driver_version,name"):  # 470 lacks one
        words = [program or str(in_wsl), f"--query-gpu={fields}", "--format=csv,noheader"]
        try:
            said = subprocess.run(
                words, capture_output=True, text=True, timeout=_SMI_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return "", ()
        rows = [_row(line) for line in said.stdout.splitlines()]
        found = [row for row in rows if row is not None]
        if said.returncode == 0 and found:
            return found[0][0], tuple(card for _, card in found)
    return "", ()


def _row(line: str) -> tuple[str, Card] | None:
    match = re.fullmatch(r"(\d+\.[\d.]+), (?:(\d+)\.(\d+), )?(.+)", line.strip())
    if match is None:
        return None
    driver, major, minor, name = match.groups()
    return driver, Card(name, (int(major), int(minor)) if major else None)


def _loaded_driver(root: Path) -> str:
    """The version of the loaded kernel module, which containers see as well."""
    text = _read(root / "proc/driver/nvidia/version")
    match = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return match[1] if match else ""


def _on_bus(root: Path) -> bool:
    return any(
        _read(vendor).strip() == _PCI_NVIDIA
        and _read(vendor.with_name("class")).startswith(_PCI_DISPLAY)
        for vendor in root.glob("sys/bus/pci/devices/*/vendor")
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
