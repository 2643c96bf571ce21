"""`vmem.open` and `vmem.resume`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vmem.backends import Backend
from vmem.session.config import SessionConfig
from vmem.session.session import Session


def open_session(
    photo: UInt8[np.ndarray, "H W 3"] | str | Path | bytes | None = None,
    *,
    backend: Backend | str = "auto",
    seed: int | None = None,
    size: int = 288,
    config: SessionConfig | None = None,
    save: str | Path | None = None,
) -> Session:
    """Open a photo, or None for the scene of a backend that renders its own, as a session.

    photo: a file's path or bytes, or (H, W, 3) u8 · backend: auto, preview, world, vmem, or one
    made by `create_backend` · seed fixes everything that is invented; by default the config's ·
    size: side of the square frames in pixels · save: a new file, NAME.vmem, for the walk. Raises
    what `Session.open` raises.
    """
    return Session.open(photo, backend=backend, seed=seed, size=size, config=config, save=save)


def resume_session(
    path: str | Path, *, backend: Backend | None = None, read_only: bool = False
) -> Session:
    """Go on with a walk that was saved: the next step is the same as if it had never been closed.

    backend: one made as the walk's was, by default made anew · read_only: look at it while somebody
    else writes it. Raises what `Session.resume` raises.
    """
    return Session.resume(path, backend=backend, read_only=read_only)
