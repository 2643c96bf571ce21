"""Where surfels come from, against a slow loop; and how it is painted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from viewer.paint.palette import INVENTED, REMEMBERED
from viewer.paint.surfel_colors import paint_surfels
from viewer.paint.surfel_provenance import UNKNOWN, surfel_provenance
from vmem.memory import MemorySnapshot
from vmem.retrieval.attribution import owners
from vmem.types import Provenance


@pytest.fixture(scope="module")
def told(walk: MemorySnapshot) -> MemorySnapshot:
    """A walk whose views know their provenance, in patches; the last that made surfels does not."""
    views, last = [], max(owners(walk))
    for number, view in enumerate(walk.views):
        rows, columns = np.indices(view.rgb.shape[:2])
        patches = ((rows // 7 + columns // 5 + number) % 3).astype(np.uint8)
        views.append(replace(view, provenance=None if number == last else patches))
    return replace(walk, views=tuple(views))


def test_a_surfel_has_the_provenance_of_its_pixel_in_the_first_view_that_saw_it(
    told: MemorySnapshot,
) -> None:
    found = surfel_provenance(told)
    for surfel in range(0, len(told.surfels), 5):
        view = told.views[told.link_view[told.link_surfel == surfel].min()]
        x, y, z = view.camera.w2c[:3] @ [*told.surfels.position[surfel], 1]
        K = view.camera.K
        column, row = K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]
        near = min(abs(column - round(column)), abs(row - round(row))) < 1e-3
        if view.provenance is None:
            assert found[surfel] == UNKNOWN
        elif not near:  # on the border of two pixels it may be either
            assert found[surfel] == view.provenance[int(row), int(column)]
    assert set(found) == {*Provenance, UNKNOWN}


def test_inventions_are_loud_and_the_photos_own_light_has_no_value(told: MemorySnapshot) -> None:
    painted, found = paint_surfels("provenance", told, None), surfel_provenance(told)
    assert (painted.color[found == Provenance.EXTRAPOLATED] == INVENTED).all()
    assert (painted.color[found == Provenance.REOBSERVED] == REMEMBERED).all()
    assert painted.valued is not None
    assert_array_equal(
        painted.valued,
        np.flatnonzero((found == Provenance.EXTRAPOLATED) | (found == Provenance.REOBSERVED)),
    )


def test_a_backend_that_does_not_know_leaves_all_unknown(walk: MemorySnapshot) -> None:
    views = tuple(replace(view, provenance=None) for view in walk.views)
    assert (surfel_provenance(replace(walk, views=views)) == UNKNOWN).all()
