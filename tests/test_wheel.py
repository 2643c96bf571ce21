"""What a wheel holds: the program with its samples, and neither tests nor benchmarks."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("vmem", "viewer", "shaders", "assets", "benchmarks", "tests", "docs")
BUILD = "from hatchling.build import build_wheel; print(build_wheel('dist'))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built in a copy of the sources by what pip would call."""
    copy = tmp_path_factory.mktemp("sources")
    ignored = shutil.ignore_patterns("__pycache__", "artifacts")
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "run_viewer.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy)
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return copy / "dist" / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_holds_every_module_shader_and_script(names: set[str]) -> None:
    for package in ("vmem", "viewer", "shaders"):
        for path in (ROOT / package).rglob("*"):
            if path.suffix in {".py", ".glsl", ".wgsl", ".js", ".css"}:
                assert str(path.relative_to(ROOT)) in names
    assert {"run_viewer.py", "vmem/py.typed"} <= names


def test_it_holds_the_samples_and_where_they_come_from(names: set[str]) -> None:
    expected = {f"vmem/assets/{path.name}" for path in (ROOT / "assets").glob("*.*")}
    assert {"vmem/assets/samples.json", "vmem/assets/SOURCES.md"} < expected
    assert {name for name in names if name.startswith("vmem/assets/")} == expected


def test_it_holds_nothing_else(names: set[str]) -> None:
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == {"vmem", "viewer", "shaders", "run_viewer.py"}


def test_it_installs_two_commands_and_a_light_front_door(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        scripts = archive.read(f"{info}/entry_points.txt").decode()
        metadata = archive.read(f"{info}/METADATA").decode()
    assert "vmem = vmem.__main__:main\n" in scripts
    assert "vmem-viewer = viewer.__main__:main\n" in scripts
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    default = {re.split("[^A-Za-z_-]", line.split()[1])[0] for line in needed if ";" not in line}
    assert {"numpy", "numba", "viser"} <= default
    assert not default & {"torch", "diffusers", "transformers", "nerfview", "einops", "wgpu"}
