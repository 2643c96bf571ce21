"""A module says which golden packs it takes, ``PACKS = "06_navigator"``, and gets them one by one
as ``pack``."""

from __future__ import annotations

import pytest

from tests.golden.packs import Pack, golden_folder, load_pack


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
