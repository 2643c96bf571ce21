"""Compiled kernels find a place whatever can be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHERE = (
    "from vmem.raster import Blocks; from vmem.raster.cpu import kernel_cache;"
    "from vmem.raster.blocks import _bound; from vmem.types.surfels import Surfels;"
    "Blocks.of(Surfels.empty()); print(kernel_cache()[0], _bound.stats.cache_path, sep='|')"
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package that can write nothing beside its source."""
    kept = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
    for name in ("vmem", "shaders"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=kept)
    for folder, _, _ in os.walk(tmp_path):
        # A file in the folder's place stops root, too, unlike permissions.
        (Path(folder) / "__pycache__").touch()
    return tmp_path


def kernel_folders(package: Path, **environment: str) -> list[Path]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", WHERE],
        cwd=package,
        env=kept | {"PYTHONPATH": str(package)} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    folders = [Path(part) for part in done.stdout.strip().split("|")]
    assert list(folders[1].glob("blocks._bound*.nbc")), "compiled, but not kept"
    return folders


def test_with_no_folder_to_write_to_kernels_lie_in_the_temporary_one(package, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    nowhere = {"HOME": os.devnull, "TMPDIR": str(temporary)}
    first = kernel_folders(package, **nowhere)
    assert all(folder.is_relative_to(temporary) for folder in first)
    assert kernel_folders(package, **nowhere) == first, "the next process finds them"
    unusable = kernel_folders(package, **nowhere, NUMBA_CACHE_DIR=os.devnull)
    assert unusable == first


def test_a_folder_that_is_missing_is_made(package, tmp_path):
    wanted = tmp_path / "not" / "there" / "yet"
    folders = kernel_folders(package, NUMBA_CACHE_DIR=str(wanted))
    assert all(folder.is_relative_to(wanted) for folder in folders)


def test_a_home_that_can_be_written_is_used(package, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    folders = kernel_folders(package, HOME=str(home), TMPDIR=str(temporary))
    assert all(folder.is_relative_to(home) for folder in folders)
