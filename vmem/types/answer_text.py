"""A retrieval in plain sentences: what was used, what was left out and why, what is new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float32

from vmem.types.query import Query
from vmem.types.reasons import Reason, ReasonKind
from vmem.types.wording import percent

NAMED = 6
"""Chosen views that are named; of more, the rest are counted."""

_PLAIN = {
    ReasonKind.ADDS_NOTHING: "the views used already show nearly all that it saw",
    ReasonKind.NO_VISIBLE_SURFEL: "it saw nothing of the picture",
    ReasonKind.FRUSTUM_MISSES: "it looks elsewhere",
    ReasonKind.SAW_TOO_LITTLE: "by the published rule it saw too little of it",
    ReasonKind.BANNED: "it was banned",
    ReasonKind.PINNED_BEYOND_K: "it was pinned, but other pinned views hold all places",
}
_WENT_TO = {
    "votes": "to views with more votes",
    "coverage": "to views that together show more of the picture",
    "temporal": "to newer views",
    "pose": "to views nearer in pose",
    "fov": "to views whose frustums hold more of the target's",
}


@dataclass(frozen=True)
class PictureShares:
    """What the targets' pictures consist of: shares of all their pixels, which sum to 1."""

    covered: float
    """A surfel that a chosen view saw."""
    known: float
    """A surfel that no chosen view saw: the generator has to invent it."""
    nothing: float
    """Nothing is stored there: the generator has to invent it."""


class Answered(Protocol):
    """The fields of a Retrieval that its text is made of."""

    @property
    def query(self) -> Query: ...
    @property
    def votes(self) -> Float32[np.ndarray, " V"]: ...
    @property
    def share(self) -> Float32[np.ndarray, " V"]: ...
    @property
    def coverage(self) -> Float32[np.ndarray, " V"]: ...
    @property
    def chosen(self) -> Bool[np.ndarray, " V"]: ...
    @property
    def reasons(self) -> tuple[Reason, ...]: ...
    @property
    def order(self) -> tuple[int, ...]: ...
    @property
    def picture(self) -> PictureShares: ...


def summary(retrieval: Answered, step: int | None = None, *, supposed: bool = False) -> str:
    """Three sentences of Markdown on what led to ``step``, or, with None, would lead on from here.

    supposed: the step was made otherwise, and this is what would have led to it.
    """
    tense = "will" if step is None else "would have" if supposed else "did"
    sentences = (
        _used(retrieval, step, supposed),
        _left_out(retrieval),
        _invented(retrieval.picture, tense),
    )
    return " ".join(sentence for sentence in sentences if sentence)


def best_left_out(retrieval: Answered) -> int | None:
    """The view that was not chosen and has most votes, the oldest of equals; None if no view with
    a vote was left out."""
    votes = np.where(retrieval.chosen, 0, retrieval.votes)
    best = int(np.argmax(votes)) if len(votes) else 0
    return best if len(votes) and votes[best] > 0 else None


def plain_reason(retrieval: Answered, view: int) -> str:
    """Why a view was not chosen, as a clause without terms of the paper.

    Of a chosen view, or where there are no plainer words, the reason as the strategy gave it.
    """
    reason = retrieval.reasons[view]
    if reason.kind is ReasonKind.SUPPRESSED:
        return (
            f"it stands almost where view {reason.view} does (pose distance "
            f"{reason.distance:.2f} rad) and shows much the same"
        )
    if reason.kind is ReasonKind.CANDIDATE:
        return f"it is farther away in pose ({reason.distance:.2f} rad) than the views used"
    if reason.kind is ReasonKind.BEYOND_K:
        return _beyond(retrieval, view)
    return _PLAIN.get(reason.kind, str(reason))


def _beyond(retrieval: Answered, view: int) -> str:
    k = len(retrieval.order)
    places = {1: "the only place", 2: "both places"}.get(k, f"all {k} places")
    strategy = retrieval.query.strategy
    if strategy in ("votes", "coverage") and not (retrieval.votes > 0).any():
        strategy = "pose"  # what both fall back on
    went_to = _WENT_TO.get(strategy, "to other views")
    least = min((retrieval.votes[taken] for taken in retrieval.order), default=0.0)
    if strategy == "votes" and retrieval.votes[view] > least:
        went_to = "to views with as many votes, or nearly, and older or farther apart"
    if retrieval.query.pinned:
        went_to = "to the pinned views and others"
    return f"{places} went {went_to}"


def _used(retrieval: Answered, step: int | None, supposed: bool) -> str:
    order, voted = retrieval.order, bool((retrieval.votes > 0).any())
    if step is None:
        made = "From here, the next frames would be made"
    else:
        made = f"Step {step} {'would have been' if supposed else 'was'} made"
    if not order:
        return f"{made} from **no view** at all."
    named = [_named(retrieval, view, voted, i == 0) for i, view in enumerate(order[:NAMED])]
    if len(order) > NAMED:
        named.append(f"{len(order) - NAMED} more")
    chosen = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    why = "" if voted else ". Nothing stored is visible from there, so no view has a vote"
    return f"{made} from **{len(order)} of {_views(len(retrieval.votes))}**: {chosen}{why}."


def _named(retrieval: Answered, view: int, voted: bool, units: bool) -> str:
    """A view with what it saw and its share of the votes; with ``units``, what these are."""
    known, of_votes = (" of what is known there", " of the votes") if units else ("", "")
    told = []
    if voted:
        told.append(f"saw {percent(float(retrieval.coverage[view]))}{known}")
        told.append(f"{percent(float(retrieval.share[view]))}{of_votes}")
    if view in retrieval.query.pinned:
        told.append("pinned")
    return f"view {view} ({', '.join(told)})" if told else f"view {view}"


def _left_out(retrieval: Answered) -> str:
    best = best_left_out(retrieval)
    if best is not None:
        saw, share = percent(float(retrieval.coverage[best])), percent(float(retrieval.share[best]))
        return (
            f"The best view left out is **view {best}** (saw {saw}, {share} of the votes): "
            f"{plain_reason(retrieval, best)}."
        )
    if not (retrieval.votes > 0).any():
        return ""
    return "No other view saw any of it." if len(retrieval.votes) > 1 else "There was no other."


def _invented(shares: PictureShares, tense: str) -> str:
    # Rounded one by one, so that the total is the sum of what is read beside it.
    parts = {
        "where nothing is stored": round(100 * shares.nothing),
        "that only other views saw": round(100 * shares.known),
    }
    parts = {what: part for what, part in parts.items() if part}
    if not parts:
        there = {"will": "will be", "did": "was", "would have": "would have been"}[tense]
        return f"The views used show the whole picture. There {there} nothing to invent."
    invents = {"will": "will have", "did": "had", "would have": "would have had"}[tense]
    invents += " to invent"
    told = f"The generator {invents} **{sum(parts.values())} % of the picture**"
    if len(parts) == 1:
        return f"{told}, {next(iter(parts))}."
    return f"{told}: {' and '.join(f'{part} % {what}' for what, part in parts.items())}."


def _views(n: int) -> str:
    return f"{n} view" if n == 1 else f"{n} views"
