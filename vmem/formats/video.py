"""``walk.mp4``: the frames of a walk in order, as H.264 video that any player shows.

ffmpeg comes with the package imageio-ffmpeg, or is the one that ``IMAGEIO_FFMPEG_EXE`` names.
"""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import imageio_ffmpeg

from vmem.arrays import U8
from vmem.formats.files import ExportError, replacing
from vmem.memory import MemorySnapshot

FPS = 8
"""Frames a second: two steps of four views."""
QUALITY = 10
"""Constant rate factor of x264: 0 is lossless, 51 the worst."""


class VideoError(ExportError):
    """ffmpeg could not make the video; the message says why and what to do."""


def write_video(memory: MemorySnapshot, path: Path) -> None:
    """Write the frames of all views as a video, which is read back before it replaces ``path``.

    Raises VideoError if there is no usable ffmpeg, or the file it wrote does not hold all frames.
    """
    frames = [view.rgb for view in memory.views]
    with replacing(path) as part:
        try:
            complaints = _encode(frames, part)
            written, _ = imageio_ffmpeg.count_frames_and_secs(part)
        except (OSError, RuntimeError) as error:
            # Where a call failed this is its whole log, and the last line is the reason.
            raise _error(path, str(error).strip().splitlines()[-1]) from error
        if written != len(frames):
            reason = f"{written} of {len(frames)} frames can be read back"
            raise _error(path, complaints or reason)


def _encode(frames: list[U8], path: Path) -> str:
    """Send the frames (H, W, 3) through ffmpeg; its last complaint, "" if there was none."""
    h, w = frames[0].shape[:2]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{w}x{h}", "-r", f"{FPS}", "-i", "-"]
    # The pixel format that all players know has half the colour samples each way: even sides.
    command += ["-vf", "scale=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"]
    command += ["-c:v", "libx264", "-crf", f"{QUALITY}", str(path)]
    with tempfile.TemporaryFile() as log:
        # In a session of its own, ffmpeg does not get the Ctrl-C that is meant for us.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=log, start_new_session=True
        )
        assert process.stdin is not None
        try:
            for frame in frames:
                process.stdin.write(frame.tobytes())
        except BrokenPipeError:
            pass  # ffmpeg has ended; its log says why
        except BaseException:
            process.kill()
            raise
        finally:
            with suppress(OSError):
                process.stdin.close()
            code = process.wait()
        log.seek(0)
        lines = log.read().decode(errors="replace").strip().splitlines()
    if code:
        raise OSError(lines[-1] if lines else f"ffmpeg ended with code {code}")
    return lines[-1] if lines else ""


def _error(path: Path, reason: str) -> VideoError:
    return VideoError(
        f"cannot write {path}: ffmpeg failed: {reason}; check IMAGEIO_FFMPEG_EXE and the free "
        "space, or reinstall the package imageio-ffmpeg"
    )
