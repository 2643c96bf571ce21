"""Why torch has no usable GPU here, and what to do: from plain values, without torch.

Sources: least drivers by CUDA version from NVIDIA's "CUDA Compatibility", minor version
compatibility; builds and their architectures from PyTorch's RELEASE.md, "CUDA support matrix", of
2.6 to 2.14, and its announcement that 2.14 is the last with CUDA 12.6; binary compatibility from
NVIDIA's "CUDA Programming Guide", compute capabilities.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vmem.devices.machine import Build, Capability, Card, Machine

NO_GPU = "no NVIDIA GPU is in reach of torch"
DRIVERS = "https://www.nvidia.com/drivers"

_MPS = "needs Apple silicon, a recent macOS and a Python for arm64"
MPS_LIMITS = "it shares the computer's memory, computes in float16 and has no fused attention"
"""What an Apple GPU cannot do, as one clause."""

LEAST_DRIVER = {13: 580, 12: 525, 11: 450}
"""The oldest driver branch that runs programs built with a CUDA of this major version."""


@dataclass(frozen=True)
class Diagnosis:
    """Why something cannot be, and what to do about it."""

    cause: str
    """One clause."""
    remedy: str = ""
    """One clause; "" where there is nothing to mend."""
    command: str = ""
    """What to run in a shell for it."""

    def __str__(self) -> str:
        command = f"`{self.command}`" if self.command else ""
        return ": ".join(text for text in (self.cause, self.remedy, command) if text)


@dataclass(frozen=True)
class _Wheels:
    """One index of torch's builds for CUDA."""

    name: str
    """The end of its address."""
    driver: int
    """The oldest driver branch that its builds run with."""
    oldest: Capability
    """The first compute capability that it has kernels for."""
    newest: Capability
    """The last, later minor versions of the same included."""
    first: tuple[int, int]
    """The first torch that it has, (major, minor)."""
    last: tuple[int, int] = (99, 0)
    """The last torch, far ahead while new ones come."""


_WHEELS = (
    _Wheels("cu130", 580, (7, 5), (12, 9), (2, 9)),
    _Wheels("cu126", 525, (5, 0), (9, 9), (2, 6), (2, 14)),
    # Only for what needs it, Blackwell with a driver older than 580.
    _Wheels("cu128", 525, (7, 5), (12, 9), (2, 7), (2, 11)),
    _Wheels("cu118", 450, (5, 0), (9, 9), (2, 0), (2, 7)),
)
"""In the order of preference: those that get the newest torch first."""


def install_torch(driver: str, cards: tuple[Card, ...] = (), version: str = "") -> str:
    """The command that installs a torch for a driver ("" for the newest) and the newest of the
    cards; "" if there is none.

    version: the torch to keep to where there is a build of it, as the install pins it.
    """
    capability = max((card.capability for card in cards if card.capability), default=None)
    for wheels in _WHEELS:
        runs = not driver or _branch(driver) >= wheels.driver
        holds = capability is None or wheels.oldest <= capability <= wheels.newest
        if runs and holds:
            number = re.match(r"(\d+)\.(\d+)\.\d+(?=\+|$)", version)
            kept = number and wheels.first <= (int(number[1]), int(number[2])) <= wheels.last
            torch = f"torch=={number[0]}" if number and kept else "torch"
            # Without --force-reinstall pip keeps the torch that is there: its version is the same.
            index = f"https://download.pytorch.org/whl/{wheels.name}"
            return f"pip install --force-reinstall {torch} --index-url {index}"
    return ""


def why_no_gpu(build: Build, machine: Machine, complaint: str = "") -> Diagnosis:
    """Why ``torch.cuda`` is not available, the first obstacle first.

    complaint: `vmem.devices.machine.torch_complaint`, asked of a CUDA build.
    """
    if machine.system == "Darwin":
        return Diagnosis(NO_GPU, f"a Mac's networks run on its own GPU (mps), which {_MPS}")
    if build.hip and not machine.driver:
        return Diagnosis(
            f"torch's ROCm build ({build.version}) finds no AMD GPU",
            "`rocminfo` should list it: see that the user is in the groups render and video; a "
            "container needs --device /dev/kfd --device /dev/dri. AMD's GPUs are untested here",
        )
    if build.cuda is None:
        return _wrong_build(build, machine)
    if not machine.driver:
        return _no_driver(build, machine)
    if machine.container and not machine.device_files:
        return _no_access()
    least = LEAST_DRIVER.get(_major(build.cuda), 0)
    if _branch(machine.driver) < least or "too old" in complaint:
        return _old_driver(build, machine, least)
    if _hidden(machine):
        return Diagnosis(
            f"CUDA_VISIBLE_DEVICES={machine.visible or ''} hides every GPU",
            "unset it, or set it to the number of a GPU that `nvidia-smi` lists",
        )
    if not machine.cards:
        return Diagnosis(
            f"the NVIDIA driver {machine.driver} lists no GPU",
            "`nvidia-smi` should: restart the computer, and install the driver again if that does "
            f"not help ({DRIVERS})",
        )
    said = f" ({complaint[:200]})" if complaint else ""
    return Diagnosis(
        f"torch cannot start {_card(machine)}{said}",
        "restart the computer: after an update of the driver, and now and then after a suspend, "
        "programs cannot reach the GPU until then",
    )


def why_no_apple_gpu(machine: Machine) -> Diagnosis:
    """Why ``torch.backends.mps`` is not available."""
    if machine.system == "Darwin":
        return Diagnosis("torch finds no Apple GPU (mps)", f"it {_MPS}")
    return Diagnosis("torch finds no Apple GPU (mps)", "this is no Mac: use auto, cuda or cpu")


def has_kernels(capability: Capability, build: Build) -> bool:
    """Whether a build has kernels that a GPU of this compute capability runs.

    True also if it is not known what the build was compiled for, and for ROCm builds.
    """
    if build.hip or not build.architectures:
        return True
    return any(_runs(architecture, capability) for architecture in build.architectures)


def why_no_kernels(card: Card, build: Build, driver: str = "") -> Diagnosis:
    """What to do about a GPU for which `has_kernels` is false."""
    assert card.capability is not None
    number = ".".join(map(str, card.capability))
    cause = (
        f"{card.name} (compute capability {number}) has no kernels in this torch "
        f"({build.version}, made for {', '.join(build.architectures)})"
    )
    command = install_torch(driver, (card,), build.version)
    if command:
        return Diagnosis(cause, "install a build that has them", command)
    if install_torch("", (card,)):
        return Diagnosis(
            cause, f"update the driver ({DRIVERS}), then ask again which build to install"
        )
    if card.capability < min(wheels.oldest for wheels in _WHEELS):
        return Diagnosis(cause, "it is too old for any torch that this program runs with")
    return Diagnosis(
        cause, "install a newer torch (https://pytorch.org/get-started/locally names it)"
    )


def _runs(architecture: str, capability: Capability) -> bool:
    """Compiled code ("sm_86") runs on its own major version from its minor version on; portable
    code ("compute_90") on everything later; either with the suffix a on that version alone, with f
    on that major version."""
    match = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", architecture)
    if match is None:
        return False
    kind, major, minor, suffix = match.groups()
    built = int(major), int(minor)
    if suffix == "a":
        return capability == built
    if kind == "compute" and not suffix:
        return capability >= built
    return capability[0] == built[0] and capability[1] >= built[1]


def _wrong_build(build: Build, machine: Machine) -> Diagnosis:
    """The torch is for the CPU, or for AMD's GPUs on a machine with NVIDIA's driver."""
    kind = "for AMD's GPUs (ROCm)" if build.hip else "a CPU build"
    if machine.driver or machine.on_bus:
        pypi = ", as PyPI's are on Windows" if machine.system == "Windows" else ""
        what = f"{_card(machine)} is here, but this torch ({build.version}) is {kind}{pypi}"
        command = install_torch(machine.driver, machine.cards, build.version)
        if not machine.driver:
            return Diagnosis(what, f"install its driver ({DRIVERS}) and a CUDA build", command)
        if not command:
            return Diagnosis(what, f"update its driver {machine.driver} first ({DRIVERS})")
        return Diagnosis(what, "install a CUDA build", command)
    return Diagnosis(NO_GPU)


def _no_driver(build: Build, machine: Machine) -> Diagnosis:
    least = LEAST_DRIVER.get(_major(build.cuda or ""), 0)
    wanted = f"of version {least} or later ({DRIVERS})" if least else f"({DRIVERS})"
    if machine.container:
        return _no_access() if machine.on_bus else Diagnosis(NO_GPU, _access("if there is one, "))
    if machine.wsl:
        return Diagnosis(
            f"{NO_GPU} within WSL",
            f"WSL 2 uses the driver of Windows: install one there {wanted}, none in Linux, then "
            "run `wsl --update` and `wsl --shutdown` in Windows",
        )
    if machine.on_bus:
        return Diagnosis(
            "an NVIDIA GPU is here, but its driver is not loaded",
            f"install a driver {wanted} and restart the computer",
        )
    if machine.system == "Windows":
        return Diagnosis(NO_GPU, f"if there is one, install its driver {wanted}")
    return Diagnosis(NO_GPU)


def _no_access() -> Diagnosis:
    return Diagnosis("an NVIDIA GPU is here, but this container has no access to it", _access())


def _access(begin: str = "") -> str:
    return (
        f"{begin}start the container with --gpus all (Docker, with NVIDIA's Container Toolkit on "
        "the host), --device nvidia.com/gpu=all (Podman) or --nv (Apptainer)"
    )


def _old_driver(build: Build, machine: Machine, least: int) -> Diagnosis:
    cause = (
        f"the NVIDIA driver {machine.driver} is too old for this torch ({build.version}, CUDA "
        f"{build.cuda})"
    )
    newer = f"{least} or later" if _branch(machine.driver) < least else "the newest"
    update = f"update the driver to {newer} ({DRIVERS})"
    command = install_torch(machine.driver, machine.cards, build.version)
    known = [card.capability for card in machine.cards if card.capability]
    if command and known and not any(has_kernels(capability, build) for capability in known):
        return Diagnosis(cause, "the GPU needs another torch with any driver", command)
    if command and _branch(machine.driver) < least:
        return Diagnosis(cause, f"{update}, or install a torch for this one", command)
    return Diagnosis(cause, update)


def _hidden(machine: Machine) -> bool:
    """Whether CUDA_VISIBLE_DEVICES leaves no GPU: its list ends at the first number of none."""
    if machine.visible is None:
        return False
    first = machine.visible.split(",")[0].strip()
    if not re.fullmatch(r"-?\d+", first):
        return not first
    return not 0 <= int(first) < max(len(machine.cards), 1)


def _card(machine: Machine) -> str:
    return machine.cards[0].name if machine.cards else "an NVIDIA GPU"


def _branch(driver: str) -> int:
    return int(driver.split(".")[0])


def _major(cuda: str) -> int:
    match = re.match(r"\d+", cuda)
    return int(match[0]) if match else 0
