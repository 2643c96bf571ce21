"""Colours that mean something: every mode in every state, against slow loops where it counts."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.support.fakes import open_box
from viewer.paint.palette import BACKGROUND, INVENTED, POINTED, colormap, owner_colors
from viewer.paint.surfel_colors import (
    LIVE_MODES,
    MODES,
    paint_pointed,
    paint_provenance,
    paint_surfels,
    paint_view,
    percent,
)
from viewer.settings import Heat
from vmem.cameras import Cameras
from vmem.memory import MemorySnapshot
from vmem.raster import SurfelBuffers
from vmem.raster.visibility import visible_votes
from vmem.retrieval import ask, retrieve
from vmem.types import PUBLISHED, WEIGHTINGS, Provenance, Query, Retrieval

every_mode = pytest.mark.parametrize("mode", list(MODES))


def asked_from(memory: MemorySnapshot, view: int) -> Retrieval:
    """The retrieval for the camera of a stored view."""
    camera = memory.views[min(view, len(memory.views) - 1)].camera
    return retrieve(memory, Cameras.stack([camera]))


@pytest.fixture(scope="module")
def retrieval(walk: MemorySnapshot) -> Retrieval:
    return asked_from(walk, 20)


def grey(memory: MemorySnapshot, surfel: int) -> np.ndarray:
    """The dark grey that stands for a surfel which plays no part."""
    level = memory.surfels.color[surfel].mean() * 0.28
    return np.full(3, int(level), np.uint8)


# --- every mode, whatever there is to paint ---------------------------------------------------


@every_mode
@pytest.mark.parametrize("step", [0, 1, 8])
@pytest.mark.parametrize("asked_at", [None, 0, 4, 8])
def test_every_mode_paints_every_surfel_whatever_memory_the_retrieval_is_of(
    mode: Heat, step: int, asked_at: int | None, walk: MemorySnapshot
) -> None:
    memory = walk.at_step(step)
    retrieval = None if asked_at is None else asked_from(walk.at_step(asked_at), 3)
    painted = paint_surfels(mode, memory, retrieval)
    assert painted.color.shape == (len(memory.surfels), 3)
    assert painted.color.dtype == np.uint8
    assert painted.legend
    assert painted.bar is None or (painted.bar.shape, painted.bar.dtype) == ((1, 256, 3), np.uint8)


@every_mode
def test_every_mode_paints_an_empty_memory(mode: Heat, retrieval: Retrieval) -> None:
    for asked in (None, retrieval):
        painted = paint_surfels(mode, MemorySnapshot.empty(), asked)
        assert painted.color.shape == (0, 3)
        assert painted.color.dtype == np.uint8
        assert painted.legend


@every_mode
def test_painting_changes_nothing_that_it_is_given(
    mode: Heat, walk: MemorySnapshot, retrieval: Retrieval
) -> None:
    color, weight = walk.surfels.color.copy(), retrieval.surfel_weight.copy()
    paint_surfels(mode, walk, retrieval)
    assert_array_equal(walk.surfels.color, color)
    assert_array_equal(retrieval.surfel_weight, weight)


@every_mode
def test_the_live_modes_are_those_that_a_retrieval_changes(
    mode: Heat, walk: MemorySnapshot
) -> None:
    here = paint_surfels(mode, walk, asked_from(walk, 0)).color
    there = paint_surfels(mode, walk, asked_from(walk, 20)).color
    assert (mode in LIVE_MODES) == (not np.array_equal(here, there))


# --- what the colours mean ---------------------------------------------------------------------


def test_image_is_the_surfels_own_colour(walk: MemorySnapshot) -> None:
    assert_array_equal(paint_surfels("image", walk, None).color, walk.surfels.color)


@pytest.mark.parametrize("mode", ["weight", "support", "uncovered"])
def test_without_a_retrieval_nothing_is_lit(mode: Heat, walk: MemorySnapshot) -> None:
    color = paint_surfels(mode, walk, None).color
    for surfel in range(0, len(walk.surfels), 97):
        assert_array_equal(color[surfel], grey(walk, surfel))


@pytest.mark.parametrize("mode", ["weight", "support", "uncovered"])
def test_a_retrieval_of_a_memory_that_was_longer_lights_nothing(
    mode: Heat, walk: MemorySnapshot, retrieval: Retrieval
) -> None:
    memory = walk.at_step(2)
    assert len(retrieval.surfel_weight) > len(memory.surfels)
    assert_array_equal(
        paint_surfels(mode, memory, retrieval).color, paint_surfels(mode, memory, None).color
    )


def votes_of(memory: MemorySnapshot, retrieval: Retrieval) -> dict[int, float]:
    """Vote of a pixel of each surfel that is drawn, or lies beneath a neighbour that is."""
    beneath = [
        visible_votes(memory.surfels, buffers, target)
        for target, buffers in zip(retrieval.targets, retrieval.buffers, strict=True)
    ]
    votes: dict[int, float] = {}
    for surfel in range(len(memory.surfels)):
        if retrieval.surfel_pixels[surfel] > 0:
            drawn = retrieval.surfel_weight[surfel] / retrieval.surfel_pixels[surfel]
            votes[surfel] = float(drawn)
        elif max(votes_here[surfel] for votes_here in beneath) > 0:
            votes[surfel] = float(max(votes_here[surfel] for votes_here in beneath))
    return votes


def test_weight_lights_what_is_seen_by_the_vote_of_a_pixel(
    walk: MemorySnapshot, retrieval: Retrieval
) -> None:
    painted = paint_surfels("weight", walk, retrieval)
    votes = votes_of(walk, retrieval)
    top = np.quantile(list(votes.values()), 0.99)
    for surfel in range(0, len(walk.surfels), 13):
        if surfel in votes:
            level = 0.12 + 0.88 * min(votes[surfel] / top, 1.0)
            assert_array_equal(painted.color[surfel], colormap(np.array(level)))
        else:
            assert_array_equal(painted.color[surfel], grey(walk, surfel))
    assert f"{top:.2f}" in painted.legend


def test_support_counts_the_chosen_views_that_saw_a_surfel(
    walk: MemorySnapshot, retrieval: Retrieval
) -> None:
    painted = paint_surfels("support", walk, retrieval)
    saw: list[set[int]] = [set() for _ in range(len(walk.surfels))]
    for surfel, view in zip(walk.link_surfel, walk.link_view, strict=True):
        if int(view) in retrieval.order:
            saw[surfel].add(int(view))
    seen = votes_of(walk, retrieval)
    for surfel, views in enumerate(saw):
        if surfel not in seen:
            expected = grey(walk, surfel)
        elif not views:
            expected = INVENTED
        else:
            expected = colormap(
                np.array(0.15 + 0.85 * len(views) / len(retrieval.order)), cv2.COLORMAP_VIRIDIS
            )
        assert_array_equal(painted.color[surfel], expected)
    counts = {len(views) for views, w in zip(saw, retrieval.surfel_weight, strict=True) if w > 0}
    assert len(counts) > 1, "the scene must tell several counts apart"
    assert f"1 to {len(retrieval.order)}" in painted.legend


def test_what_no_chosen_view_saw_is_loud(walk: MemorySnapshot, retrieval: Retrieval) -> None:
    alone = replace(retrieval, order=(len(walk.views) - 1,))
    saw = set(walk.link_surfel[walk.link_view == alone.order[0]].tolist())
    color = paint_surfels("support", walk, alone).color
    invented = [s for s in np.flatnonzero(alone.surfel_weight > 0) if int(s) not in saw]
    assert invented, "something visible must be unknown to that view"
    assert (color[invented] == INVENTED).all()


def test_owner_is_the_first_view_that_saw_the_surfel(walk: MemorySnapshot) -> None:
    first: dict[int, int] = {}
    for surfel, view in zip(walk.link_surfel, walk.link_view, strict=True):
        first[surfel] = min(first.get(surfel, view), view)
    palette = owner_colors(len(walk.views) + 1)
    color = paint_surfels("owner", walk, None).color
    for surfel in range(len(walk.surfels)):
        assert_array_equal(color[surfel], palette[first.get(surfel, len(walk.views))])
    assert len(set(first.values())) > 3, "the scene must have several owners"


def test_owners_keep_their_colours_as_the_walk_goes_on(walk: MemorySnapshot) -> None:
    early = walk.at_step(3)
    assert_array_equal(
        paint_surfels("owner", early, None).color,
        paint_surfels("owner", walk, None).color[: len(early.surfels)],
    )


@pytest.mark.parametrize("mode", sorted(LIVE_MODES))
def test_what_the_retrieval_did_not_know_stays_dark(mode: Heat, walk: MemorySnapshot) -> None:
    retrieval = asked_from(walk.at_step(0), 0)
    n = len(retrieval.surfel_weight)
    assert n < len(walk.surfels)
    color = paint_surfels(mode, walk, retrieval).color
    for surfel in range(n, len(walk.surfels), 7):
        assert_array_equal(color[surfel], grey(walk, surfel))
    # What it knew is painted as if nothing had come since.
    before = paint_surfels(mode, walk.at_step(0), retrieval).color
    assert_array_equal(color[:n], before)


def saw_by(memory: MemorySnapshot) -> list[set[int]]:
    """The views that saw each surfel."""
    saw: list[set[int]] = [set() for _ in range(len(memory.surfels))]
    for surfel, view in zip(memory.link_surfel, memory.link_view, strict=True):
        saw[surfel].add(int(view))
    return saw


def test_uncovered_is_one_loud_colour_among_greys(
    walk: MemorySnapshot, retrieval: Retrieval
) -> None:
    alone = replace(retrieval, order=(len(walk.views) - 1,))
    painted = paint_surfels("uncovered", walk, alone)
    seen, saw = votes_of(walk, alone), saw_by(walk)
    loud = pixels = 0
    for surfel, views in enumerate(saw):
        color = painted.color[surfel]
        if surfel not in seen:
            assert_array_equal(color, grey(walk, surfel))
        elif alone.order[0] in views:
            assert len(set(color.tolist())) == 1
            assert color[0] > grey(walk, surfel)[0]
        else:
            assert_array_equal(color, INVENTED)
            loud, pixels = loud + 1, pixels + float(alone.surfel_pixels[surfel])
    assert 0 < loud < len(seen)
    share = pixels / alone.buffers[0].index.size
    assert f"({percent(share)} of the picture)" in painted.legend


@pytest.mark.parametrize("chosen", [True, False])
def test_pointing_at_a_view_lights_what_it_alone_explains(
    chosen: bool, walk: MemorySnapshot, retrieval: Retrieval
) -> None:
    view = 0
    asked = replace(retrieval, order=(view, 32) if chosen else (32,))
    painted = paint_pointed(walk, asked, view)
    seen, saw = votes_of(walk, asked), saw_by(walk)
    counts = {"alone": 0, "shared": 0, "dark": 0}
    drawn, pixels = 0, 0.0
    for surfel, views in enumerate(saw):
        color = painted.color[surfel].astype(int)
        if surfel not in seen or view not in views:
            counts["dark"] += 1
            assert_array_equal(color, grey(walk, surfel))
        elif 32 in views:
            counts["shared"] += 1
            assert color[2] > color[0] + 20, "blue"
            assert (color[1:] < POINTED[1:]).all(), "but fainter"
        else:
            counts["alone"] += 1
            assert_array_equal(color, POINTED)
            drawn += asked.surfel_pixels[surfel] > 0
            pixels += float(asked.surfel_pixels[surfel])
    assert all(counts.values()), f"the scene must have all kinds: {counts}"
    share = percent(pixels / asked.buffers[0].index.size)
    assert f"{drawn} surfels, {share} of the picture" in painted.legend
    assert ("would add" in painted.legend) == (not chosen)


@pytest.mark.parametrize("view", [-1, 33, 10**6])
def test_pointing_at_a_view_that_is_not_there_lights_nothing(
    view: int, walk: MemorySnapshot, retrieval: Retrieval
) -> None:
    nothing = paint_surfels("weight", walk, None).color
    assert_array_equal(paint_pointed(walk, retrieval, view).color, nothing)
    longer = paint_pointed(walk.at_step(2), retrieval, 0).color
    assert_array_equal(longer, nothing[: len(longer)])


def test_age_is_the_step_that_made_the_surfel(walk: MemorySnapshot) -> None:
    painted = paint_surfels("age", walk, None)
    begin = 0
    for step, end in enumerate(walk.steps):
        expected = colormap(np.array(step / (len(walk.steps) - 1)), cv2.COLORMAP_VIRIDIS)
        assert (painted.color[begin : end.n_surfels] == expected).all()
        begin = end.n_surfels
    assert f"0 to {len(walk.steps) - 1}" in painted.legend


def test_normals_are_coloured_by_axis() -> None:
    memory = open_box().memory
    color = paint_surfels("normal", memory, None).color
    for axis, sign, channel in ((0, 1, 0), (1, -1, 1), (2, -1, 2)):
        facing = memory.surfels.normal[:, axis] * sign > 0.9
        assert not facing.any() or (color[facing][:, channel] > 240).all()
    # The far wall looks back at the photo's camera.
    assert (memory.surfels.normal[:, 2] < -0.9).any()


def test_depth_is_brighter_near_the_ghost(walk: MemorySnapshot, retrieval: Retrieval) -> None:
    color = paint_surfels("depth", walk, retrieval).color.astype(int).sum(axis=1)
    eye = retrieval.targets[-1].position
    order = np.argsort(np.linalg.norm(walk.surfels.position - eye, axis=1))
    assert (np.diff(color[order]) <= 3).all()
    assert color[order[0]] > color[order[-1]] + 100


def test_depth_without_a_ghost_is_seen_from_the_origin(walk: MemorySnapshot) -> None:
    color = paint_surfels("depth", walk, None).color.astype(int).sum(axis=1)
    order = np.argsort(np.linalg.norm(walk.surfels.position, axis=1))
    assert (np.diff(color[order]) <= 3).all()
    assert color[order[0]] > color[order[-1]] + 100


def test_colormap_keeps_shape_and_order_and_clips() -> None:
    ramp = colormap(np.linspace(-0.5, 1.5, 64).reshape(8, 8))
    assert (ramp.shape, ramp.dtype) == ((8, 8, 3), np.uint8)
    assert_array_equal(ramp[0, 0], colormap(np.array(0.0)))
    assert_array_equal(ramp[-1, -1], colormap(np.array(1.0)))
    brightness = colormap(np.linspace(0, 1, 256)).astype(int).sum(axis=1)
    assert brightness[0] < brightness[128] < brightness[255]


# --- pictures -----------------------------------------------------------------------------------


def test_a_view_is_painted_in_surfel_colours_shaded_by_slant() -> None:
    index = np.array([[-1, 0], [1, 1]], np.int32)
    cosine = np.array([[0.0, 1.0], [0.5, 0.0]], np.float32)
    color = np.array([[200, 100, 50], [10, 250, 100]], np.uint8)
    image = paint_view(SurfelBuffers(index, np.ones((2, 2), np.float32), cosine), color)
    assert (image.shape, image.dtype) == ((2, 2, 3), np.uint8)
    assert_array_equal(image[0, 0], BACKGROUND)
    assert_array_equal(image[0, 1], color[0])
    np.testing.assert_allclose(image[1, 0], 0.8 * color[1].astype(float), atol=1)
    np.testing.assert_allclose(image[1, 1], 0.6 * color[1].astype(float), atol=1)


def test_a_view_of_nothing_is_background() -> None:
    nothing = np.zeros((3, 4), np.float32)
    buffers = SurfelBuffers(np.full((3, 4), -1, np.int32), nothing, nothing)
    image = paint_view(buffers, np.zeros((0, 3), np.uint8))
    assert (image == BACKGROUND).all()


def test_a_painted_view_shows_the_walls(walk: MemorySnapshot, retrieval: Retrieval) -> None:
    buffers = retrieval.buffers[-1]
    image = paint_view(buffers, paint_surfels("image", walk, retrieval).color)
    assert image.shape == (*buffers.index.shape, 3)
    seen = buffers.index >= 0
    assert seen.mean() > 0.9
    assert (image[~seen] == BACKGROUND).all()


def test_provenance_tints_what_was_invented_and_leaves_the_photo_alone() -> None:
    rgb = np.full((1, 3, 3), 100, np.uint8)
    kinds = [Provenance.OBSERVED, Provenance.EXTRAPOLATED, Provenance.REOBSERVED]
    tinted = paint_provenance(rgb, np.array([kinds], np.uint8))
    assert_array_equal(tinted[0, 0], [100, 100, 100])
    assert_array_equal(tinted[0, 1], (50 + INVENTED.astype(int) // 2))
    assert int(tinted[0, 2, 2]) > int(tinted[0, 2, 0]) + 50
    assert (rgb == 100).all()


def test_a_frame_of_unknown_provenance_is_left_as_it_is() -> None:
    rgb = np.full((2, 2, 3), 7, np.uint8)
    assert_array_equal(paint_provenance(rgb, None), rgb)


@pytest.mark.parametrize("color", [np.zeros((3, 3), np.uint8), np.zeros((9, 4), np.uint8)])
def test_colours_of_other_surfels_are_refused(color):
    index = np.array([[0, 3]], np.int32)
    buffers = SurfelBuffers(index, np.ones((1, 2), np.float32), np.ones((1, 2), np.float32))
    with pytest.raises(ValueError, match="surfel 3 was drawn"):
        paint_view(buffers, color)


@pytest.mark.parametrize("weighting", [None, *WEIGHTINGS])
def test_weights_are_painted_as_they_were_counted(walk: MemorySnapshot, weighting) -> None:
    targets = Cameras.stack([walk.views[20].camera])
    retrieval = ask(walk, targets, Query(4, weighting=weighting))
    painted = paint_surfels("weight", walk, retrieval)
    assert f"pixel, {weighting or PUBLISHED}, z" in painted.legend
    drawn = np.flatnonzero(retrieval.surfel_pixels)
    votes = retrieval.surfel_weight[drawn] / retrieval.surfel_pixels[drawn]
    brightness = painted.color[drawn].sum(axis=1, dtype=int)
    if weighting == "pixels":
        assert len(np.unique(painted.color[drawn], axis=0)) == 1
    else:
        assert np.corrcoef(votes, brightness)[0, 1] > 0.9
    assert (painted.color[drawn].max(axis=1) > 0).all()


def test_only_surfels_that_are_asked_are_lit(walk: MemorySnapshot) -> None:
    retrieval = ask(walk, Cameras.stack([walk.views[20].camera]), Query(4, density=0.5))
    lit = (paint_surfels("weight", walk, retrieval).color != _dark(walk)).any(axis=1)
    assert set(np.flatnonzero(lit)) <= set(np.flatnonzero(retrieval.surfel_pixels))
    assert lit.any()


def _dark(memory: MemorySnapshot) -> np.ndarray:
    """What surfels look like that play no part."""
    return paint_surfels("weight", memory, None).color


@pytest.mark.parametrize("mode", ["weight", "support", "uncovered"])
def test_colours_can_be_written_and_the_next_ones_do_not_know(
    mode: Heat, walk: MemorySnapshot, retrieval: Retrieval
) -> None:
    first = paint_surfels(mode, walk, retrieval).color
    wanted = first.copy()
    first[:] = 7
    assert_array_equal(paint_surfels(mode, walk, retrieval).color, wanted)
