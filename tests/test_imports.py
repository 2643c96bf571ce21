"""Who may import whom, read from the sources and tried in a fresh process."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BROWSER = {"viewer", "viser", "nerfview", "run_viewer"}


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"no sources in {package}"
    return found


def imported(path: Path) -> Iterator[tuple[str, bool]]:
    """(top-level package, whether at module level) of every import in a file, however deep."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    at_top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], id(node) in at_top
        elif isinstance(node, ast.ImportFrom):
            own = path.relative_to(ROOT).parts[0]
            module = node.module or ""
            yield (own if node.level else module.split(".")[0]), id(node) in at_top


def packages(path: Path) -> set[str]:
    return {name for name, _ in imported(path)}


@pytest.mark.parametrize("package", ["vmem", "shaders"])
def test_the_engine_does_not_know_the_viewer(package):
    for path in sources(package):
        assert not packages(path) & BROWSER, path


def test_shaders_need_the_standard_library_only():
    for path in sources("shaders"):
        assert packages(path) <= sys.stdlib_module_names | {"shaders"}, path


def test_the_viewer_does_not_know_who_starts_it():
    for path in sources("viewer"):
        assert not packages(path) & {"run_viewer", "tests", "benchmarks"}, path


def test_the_engine_imports_torch_only_where_it_is_used():
    geometry = ROOT / "vmem" / "geometry"
    networks = {
        ROOT / "vmem" / "devices",
        ROOT / "vmem" / "generation" / "diffusion",
        geometry / "cut3r",
        geometry / "depth_anything",
    }
    for path in sources("vmem"):
        if networks & set(path.parents):
            continue
        at_top = {name for name, top in imported(path) if top}
        assert not at_top & {"torch", "diffusers", "transformers"}, path


def test_only_the_strategy_and_the_judges_know_the_published_code():
    knowing = {
        path.relative_to(ROOT / "vmem").parts[0]
        for path in sources("vmem")
        if "vmem.published" in path.read_text(encoding="utf-8")
    }
    assert knowing == {"published", "evaluation", "retrieval"}


def loaded_after(statement: str) -> set[str]:
    """Top-level packages in a fresh interpreter that has run one statement."""
    code = (
        f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_package_costs_nothing():
    assert not loaded_after("import vmem") & {"torch", "viser", "numba", "scipy", "cv2", "numpy"}


def test_a_session_needs_neither_torch_nor_viser():
    loaded = loaded_after(
        "import vmem.session.session, vmem.formats.walk, vmem.backends.registry, vmem.__main__"
    )
    assert "numba" in loaded
    assert not loaded & {"torch", "viser", "nerfview"}


def test_geometry_needs_torch_only_for_its_network():
    estimators = "vmem.geometry.base, vmem.geometry.layout.estimator, vmem.geometry.layout.box_room"
    assert "torch" not in loaded_after(f"import vmem.geometry, {estimators}")
    assert "torch" not in loaded_after("import vmem.geometry.cut3r.config")
    assert "torch" in loaded_after("import vmem.geometry.cut3r.network")


def test_public_names_exist():
    import vmem

    for name in vmem.__all__:
        assert getattr(vmem, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = vmem.nonsense
