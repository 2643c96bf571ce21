"""Scripts, names and paths that the documentation shows are true."""

from __future__ import annotations

import inspect
import re
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vmem
from vmem.backends import BACKENDS, GEOMETRIES, Backend, registry
from vmem.backends.geometry import Geometry
from vmem.backends.registry import BackendRow
from vmem.formats import samples
from vmem.retrieval import STRATEGIES
from vmem.session.opening import open_session

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


@pytest.fixture(autouse=True)
def strategies_restored():
    """Forget what an example registers."""
    before = dict(STRATEGIES)
    yield
    STRATEGIES.clear()
    STRATEGIES.update(before)


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script.name])
    runpy.run_path(str(script), run_name="__main__")
    out = capsys.readouterr().out
    assert out
    assert "False" not in out  # what replay.py says of frames that differ


def test_the_first_example_of_the_api_page(tmp_path, monkeypatch, capsys):
    """Word for word, on a sample called quay.jpg in the current folder, in smaller frames."""
    code = _blocks("docs/api.md")[0]
    shutil.copy(next(one.path for one in samples() if one.path.stem == "quay"), tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(inspect.unwrap(open_session).__kwdefaults__, "size", 96)
    exec(compile(code, "docs/api.md", "exec"), {})
    out = capsys.readouterr().out
    assert "8 (4, 96, 96, 3)" in out
    assert "4 of 33 views" in out
    assert "mine" in STRATEGIES


def test_what_the_page_on_extending_adds_makes_a_walk(monkeypatch):
    names: dict[str, Any] = {}
    for code in _blocks("docs/extending.md")[:3]:
        exec(compile(code, "docs/extending.md", "exec"), names)
    plane = Geometry("a plane", "geometry: one plane", lambda settings: names["PlaneEstimator"]())
    monkeypatch.setitem(STRATEGIES, "first", names["first"])
    monkeypatch.setitem(GEOMETRIES, "plane", plane)
    monkeypatch.setitem(BACKENDS, "fade", BackendRow(lambda order: fade, (), ()))
    monkeypatch.setattr(registry, "NAMES", (*registry.NAMES, "fade"))
    fade = Backend("fade", "fade", names["FadeGenerator"](), names["PlaneEstimator"]())
    backend = vmem.create_backend("fade", geometry="plane")
    config = vmem.SessionConfig(strategy="first", context_views=2)
    session = vmem.open(samples()[0].path, backend=backend, size=96, config=config)
    steps = list(session.walk("w*2"))
    assert backend.label == "fade; geometry: one plane (asked for)"
    assert [step.retrieval.order for step in steps] == [(0,), (0, 1)]
    assert [str(reason) for reason in steps[1].retrieval.reasons[1:3]] == ["chosen", "beyond K"]
    assert np.median(session.memory.views[-1].depth) == 1
    assert steps[0].frames[3].mean() < 0.85 * steps[0].frames[0].mean()


def test_every_public_name_stands_on_the_api_page():
    listed = re.findall(r"^\| `vmem\.(\w+)", _text("docs/api.md"), re.MULTILINE)
    assert sorted(listed) == sorted(set(vmem.__all__) - {"__version__"})


def test_every_strategy_backend_and_geometry_stands_in_the_docs():
    strategies, readme = _text("docs/retrieval.md"), _text("README.md")
    assert [name for name in STRATEGIES if f"`{name}`" not in strategies] == []
    assert [name for name in BACKENDS if f"`{name}`" not in readme] == []
    manual = readme + _text("docs/extending.md")
    assert [name for name in GEOMETRIES if name not in manual] == []


PATH = re.compile(r"`((?:vmem|viewer|shaders|tests|docs|benchmarks)/[\w./-]*\w\.\w+)")

SOURCE_PATH = re.compile(
    r"\b((?:vmem|viewer|shaders|tests|docs|benchmarks)/[\w./-]*\.(?:py|md|js|wgsl|glsl|css))\b"
)


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))),
    ],
)
def test_files_that_a_page_names_are_there(page):
    text = _text(page)
    named = PATH.findall(text)
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    linked = [(ROOT / page).parent / link for link in links]
    missing = [path for path in (*(ROOT / name for name in named), *linked) if not path.exists()]
    assert missing == []


@pytest.mark.parametrize("folder", ["vmem", "viewer", "benchmarks"])
def test_files_that_the_code_names_are_there(folder):
    """In docstrings and comments: they are named to be opened."""
    named = {
        (str(source.relative_to(ROOT)), path)
        for source in (ROOT / folder).rglob("*.py")
        for path in SOURCE_PATH.findall(source.read_text(encoding="utf-8"))
    }
    assert len(named) > 0
    assert [pair for pair in sorted(named) if not (ROOT / pair[1]).exists()] == []


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _blocks(page: str) -> list[str]:
    """The Python code on a page."""
    return re.findall(r"```python\n(.*?)```", _text(page), re.DOTALL)
