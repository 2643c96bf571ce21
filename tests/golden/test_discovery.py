"""Packs of any name and number are found: a copy of a pack under another name runs as well."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import golden_folder

MODULES = {
    "05_context": "test_05_context_traj.py",
    "05_memory": "test_05_memory_basics.py",
    "06_navigator": "test_06_navigator.py",
    "10_undo": "test_10_undo.py",
    "10_trajectory_schedule": "test_10_trajectory_schedule.py",
}


def collected(folder: Path, module: str) -> list[str]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--collect-only",
            str(Path(__file__).parent / module),
        ],
        env=os.environ | {"VMEM_GOLDEN": str(folder)},
        capture_output=True,
        text=True,
    )
    return [line for line in done.stdout.splitlines() if "::" in line]


@pytest.mark.parametrize("prefix", MODULES)
def test_every_pack_of_a_prefix_runs(prefix, tmp_path):
    found = sorted(golden_folder().glob(f"{prefix}*.json"))
    if not found:
        pytest.skip(f"no pack {prefix}* in {golden_folder()}")
    manifest = json.loads(found[0].read_text(encoding="utf-8"))
    for name in (f"{prefix}_A", f"{prefix}_B_seed7"):
        if "file" in manifest:
            manifest["file"] = f"{name}.safetensors"
            shutil.copy(found[0].with_suffix(".safetensors"), tmp_path / manifest["file"])
        (tmp_path / f"{name}.json").write_text(json.dumps(manifest), encoding="utf-8")
    lines = collected(tmp_path, MODULES[prefix])
    here = [[line for line in lines if name in line] for name in ("_A", "_B_seed7")]
    assert len(here[0]) == len(here[1]) > 0


@pytest.mark.parametrize("prefix", MODULES)
def test_no_pack_is_no_failure(prefix, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(Path(__file__).parent / MODULES[prefix])],
        env=os.environ | {"VMEM_GOLDEN": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "skipped" in done.stdout
