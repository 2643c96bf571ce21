"""Golden packs: what the published code computed, as tensors with a manifest.

Packs lie in the folder that VMEM_GOLDEN names, by default ``data`` beside this file, and are found
by the prefix of their name, so that a folder with other seeds and sizes checks just as well. A test
module says which it takes with ``PACKS = "06_navigator"`` and gets them one by one as ``pack``.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file


@dataclass(frozen=True, eq=False)
class Pack:
    """One pack: the whole manifest, its ``config``, and the tensors by name."""

    manifest: dict[str, Any]
    tensors: dict[str, NDArray[Any]]

    @property
    def config(self) -> dict[str, Any]:
        """What the pack was made with."""
        return self.manifest["config"]

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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for every pack of the module's prefix; a skipped one where there is none."""
    if "pack" not in metafunc.fixturenames:
        return
    prefix: str = getattr(metafunc.module, "PACKS")  # noqa: B009
    found = sorted(golden_folder().glob(f"{prefix}*.json"))
    missing = pytest.mark.skip(reason=f"no pack {prefix}* in {golden_folder()}")
    metafunc.parametrize(
        "pack",
        found or [pytest.param(None, marks=missing)],
        ids=[path.stem for path in found] or ["none"],
        indirect=True,
    )


@pytest.fixture
def pack(request: pytest.FixtureRequest) -> Pack:
    """A golden pack."""
    return load_pack(request.param)
