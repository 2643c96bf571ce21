"""The video of a walk: what it holds, and what is said where it cannot be made."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.fakes import open_box
from vmem.formats import ExportError, VideoError, export, export_walk, video
from vmem.memory import MemorySnapshot
from vmem.types import View

OTHERS = {"frames", "transforms.json", "retrieval.json", "surfels.ply"}


@pytest.fixture(scope="module")
def short() -> MemorySnapshot:
    """One step: five views."""
    session = open_box()
    session.move("a")
    return session.memory


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def showing(memory: MemorySnapshot, rgb: np.ndarray) -> MemorySnapshot:
    """``memory`` with views that show ``rgb`` (V, H, W, 3) u8."""
    hw = rgb.shape[1:3]
    depth = np.ones(hw, np.float32)
    return replace(
        memory,
        views=tuple(
            View(frame, view.camera.resized(hw), view.step, depth, depth)
            for view, frame in zip(memory.views, rgb, strict=True)
        ),
    )


def test_it_shows_every_view_in_its_colours(short, tmp_path):
    """The colours are those that a player gets who believes what the file says of them."""
    export("video", short, tmp_path / "walk.mp4")
    with av.open(str(tmp_path / "walk.mp4")) as container:
        (stream,) = container.streams.video
        assert len(container.streams) == 1
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == video.FPS
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == len(short.views) / video.FPS
        frames = list(container.decode(video=0))
    assert len(frames) == len(short.views)
    for frame, view in zip(frames, short.views, strict=True):
        assert (frame.colorspace, frame.color_range) == (video.BT709, video.LIMITED)
        assert (frame.color_primaries, frame.color_trc) == (video.BT709, video.SRGB)
        shown = frame.to_ndarray(format="rgb24", src_colorspace=frame.colorspace)
        assert shown.shape == view.rgb.shape
        assert np.abs(shown.astype(int) - view.rgb).mean() < 5


def test_saturated_colours_are_kept(short, tmp_path):
    """A matrix other than the one in the file would shift red and green by more than 15."""
    flat = np.zeros((5, 64, 64, 3), np.uint8)
    flat[0::2], flat[1::2] = (200, 30, 40), (30, 180, 60)
    export("video", showing(short, flat), tmp_path / "walk.mp4")
    with av.open(str(tmp_path / "walk.mp4")) as container:
        for frame, colour in zip(container.decode(video=0), flat[:, 0, 0], strict=True):
            shown = frame.to_ndarray(format="rgb24", src_colorspace=frame.colorspace)
            np.testing.assert_allclose(shown[8:-8, 8:-8].mean((0, 1)), colour, atol=4)


def test_it_plays_before_all_of_it_has_arrived(short, tmp_path):
    export("video", short, tmp_path / "walk.mp4")
    content = (tmp_path / "walk.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_odd_sides_gain_a_row_and_a_column(short, tmp_path):
    frames = np.stack([view.rgb[:-1, :-3] for view in short.views])
    export("video", showing(short, frames), tmp_path / "walk.mp4")
    with av.open(str(tmp_path / "walk.mp4")) as container:
        for frame, rgb in zip(container.decode(video=0), frames, strict=True):
            shown = frame.to_ndarray(format="rgb24", src_colorspace=frame.colorspace).astype(int)
            assert shown.shape[:2] == (rgb.shape[0] + 1, rgb.shape[1] + 1)
            assert np.abs(shown[:-1, :-1] - rgb).mean() < 5
            assert np.abs(shown[-1, :-1] - rgb[-1]).mean() < 12


def test_the_encoder_is_not_blamed_for_a_folder(short, tmp_path):
    with pytest.raises(ExportError, match="it is a folder; choose another name") as error:
        export("video", short, tmp_path)
    assert not isinstance(error.value, VideoError)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"mine",
        b"\0\0\0\x04moov",
        b"\0\0\0\x08free" * 3,
        b"\0\0\0\x20moov and VMem",
        b"\xff" * 64,
    ],
)
def test_other_files_are_not_of_a_walk(tmp_path, content):
    (tmp_path / "walk.mp4").write_bytes(content)
    assert not video.is_of_a_walk(tmp_path / "walk.mp4")


# --- what goes wrong -------------------------------------------------------------------------


def without_av(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "av"]:
        monkeypatch.setitem(sys.modules, name, None)


def without_libx264(monkeypatch):
    monkeypatch.setattr(video, "ENCODER", "libx999")


def refusing_its_options(monkeypatch):
    monkeypatch.setattr(video, "QUALITY", "much")


def losing_frames(monkeypatch):
    encode = video._encode
    monkeypatch.setattr(
        video,
        "_encode",
        lambda memory, path: encode(replace(memory, views=memory.views[:3]), path),
    )


def running_slowly(monkeypatch):
    encode = video._encode

    def slow(memory, path):
        with monkeypatch.context() as context:
            context.setattr(video, "FPS", 4)
            encode(memory, path)

    monkeypatch.setattr(video, "_encode", slow)


def leaving_half_a_file(monkeypatch):
    encode = video._encode

    def half(memory, path):
        encode(memory, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    monkeypatch.setattr(video, "_encode", half)


FAULTS = {
    without_av: "the package av cannot be loaded .*; reinstall it with `pip install",
    without_libx264: "encoder libx999 of FFmpeg .* there is no such encoder",
    refusing_its_options: "encoder libx264 of FFmpeg .* failed: ",
    losing_frames: "3 of 5 frames can be read back",
    running_slowly: "it lasts 1.25 s where 0.625 were written",
    leaving_half_a_file: "failed: |of 5 frames",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_an_encoder_that_fails_costs_the_video_alone(short, tmp_path, monkeypatch, fault):
    fault(monkeypatch)
    with pytest.raises(VideoError, match=FAULTS[fault]) as error:
        export_walk(short, tmp_path)
    assert str(error.value).startswith(f"cannot write {tmp_path / 'walk.mp4'}: the encoder ")
    assert str(error.value).endswith("; all other files are written")
    assert "\n" not in str(error.value)
    assert names(tmp_path) == OTHERS


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The system itself refuses to write more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_error_of_the_disk_is_told_as_one(short, tmp_path):
    """An error that the encoder's own writes meet; what was there before stays."""
    path = tmp_path / "walk.mp4"
    export("video", short, path)
    before = path.read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    with (
        no_file_larger_than(20_000),
        pytest.raises(ExportError, match=r"walk\.mp4: File too large; choose another") as error,
    ):
        export("video", showing(short, noise), path)
    assert not isinstance(error.value, VideoError)
    assert path.read_bytes() == before
    assert names(tmp_path) == {"walk.mp4"}


def test_an_interrupt_leaves_the_old_video(short, tmp_path, monkeypatch):
    path = tmp_path / "walk.mp4"
    export("video", short, path)
    before, padded = path.read_bytes(), []

    def interrupted(rgb, *_):
        padded.append(rgb)
        if len(padded) == 3:
            raise KeyboardInterrupt
        return rgb

    monkeypatch.setattr(video.np, "pad", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export("video", short, path)
    assert path.read_bytes() == before
    assert names(tmp_path) == {"walk.mp4"}
