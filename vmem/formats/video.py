"""``walk.mp4``: the frames of a walk in order, as H.264 video that any player shows.

Encoder and container are FFmpeg's libraries, which come with the package av and run in this
process: so an error of the disk arrives as itself, and no program has to be found.
"""

from __future__ import annotations

import errno
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vmem.arrays import U8
from vmem.formats.files import ExportError, clear_errors, replacing
from vmem.formats.frames import SOFTWARE
from vmem.memory import MemorySnapshot

if TYPE_CHECKING:
    import av

VIDEO_NAME = "walk.mp4"
"""File name in a walk's folder."""
FPS = 8
"""Frames a second: two steps of four views."""
QUALITY = 10
"""Constant rate factor of x264: 0 is lossless, 51 the worst."""
ENCODER = "libx264"
BT709, SRGB, LIMITED = 1, 13, 1
"""ITU-T H.273: matrix and primaries, transfer of what the frames are, and FFmpeg's range 16..235.
Without them players guess, by the size of the picture."""
_REINSTALL = "reinstall it with `pip install --force-reinstall av`"


class VideoError(ExportError):
    """The encoder could not make the video; the message says why and what to do."""


def write_video(memory: MemorySnapshot, path: Path) -> None:
    """Write the frames of all views as a video, which is read back before it replaces ``path``.

    Raises VideoError if there is no usable encoder, or what it wrote does not hold all frames; any
    other ExportError where the disk fails.
    """
    try:
        from av.codec.codec import UnknownCodecError
        from av.error import FFmpegError
    except (ImportError, OSError) as error:  # OSError: a shared library that does not load
        raise VideoError(
            f"cannot write {path}: the encoder is missing, as the package av cannot be loaded "
            f"({error}); {_REINSTALL}"
        ) from error
    with replacing(path) as part, clear_errors(path):
        try:
            _encode(memory, part)
            _check(part, len(memory.views))
        except FFmpegError as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise  # the disk's
            raise _failed(path, f"{error.strerror or error}") from error
        except UnknownCodecError as error:
            raise _failed(path, "there is no such encoder in it") from error
        except _Incomplete as error:
            raise _failed(path, str(error)) from error


def is_of_a_walk(path: Path) -> bool:
    """Whether the file at ``path`` is a video that a walk wrote, by its comment."""
    if not path.is_file():  # to open a pipe is to wait for its writer
        return False
    try:
        with path.open("rb") as file:
            # Boxes: four bytes of length in all, four of kind. The comment is in the one that
            # describes the video, which is before its frames.
            while len(head := file.read(8)) == 8 and head[4:] != b"mdat":
                length = int.from_bytes(head[:4]) - 8
                if head[4:] == b"moov":
                    return SOFTWARE.encode() in file.read(max(length, 0))
                if length < 0:
                    break
                file.seek(length, 1)
    except OSError:
        pass
    return False


class _Incomplete(Exception):
    """A video that does not hold what was sent to it."""


def _encode(memory: MemorySnapshot, path: Path) -> None:
    import av

    h, w = memory.views[0].rgb.shape[:2]
    # The pixel format that all players know has half the colour samples each way: even sides.
    odd = ((0, h % 2), (0, w % 2), (0, 0))
    # The description before the frames, so that a page can play what has not yet arrived.
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata["comment"] = SOFTWARE
        stream = container.add_stream(ENCODER, rate=FPS, options={"crf": f"{QUALITY}"})
        stream.width, stream.height = w + w % 2, h + h % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_primaries = BT709, BT709
        context.color_trc, context.color_range = SRGB, LIMITED
        for view in memory.views:
            container.mux(stream.encode(_converted(np.pad(view.rgb, odd, "edge"))))
        container.mux(stream.encode(None))


def _converted(rgb: U8) -> av.VideoFrame:
    import av

    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED)


def _check(path: Path, n_frames: int) -> None:
    """Decode the file. Raises _Incomplete unless it has so many frames and lasts as long."""
    import av

    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        decoded = sum(1 for _ in container.decode(stream))
        lasts = (stream.duration or 0) * (stream.time_base or Fraction(0))
    if decoded != n_frames:
        raise _Incomplete(f"{decoded} of {n_frames} frames can be read back")
    if abs(lasts - Fraction(n_frames, FPS)) > Fraction(1, 2 * FPS):
        raise _Incomplete(f"it lasts {float(lasts):g} s where {n_frames / FPS:g} were written")


def _failed(path: Path, reason: str) -> VideoError:
    import av

    return VideoError(
        f"cannot write {path}: the encoder {ENCODER} of FFmpeg {av.ffmpeg_version_info} failed: "
        f"{reason}; if this happens again, the package av {av.__version__} is broken: {_REINSTALL}"
    )
