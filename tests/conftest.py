"""Shared fixtures: a fake backend, and a short walk made with it."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import jaxtyping
import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.support import shapes  # before any module of vmem
from tests.support.fake_hub import FakeHub, serving
from tests.support.fakes import box_backend, open_box
from vmem.backends import Backend
from vmem.memory import MemorySnapshot
from vmem.raster.gpu.engine import GpuEngine
from vmem.session import Session

# Whatever weights this machine has, a walk of the tests takes none but those that a test names.
os.environ.pop("HF_HUB_CACHE", None)
os.environ["HF_HOME"] = os.path.join(tempfile.gettempdir(), "vmem-tests-have-no-hub")
# No test writes into its user's folder of walks.
os.environ["VMEM_DATA"] = tempfile.mkdtemp(prefix="vmem-tests-data-")
atexit.register(shutil.rmtree, os.environ["VMEM_DATA"], ignore_errors=True)

# Python's own compiled files are kept, also for the workers and other programs that tests start:
# each would read all sources anew, and pytest rewrite all tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What is imported stays: looking through it for garbage, again and again, finds none.
gc.disable()

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores; torch reads this when it is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples on every run, and no test that fails because a machine was slow.
settings.register_profile("vmem", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("vmem")


class OneFolderOrFile(LoadScopeScheduling):
    """Keeps the tests of a file on one worker, and all tests in Chromium on one: each page fills a
    core with drawing, and two at a time are late for what they wait for."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return "tests/browser" if file.startswith("tests/browser/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneFolderOrFile:
    """For ``-n``, whatever ``--dist`` says. Files are taken in the order of the tests, not by their
    number of tests."""
    config.option.loadscopereorder = False
    return OneFolderOrFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """First what takes one worker longest, Chromium's tests; beside them the golden networks, which
    need no kernels: while those run, the first worker compiles the kernels for both. Those marked
    ``every`` are left out unless VMEM_TEST_EVERY is set."""
    first = ("tests/browser/", "tests/golden/test_02", "tests/golden/test_07")
    if not os.environ.get("VMEM_TEST_EVERY"):
        left_out = [item for item in items if item.get_closest_marker("every")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
    items.sort(key=lambda item: not item.nodeid.startswith(first))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _shapes() -> None:
    shapes.check_again()


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """For tests of what we say ourselves of wrong shapes."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def backend() -> Backend:
    """The inside of a textured box, rendered exactly, with exact depth."""
    return box_backend()


@pytest.fixture
def session() -> Session:
    """A session that has just opened the box."""
    return open_box()


@pytest.fixture(scope="session")
def walk() -> MemorySnapshot:
    """A walk of eight steps through the box: 33 views."""
    session = open_box()
    for word in "wwaaedds":
        session.move(word)
    return session.memory


@pytest.fixture(scope="session")
def engine() -> GpuEngine:
    """The gpu engine, for tests marked ``gpu_engine.needs_engine``."""
    return GpuEngine.create()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch on one thread: small networks gain nothing from more and wait long on busy cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[FakeHub]:
    """An empty hub and an empty cache for huggingface_hub, which gives up soon.

    The library reads its environment when it is imported, so its constants are set instead.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    from vmem.weights import hub as downloads

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(FakeHub()) as made:
        template = f"{made.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", made.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(downloads, "RETRIES", 1)
        close_session()
        yield made
        close_session()
