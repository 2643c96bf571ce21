"""The embedded generator as a whole, and what it says about its pixels."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.preview_scenes import (
    as_views,
    camera_at,
    generate,
    plain_view,
    psnr,
    room,
    sharpness,
    texture,
)
from vmem.cameras import Cameras, path_targets
from vmem.generation import Context
from vmem.generation.preview.generator import PreviewGenerator
from vmem.generation.preview.warp import warp_depth
from vmem.progress import Cancelled, CancelToken, Progress, silent
from vmem.types import Provenance, View


def test_standing_still_reproduces_the_photo() -> None:
    anchor = room()
    frames = generate(anchor, anchor.camera)
    assert psnr(frames.rgb[0], anchor.rgb) >= 40
    assert frames.provenance is not None
    assert (frames.provenance == Provenance.OBSERVED).all()
    assert frames.depth is not None
    np.testing.assert_allclose(frames.depth[0], anchor.depth, rtol=1e-4)
    assert frames.age is not None
    assert (frames.age == 1).all()


def test_standing_still_survives_depth_discontinuities() -> None:
    depth = np.full((48, 64), 4.0)
    depth[::3, ::2] = 1.0
    anchor = plain_view(texture((48, 64)), depth)
    frames = generate(anchor, anchor.camera)
    assert psnr(frames.rgb[0], anchor.rgb) >= 40
    assert frames.provenance is not None
    assert (frames.provenance == Provenance.OBSERVED).all()


def test_near_square_hides_and_uncovers_the_far_plane() -> None:
    hw = (96, 96)
    rgb = np.full((*hw, 3), (40, 160, 60), np.uint8)
    depth = np.full(hw, 3.0)
    rgb[36:60, 36:60] = (220, 30, 30)
    depth[36:60, 36:60] = 1.0
    anchor = plain_view(rgb, depth)
    target = anchor.camera.moved_to(camera_at((0.12, 0, 0)).c2w)
    frames = generate(anchor, target)
    assert frames.provenance is not None
    assert frames.depth is not None
    focal = anchor.camera.K[0, 0]
    near_shift, far_shift = focal * 0.12 / 1.0, focal * 0.12 / 3.0
    square_right = round(59.5 - near_shift)
    square_left = round(35.5 - near_shift)
    assert (frames.rgb[0, 48, square_left + 2 : square_left + 6, 0] > 180).all()
    hole = slice(square_right + 2, round(59.5 - far_shift) - 2)
    assert (frames.rgb[0, 48, square_right - 6 : square_right - 2, 0] > 180).all()
    assert (frames.provenance[0, 48, hole] == Provenance.EXTRAPOLATED).all()
    assert (frames.rgb[0, 48, hole, 1] > 120).all()
    assert (frames.rgb[0, 48, hole, 0] < 100).all()
    assert (frames.depth[0, 48, hole] > 2).all()


def test_what_was_invented_is_remembered_and_ages() -> None:
    anchor = room()
    turned = path_targets(anchor.camera, camera_at(yaw=0.5, pitch=-0.1).c2w, 2)
    first = generate(anchor, *turned)
    assert first.provenance is not None
    assert first.age is not None
    invented = first.provenance[1] == Provenance.EXTRAPOLATED
    assert 0.2 < invented.mean() < 0.9
    seen = as_views(first, turned, 1)[1]
    again = generate(anchor, turned[1], views=(seen,))
    assert again.provenance is not None
    assert again.age is not None
    assert (again.provenance[0][invented] == Provenance.REOBSERVED).all()
    assert (again.provenance[0][~invented] == Provenance.OBSERVED).all()
    assert (again.age[0] == first.age[1] + 1).all()
    assert psnr(again.rgb[0], first.rgb[1]) >= 40


def test_frames_of_a_step_agree_on_what_they_invent() -> None:
    anchor = room()
    end = camera_at((0, 0, -0.2), yaw=0.6, pitch=-0.1).c2w
    targets = path_targets(anchor.camera, end, 4)
    frames = generate(anchor, *targets)
    assert frames.depth is not None
    assert frames.provenance is not None
    warp = warp_depth(frames.depth[3], targets[3], targets[2])
    both = (warp.depth > 0) & (frames.provenance[2] == Provenance.EXTRAPOLATED)
    assert both.sum() > 200
    maps = warp.uv[..., 0], warp.uv[..., 1]
    moved = cv2.remap(frames.rgb[3], *maps, cv2.INTER_CUBIC)
    difference = np.abs(moved[both].astype(float) - frames.rgb[2][both])
    assert np.median(difference) < 6


def test_other_frames_of_a_step_reuse_the_last_one() -> None:
    anchor = room()
    frames = generate(anchor, *path_targets(anchor.camera, camera_at(yaw=0.6).c2w, 2))
    assert frames.provenance is not None
    assert frames.age is not None
    assert (frames.age[1] == 1).all()
    taken_over = (frames.provenance[0] == Provenance.EXTRAPOLATED) & (frames.age[0] == 2)
    assert taken_over.sum() > 100


def test_the_less_resampled_source_dominates() -> None:
    anchor = room()
    worn = View(
        np.asarray(cv2.GaussianBlur(anchor.rgb, (0, 0), 2.0), np.uint8),
        anchor.camera,
        3,
        anchor.depth,
        anchor.confidence,
        np.full(anchor.depth.shape, Provenance.OBSERVED, np.uint8),
        np.full(anchor.depth.shape, 3, np.float32),
    )
    frames = generate(anchor, anchor.camera, views=(worn, anchor))
    assert psnr(frames.rgb[0], anchor.rgb) > 45


def test_seam_between_memory_and_continuation_is_matched() -> None:
    anchor = plain_view(np.full((48, 64, 3), 100, np.uint8), np.full((48, 64), 2.0))
    brighter = View(
        np.full((48, 64, 3), 120, np.uint8), anchor.camera, 1, anchor.depth, anchor.confidence
    )
    frames = generate(anchor, camera_at(yaw=0.4), views=(brighter,))
    assert frames.provenance is not None
    invented = frames.provenance[0, 24] == Provenance.EXTRAPOLATED
    border = int(np.flatnonzero(invented)[0])
    row = frames.rgb[0, 24, :, 0].astype(int)
    assert row[border - 1] == 120
    assert row[border] > 112
    assert row[-1] < 110


def test_turned_around_everything_is_invented_but_lively() -> None:
    anchor = room()
    frames = generate(anchor, camera_at(yaw=math.pi))
    assert frames.provenance is not None
    assert (frames.provenance == Provenance.EXTRAPOLATED).all()
    assert frames.rgb.std() > 0.4 * anchor.rgb.std()


def test_sky_without_confidence_is_still_drawn() -> None:
    anchor = room(pitch=0.0)
    depth, confidence = anchor.depth.copy(), anchor.confidence.copy()
    depth[:20], confidence[:20] = 50.0, 0.0
    view = View(anchor.rgb, anchor.camera, 0, depth, confidence)
    frames = generate(view, camera_at((0, 0, 0.2)))
    assert frames.depth is not None
    assert frames.provenance is not None
    assert (frames.depth[0, :10] > 40).all()
    assert (frames.provenance[0, 2:10, 8:-8] == Provenance.OBSERVED).all()


def test_sky_stays_sky() -> None:
    photo = room()
    sky = np.zeros(photo.depth.shape, bool)
    sky[:12] = True
    view = replace(
        photo,
        depth=np.where(sky, 40, photo.depth).astype(np.float32),
        confidence=np.where(sky, 0, 1).astype(np.float32),
    )
    frames = generate(view, camera_at(pitch=-0.1), camera_at((0, 0, 0.1), yaw=1.4, pitch=-0.1))
    assert frames.confidence is not None
    assert np.array_equal(frames.confidence[0], view.confidence)
    turned = frames.confidence[1]
    assert frames.provenance is not None
    assert (frames.provenance[1] == Provenance.EXTRAPOLATED).mean() > 0.5
    assert (turned[:6] < 0.1).mean() > 0.9
    assert (turned[-20:] > 0.9).mean() > 0.9


def test_targets_may_have_another_size() -> None:
    anchor = room()
    frames = generate(anchor, anchor.camera.resized((96, 128)))
    assert frames.rgb.shape == (1, 96, 128, 3)
    halved = cv2.resize(frames.rgb[0], (64, 48), interpolation=cv2.INTER_AREA)
    assert psnr(halved[2:-2, 2:-2], anchor.rgb[2:-2, 2:-2]) > 28


@settings(max_examples=25, deadline=None)
@given(
    position=st.tuples(st.floats(-3, 3), st.floats(-1, 1), st.floats(-3, 3)),
    yaw=st.floats(-4, 4),
    pitch=st.floats(-1.4, 1.4),
)
def test_any_camera_gets_a_complete_frame(
    position: tuple[float, float, float], yaw: float, pitch: float
) -> None:
    frames = generate(room(), camera_at(position, yaw, pitch, hw=(20, 24)))
    assert frames.depth is not None
    assert np.isfinite(frames.depth).all()
    assert (frames.depth > 0).all()
    assert frames.age is not None
    assert np.isfinite(frames.age).all()


def test_same_seed_same_bytes_and_the_cache_changes_nothing() -> None:
    anchor = room()
    targets = path_targets(anchor.camera, camera_at((0.1, 0, -0.2), yaw=1.0).c2w, 3)
    context = Context((anchor,), anchor, 1)
    generator = PreviewGenerator()
    runs = [
        generator.generate(context, targets, seed=seed, on_progress=silent, cancel=CancelToken())
        for seed in (7, 8, 7)
    ]
    runs.append(generate(anchor, *targets, seed=7))
    for name in ("rgb", "depth", "provenance", "age"):
        first = getattr(runs[0], name).tobytes()
        assert first == getattr(runs[2], name).tobytes()
        assert first == getattr(runs[3], name).tobytes()
    assert runs[0].rgb.tobytes() != runs[1].rgb.tobytes()


def test_walking_in_circles_neither_blurs_nor_drifts() -> None:
    anchor = room(hw=(96, 96), detail=6)
    views = [anchor]
    camera = anchor.camera
    generator = PreviewGenerator()
    positions = [0.03 * k for k in range(1, 16)] + [0.03 * k for k in range(14, -1, -1)]
    for step, x in enumerate(positions, start=1):
        c2w = anchor.camera.c2w.copy()
        c2w[0, 3] = x
        targets = path_targets(camera, c2w, 2)
        # The worst memory: only the latest views are ever retrieved.
        context = Context(tuple(views[-2:]), anchor, step)
        frames = generator.generate(
            context, targets, seed=0, on_progress=silent, cancel=CancelToken()
        )
        views += as_views(frames, targets, step)
        camera = targets[len(targets) - 1]
    last = views[-1]
    assert last.provenance is not None
    observed = last.provenance == Provenance.OBSERVED
    assert observed.mean() > 0.7
    assert psnr(last.rgb[observed], anchor.rgb[observed]) > 30
    assert sharpness(last.rgb) > 0.6 * sharpness(anchor.rgb)
    home = generate(anchor, anchor.camera, views=(last, anchor, views[-2]))
    assert psnr(home.rgb[0], anchor.rgb) > 40


def test_progress_counts_frames_in_order() -> None:
    anchor = room()
    reports: list[Progress] = []
    targets = path_targets(anchor.camera, camera_at(yaw=0.2).c2w, 3)
    PreviewGenerator().generate(
        Context((anchor,), anchor, 1),
        targets,
        seed=0,
        on_progress=reports.append,
        cancel=CancelToken(),
    )
    assert reports == [Progress("generate", done, 3) for done in (1, 2, 3)]


def test_cancel_stops_between_frames() -> None:
    anchor = room()
    token = CancelToken()
    reports: list[Progress] = []

    def stop_after_the_first(progress: Progress) -> None:
        reports.append(progress)
        token.cancel()

    with pytest.raises(Cancelled):
        PreviewGenerator().generate(
            Context((anchor,), anchor, 1),
            path_targets(anchor.camera, camera_at(yaw=0.2).c2w, 3),
            seed=0,
            on_progress=stop_after_the_first,
            cancel=token,
        )
    assert len(reports) == 1


def test_no_views_is_an_error_that_says_so() -> None:
    anchor = room()
    with pytest.raises(ValueError, match="at least one context view"):
        PreviewGenerator().generate(
            Context((), anchor, 1),
            Cameras.stack([anchor.camera]),
            seed=0,
            on_progress=silent,
            cancel=CancelToken(),
        )
