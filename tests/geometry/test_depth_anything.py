"""Depth Anything as geometry: its files, its input, and what becomes of what it says.

The network is tiny and random. Where its answers matter, exact inverse depth of the procedural
world stands in for them, spoilt as such networks spoil it: scale, shift, noise.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import tiny
from tests.support.fakes import box_photo
from tests.support.predictions import exact_frames, remembered, walk_cameras
from vmem.arrays import F32, U8
from vmem.backends import create_backend
from vmem.backends.registry import geometry_of
from vmem.cameras import Cameras, unproject
from vmem.errors import BackendError
from vmem.geometry.alignment.fit_views import LOW
from vmem.geometry.depth_anything.estimator import DepthAnythingEstimator
from vmem.geometry.depth_anything.network import (
    input_size,
    prepare,
    shared_network,
    todays_name,
)
from vmem.geometry.layout.estimator import LayoutEstimator, estimate_layout
from vmem.memory import MemorySnapshot, ViewMemory
from vmem.progress import Cancelled, CancelToken, Progress, silent
from vmem.session import Session, SessionConfig
from vmem.types import Frames, PointMaps
from vmem.weights import PARTS, CheckpointError, find_part
from vmem.weights.catalogue import command_for
from vmem.worlds.backend import World, make_world

pytestmark = pytest.mark.usefixtures("one_thread")
WORLD = make_world(4)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The released files, but tiny."""
    path = tmp_path_factory.mktemp("depth")
    tiny.write_depth_anything(path)
    return path


@pytest.fixture
def here(folder, monkeypatch) -> Path:
    """The environment of someone who has them, and nothing else."""
    monkeypatch.setenv("VMEM_DEPTH_ANYTHING", str(folder))
    monkeypatch.setenv("VMEM_DEVICE", "cpu")
    monkeypatch.delenv("VMEM_GEOMETRY", raising=False)
    monkeypatch.delenv("VMEM_CUT3R", raising=False)
    return folder


# --- files and input ---------------------------------------------------------------------------


def test_the_files_load_and_say_what_transformers_says(here):
    from transformers import DepthAnythingForDepthEstimation

    rgb = RNG.integers(0, 255, (60, 80, 3), np.uint8)
    said = shared_network("cpu", silent, CancelToken())(rgb)
    theirs = DepthAnythingForDepthEstimation.from_pretrained(here).eval()
    with torch.inference_mode():
        expected = theirs(pixel_values=prepare(rgb)).predicted_depth[0].numpy()
    assert said.shape == input_size((60, 80))
    assert said.std() > 0.01 * said.max()
    np.testing.assert_allclose(said, expected, rtol=1e-5, atol=1e-7)
    assert shared_network("auto", silent, CancelToken())(rgb).shape == said.shape


def test_one_network_for_all_walks_until_the_files_change(here, tmp_path, monkeypatch):
    first = shared_network("cpu", silent, CancelToken())
    assert shared_network("cpu", silent, CancelToken()) is first
    tiny.write_depth_anything(tmp_path, seed=1)
    monkeypatch.setenv("VMEM_DEPTH_ANYTHING", str(tmp_path))
    assert shared_network("cpu", silent, CancelToken()) is not first


def test_names_of_either_transformers_are_understood():
    old, new = "a.attention.attention.key.bias", "a.attention.k_proj.bias"
    assert todays_name(old, {new}) == new
    assert todays_name(old, {old}) == old
    assert todays_name("a.attention.output.dense.weight", {}) == "a.attention.o_proj.weight"
    assert todays_name("head.conv1.bias", {}) == "head.conv1.bias"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (None, "config.json"),
        ({"model_type": "dpt"}, "not Depth Anything's"),
        (tiny.DEPTH_ANYTHING | {"depth_estimation_type": "metric"}, "metric depth"),
        (tiny.DEPTH_ANYTHING | {"fusion_hidden_size": 12}, "not the weights of Depth Anything"),
    ],
)
def test_other_configurations_are_refused(folder, tmp_path, monkeypatch, config, says):
    path = tmp_path / "model.safetensors"
    save_file(load_file(folder / "model.safetensors"), path)
    if config is not None:
        path.with_name("config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setenv("VMEM_DEPTH_ANYTHING", str(path))
    with pytest.raises(CheckpointError, match=says):
        shared_network("cpu", silent, CancelToken())


def test_a_part_like_the_others(here):
    part = PARTS["depth-anything"]
    assert find_part(part) == (here / "model.safetensors", here / "config.json")
    assert part.command == "python -m vmem weights download depth-anything"
    assert [command_for(source) for source in part.layouts[0]] == [part.command] * 2
    assert command_for(PARTS["clip"].layouts[0][0]) == PARTS["clip"].command


@pytest.mark.parametrize(
    ("hw", "size"),
    [
        ((518, 518), (518, 518)),
        ((288, 288), (518, 518)),
        ((480, 640), (518, 686)),
        ((1080, 1920), (518, 924)),
        ((300, 200), (518, 350)),
        ((600, 40), (518, 28)),
    ],
)
def test_the_network_sees_whole_patches(hw, size):
    assert input_size(hw) == size


def test_input_is_that_of_the_published_preprocessor():
    """transformers' own, by PIL, with the settings of the released preprocessor_config.json."""
    theirs = pytest.importorskip("transformers.models.dpt.image_processing_pil_dpt")
    process = theirs.DPTImageProcessorPil(
        size={"height": 518, "width": 518},
        keep_aspect_ratio=True,
        ensure_multiple_of=14,
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    for hw in ((288, 288), (120, 90), (700, 1100)):
        small = RNG.integers(0, 255, (30, 40, 3), np.uint8)
        rgb = np.asarray(cv2.resize(small, hw[::-1]), np.uint8)
        expected = process(rgb, return_tensors="pt").pixel_values
        mine = prepare(rgb)
        assert mine.shape == expected.shape
        # PIL rounds to whole levels, after either direction.
        assert (mine - expected).abs().max() < 1.6 / 255 / 0.224


# --- what becomes of it ------------------------------------------------------------------------


def telling(inverse: F32) -> DepthAnythingEstimator:
    """An estimator whose network says ``inverse`` (T, h, w) of the frames, one after the other."""
    said = iter(inverse)
    return DepthAnythingEstimator(lend=lambda on_progress, cancel: lambda rgb: next(said))


def spoilt(depth: F32, scale: float, shift: float, noise: float = 0.0) -> F32:
    """Inverse depth as the network gives it: scaled, shifted, with a smooth error that has the
    standard deviation ``noise`` of its range."""
    inverse = scale / depth + shift
    errors = np.stack([cv2.resize(RNG.normal(size=(8, 8)), depth.shape[:0:-1]) for _ in depth])
    errors *= noise * np.ptp(inverse) / errors.std()
    return np.maximum(inverse + errors, 0).astype(np.float32)


def wrong(maps: PointMaps, truth: F32) -> float:
    """Median relative error of depth where it is trusted."""
    trusted = maps.confidence >= 0.1
    assert trusted.mean() > 0.5
    return float(np.median(np.abs(maps.depth - truth)[trusted] / truth[trusted]))


@pytest.fixture(scope="module")
def scene() -> tuple[MemorySnapshot, Frames, Cameras, F32]:
    """Memory of two steps seen exactly, and the next step: frames without depth, the truth."""
    *past, now = walk_cameras(WORLD, "w a")
    frames = exact_frames(WORLD, now)
    assert frames.depth is not None
    return remembered(WORLD, past), replace(frames, depth=None), now, frames.depth


@pytest.mark.parametrize(
    ("scale", "shift", "noise", "within"),
    [
        (1.0, 0.0, 0.0, 0.005),
        (7.0, 0.0, 0.0, 0.005),
        (3.0, 0.4, 0.0, 0.005),
        (3.0, 0.4, 0.01, 0.03),
        (0.2, -0.005, 0.02, 0.06),
    ],
)
def test_depth_comes_back_from_scale_shift_and_noise(scene, scale, shift, noise, within):
    memory, frames, cameras, truth = scene
    maps = telling(spoilt(truth, scale, shift, noise)).estimate(frames, cameras, memory)
    assert maps.note.count("by views") == 4
    assert wrong(maps, truth) < within
    sure = maps.confidence > 0
    for i, camera in enumerate(cameras):
        np.testing.assert_allclose(
            maps.points[i], unproject(maps.depth[i], camera), rtol=1e-4, atol=1e-4
        )
    assert sure.mean() > 0.8


def test_the_network_may_be_of_another_size_than_the_frames(scene):
    memory, frames, cameras, truth = scene
    small = np.stack([cv2.resize(1 / d, (63, 49), interpolation=cv2.INTER_AREA) for d in truth])
    maps = telling(small).estimate(frames, cameras, memory)
    assert wrong(maps, truth) < 0.02


@pytest.fixture(scope="module")
def photo() -> tuple[Frames, Cameras, F32]:
    """The first view: a frame without depth, its camera, the truth."""
    return first_view(WORLD)


def first_view(world: World) -> tuple[Frames, Cameras, F32]:
    cameras = walk_cameras(world, "")[0]
    frames = exact_frames(world, cameras)
    assert frames.depth is not None
    return replace(frames, depth=None), cameras, frames.depth


def test_a_photo_has_the_layouts_unit_and_the_networks_shape(photo):
    frames, cameras, _ = photo
    layout = estimate_layout(frames.rgb[0], cameras[0]).depth
    # The network agrees with the layout but for a thing in front of it.
    thing = np.ones(layout.shape, bool)
    thing[30:70, 40:60] = False
    shaped = np.where(thing, layout, 0.5 * layout).astype(np.float32)
    maps = telling(spoilt(shaped[None], 4.0, 0.3)).estimate(
        frames, cameras, ViewMemory().snapshot()
    )
    assert "by layout" in maps.note
    assert wrong(maps, shaped[None]) < 0.01
    assert np.median(maps.depth[0][~thing] / layout[~thing]) == pytest.approx(0.5, rel=0.02)


def test_a_photo_that_contradicts_its_layout_is_believed():
    """Its shift is taken as 0 then, which is where such networks put the sky."""
    frames, cameras, truth = first_view(WORLD)
    turned = truth[:, ::-1]
    maps = telling(spoilt(turned, 4.0, 0.0)).estimate(frames, cameras, ViewMemory().snapshot())
    assert "by median" in maps.note
    assert "its layout fits only if depth is bent" in maps.note
    trusted = maps.confidence > 0
    ratio = (maps.depth / turned)[trusted]
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=0.01)


def constant(shape: tuple[int, ...]) -> F32:
    return np.full(shape, 3.0, np.float32)


def zero(shape: tuple[int, ...]) -> F32:
    return np.zeros(shape, np.float32)


def nan(shape: tuple[int, ...]) -> F32:
    return np.full(shape, np.nan, np.float32)


@pytest.mark.parametrize("say", [constant, zero, nan])
def test_nonsense_of_a_photo_leaves_the_layout_and_says_so(photo, say: Callable[..., F32]):
    frames, cameras, truth = photo
    maps = telling(say(truth.shape)).estimate(frames, cameras, ViewMemory().snapshot())
    layout = LayoutEstimator().estimate(frames, cameras, ViewMemory().snapshot())
    assert "by fallback" in maps.note
    assert "view 0: Depth Anything said" in maps.note
    np.testing.assert_array_equal(maps.depth, layout.depth)
    assert 0 < maps.confidence.max() <= LOW
    assert not maps.confidence[layout.confidence == 0].any()


@pytest.mark.parametrize("say", [constant, zero, nan])
def test_nonsense_of_one_view_costs_that_view(scene, say: Callable[..., F32]):
    memory, frames, cameras, truth = scene
    inverse = spoilt(truth, 2.0, 0.1)
    inverse[2] = say(truth[2].shape)
    maps = telling(inverse).estimate(frames, cameras, memory)
    assert maps.note.count("by views") == 3
    assert "view 2 by fallback" in maps.note
    assert maps.confidence[2].max() <= LOW
    assert np.isfinite(maps.depth).all()
    assert (maps.depth > 0).all()
    ok = [0, 1, 3]
    picked = PointMaps(maps.points[ok], maps.depth[ok], maps.confidence[ok])
    assert wrong(picked, truth[ok]) < 0.005


def test_sky_is_far_and_remembered_by_nobody(scene):
    memory, frames, cameras, truth = scene
    inverse = spoilt(truth, 2.0, 0.0)
    inverse[:, :30] = RNG.uniform(0, 1e-3, inverse[:, :30].shape) * inverse.max()
    inverse[1, 80, 80] = np.nan
    maps = telling(inverse).estimate(frames, cameras, memory)
    assert maps.note.count("by views") == 4
    assert not maps.confidence[:, :30].any()
    assert maps.confidence[1, 80, 80] == 0
    for depth, confidence in zip(maps.depth, maps.confidence, strict=True):
        assert depth[:30].min() > depth[confidence > 0].max()
    assert np.isfinite(maps.points).all()
    np.testing.assert_allclose(maps.points[0], unproject(maps.depth[0], cameras[0]), rtol=1e-5)


def test_known_depth_is_not_looked_at(scene):
    memory, frames, cameras, truth = scene
    maps = telling(np.zeros((0, 1, 1), np.float32)).estimate(
        replace(frames, depth=truth), cameras, memory
    )
    np.testing.assert_array_equal(maps.depth, truth)


def test_progress_a_frame_and_cancel(scene):
    memory, frames, cameras, truth = scene
    steps: list[Progress] = []
    inverse = spoilt(truth, 1.0, 0.0)
    telling(inverse).estimate(frames, cameras, memory, on_progress=steps.append)
    assert [(s.stage, s.done, s.total) for s in steps] == [("geometry", i, 4) for i in range(5)]
    cancel, looked = CancelToken(), []

    def look(rgb: U8) -> F32:
        looked.append(rgb)
        cancel.cancel()
        return inverse[0]

    estimator = DepthAnythingEstimator(lend=lambda *_: look)
    with pytest.raises(Cancelled):
        estimator.estimate(frames, cameras, memory, cancel=cancel)
    assert len(looked) == 1


# --- the setting -------------------------------------------------------------------------------


def test_auto_takes_it_where_it_is_and_says_so(here, hub, monkeypatch):
    assert geometry_of("preview") == ("depth-anything", "its weights are here")
    assert geometry_of("vmem")[0] == "depth-anything"
    assert geometry_of("world")[0] == "exact"
    label = create_backend("preview").label
    assert "depth: Depth Anything V2 Small" in label
    assert "Depth Anything" not in create_backend("preview", geometry="layout").label
    monkeypatch.delenv("VMEM_DEPTH_ANYTHING")
    name, why = geometry_of("preview")
    assert name == "layout"
    assert "weights download depth-anything" in why
    with pytest.raises(BackendError, match="weights download depth-anything"):
        create_backend("preview", geometry="depth-anything")
    assert hub.requests == []


def test_a_preview_walk_on_tiny_weights(here):
    """From a photo to steps and back, with the depth that a random network makes of it."""
    steps: list[Progress] = []
    session = Session.open(
        box_photo((64, 64)),
        backend=create_backend("preview", geometry="depth-anything"),
        config=SessionConfig(target_views=2),
        on_progress=steps.append,
    )
    assert {"weights", "geometry"} <= {step.stage for step in steps}
    note = session.history.head.record.note
    assert note.startswith("alignment: view 0 by ")
    first = session.memory.views[0]
    plain = estimate_layout(first.rgb, first.camera).depth
    assert "fallback" not in note
    assert not np.allclose(first.depth, plain, rtol=0.05), "the network had its say"
    for word in "wa":
        session.move(word)
    memory = session.memory
    assert len(memory.views) == 5
    assert all(np.isfinite(view.depth).all() and (view.depth > 0).all() for view in memory.views)
    session.undo()
    assert len(session.memory.views) == 3
