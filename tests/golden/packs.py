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
from numpy.typing import ArrayLike, NDArray
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


def assert_close(
    actual: ArrayLike,
    expected: ArrayLike,
    tolerance: float,
    *,
    floor: float = 1.0,
    what: str = "",
) -> None:
    """Compare a field with the published one: allow ``tolerance`` times its largest magnitude.

    Rounding grows with the numbers of a field. One whose values all lie below ``floor`` is compared
    as if its largest were that. NaN and infinities must be where the published ones are.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    allowed = tolerance * max(largest(expected), floor)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=allowed, err_msg=what)


def assert_poses_close(actual: ArrayLike, expected: ArrayLike, tolerance: float) -> None:
    """Compare poses (..., 4, 4) or (..., 3, 4): far positions do not loosen the rotations."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert_close(actual[..., :3], expected[..., :3], tolerance, what="rotation")
    assert_close(actual[..., 3], expected[..., 3], tolerance, what="position")


def largest(field: ArrayLike) -> float:
    """The largest finite magnitude in a field, 0 where it has none."""
    magnitude = np.abs(np.asarray(field, np.float64))
    return float(np.max(magnitude, where=np.isfinite(magnitude), initial=0.0))
