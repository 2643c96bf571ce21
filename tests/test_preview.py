"""The embedded generator: warping, filling, extending, and what it says about its pixels."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmem.cameras import (
    Camera,
    Cameras,
    default_K,
    path_targets,
    pixel_rays,
    rotation_x,
    rotation_y,
    unproject,
)
from vmem.generation.base import Context
from vmem.generation.extension import extend, floor_height, render_color, render_depth
from vmem.generation.fold import fold_directions, make_fold, photo_index
from vmem.generation.inpaint import fill_from_background, push_pull
from vmem.generation.preview import PreviewGenerator
from vmem.generation.warp import index_homography, tear_ratio, warp_depth
from vmem.progress import Cancelled, CancelToken, Progress, silent
from vmem.views import Frames, Provenance, View

FLOOR = 0.4
WALL = 2.0


def texture(hw: tuple[int, int], seed: int = 0, detail: int = 3) -> np.ndarray:
    """A random picture (H, W, 3) u8 with blobs of ``detail`` pixels."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 235, (hw[0] // detail + 2, hw[1] // detail + 2, 3), np.uint8)
    return cv2.resize(coarse, (hw[1], hw[0]), interpolation=cv2.INTER_CUBIC)


def camera_at(
    position: tuple[float, float, float] = (0, 0, 0),
    yaw: float = 0.0,
    pitch: float = 0.0,
    hw: tuple[int, int] = (48, 64),
) -> Camera:
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_y(yaw) @ rotation_x(pitch)
    c2w[:3, 3] = position
    return Camera(c2w, default_K(hw), hw)


def room_depth(camera: Camera) -> np.ndarray:
    """Exact z-depth of a floor at y = FLOOR before a wall at z = WALL, seen from the origin."""
    rays = pixel_rays(camera) @ camera.c2w[:3, :3].T
    to_wall = WALL / np.maximum(rays[..., 2], 1e-6)
    to_floor = np.where(rays[..., 1] > 0, FLOOR / np.maximum(rays[..., 1], 1e-6), np.inf)
    return np.minimum(to_wall, to_floor).astype(np.float32)


def room(pitch: float = -0.1, hw: tuple[int, int] = (48, 64), detail: int = 3) -> View:
    camera = camera_at(pitch=pitch, hw=hw)
    return View(texture(hw, detail=detail), camera, 0, room_depth(camera), np.ones(hw, np.float32))


def plain_view(rgb: np.ndarray, depth: np.ndarray) -> View:
    hw = (depth.shape[0], depth.shape[1])
    return View(rgb, camera_at(hw=hw), 0, depth.astype(np.float32), np.ones(hw, np.float32))


def generate(view: View, *cameras: Camera, views: tuple[View, ...] = (), seed: int = 0) -> Frames:
    context = Context(views or (view,), view, 1)
    return PreviewGenerator().generate(
        context, Cameras.stack(cameras), seed=seed, on_progress=silent, cancel=CancelToken()
    )


def as_views(frames: Frames, cameras: Cameras, step: int) -> list[View]:
    assert frames.depth is not None
    assert frames.provenance is not None
    assert frames.age is not None
    return [
        View(
            frames.rgb[i],
            cameras[i],
            step,
            frames.depth[i],
            np.ones_like(frames.depth[i]),
            frames.provenance[i],
            frames.age[i],
        )
        for i in range(len(frames))
    ]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return 10 * math.log10(255**2 / max(error, 1e-9))


def sharpness(rgb: np.ndarray) -> float:
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(gray, cv2.CV_32F)[3:-3, 3:-3].var())


# --- warping -------------------------------------------------------------------------------


def test_plane_moves_by_focal_times_translation_over_depth() -> None:
    source = camera_at()
    target = camera_at((0.1, -0.05, 0))
    warp = warp_depth(np.full(source.hw, 2.0, np.float32), source, target)
    shift = source.K[0, 0] * np.array([0.1, -0.05]) / 2.0
    row, col = 20, 30
    np.testing.assert_allclose(warp.uv[row, col], (col + shift[0], row + shift[1]), atol=1e-4)
    np.testing.assert_allclose(warp.depth[row, col], 2.0, rtol=1e-6)


def test_magnified_source_has_lower_density() -> None:
    source = camera_at()
    warp = warp_depth(np.full(source.hw, 2.0, np.float32), source, camera_at((0, 0, 1.0)))
    np.testing.assert_allclose(warp.density[20:28, 28:36], 0.25, rtol=1e-3)


def slow_depth(depth: np.ndarray, source: Camera, target: Camera) -> np.ndarray:
    """Per pixel, the nearest of all triangles of all whole cells, by ray-triangle intersection."""
    points = unproject(depth.astype(np.float32), source).astype(np.float64)
    rays = pixel_rays(target) @ target.c2w[:3, :3].T
    out = np.full(target.hw, np.inf)
    for i, j in np.ndindex(depth.shape[0] - 1, depth.shape[1] - 1):
        a, b, c, d = (points[i + k // 2, j + k % 2] for k in range(4))
        for p, q, r in ((a, b, c), (d, c, b)):
            for pixel in np.ndindex(*target.hw):
                system = np.stack([p - q, p - r, rays[pixel]], axis=1)
                beta, gamma, t = np.linalg.solve(system, p - target.position)
                if beta >= -1e-9 and gamma >= -1e-9 and beta + gamma <= 1 + 1e-9:
                    out[pixel] = min(out[pixel], t)
    return out


def test_rasterizer_agrees_with_ray_casting() -> None:
    source = camera_at(hw=(6, 7))
    rng = np.random.default_rng(3)
    depth = 2 + 0.1 * cv2.GaussianBlur(rng.standard_normal((6, 7)), (0, 0), 1.0)
    assert depth.max() / depth.min() < tear_ratio(source)
    target = camera_at((0.13, 0.07, 0.21), yaw=0.05, hw=(9, 8))
    slow = slow_depth(depth, source, target)
    fast = warp_depth(depth.astype(np.float32), source, target).depth
    covered = np.isfinite(slow)
    assert covered.sum() > 30
    np.testing.assert_allclose(fast[covered], slow[covered], rtol=1e-4)


def test_homography_agrees_with_projection() -> None:
    source, target = camera_at((0.2, 0, 0), yaw=0.3), camera_at((0, 0.1, -0.5), pitch=0.2)
    linear, offset = index_homography(source, target)
    depth = np.full(source.hw, 1.7, np.float32)
    world = np.append(unproject(depth, source)[10, 20].astype(np.float64), 1.0)
    expected = target.K @ (target.w2c @ world)[:3]
    got = 1.7 * linear @ (20, 10, 1) + offset
    np.testing.assert_allclose(got[2], expected[2], rtol=1e-5)
    np.testing.assert_allclose(got[:2] / got[2] + 0.5, expected[:2] / expected[2], atol=1e-3)


def test_invalid_depth_is_absent() -> None:
    camera = camera_at()
    depth = np.full(camera.hw, 2.0, np.float32)
    depth[10:14, 10:14] = np.nan
    depth[20:24, 20:24] = 0
    warp = warp_depth(depth, camera, camera)
    assert (warp.depth[11:13, 11:13] == 0).all()
    assert (warp.depth[21:23, 21:23] == 0).all()
    assert np.isfinite(warp.depth).all()


# --- filling -------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    h=st.integers(1, 40), w=st.integers(1, 40), share=st.floats(0.001, 0.9), seed=st.integers(0, 99)
)
def test_push_pull_keeps_the_known_and_fills_the_rest(
    h: int, w: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    known = rng.random((h, w)) < share
    known[rng.integers(h), rng.integers(w)] = True
    values = rng.uniform(50, 200, (h, w, 2)).astype(np.float32)
    filled = push_pull(values, known)
    assert (filled[known] == values[known]).all()
    assert filled.min() >= values[known].min() - 0.01
    assert filled.max() <= values[known].max() + 0.01


def test_hole_between_near_and_far_continues_the_far_side() -> None:
    rgb = np.zeros((40, 60, 3), np.float32)
    depth = np.ones((40, 60), np.float32)
    rgb[:, 30:] = 200
    depth[:, 30:] = 3
    known = np.ones((40, 60), bool)
    known[:, 27:33] = False
    filled, filled_depth = fill_from_background(rgb, depth, known)
    assert filled[20, 29:33].min() > 150
    assert filled_depth[20, 29:33].min() > 2


def test_nothing_known_is_still_an_answer() -> None:
    known = np.zeros((5, 6), bool)
    rgb, depth = fill_from_background(
        np.ones((5, 6, 3), np.float32), np.zeros((5, 6), np.float32), known
    )
    assert np.isfinite(rgb).all()
    assert (depth > 0).all()


# --- the world beyond the photo ------------------------------------------------------------


def test_fold_is_the_identity_inside_the_photo() -> None:
    camera = camera_at(pitch=-0.2)
    fold = make_fold(camera, 0)
    rays = (pixel_rays(camera) @ camera.c2w[:3, :3].T).reshape(-1, 3)
    folded = fold_directions(fold, rays)
    uv, _ = photo_index(fold, folded.azimuth, folded.content_drop)
    rows, cols = np.indices(camera.hw)
    np.testing.assert_allclose(uv, np.stack([cols.ravel(), rows.ravel()], 1), atol=1e-3)


@pytest.mark.parametrize("side", [-1, 1])
def test_fold_mirrors_at_the_side_borders(side: int) -> None:
    camera = camera_at()
    fold = make_fold(camera, 5)
    border = side * math.atan((camera.hw[1] / 2 - 0.5) / camera.K[0, 0])
    circle = 2 * math.pi - 2 * abs(border)
    tile = circle * (np.diff(fold.tiles)[0 if side > 0 else -1])
    for beyond in (0.02, 0.1, 0.3):
        stretched = border + side * beyond * tile / (2 * abs(border))
        angles = np.array([border - side * beyond, stretched])
        directions = np.stack([np.sin(angles), np.full(2, 0.1), np.cos(angles)], axis=1)
        inside, outside = fold_directions(fold, directions).azimuth
        assert inside == pytest.approx(angles[0])
        assert outside == pytest.approx(inside)


@settings(max_examples=30, deadline=None)
@given(
    azimuth=st.floats(-math.pi, math.pi),
    drop=st.floats(-3, 3),
    pitch=st.floats(-0.4, 0.4),
    seed=st.integers(0, 9),
)
def test_fold_is_continuous_and_lands_in_the_photo(
    azimuth: float, drop: float, pitch: float, seed: int
) -> None:
    camera = camera_at(pitch=pitch)
    fold = make_fold(camera, seed)
    angles = azimuth + np.array([0.0, 1e-5])
    directions = np.stack([np.sin(angles), np.full(2, drop), np.cos(angles)], axis=1)
    folded = fold_directions(fold, directions)
    assert abs(np.diff(folded.azimuth)[0]) < 1e-3
    assert abs(np.diff(folded.content_drop)[0]) < 1e-3
    _, z = photo_index(fold, folded.azimuth, folded.content_drop)
    assert (z > 0).all()


def test_floor_below_the_photo_is_the_floor_plane() -> None:
    anchor = room()
    extension = extend(anchor, 0)
    assert extension.floor == pytest.approx(FLOOR, abs=1e-3)
    for yaw in (0.0, 2.0, -2.5):
        camera = camera_at((0.1, 0.05, -0.2), yaw=yaw, pitch=-1.0)
        depth = render_depth(extension, camera)
        assert (depth > 0).all()
        heights = unproject(depth, camera)[24:, :, 1]
        np.testing.assert_allclose(heights, FLOOR, atol=2e-3)


def test_floor_is_always_below_the_camera() -> None:
    camera = camera_at(pitch=0.6)
    depth = np.full(camera.hw, 2.0, np.float32)
    upwards = View(texture(camera.hw), camera, 0, depth, np.ones(camera.hw, np.float32))
    assert floor_height(upwards) > 0
    assert all((d > 0).all() for _, d in extend(upwards, 0).faces)


def test_scene_continues_across_the_photo_border() -> None:
    anchor = room()
    extension = extend(anchor, 0)
    wide = Camera(anchor.camera.c2w, default_K((96, 128), math.radians(80)), (96, 128))
    depth = render_depth(extension, wide)
    rgb = render_color(extension, wide, depth, depth > 0)
    seen = warp_depth(anchor.depth, anchor.camera, wide).depth > 0
    columns = np.flatnonzero(seen[48])
    left, right = columns[0], columns[-1]
    for border in (left, right - 1):
        across = depth[20:60, border - 1 : border + 3]
        assert (across.max(axis=1) / across.min(axis=1) < 1.15).all()
    steps = np.abs(np.diff(rgb, axis=1)).mean(axis=(0, 2))
    assert max(steps[left - 1], steps[right]) < 2 * steps[left:right].max()


# --- the generator -------------------------------------------------------------------------


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
