"""The optional part of the install: which packages it brings, and the command that installs it.

Standard library only. `preview` and `world` need none of these packages.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

GPU = ("torch", "diffusers", "transformers", "safetensors", "einops", "wgpu", "nerfview", "splines")
"""Packages of the extra ``gpu``, by import name: the released model, the networks that estimate
depth, the GPU rasterizer, and the stream of surfels that the server draws."""


def not_installed(packages: Iterable[str]) -> list[str]:
    """Those of ``packages`` that are not installed; imports none of them."""
    return [name for name in packages if find_spec(name) is None]


def install_command(extra: str = "gpu") -> str:
    """What to run to install an extra: from this source checkout, or from a package index."""
    root = Path(__file__).resolve().parents[1]
    checkout = (root / "pyproject.toml").is_file() and (root / "constraints.txt").is_file()
    if checkout:
        return f'pip install -c constraints.txt -e ".[{extra}]"'
    return f'pip install "vmem-viewer[{extra}]"'
