"""What the program is started with, checked before it listens."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from viewer.settings import Layout, Mode
from viewer.walk.saving import file_of
from viewer.walk.source import Source
from vmem.backends import resolve
from vmem.backends.registry import geometry_of
from vmem.devices.settings import NetworkSettings, SamplerName
from vmem.errors import VMemError
from vmem.formats.photos import check_size, load_photo, samples
from vmem.session import Session, SessionConfig
from vmem.store import WalkFile
from vmem.store.library import CAP


class ViewerError(VMemError, RuntimeError):
    """The viewer cannot start; the message says why and what to do."""


@dataclass(frozen=True)
class ViewerConfig:
    """Walk into a photo, in the browser: W A S D to walk, ? for all keys.

    Without a GPU or weights the preview backend runs: depth warping and mirrored continuation.
    """

    photo: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[PHOTO]")] = None
    """The photo to walk into; a sample if none is given."""
    backend: str = "auto"
    """What makes the frames: auto, preview, world (exact procedural scene) or vmem."""
    geometry: str | None = None
    """Where depth comes from: layout (of the room, from each photo), depth-anything (a network on
    the photo, with vmem on all frames) or cut3r (a network on all frames); VMEM_GEOMETRY if not
    given, else auto: the best whose weights are here, with preview no cut3r."""
    preset: SamplerName = "balanced"
    """Sampler of the vmem backend: reference (50 steps, as published), balanced or fast."""
    host: str = "127.0.0.1"
    """Address to serve on. Other machines can connect only if you name one of its interfaces,
    and then a token is required and printed."""
    port: int | None = None
    """Port to serve on; without it 8080 or the next free one."""
    seed: int = 0
    """Fixes everything that is invented: same photo, moves and seed, same frames."""
    size: int = 288
    """Side of the square frames in pixels: 288 to 384 is quick on a CPU, 576 is sharp."""
    mode: Mode | None = None
    """What move keys do: walk (views follow), step (each makes one step) or scout (fly through
    everything; Space generates along the way); without it as the browser had it last, else walk."""
    layout: Layout | None = None
    """What fills the window: the walker's own picture, the memory's scene, or both side by side;
    without it as the browser had it last, else both where there is room."""
    open: bool = True
    """Open the page in a browser."""
    session: Path | None = None
    """A saved walk to go on with, as the Session tab names its file."""
    save: bool = True
    """Save every walk by itself, in the folder for data of this program (VMEM_DATA names another),
    so that it outlives program, page and machine."""
    walks_gb: float = CAP / 1e9
    """Gigabytes that all saved walks may take: the trash goes first, then the walks without a name
    that were changed longest ago."""
    keep: float = 60.0
    """Seconds that a walk waits in memory for its closed or reloaded page; a saved one is opened
    again later."""
    token: str | None = None
    """Secret that browsers must present in the URL; made up when --host is not this machine."""


def check(config: ViewerConfig) -> Source:
    """Where the first walk begins, with its photo decoded, once everything that can be checked is.

    Raises ViewerError and the errors of photos, backends and settings.
    """
    backend, _ = resolve(config.backend)
    geometry_of(backend, config.geometry)
    check_size(config.size)
    SessionConfig(seed=config.seed)
    if not config.walks_gb > 0:
        raise ViewerError(f"--walks-gb must be above 0, got {config.walks_gb}")
    if config.session is not None:
        if config.photo is not None:
            raise ViewerError("a saved walk has its own photo: leave the photo or --session out")
        WalkFile.summary(config.session)
    if backend == "world":
        if config.photo is not None:
            raise ViewerError(
                "the world backend renders its own scene and takes no photo: "
                "leave the photo out, or use --backend preview"
            )
        return Source("procedural world", None)
    if config.photo is None:
        sample = samples()[0]
        title, path = sample.title, sample.path
    else:
        title, path = "", config.photo
    # Read it now: a photo that cannot be used should stop the start, not greet the browser.
    side = NetworkSettings.from_environment().size if backend == "vmem" else config.size
    photo = load_photo(path, side)
    return Source(title if config.photo is None else photo.name, path, decoded=photo)


def started_for(config: ViewerConfig, session: Session | None) -> str:
    """What a program is started for, to know whether a tab's walk belongs to it; "" for nothing in
    particular."""
    if session is not None:
        path = file_of(session)
        return secrets.token_hex(8) if path is None else f"session {path}"
    if config.session is not None:
        return f"session {config.session.absolute()}"
    return "" if config.photo is None else f"photo {config.photo.absolute()}"
