"""What cannot be is refused by name where it enters; what is merely empty has an answer.

Cameras are in test_cameras, surfels in test_blocks and test_surfels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.raster.test_raster import TOWARD, disks
from tests.support.fakes import CONFIG, HW, box_backend, box_photo, open_box
from vmem.backends import create_backend
from vmem.cameras import Camera, CameraError, Cameras, MoveError, default_K, unproject
from vmem.errors import BackendError, VMemError
from vmem.formats import ExportError
from vmem.formats.photos import PhotoError
from vmem.memory import (
    LinkError,
    LinkIndex,
    MemorySnapshot,
    ViewMemory,
    associate,
    grid_size,
    make_record,
    render,
    surfels_from_pointmap,
)
from vmem.memory.links import extended
from vmem.published.merge import merge_reference
from vmem.published.surfels import Disks
from vmem.raster import RasterError, SurfelBuffers, rasterize
from vmem.retrieval import STRATEGIES, retrieve
from vmem.retrieval.answer import RetrievalError
from vmem.retrieval.tally import tally
from vmem.session import ConfigError, HistoryError, Session, SessionConfig
from vmem.types import (
    AssociationConfig,
    Frames,
    PointMapError,
    PointMaps,
    StepRecord,
    StepRequest,
    SurfelError,
    Surfels,
)

CAMERA = Camera(np.eye(4), default_K(HW), HW)
NAN, INF = math.nan, math.inf


def posed(row: int, column: int, value: float) -> Camera:
    c2w = np.eye(4)
    c2w[row, column] = value
    return replace(CAMERA, c2w=c2w)


def with_K(row: int, column: int, value: float) -> Camera:
    K = CAMERA.K.copy()
    K[row, column] = value
    return replace(CAMERA, K=K)


IMPOSSIBLE: dict[str, Callable[[], Camera]] = {
    "nowhere": lambda: posed(0, 3, NAN),
    "infinitely far": lambda: posed(2, 3, INF),
    "beyond float32": lambda: posed(2, 3, 1e300),
    "not rigid": lambda: posed(0, 0, 2.0),
    "mirrored": lambda: posed(0, 0, -1.0),
    "no focal length": lambda: with_K(0, 0, 0.0),
    "a negative one": lambda: with_K(1, 1, -3.0),
    "no centre": lambda: with_K(0, 2, NAN),
    "skewed": lambda: with_K(0, 1, 5.0),
    "four by four": lambda: replace(CAMERA, K=np.eye(4)),
    "no rows": lambda: replace(CAMERA, hw=(0, 5)),
    "fewer than none": lambda: replace(CAMERA, hw=(5, -1)),
}


def maps(hw: tuple[int, int] = HW) -> PointMaps:
    depth = np.full((1, *hw), 2, np.float32)
    camera = Camera(np.eye(4), default_K(hw), hw)
    return PointMaps(unproject(depth[0], camera)[None], depth, np.ones_like(depth))


def one_step(given: PointMaps, camera: Camera = CAMERA) -> StepRecord:
    cameras = Cameras(np.asarray(camera.c2w)[None], np.asarray(camera.K)[None], camera.hw)
    frames = Frames(box_photo()[None])
    empty = MemorySnapshot.empty()
    return make_record(empty, frames, cameras, given, None, AssociationConfig())


@pytest.mark.parametrize("name", IMPOSSIBLE)
@pytest.mark.usefixtures("unchecked_shapes")
def test_impossible_cameras_cannot_be_made(name):
    """So nothing that takes a camera has to look again."""
    with pytest.raises(CameraError):
        IMPOSSIBLE[name]()


# --- point maps ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["points", "depth"])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_maps_may_hold_anything_where_they_are_not_sure(name, value):
    given = maps()
    getattr(given, name)[0, 10:12] = value
    with pytest.raises(PointMapError, match=r"frame 0, row 10, column 0.* give 96 such pixels"):
        one_step(given)
    for unsure in (0, NAN):
        given.confidence[0, 10:12] = unsure
        with np.errstate(invalid="raise"):
            record = one_step(given)
        record.surfels.validated()
        assert 0 < len(record.surfels) < HW[0] * HW[1]
        np.testing.assert_allclose(record.surfels.normal @ (0, 0, -1), 1, atol=1e-3)


@pytest.mark.parametrize("depth", [0.0, -1.0])
def test_sure_depth_lies_ahead(depth):
    given = maps()
    given.depth[:] = depth
    with pytest.raises(PointMapError, match="confidence 0"):
        one_step(given)


@pytest.mark.parametrize("hw", [(24, 48), (49, 48), (48, 96)])
@pytest.mark.usefixtures("unchecked_shapes")
def test_maps_have_the_size_of_their_frames(hw):
    with pytest.raises(PointMapError, match="T, H, W"):
        one_step(maps(hw))
    seen = maps(hw)
    with pytest.raises(SurfelError, match="shapes"):
        surfels_from_pointmap(seen.points[0], seen.depth[0], box_photo(), CAMERA, (4, 4))


@pytest.mark.parametrize("points", [0, -5, NAN])
def test_a_frame_gives_at_least_one_point(points):
    with pytest.raises(SurfelError, match="at least 1"):
        grid_size(HW, points)


# --- links -----------------------------------------------------------------------------------


def i32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    ("surfel", "view", "message"),
    [
        (i32(0, 3), i32(0, 0), "surfel 3, but there are 3"),
        (i32(0, -1), i32(0, 0), "surfel -1"),
        (i32(0, 1), i32(0, 2), "view 2, but there are 2"),
        (i32(0, 1), i32(0, -7), "view -7"),
        (i32(0, 1), i32(0), "as many views"),
        (np.array([0.0, 1.0]), i32(0, 0), "whole numbers"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_links_to_what_is_not_there_are_refused(surfel, view, message):
    with pytest.raises(LinkError, match=message):
        LinkIndex.of(3, 2, surfel, view)
    memory = ViewMemory()
    three = disks(*[((0, 0, 2 + i), TOWARD, 0.1) for i in range(3)])
    memory.append(StepRecord((), three, i32(), i32(), None))
    before = memory.snapshot()
    with pytest.raises(LinkError):
        memory.append(StepRecord((), Surfels.empty(), surfel, view + 2, None))
    assert memory.snapshot() is before


def test_an_index_does_not_shrink():
    with pytest.raises(LinkError, match="shrink"):
        extended(LinkIndex.of(5, 1, i32(4), i32(0)), 3, 1, i32(), i32())


def test_drawings_of_another_memory_are_not_counted():
    index = LinkIndex.of(3, 2, i32(0, 1), i32(0, 1))
    one = np.ones((1, 2), np.float32)
    with pytest.raises(LinkError, match="surfel 3 of a memory of 3"):
        tally([SurfelBuffers(i32(0, 3)[None], one, one)], index, 2)
    with pytest.raises(LinkError, match="beyond the 1"):
        tally([SurfelBuffers(i32(0, 1)[None], one, one)], index, 1)


# --- retrieval -------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_memories_put_together_wrongly_are_refused(walk, strategy):
    target = Cameras.stack([walk.views[0].camera])
    normal = walk.surfels.normal.copy()
    normal[3] *= 5
    bad = replace(walk, surfels=replace(walk.surfels, normal=normal))
    with pytest.raises(SurfelError, match="surfel 3"):
        retrieve(bad, target, 4, strategy)
    with pytest.raises(LinkError):
        retrieve(replace(walk, surfels=walk.surfels[:-1]), target, 4, strategy)


@pytest.mark.parametrize("k", [0, -1, 2.5, NAN])
def test_k_is_a_number_of_views(walk, k):
    with pytest.raises(RetrievalError, match="whole and at least 1"):
        retrieve(walk, Cameras.stack([CAMERA]), k)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_views_without_links_are_chosen_by_their_poses(walk, strategy):
    none = walk.link_surfel[:0]
    found = retrieve(
        replace(walk, link_surfel=none, link_view=none), Cameras.stack([CAMERA]), 4, strategy
    )
    assert len(set(found.order)) == 4
    assert not found.votes.any()


@pytest.mark.usefixtures("unchecked_shapes")
def test_surfels_are_arrays():
    with pytest.raises(SurfelError, match="must be arrays"):
        Surfels("a", "b", "c", "d").validated()  # pyright: ignore


# --- the published merge ---------------------------------------------------------------------


@pytest.mark.parametrize("value", [NAN, INF])
def test_the_slow_merge_refuses_positions_that_are_not(value):
    good, bad = disks(((0, 0, 2), TOWARD, 1)), disks(((value, 0, 2), TOWARD, 1))
    good, bad = (Disks(one.position, one.normal, one.radius) for one in (good, bad))
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(SurfelError, match="finite"):
            merge_reference(*pair)


def test_merging_nothing_into_nothing_keeps_nothing():
    with np.errstate(all="raise"):
        merged = merge_reference(Disks.empty(), Disks.empty())
    assert len(merged.kept) == 0


@pytest.mark.parametrize("name", ["points", "depth", "confidence", "rgb"])
@pytest.mark.usefixtures("unchecked_shapes")
def test_association_names_a_map_of_another_size(name):
    h, w = HW
    maps: dict[str, Any] = {
        "points": np.zeros((h, w, 3), np.float32),
        "depth": np.ones(HW, np.float32),
        "confidence": np.ones(HW, np.float32),
        "rgb": np.zeros((h, w, 3), np.uint8),
    }
    maps[name] = maps[name][1:]
    with pytest.raises(PointMapError, match=name):
        associate(Surfels.empty(), camera=CAMERA, config=AssociationConfig(), **maps)


# --- public calls ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def still() -> Session:
    """A session that no test changes."""
    return open_box()


Calls = list[tuple[Callable[[Any], Any], type[VMemError], str]]
NONE: Any = None
open_anything: Any = Session.open
CALLS: Calls = [
    *(
        (lambda s, moves=moves: s.walk(moves), MoveError, "moves are one text, such as")
        for moves in (None, 5, ["w"], b"w")
    ),
    (lambda s: s.walk(" "), MoveError, "no moves given: give words such as 'w"),
    (lambda s: s.move("w*2"), MoveError, "2 moves: use walk"),
    (lambda s: s.move(None), MoveError, "moves are one text"),
    (lambda s: s.follow(None), CameraError, "a path to follow is several"),
    (lambda s: next(s.follow([np.eye(4)])), CameraError, "got array"),
    (lambda s: s.step(None), CameraError, "expected cameras to stack, got None"),
    (lambda s: s.switch("a"), HistoryError, "there is no step 'a'"),
    (lambda s: s.room("a"), ConfigError, "n_targets must be a whole number of at least 1, got 'a'"),
    (lambda s: s.room(4, -1), ConfigError, "wanted must be"),
    (lambda s: s.room(4, 0), ConfigError, "wanted must be"),
    (lambda s: s.targets_to(np.zeros((4, 4))), CameraError, "must be a rotation"),
    (lambda s: s.targets_to(np.eye(3)), CameraError, "expected c2w"),
    (lambda s: s.targets_to("a"), CameraError, "arrays of numbers"),
    (lambda s: render(NONE, s.camera), RasterError, "got NoneType"),
    (lambda s: render(s, s.camera), RasterError, "session.memory .*got Session"),
    (lambda s: rasterize(NONE, s.camera), RasterError, "got NoneType and Camera"),
    (lambda s: rasterize(s.memory.surfels, NONE), RasterError, "got Surfels and NoneType"),
    *(
        (lambda s, kind=kind, path=path: s.export(kind, path), ExportError, "give the path of a")
        for kind in ("surfels", "frames", "walk")
        for path in ("", "a\0b", None)
    ),
    (lambda _: StepRequest.from_json({}), VMemError, "no step request.*'targets'"),
    (lambda _: StepRequest.from_json(NONE), VMemError, "no step request"),
    (lambda _: open_anything(box_photo(), backend=None), BackendError, "unknown backend None"),
    (
        lambda _: open_anything(box_photo(), backend=box_backend(), config=4),
        ConfigError,
        "config must be a vmem.SessionConfig, got 4",
    ),
    (
        lambda _: open_anything(
            box_photo(), backend=box_backend(), config=SessionConfig(sampler="fast")
        ),
        ConfigError,
        "has no sampler 'fast': it has none",
    ),
    (lambda _: ViewMemory().truncate(3), VMemError, "no step 3: this memory has 0"),
]


@pytest.mark.parametrize(("call", "error", "message"), CALLS)
@pytest.mark.usefixtures("unchecked_shapes")
def test_public_calls_say_what_they_take(still, tmp_path, monkeypatch, call, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        call(still)
    assert not list(tmp_path.iterdir())
    assert len(still.memory.views) == 1


PHOTOS = {
    "floats": np.zeros((32, 32, 3)),
    "grey": np.zeros((32, 32), np.uint8),
    "two channels": np.zeros((32, 32, 2), np.uint8),
    "four channels": np.zeros((32, 32, 4), np.uint8),
    "no pixels": np.zeros((0, 0, 3), np.uint8),
    "few pixels": np.zeros((8, 8, 3), np.uint8),
    "number": 5,
    "list": [[1, 2, 3]],
}


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.usefixtures("unchecked_shapes")
def test_photos_that_are_none_are_refused(name):
    wanted = "at least 16 x 16" if "pixels" in name else r"\(H, W, 3\) of uint8; got"
    with pytest.raises(PhotoError, match=wanted):
        open_anything(PHOTOS[name], backend=box_backend())


@pytest.mark.parametrize("seed", [-1, 1.5, "a", None, 2**70])
@pytest.mark.parametrize("backend", ["world", "preview"])
def test_backends_are_made_with_seeds(backend, seed):
    with pytest.raises(BackendError, match="seed must be a whole number"):
        create_backend(backend, seed=seed)


@pytest.mark.parametrize("size", [0, "a", 161, 96.0])
def test_worlds_have_the_sizes_of_photos(size):
    with pytest.raises(PhotoError, match="size must be"):
        Session.open(None, backend="world", size=size)


def test_a_session_has_the_seed_of_its_config_unless_another_is_given():
    for given, seed in ((None, 5), (0, 0), (7, 7)):
        session = Session.open(
            box_photo(), backend=box_backend(), seed=given, config=replace(CONFIG, seed=5)
        )
        assert session.config.seed == seed
    world = Session.open(None, backend="world", size=64, config=SessionConfig(seed=5)).backend
    assert world.truth is not None
    assert world.truth.seed == 5
