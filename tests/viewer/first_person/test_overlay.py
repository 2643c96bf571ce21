"""What is said over the walker's picture: legends with units, chosen views, the map."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from viewer.first_person.overlay import PictureOverlay, legend
from viewer.paint.palette import bar, css, owner_colors
from viewer.paint.surfel_colors import MODES, paint_surfels
from viewer.settings import Heat
from vmem.cameras import Cameras
from vmem.memory import MemorySnapshot
from vmem.retrieval import retrieve
from vmem.types import Retrieval, View


@pytest.fixture(scope="module")
def retrieval(walk: MemorySnapshot) -> Retrieval:
    return retrieve(walk, Cameras.stack([walk.views[20].camera]))


class Told(list[tuple[str, dict[str, Any]]]):
    """What the page is told."""

    def __call__(self, operation: str, **config: Any) -> None:
        self.append((operation, json.loads(json.dumps(config))))


@pytest.mark.parametrize(
    ("heat", "title", "low", "high"),
    [
        ("weight", "votes", "0", "votes a pixel"),
        ("support", "support", "1", "4 views a surfel"),
        ("age", "age", "step 0", "step 8"),
        ("depth", "depth", ".", "0 scene units"),
    ],
)
def test_a_scale_has_its_units_at_its_ends(
    heat: Heat, title: str, low: str, high: str, walk: MemorySnapshot, retrieval: Retrieval
) -> None:
    painted = paint_surfels(heat, walk, retrieval)
    said = legend(heat, painted)
    assert said["title"] == title
    assert low in said["low"]
    assert said["high"].endswith(high)
    assert painted.bar is not None
    assert (said["bar"][0], said["bar"][-1]) == (css(painted.bar[0, 0]), css(painted.bar[0, -1]))


@pytest.mark.parametrize("heat", list(MODES)[1:])
def test_every_heat_says_what_it_means(
    heat: Heat, walk: MemorySnapshot, retrieval: Retrieval
) -> None:
    painted = paint_surfels(heat, walk, retrieval)
    said = legend(heat, painted)
    assert " · ".join(said["text"]) == painted.legend
    assert bool(said["bar"]) == (painted.bar is not None) == bool(said["high"])


def test_chosen_views_come_with_their_share_and_colour_and_not_twice(
    walk: MemorySnapshot, retrieval: Retrieval
) -> None:
    told = Told()
    overlay = PictureOverlay(told)

    def name(view: View) -> str:
        return f"view {walk.views.index(view)}"

    for _ in range(2):
        overlay.show_chosen(retrieval, walk, None, name)
    overlay.show_chosen(retrieval, walk, 3, name)
    (operation, first), (_, second) = told
    assert operation == "overlay.chosen"
    colors = owner_colors(len(walk.views))
    assert [row[1] for row in first["views"]] == list(retrieval.order)
    for called, view, share, color in first["views"]:
        assert called == f"view {view}"
        assert share == f"{100 * retrieval.share[view]:.0f} %"
        assert color == css(colors[view])
    assert first["newest"] == [f"view {len(walk.views) - 1}", len(walk.views) - 1]
    assert (first["pointed"], second["pointed"]) == (-1, 3)


def test_only_new_places_are_sent_to_the_map(walk: MemorySnapshot) -> None:
    told = Told()
    overlay = PictureOverlay(told)
    for step in (2, 8, 3):
        overlay.show_plan(walk.at_step(step))
    places: list[list[float]] = []
    for step, (_, config) in zip((2, 8, 3), told, strict=True):
        places = places[: config["keep"]] + config["add"]
        views = walk.at_step(step).views
        np.testing.assert_allclose(
            [place[:2] for place in places],
            [view.camera.position[[0, 2]] for view in views],
            atol=1e-4,
        )
    assert [config["keep"] for _, config in told] == [0, 9, 13]
    # What bounds a picture 90 degrees wide is as far to the side as ahead.
    left, right = np.array(told[0][1]["add"][0][2:]).reshape(2, 2)
    half = np.tan(walk.views[0].camera.fov[1] / 2)
    np.testing.assert_allclose([left, right], [[-half, 1], [half, 1]], atol=1e-4)


def test_nothing_but_a_bar_has_ends(walk: MemorySnapshot) -> None:
    painted = paint_surfels("owner", walk, None)
    assert painted.bar is None
    assert legend("owner", painted)["bar"] == []
    assert bar(0).shape == (1, 256, 3)
