"""Golden packs: what the published code computed, as tensors with a manifest.

Packs lie in the folder that VMEM_GOLDEN names, by default ``data`` beside this file, and are found
by the prefix of their name, so that a folder with other seeds and sizes checks just as well.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from vmem.published.surfels import PublishedConfig


@dataclass(frozen=True, eq=False)
class Pack:
    """One pack: the whole manifest, its ``config``, and the tensors by name."""

    manifest: dict[str, Any]
    tensors: dict[str, NDArray[Any]]

    @property
    def config(self) -> dict[str, Any]:
        """What the pack was made with."""
        return self.manifest["config"]

    def meaning(self, name: str) -> str:
        """What the manifest says about a tensor, or ""."""
        return self.manifest["tensors"].get(name, {}).get("meaning", "")

    def published_config(self) -> PublishedConfig:
        """The settings named in ``config``, the published ones for the rest."""
        given = {**self.config, **self.config.get("surfel", {})}
        if "normal_threshold" in given:
            given["merge_normal_threshold"] = given["normal_threshold"]
        known = {field.name for field in fields(PublishedConfig)}
        return PublishedConfig(**{name: given[name] for name in known & set(given)})

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.tensors[name]


def golden_folder() -> Path:
    """Where packs are looked for."""
    return Path(os.environ.get("VMEM_GOLDEN") or Path(__file__).parent / "data")


def load_pack(manifest_path: Path) -> Pack:
    """Read a manifest and the tensors beside it, and check that they belong together."""
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    tensors = load_file(
        manifest_path.with_name(manifest.get("file", f"{manifest_path.stem}.safetensors"))
    )
    for name, described in manifest["tensors"].items():
        assert list(np.shape(tensors[name])) == described["shape"], name
    return Pack(manifest, tensors)
