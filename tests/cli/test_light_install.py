"""Without the extra gpu: preview and doctor work, and what needs the extra names one command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.fakes import box_photo
from viewer.__main__ import main as viewer_main
from vmem import extras
from vmem.__main__ import main as vmem_main
from vmem.backends.registry import geometry_of
from vmem.errors import BackendError
from vmem.extras import GPU, install_command
from vmem.raster.gpu import adapter

ROOT = Path(__file__).resolve().parents[2]
FROM_HERE = 'pip install -c constraints.txt -e ".[gpu]"'
FROM_AN_INDEX = 'pip install "vmem-viewer[gpu]"'


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "room.png"
    Image.fromarray(box_photo()).save(path)
    return path


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no package of the extra were installed."""
    find = PathFinder.find_spec

    def find_others(name: str, path: Any = None, target: Any = None) -> Any:
        return None if name in GPU else find(name, path, target)

    monkeypatch.setattr(PathFinder, "find_spec", find_others)
    for name in GPU:
        monkeypatch.delitem(sys.modules, name, raising=False)


HIDE = f"""
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name in {GPU!r} else find(name, path, target)
)
from vmem.__main__ import main
sys.exit(main())
"""


def vmem_without_the_extra(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that finds no package of the extra."""
    return subprocess.run(
        [sys.executable, "-c", HIDE, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("backend", ["preview", "world"])
def test_a_walk_works(photo: Path, tmp_path: Path, backend: str) -> None:
    arguments = ["walk", *[str(photo)] * (backend == "preview"), "--backend", backend]
    arguments += ["--moves", "w a", "--size", "64", "--out", "out", "--json"]
    done = vmem_without_the_extra(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["views"] == 9
    assert (tmp_path / "out" / "walk.mp4").stat().st_size > 0


def test_doctor_works_and_names_the_command(tmp_path: Path) -> None:
    done = vmem_without_the_extra("doctor", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    row = "unknown  torch is not installed (the preview and world backends do not use it)"
    assert f"{row}: {FROM_HERE}" in done.stdout
    assert f"1. install the packages: {FROM_HERE}" in done.stdout
    assert "auto     means preview here" in done.stdout


@pytest.mark.usefixtures("lacking")
@pytest.mark.parametrize("program", ["walk", "viewer"])
def test_the_vmem_backend_names_the_command(
    program: str,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main, words = (vmem_main, ["walk"]) if program == "walk" else (viewer_main, ["--no-open"])
    monkeypatch.setattr(sys, "argv", ["program", *words, str(photo), "--backend", "vmem"])
    assert main() == 1
    said = capsys.readouterr().err
    assert said.startswith("error: the vmem backend cannot run on this machine")
    assert "missing: torch, diffusers, transformers, safetensors, einops\n" in said
    assert f"1. install the packages: {FROM_HERE}\n" in said
    assert said.count("pip install") == 1


@pytest.mark.usefixtures("lacking")
def test_measuring_names_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["program", "doctor", "--measure"])
    assert vmem_main() == 1
    missing = "torch, diffusers, transformers, safetensors, einops"
    said = f"error: nothing to measure without {missing}: run `{FROM_HERE}`\n"
    assert capsys.readouterr().err == said


@pytest.mark.usefixtures("lacking")
@pytest.mark.parametrize("geometry", ["depth-anything", "cut3r"])
def test_a_geometry_names_the_command(geometry: str) -> None:
    with pytest.raises(BackendError, match="not installed, run `pip install ") as caught:
        geometry_of("preview", geometry)
    assert FROM_HERE in str(caught.value)


@pytest.mark.usefixtures("lacking")
def test_the_gpu_rasterizer_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter._wgpu.cache_clear()
    with pytest.raises(adapter.GpuUnavailable) as caught:
        adapter.request_adapter()
    assert f"`{FROM_HERE}` installs it" in str(caught.value)


def test_the_command_is_another_where_there_is_no_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert install_command() == FROM_HERE
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "site-packages" / "vmem" / "extras.py"))
    assert install_command() == FROM_AN_INDEX
