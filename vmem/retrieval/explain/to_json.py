"""Why a retrieval is what it is, for people and for programs, in one place.

Numbers come from the Retrieval, as those of ``retrieval.json`` do, and from
vmem.retrieval.attribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmem.memory import MemorySnapshot
from vmem.retrieval.attribution import explained_alone, picture_shares, visible_surfels
from vmem.retrieval.explain.surfel_account import NoSurfelError, Sighting, SurfelAccount, account
from vmem.retrieval.explain.warnings import warnings
from vmem.types import Retrieval

__all__ = [
    "NoSurfelError",
    "Sighting",
    "SurfelAccount",
    "account",
    "explanation_json",
    "warnings",
]

FORMAT = "vmem-explanation-1"
"""Changes when a field of explanation_json changes its meaning."""


def explanation_json(
    memory: MemorySnapshot,
    retrieval: Retrieval,
    step: int | None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything about a retrieval as plain numbers, strings, lists and dicts, fit for strict JSON.

    What Retrieval.to_json says stands under its own names, but for ``targets``: c2w (T, 4, 4), K
    (T, 3, 3) in pixels of hw (height, width), and drawn_hw, the size at which pixels are counted.
    Rows of ``views`` also have step and c2w of the view, why in plain words, and alone: surfels and
    pixels that it and no other chosen view saw. picture: shares of the targets' pixels. memory:
    what the retrieval knew. ``extra``, plain already, is put in as it is.

    step: that the retrieval led to, None for one that led to none. ``memory`` may have grown since.
    Raises LinkError for a retrieval of another, longer memory.
    """
    alone = explained_alone(memory, retrieval)
    shares = picture_shares(memory, retrieval)
    told = retrieval.to_json()
    for row in told["views"]:
        view = row["view"]
        row["step"] = int(memory.views[view].step)
        row["c2w"] = memory.views[view].camera.c2w.tolist()
        row["why"] = retrieval.plain_reason(view)
        row["alone"] = {
            "surfels": int(alone.surfels[view]),
            "pixels": float(alone.pixels[view]),
        }
    targets = retrieval.targets
    told["targets"] = {
        "c2w": targets.c2w.tolist(),
        "K": targets.K.tolist(),
        "hw": [int(side) for side in targets.hw],
        "drawn_hw": [int(side) for side in retrieval.buffers[0].index.shape],
    }
    told |= {
        "format": FORMAT,
        "step": step,
        "summary": retrieval.summary(step),
        "warnings": list(warnings(memory, retrieval)),
        "picture": {
            "covered": shares.covered,
            "known": shares.known,
            "nothing": shares.nothing,
        },
        "best_left_out": retrieval.best_left_out,
        "memory": {
            "views": len(retrieval.votes),
            "surfels": len(retrieval.surfel_weight),
            "visible_surfels": len(visible_surfels(retrieval)),
        },
    }
    return told if extra is None else told | {"extra": dict(extra)}
