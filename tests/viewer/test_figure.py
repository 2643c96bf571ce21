"""The figure of an explanation, its plan from above, and the zip with everything."""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from viewer.paint.map import draw_plan
from viewer.paint.palette import INVENTED, owner_colors
from viewer.share.explanation_zip import pack_explanation
from viewer.share.figure import WIDTH, best_rejected, explanation_figure
from viewer.share.page_layout import GUTTER, Picture, joined, row
from viewer.share.recording import RecordingOptions, record_scene
from vmem.cameras import Cameras
from vmem.memory import MemorySnapshot
from vmem.progress import Cancelled, CancelToken, Progress
from vmem.retrieval import ask, retrieve
from vmem.retrieval.explain import explanation_json
from vmem.types import Query, Retrieval

STEP = 4
DPI = 60


def retrieval_of(memory: MemorySnapshot, step: int = STEP) -> Retrieval:
    retrieval = memory.retrievals[step]
    assert retrieval is not None
    return retrieval


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def has(image: np.ndarray, color: np.ndarray, n: int) -> bool:
    """Whether at least n pixels are of that colour."""
    return int((np.abs(image.astype(int) - color) <= 2).all(axis=2).sum()) >= n


def test_the_figure_is_as_wide_as_a_text_and_says_its_resolution(walk: MemorySnapshot) -> None:
    image = Image.open(io.BytesIO(explanation_figure(walk, retrieval_of(walk), STEP, dpi=DPI)))
    assert image.width == round(WIDTH * DPI)
    assert image.width * 0.5 < image.height < image.width * 1.5
    np.testing.assert_allclose(image.info["dpi"], (DPI, DPI), rtol=1e-3)


def test_every_view_used_stands_in_a_frame_of_its_own_colour(walk: MemorySnapshot) -> None:
    # Fine enough that a frame's lines have a pixel that is all theirs.
    figure = pixels(explanation_figure(walk, retrieval_of(walk), STEP, dpi=3 * DPI))
    for view in retrieval_of(walk).order:
        assert has(figure, owner_colors(len(walk.views))[view], 500), view


def test_what_nobody_stored_is_loud(walk: MemorySnapshot) -> None:
    """A memory of which half is gone leaves more orange."""
    targets = retrieval_of(walk).targets
    shown = []
    for step in (0, 8):
        memory = walk.at_step(step)
        image = pixels(explanation_figure(memory, retrieve(memory, targets), None, dpi=DPI))
        shown.append(int((np.abs(image.astype(int) - INVENTED) <= 2).all(axis=2).sum()))
    assert shown[0] > 4 * shown[1]


def test_the_frame_shown_is_the_one_given(walk: MemorySnapshot) -> None:
    frame = np.full((48, 48, 3), (3, 250, 7), np.uint8)
    image = pixels(explanation_figure(walk, retrieval_of(walk), STEP, frame, dpi=DPI))
    assert has(image, frame[0, 0], 5000)
    assert not has(
        pixels(explanation_figure(walk, retrieval_of(walk), STEP, dpi=DPI)), frame[0, 0], 1
    )


def test_many_views_used_and_one_target_fit(walk: MemorySnapshot) -> None:
    target = Cameras.stack([walk.views[-1].camera])
    query = Query(k=20, strategy="votes", pinned=(3, 1), weighting="cos", density=0.5)
    explanation_figure(walk, ask(walk, target, query), None, dpi=DPI)


def test_nothing_visible_is_no_error(walk: MemorySnapshot) -> None:
    away = np.eye(4)
    away[:3, 3] = (0, 0, 50.0)
    camera = walk.views[0].camera.moved_to(away)
    retrieval = retrieve(walk, Cameras.stack([camera]))
    assert not (retrieval.surfel_pixels > 0).any()
    image = pixels(explanation_figure(walk, retrieval, None, dpi=DPI))
    assert has(image, INVENTED, 5000)


def test_threads_draw_without_getting_in_each_others_way(walk: MemorySnapshot) -> None:
    def draw(step: int) -> bytes:
        return explanation_figure(walk, retrieval_of(walk, step), step, dpi=DPI)

    alone = [draw(step) for step in (2, 5)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(draw, (2, 5))) == alone


def test_the_best_left_out_have_most_votes(walk: MemorySnapshot) -> None:
    retrieval = retrieval_of(walk, 8)
    found = best_rejected(retrieval, 5)
    left = [v for v in range(len(retrieval.votes)) if v not in retrieval.order]
    left = [v for v in left if retrieval.votes[v] > 0]
    assert found == sorted(left, key=lambda v: (-retrieval.votes[v], v))[:5]


@settings(max_examples=10)
@given(st.lists(st.sampled_from(["a", "weighting", "50 %", "$x_1$", "$", "é", "view\n7"])))
def test_words_stay_below_their_picture(words: list[str]) -> None:
    image = np.full((8, 8, 3), 200, np.uint8)
    text = " ".join(words)
    first = Picture(image, text, head=text, swatches=[(image[0, 0], "grey")])
    both = row([first, Picture(image, "")], 3.0, DPI)
    alone = row([first], 3.0, DPI)
    assert alone.shape == both.shape
    cell = (3.0 - 3 * GUTTER) / 4
    # Letters lean out of their box by a pixel.
    assert (alone[:, round((cell + 0.5 * GUTTER) * DPI) :] == 255).all()


def test_parts_of_a_page_are_joined_on_white() -> None:
    one, two = np.zeros((2, 3, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)
    page = joined([one, two], 0, 6)
    assert page.shape == (12, 5, 3)
    assert (page[:2, 3:] == 255).all()
    assert (page[2:8] == 255).all()
    assert (page[8:] == 0).all()
    assert joined([one, two], 1, 6).shape == (4, 14, 3)


@pytest.mark.parametrize("step", [1, 5, 8])
def test_the_plan_shows_every_camera(walk: MemorySnapshot, step: int) -> None:
    retrieval = retrieval_of(walk, step)
    axes = Figure(figsize=(2.0, 3.0), dpi=DPI).add_axes((0, 0, 1, 1))
    draw_plan(axes, walk, retrieval, best_rejected(retrieval, 3))
    (left, right), (near, far) = axes.get_xlim(), axes.get_ylim()
    places = [view.camera.position for view in walk.views[: len(retrieval.votes)]]
    for x, _, z in [*places, retrieval.targets[-1].position]:
        assert left < x < right
        assert near < z < far
    assert (right - left) / 2.0 == pytest.approx((far - near) / 3.0)
    texts = [text.get_text() for text in axes.texts]
    assert [f"{rank + 1}" for rank in range(len(retrieval.order))] == texts[: len(retrieval.order)]


def test_the_zip_has_every_part(walk: MemorySnapshot) -> None:
    retrieval, told = retrieval_of(walk), list[Progress]()
    options, extra = RecordingOptions("owner"), {"label": "w"}
    packed = pack_explanation(
        walk, retrieval, STEP, options=options, extra=extra, on_progress=told.append
    )
    archive = zipfile.ZipFile(io.BytesIO(packed))
    assert set(archive.namelist()) == {
        "panel.png", "explanation.json", "scene.viser", "scene.html", "README.txt",
    }  # fmt: skip
    assert json.loads(archive.read("explanation.json")) == explanation_json(
        walk, retrieval, STEP, extra
    )
    assert pixels(archive.read("panel.png")).shape[1] == round(300 * WIDTH)
    assert b"</html>" in archive.read("scene.html")
    assert f"step {STEP}".encode() in archive.read("README.txt")
    assert [(report.done, report.total) for report in told] == [(i, 4) for i in range(5)]
    assert archive.read("scene.viser") == record_scene(walk, retrieval, STEP, options).viser


@pytest.mark.parametrize("after", [0, 2])
def test_packing_stops_between_parts_when_asked(walk: MemorySnapshot, after: int) -> None:
    cancel, told = CancelToken(), list[Progress]()

    def listen(progress: Progress) -> None:
        told.append(progress)
        if progress.done == after:
            cancel.cancel()

    with pytest.raises(Cancelled):
        pack_explanation(walk, retrieval_of(walk), STEP, on_progress=listen, cancel=cancel)
    assert len(told) == after + 1
