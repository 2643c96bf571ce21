"""Sections "machine" and "attention", and what a record says of versions and hardware."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from vmem.cli.measure.bench import Bench
from vmem.cli.measure.record import Plain, Row
from vmem.devices.devices import free_memory
from vmem.devices.memory_presets import GIB, PRESETS
from vmem.devices.precision import name_of, pick_dtype, wider_dtype

PACKAGES = (
    "vmem-viewer",
    "torch",
    "diffusers",
    "transformers",
    "safetensors",
    "huggingface_hub",
    "einops",
    "numpy",
    "numba",
)
"""Distributions whose versions count."""


def versions() -> dict[str, Plain]:
    """Of Python, the packages, and what torch was built for; None for what is not there."""
    found: dict[str, Plain] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    found["torch"] = torch.__version__  # with the build: 2.9.0+cu130
    cudnn = torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None
    return found | {"cuda": torch.version.cuda, "hip": torch.version.hip, "cudnn": cudnn}


def hardware(device: torch.device) -> dict[str, Plain]:
    """Of the device and the computer: card, driver, cores, memory, system. No name, no serial."""
    found: dict[str, Plain] = {"device": str(device)}
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        found |= {
            "card": card.name,
            "capability": f"{card.major}.{card.minor}",
            "multiprocessors": card.multi_processor_count,
            "card GiB": card.total_memory / GIB,
            "cards": torch.cuda.device_count(),
            **_driver(device),
        }
    return found | {
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "memory GiB": _memory(),
    }


def _driver(device: torch.device) -> dict[str, Plain]:
    """What `nvidia-smi` says of the card; empty where it says nothing."""
    fields = "driver_version", "power.limit", "pcie.link.gen.max", "pcie.link.width.max"
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    which = f"GPU-{uuid}" if uuid else str(device.index or 0)
    command = ["nvidia-smi", "-i", which, f"--query-gpu={','.join(fields)}"]
    try:
        said = subprocess.run(
            [*command, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(fields, map(str.strip, said.split(",")), strict=False))


def _memory() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    except (AttributeError, ValueError, OSError):
        return None  # Windows


def machine(bench: Bench) -> Iterator[Row]:
    """Precision and memory as the program decides, and how fast weights reach the device."""
    device = bench.device
    chosen = pick_dtype(device)
    wider = wider_dtype(device, chosen)
    build = " ".join(torch.cuda.get_arch_list()) if bench.on_cuda else None
    yield Row("kernels of this torch", {"for": build})
    after = None if wider is None else name_of(wider)
    yield Row("precision", {"auto": name_of(chosen), "after an overflow": after})
    if bench.on_cuda:
        before = free_memory(device)
        ones = torch.ones(64, 64, device=device)
        _ = ones @ ones
        bench.wait()
        free, total = torch.cuda.mem_get_info(device)
        yield Row(
            "memory GiB",
            {
                "total": total / GIB,
                "free": free / GIB,
                "first product": (before - free_memory(device)) / GIB,
            },
        )
        for preset in PRESETS.values():
            yield Row(
                f"memory preset {preset.name}",
                {
                    "tensors GiB": preset.tensors / GIB,
                    "from GiB": preset.least / GIB,
                    "chosen from here": before >= preset.least,
                },
            )
    yield from _copies(bench)


def _copies(bench: Bench) -> Iterator[Row]:
    """GB a second between the computer's memory and the device's, which offloading waits for."""
    amount = 2**20 if bench.tiny else 2**28
    here = torch.zeros(amount, dtype=torch.uint8)
    there = torch.zeros(amount, dtype=torch.uint8, device=bench.device)
    kinds = {"pageable": here} | ({"pinned": here.pin_memory()} if bench.on_cuda else {})
    for name, host in kinds.items():

        def measured(host: Tensor = host) -> dict[str, Plain]:
            to = bench.milliseconds(lambda: there.copy_(host))
            back = bench.milliseconds(lambda: host.copy_(there))
            return {"GB/s to": amount / to / 1e6, "GB/s back": amount / back / 1e6}

        yield bench.attempt(f"copies of {name} memory", measured)


# Batch, heads, length and channels of a head, where the networks have them.
SHAPES = {
    "UNet, each frame": (16, 5, 5184, 64),
    "UNet, all frames at half size": (2, 10, 10368, 64),
    "UNet, over frames": (2, 25920, 8, 64),
    "VAE": (2, 1, 5184, 512),
    "CLIP": (4, 16, 257, 80),
    "CUT3R": (1, 16, 1024, 64),
}
BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
"""torch's fused kernels. Without one, the scores alone take gigabytes."""


def attention(bench: Bench) -> Iterator[Row]:
    """Milliseconds of attention in the networks' shapes, by kernel; None where it does not run.

    "over frames" has the memory layout of the network: places are heads of a map of channels.
    """
    dtypes = (torch.float16, torch.bfloat16) if bench.device.type != "cpu" else (torch.float32,)
    kernels = BACKENDS if bench.on_cuda else {}
    for dtype in dtypes:
        for name, shape in SHAPES.items():
            n, heads, length, channels = (min(s, 16) for s in shape) if bench.tiny else shape

            def measured(
                sizes: tuple[int, ...] = (n, length, heads, channels), dtype: torch.dtype = dtype
            ) -> dict[str, Plain]:
                # Channels of a head lie together, then the heads of a token, as after a projection.
                q = torch.randn(sizes, device=bench.device, dtype=dtype).transpose(1, 2)
                tried = {"torch's choice": None, **kernels}
                return {f"{name} ms": _attention_ms(bench, q, by) for name, by in tried.items()}

            yield bench.attempt(f"{name}, {name_of(dtype)}", measured)


def _attention_ms(bench: Bench, q: Tensor, backend: SDPBackend | None = None) -> Plain:
    def attend() -> Tensor:
        return functional.scaled_dot_product_attention(q, q, q)

    if backend is None:
        return bench.milliseconds(attend, rounds=5)
    try:
        with sdpa_kernel(backend):
            return bench.milliseconds(attend, rounds=5)
    except RuntimeError as error:
        if "No available kernel" not in str(error):
            raise
        return None
