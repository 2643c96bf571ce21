"""Whether the released model can run on this machine, and if not, why and what to do about it.

torch is imported only if all weights are on this machine, or if the model was asked for by name.
"""

from __future__ import annotations

import json
import textwrap
from typing import Any

from vmem.devices.diagnosis import MPS_LIMITS, Diagnosis
from vmem.devices.memory_presets import GIB, PRESETS
from vmem.devices.settings import NetworkSettings
from vmem.errors import VMemError
from vmem.extras import install_command, not_installed
from vmem.weights.advice import gigabytes
from vmem.weights.catalogue import PARTS
from vmem.weights.parts import Files, WeightStatus, find_part, status

REQUIRED = ("vmem", "vae", "clip")
"""The parts that make frames. CUT3R is not among them: other geometries can take its place."""
PACKAGES = ("torch", "diffusers", "transformers", "safetensors", "einops")
NUM_FRAMES = 8
"""Slots of the released network: context and targets together."""
_HOST_GIGABYTES = 8
"""Weights of the three parts in float32: 1264 + 632 + 84 M parameters."""


def network_config(files: Files) -> dict[str, Any]:
    """Sizes of a network from a config.json beside its weights; none for the released one.

    Only a file with this network's fields counts: a folder may hold another network's.
    """
    path = files[0].with_name("config.json")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) and "model_channels" in values else {}


def slots() -> int:
    """Slots of the network on this machine: context views and targets together."""
    files = find_part(PARTS["vmem"])
    return network_config(files).get("num_frames", NUM_FRAMES) if files else NUM_FRAMES


def missing_packages() -> list[str]:
    """Packages of the released model that are not installed."""
    return not_installed(PACKAGES)


def missing_weights() -> list[WeightStatus]:
    """The parts that are not on this machine."""
    return [row for row in (status(PARTS[name]) for name in REQUIRED) if not row.present]


def where(settings: NetworkSettings) -> str:
    """One clause: which device and which memory preset. Raises DeviceError, NotEnoughMemoryError.

    Imports torch.
    """
    import torch

    from vmem.devices.devices import memory_preset, pick_device

    device = pick_device(settings.device)
    memory = memory_preset(settings, device, decide=False)
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        untried = ", an AMD GPU, which nobody has tried yet" if torch.version.hip else ""
        return f"{name}{untried}, memory preset {memory.name}: {memory.label}"
    if device.type == "mps":
        return f"Apple GPU, which nobody has tried yet: {MPS_LIMITS}"
    return "on the CPU as asked: expect many minutes a step"


def why_not(settings: NetworkSettings) -> str | None:
    """One clause on why ``auto`` does not choose the released model here; None if it does.

    ``auto`` needs an NVIDIA GPU; slower or untested devices are used only if asked for by name.
    """
    if missing_weights():
        return "the released weights are not here, `python -m vmem doctor` says how to get them"
    if missing := missing_packages():
        return f"{', '.join(missing)} not installed, run `{install_command()}`"
    import torch

    from vmem.devices.devices import missing_gpu

    if not torch.cuda.is_available():
        if torch.backends.mps.is_available():
            return "an Apple GPU is used only where --backend vmem asks for it: nobody has tried it"
        return str(missing_gpu())
    if torch.version.hip:
        return "an AMD GPU is used only where --backend vmem asks for it: nobody has tried it"
    try:
        where(settings)
    except VMemError as error:
        return str(error)
    return None


def refusal(settings: NetworkSettings) -> str | None:
    """One screen on what is missing and what to do about it; None if nothing is."""
    packages, weights = missing_packages(), missing_weights()
    device = Diagnosis("torch is not installed")
    if "torch" not in packages:
        device = _no_device(settings)
    if not (packages or weights or device):
        return None
    have = [f"  packages  missing: {', '.join(packages)}"] if packages else []
    have += [f"  GPU       {_wrapped(device.cause, 12)}"] if device else []
    have += [f"  weights   {_row(row)}" for row in weights]
    todo: list[str] = []
    if packages:
        todo.append(f"install the packages: {install_command()}")
    if device and "torch" not in packages:
        todo.append(_get_device(device))
    todo += [_wrapped(gate, 5) for row in weights if (gate := row.gate)]
    if weights:
        todo.append(_download(weights))
    steps = [f"  {i}. {text}" for i, text in enumerate(todo, start=1)]
    return "\n".join(
        [
            "the vmem backend cannot run on this machine. What is missing:",
            *have,
            "What to do:",
            *steps,
            "`python -m vmem doctor` checks again. Until then: --backend preview needs none of it.",
        ]
    )


def _no_device(settings: NetworkSettings) -> Diagnosis | None:
    from vmem.devices.devices import DeviceError

    try:
        where(settings)
    except DeviceError as error:
        return error.diagnosis
    except VMemError as error:
        return Diagnosis(str(error))
    return None


def _get_device(device: Diagnosis) -> str:
    least = min(preset.least for preset in PRESETS.values()) // GIB
    remedy = device.remedy or (
        f"use a machine with an NVIDIA GPU ({least} GiB of its memory free, or more) and torch's "
        "CUDA build: https://pytorch.org/get-started/locally"
    )
    without = (
        "Without a GPU: VMEM_DEVICE=cpu runs it on the CPU, in many minutes a step, with "
        f"{_HOST_GIGABYTES} GB of memory for the weights alone"
    )
    parts = [_wrapped(remedy, 5), device.command, _wrapped(without, 5)]
    return "\n     ".join(part for part in parts if part)


def _wrapped(text: str, indent: int) -> str:
    """A sentence in lines of the screen; the lines after the first are indented."""
    lines = textwrap.wrap(text, 88 - indent, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def _row(row: WeightStatus) -> str:
    if row.problem:
        return f"{row.part}: {row.problem}"
    size = gigabytes(PARTS[row.part].download)
    begun = f", {gigabytes(row.arrived)} of it arrived" if row.arrived else ""
    return f"missing: {row.title} (about {size}{begun})"


def _download(weights: list[WeightStatus]) -> str:
    geometry = gigabytes(PARTS["cut3r"].download)
    needed = gigabytes(sum(PARTS[row.part].download for row in weights))
    parts = " and ".join(row.part for row in weights)
    return (
        "download them: python -m vmem weights download all\n"
        f"     ({needed}, and {geometry} of CUT3R for better geometry; to leave it out, give\n"
        f"     {parts} in place of all, one after the other)"
    )
