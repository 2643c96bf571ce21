"""The JSON of an explanation: what ``retrieval.json`` says of one retrieval, and more."""

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
    """Everything about a retrieval as numbers, strings, lists and dicts that strict JSON can hold.

    The content of Retrieval.to_json keeps its names, except ``targets``: c2w (T, 4, 4), K (T, 3, 3)
    in pixels of hw (height, width), and drawn_hw, the size at which pixels are counted. Rows of
    ``views`` also have the view's step and c2w, ``why`` in plain words, and ``alone``: the numbers
    of surfels and pixels that it and no other chosen view saw. ``picture`` has shares of the
    targets' pixels, ``memory`` the size of what was searched, ``extra`` the argument unchanged.

    step: the step that the retrieval led to, if any. ``memory`` may have grown since. Raises
    LinkError for a retrieval of another, longer memory.
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
