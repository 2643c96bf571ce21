"""Packs of any name and number are found: a copy of a pack under another name runs as well."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.packs import golden_folder

MODULES = {
    "05_context": "test_05_context_traj.py",
    "05_memory": "test_05_memory_basics.py",
    "06_navigator": "test_06_navigator.py",
    "10_undo": "test_10_undo.py",
    "10_trajectory_schedule": "test_10_trajectory_schedule.py",
}
NAMES = ("A", "B_seed7")


def lines_of_pytest(folder: Path, *options: str) -> dict[str, list[str]]:
    """What pytest says of each prefix's tests, in one process for all: to import takes longest."""
    here = Path(__file__).parent
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *options,
            *(str(here / name) for name in MODULES.values()),
        ],
        env=os.environ | {"VMEM_GOLDEN": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    lines = [line for line in done.stdout.splitlines() if "::" in line]
    return {
        prefix: [line for line in lines if f"{module}::" in line]
        for prefix, module in MODULES.items()
    }


@pytest.fixture(scope="module")
def found_renamed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Tests that are collected where each prefix has one pack, twice, under other names."""
    folder = tmp_path_factory.mktemp("renamed")
    for prefix in MODULES:
        for manifest_path in sorted(golden_folder().glob(f"{prefix}*.json"))[:1]:
            manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
            for name in (f"{prefix}_{name}" for name in NAMES):
                if "file" in manifest:
                    manifest["file"] = f"{name}.safetensors"
                    tensors = manifest_path.with_suffix(".safetensors")
                    shutil.copy(tensors, folder / manifest["file"])
                (folder / f"{name}.json").write_text(json.dumps(manifest), encoding="utf-8")
    return lines_of_pytest(folder, "-q", "--collect-only")


@pytest.mark.parametrize("prefix", MODULES)
def test_every_pack_of_a_prefix_runs(prefix: str, found_renamed: dict[str, list[str]]) -> None:
    if not list(golden_folder().glob(f"{prefix}*.json")):
        pytest.skip(f"no pack {prefix}* in {golden_folder()}")
    first, second = (
        [line for line in found_renamed[prefix] if f"{prefix}_{name}" in line] for name in NAMES
    )
    assert len(first) == len(second) > 0


def test_no_pack_is_no_failure(tmp_path: Path) -> None:
    for prefix, lines in lines_of_pytest(tmp_path, "-v").items():
        assert any("SKIPPED" in line for line in lines), prefix
        assert not any("FAILED" in line or "ERROR" in line for line in lines), prefix
