"""Which surfel a view shows where: against a slow loop over disks, and read back from its file."""

from __future__ import annotations

import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal

from viewer.first_person.surfel_map import AROUND, SIDE, filled, surfel_map, surfel_map_file
from vmem.cameras import pixel_rays
from vmem.memory import MemorySnapshot


def nearest_disk(memory: MemorySnapshot, origin: np.ndarray, direction: np.ndarray) -> int:
    """The disk that a ray meets first from its front, -1 if it meets none."""
    best, nearest = -1, np.inf
    surfels = memory.surfels
    for s in range(len(surfels)):
        slope = float(surfels.normal[s] @ direction)
        if slope >= 0:
            continue
        t = float(surfels.normal[s] @ (surfels.position[s] - origin)) / slope
        miss = np.linalg.norm(origin + t * direction - surfels.position[s])
        if 0 < t < nearest and miss <= surfels.radius[s]:
            best, nearest = s, t
    return best


def test_each_place_shows_the_nearest_surfel(walk: MemorySnapshot) -> None:
    memory = walk.at_step(2)
    view = memory.views[-1]
    found = surfel_map(memory, view)
    assert found.shape == (SIDE, SIDE)
    assert (found >= 0).mean() > 0.9
    rays = pixel_rays(view.camera.resized((SIDE, SIDE))) @ view.camera.c2w[:3, :3].T
    places = np.random.default_rng(0).integers(0, SIDE, (60, 2))
    slow = [nearest_disk(memory, view.camera.position, rays[tuple(at)]) for at in places]
    # A ray along a disk's rim may round to either side.
    assert (found[tuple(places.T)] == slow).mean() > 0.95
    assert len(set(slow)) > 20


def test_a_file_says_what_the_map_says(walk: MemorySnapshot) -> None:
    view = walk.views[3]
    found, content = surfel_map(walk, view), surfel_map_file(walk, view)
    w, h = np.frombuffer(content[:4], "<u2")
    steps = np.frombuffer(zlib.decompress(content[4:]), "<u4")
    assert_array_equal(np.cumsum(steps, dtype=np.uint32).astype(int).reshape(h, w) - 1, found)
    assert len(content) < 16_000


def test_a_memory_without_surfels_shows_none(walk: MemorySnapshot) -> None:
    assert (surfel_map(MemorySnapshot.empty(), walk.views[0]) == -1).all()


@given(
    arrays(np.int32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(-1, 3))
)
def test_a_gap_shows_a_surfel_beside_it(index: np.ndarray) -> None:
    got = filled(index)
    for at in np.ndindex(*index.shape):
        near = index[tuple(slice(max(0, i - 1), i + 2) for i in at)]
        gap = index[at] < 0 and (near >= 0).sum() >= AROUND
        assert got[at] == (near.max() if gap else index[at])
