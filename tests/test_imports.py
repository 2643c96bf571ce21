"""Who may import whom, and what an import costs: which packages a fresh process has loaded.

The order of the folders is a contract in pyproject.toml. Imports within functions are allowed there
in any order of cost, so a process tells which packages come with what.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmem.extras import GPU

ROOT = Path(__file__).resolve().parent.parent

NETWORKS = (
    "vmem.cli.measure",
    "vmem.devices.advice",
    "vmem.devices.devices",
    "vmem.devices.precision",
    "vmem.devices.recovery",
    "vmem.generation.diffusion",
    "vmem.geometry.cut3r",
    "vmem.geometry.depth_anything",
)
"""What may import torch when it is imported: it is imported where a network is used."""


def modules(package: str, without: tuple[str, ...]) -> list[str]:
    """Every module of a package but those that a name of ``without`` is, or holds."""
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if not any(f"{name}.".startswith(f"{other}.") for other in without):
            found.append(name)
    assert found, f"no sources in {package}"
    return found


STAGES = {
    "shaders": ["shaders"],
    "vmem": ["vmem"],
    "session": ["vmem.session", "vmem.formats.walk", "vmem.backends.registry", "vmem.__main__"],
    "engine": modules("vmem", NETWORKS),
    "program": ["viewer.server.app", "viewer.__main__"],
    "viewer": modules("viewer", ("viewer.scene.stream_thread",)),
    "settings of a network": ["vmem.geometry.cut3r.config"],
    "network": ["vmem.geometry.cut3r.network"],
    "stream": ["viewer.scene.stream_thread"],
}
"""What one fresh process imports, in this order."""


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """Top-level packages, and scipy.spatial, that a process has loaded after each stage and those
    before."""
    code = f"""
import importlib, json, sys
loaded = {{}}
for stage, names in json.loads({json.dumps(STAGES)!r}).items():
    for name in names:
        importlib.import_module(name)
    tops = {{name.split(".")[0] for name in sys.modules}}
    loaded[stage] = sorted(tops | {{"scipy.spatial"}} & set(sys.modules))
print(json.dumps(loaded))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {stage: set(names) for stage, names in json.loads(done.stdout).items()}


def test_the_folders_are_imported_in_one_direction():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_shaders_need_the_standard_library_only(loaded):
    # What Python itself loads at its start (a .pth file of an editable install) is not theirs.
    ours = {name for name in loaded["shaders"] if not name.startswith("__editable__")}
    allowed = sys.stdlib_module_names | {"shaders", "_distutils_hack", "__main__", "__mp_main__"}
    assert {name for name in ours if not name.startswith("_sysconfigdata")} <= allowed


def test_importing_the_package_costs_nothing(loaded):
    assert not loaded["vmem"] & {"torch", "viser", "numba", "scipy", "cv2", "numpy", "PIL"}


def test_a_session_needs_neither_torch_nor_viser(loaded):
    assert "numba" in loaded["session"]
    assert not loaded["session"] & {"torch", "viser", "nerfview"}


@pytest.mark.parametrize(
    "stage", ["session", "engine", "program", "viewer", "settings of a network"]
)
def test_nothing_but_a_network_or_the_stream_loads_a_package_of_the_extra(loaded, stage):
    assert not loaded[stage] & {*GPU, "huggingface_hub"}


def test_matplotlib_waits_for_a_figure_and_scipy_for_a_step(loaded):
    assert not loaded["program"] & {"matplotlib", "scipy.spatial"}


def test_the_engine_does_not_know_the_viewer(loaded):
    assert not loaded["engine"] & {"viewer", "viser", "run_viewer", "benchmarks", "tests"}


def test_the_viewer_does_not_know_who_starts_it(loaded):
    assert "viser" in loaded["viewer"]
    assert not loaded["viewer"] & {"run_viewer", "benchmarks", "tests"}


def test_networks_and_the_stream_load_what_they_need(loaded):
    assert "torch" in loaded["network"]
    assert "nerfview" not in loaded["network"]
    assert "nerfview" in loaded["stream"]


def test_only_the_strategy_and_the_judges_know_the_published_code():
    knowing = {
        path.relative_to(ROOT / "vmem").parts[0]
        for path in (ROOT / "vmem").rglob("*.py")
        if "vmem.published" in path.read_text(encoding="utf-8")
    }
    assert knowing == {"published", "evaluation", "retrieval"}


def test_public_names_exist():
    import vmem

    for name in vmem.__all__:
        assert getattr(vmem, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = vmem.nonsense
