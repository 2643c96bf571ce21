"""The target's view in layers, pixel by pixel, and the wipe over its frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from viewer.paint.palette import BACKGROUND, INVENTED, WHITE, colormap, owner_colors
from viewer.paint.surfel_colors import paint_view, percent
from viewer.paint.target_layers import LAYERS, paint_layer, wipe
from viewer.settings import Layer
from vmem.arrays import U8
from vmem.cameras import MOVES, Cameras, apply_move
from vmem.memory import MemorySnapshot
from vmem.raster import SurfelBuffers
from vmem.retrieval import retrieve
from vmem.types import Retrieval


@pytest.fixture(scope="module")
def early(walk: MemorySnapshot) -> MemorySnapshot:
    """What memory held when it had not yet looked behind."""
    return walk.at_step(1)


@pytest.fixture(scope="module")
def retrieval(early: MemorySnapshot) -> Retrieval:
    """Two targets: one that memory knows, and one half beyond it, for which only the newest view
    was chosen."""
    camera = early.views[-1].camera
    aside = camera.moved_to(apply_move(camera.c2w, MOVES["d"], amount=8))
    asked = retrieve(early, Cameras.stack([camera, aside]))
    return replace(asked, order=(len(early.views) - 1,))


def layer(name: Layer, memory: MemorySnapshot, retrieval: Retrieval, target: int = 1) -> U8:
    painted = paint_layer(name, memory, retrieval, target, memory.surfels.color)
    assert painted.image.dtype == np.uint8
    assert painted.image.shape == (*retrieval.buffers[target].index.shape, 3)
    assert painted.legend
    assert painted.bar is None or (painted.bar.shape, painted.bar.dtype) == ((1, 256, 3), np.uint8)
    return painted.image


@pytest.mark.parametrize("name", list(LAYERS))
def test_nothing_stored_is_background_or_loud(
    name: Layer, early: MemorySnapshot, retrieval: Retrieval
) -> None:
    nothing = retrieval.buffers[1].index < 0
    assert nothing.any()
    assert not nothing.all()
    image = layer(name, early, retrieval)
    assert (image[nothing] == (INVENTED if name == "holes" else BACKGROUND)).all()


def test_the_scene_is_as_the_scene_is_coloured(early: MemorySnapshot, retrieval: Retrieval) -> None:
    color = early.surfels.color[:, ::-1].copy()
    painted = paint_layer("scene", early, retrieval, 0, color)
    assert_array_equal(painted.image, paint_view(retrieval.buffers[0], color))
    with pytest.raises(ValueError, match="was drawn"):
        paint_layer("scene", early, retrieval, 0, color[:3])


def test_index_shows_owners(early: MemorySnapshot, retrieval: Retrieval) -> None:
    image, palette = layer("index", early, retrieval), owner_colors(len(early.views))
    first: dict[int, int] = {}
    for surfel, view in zip(early.link_surfel, early.link_view, strict=True):
        first.setdefault(int(surfel), int(view))
    for pixel, surfel in zip(image.reshape(-1, 3), retrieval.buffers[1].index.flat, strict=True):
        if surfel >= 0:
            assert_array_equal(pixel, palette[first[int(surfel)]])


def test_depth_cosine_and_vote_grow_brighter(early: MemorySnapshot, retrieval: Retrieval) -> None:
    seen = retrieval.buffers[1]
    drawn = seen.index >= 0
    values: dict[Layer, np.ndarray] = {
        "depth": -seen.depth,
        "cosine": seen.cosine,
        "weight": seen.cosine / (1 + seen.depth),
    }
    for name, value in values.items():
        brightness = layer(name, early, retrieval)[drawn].astype(int) @ [299, 587, 114]
        ordered = brightness[np.argsort(value[drawn], kind="stable")]
        # A map rises by single levels of channels, so it may fall back by one.
        assert (np.maximum.accumulate(ordered) - ordered <= 1000).all(), name
        assert ordered[-1] > ordered[0] + 20_000, name
    cosine = layer("cosine", early, retrieval)
    some = np.argwhere(drawn)[::37]
    for row, column in some:
        expected = colormap(seen.cosine[row, column], 16)  # viridis
        assert_array_equal(cosine[row, column], expected)


def test_holes_tell_what_is_covered_from_what_is_known_and_what_is_not(
    early: MemorySnapshot, retrieval: Retrieval
) -> None:
    for target in (0, 1):
        painted = paint_layer("holes", early, retrieval, target, early.surfels.color)
        saw = set(early.link_surfel[early.link_view == retrieval.order[0]].tolist())
        index = retrieval.buffers[target].index
        counts = {"nothing": 0, "known": 0, "covered": 0}
        for pixel, surfel in zip(painted.image.reshape(-1, 3), index.flat, strict=True):
            if surfel < 0:
                counts["nothing"] += 1
                assert_array_equal(pixel, INVENTED)
                continue
            own = int(early.surfels.color[surfel].astype(int).sum() / 3 * 0.75)
            if surfel in saw:
                counts["covered"] += 1
                assert_array_equal(pixel, [own] * 3)
            else:
                counts["known"] += 1
                assert_array_equal(pixel, (own + INVENTED.astype(int)) // 2)
        for count in counts.values():
            assert f"{percent(count / index.size)}" in painted.legend
        assert target == 0 or all(counts.values()), f"all kinds must be there: {counts}"


@pytest.mark.parametrize("name", list(LAYERS))
def test_a_grown_memory_gives_the_same_picture_of_an_old_step(
    name: Layer, early: MemorySnapshot, walk: MemorySnapshot, retrieval: Retrieval
) -> None:
    assert_array_equal(layer(name, early, retrieval), layer(name, walk, retrieval))


@pytest.mark.parametrize("name", list(LAYERS))
def test_nothing_drawn_and_another_memory(
    name: Layer, early: MemorySnapshot, walk: MemorySnapshot, retrieval: Retrieval
) -> None:
    none = np.zeros((4, 6), np.float32)
    blank = SurfelBuffers(np.full((4, 6), -1, np.int32), none, none)
    nothing = replace(retrieval, buffers=(blank, blank))
    assert len(np.unique(layer(name, early, nothing).reshape(-1, 3), axis=0)) == 1
    with pytest.raises(IndexError):
        paint_layer(name, early, retrieval, 2, early.surfels.color)
    later = retrieve(walk, retrieval.targets)
    with pytest.raises(ValueError, match="retrieve anew"):
        paint_layer(name, early, later, 0, early.surfels.color)


# --- the wipe ------------------------------------------------------------------------------------


def noise(seed: int, h: int, w: int) -> U8:
    # No pixel looks like the seam.
    return np.random.default_rng(seed).integers(0, 255, (h, w, 3), np.uint8)


@given(
    st.integers(1, 60), st.integers(1, 90), st.integers(1, 30), st.integers(1, 30), st.floats(0, 1)
)
def test_a_wipe_is_frame_then_picture(h: int, w: int, ph: int, pw: int, share: float) -> None:
    frame, picture = noise(0, h, w), noise(1, ph, pw)
    out = wipe(frame, picture, share)
    assert (out.shape, out.dtype) == ((h, w, 3), np.uint8)
    line = (out == WHITE).all(axis=(0, 2))
    assert line.any() == (0 < share < 1)
    for column in range(w):
        if line[column]:
            assert abs(column - share * w) <= 2
        elif column < round(share * w):
            assert_array_equal(out[:, column], frame[:, column])
        else:
            at = (2 * column + 1) * pw // (2 * w)
            rows = (2 * np.arange(h) + 1) * ph // (2 * h)
            assert_array_equal(out[:, column], picture[rows, at])


def test_a_wipe_leaves_its_pictures_alone() -> None:
    frame, picture = noise(0, 20, 30), noise(1, 20, 30)
    kept = frame.copy(), picture.copy()
    for share in (-1, 0, 0.5, 1, 7):
        out = wipe(frame, picture, share)
        out[:] = 0
    assert_array_equal(frame, kept[0])
    assert_array_equal(picture, kept[1])
