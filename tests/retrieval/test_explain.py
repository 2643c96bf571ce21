"""Explanations: the same numbers as retrieval.json, strict JSON, and sentences that add up."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import HW
from vmem.cameras import MOVES, Camera, Cameras, apply_move, default_K
from vmem.formats.walk import export
from vmem.memory import LinkError, MemorySnapshot
from vmem.retrieval import STRATEGIES, ask, retrieve
from vmem.retrieval.attribution import only_explained_by, picture_shares
from vmem.retrieval.explain.to_json import explanation_json
from vmem.types import Query, Reason, ReasonKind, Retrieval

OWN_FIELDS = {"step", "c2w", "why", "alone"}
"""What an explanation adds to a view's row in retrieval.json."""


def target(words: str, amount: float = 3.0) -> Cameras:
    c2w = np.eye(4)
    for word in words:
        c2w = apply_move(c2w, MOVES[word], amount=amount)
    return Cameras.stack([Camera(c2w, default_K(HW), HW)])


def told(memory: MemorySnapshot, retrieval: Retrieval, step: int | None) -> dict:
    """As it is read back from a file."""
    return json.loads(json.dumps(explanation_json(memory, retrieval, step), allow_nan=False))


# --- JSON ------------------------------------------------------------------------------------


def test_the_numbers_are_those_of_retrieval_json(walk: MemorySnapshot, tmp_path: Path):
    export("retrieval", walk, tmp_path / "retrieval.json")
    for row in json.loads((tmp_path / "retrieval.json").read_text(encoding="utf-8")):
        again = told(walk, walk.retrievals[row["step"]], row["step"])
        assert again["targets"]["c2w"] == row.pop("targets")
        views = row.pop("views")
        assert [
            {key: value for key, value in view.items() if key not in OWN_FIELDS}
            for view in again["views"]
        ] == views
        assert all(again[key] == value for key, value in row.items())


def test_rows_have_poses_steps_and_what_they_alone_explain(walk):
    for strategy in STRATEGIES:
        retrieval = retrieve(walk, target("wd"), 3, strategy)
        again = told(walk, retrieval, None)
        for view, row in zip(walk.views, again["views"], strict=True):
            assert row["step"] == view.step
            np.testing.assert_array_equal(row["c2w"], view.camera.c2w)
            alone = only_explained_by(walk, retrieval, row["view"])
            assert row["alone"]["surfels"] == len(alone)
            assert row["alone"]["pixels"] == retrieval.surfel_pixels[alone].sum()
        drawn = retrieval.buffers[0].index
        assert again["targets"]["drawn_hw"] == list(drawn.shape)
        assert again["targets"]["hw"] == list(HW)
        assert again["memory"]["visible_surfels"] == len(np.unique(drawn[drawn >= 0]))
        assert sum(again["picture"].values()) == pytest.approx(1)
        assert again["picture"]["nothing"] == pytest.approx((drawn < 0).mean())
        assert again["step"] is None


def test_an_explanation_does_not_change_as_memory_grows(walk):
    for step in range(1, len(walk.steps)):
        retrieval = walk.retrievals[step]
        now, then = told(walk, retrieval, step), told(walk.at_step(step - 1), retrieval, step)
        assert now == then
        assert now["memory"]["views"] == walk.steps[step - 1].n_views


def test_what_is_passed_on_stands_apart(walk):
    made = explanation_json(walk, walk.retrievals[-1], 8, {"step": "mine", "ms": 3.5})
    assert made["extra"] == {"step": "mine", "ms": 3.5}
    assert made["step"] == 8
    assert "extra" not in explanation_json(walk, walk.retrievals[-1], 8)


def test_nothing_visible_is_explained_too(walk):
    again = told(walk, retrieve(walk, target("w", 500)), None)
    assert again["best_left_out"] is None
    assert again["picture"] == {"covered": 0, "known": 0, "nothing": 1}
    assert again["warnings"]
    assert "so no view has a vote" in again["summary"]
    assert "**100 % of the picture**, where nothing is stored" in again["summary"]


def test_a_retrieval_of_another_memory_is_refused(walk):
    with pytest.raises(LinkError, match="retrieve anew"):
        explanation_json(walk.at_step(1), walk.retrievals[-1], 8)


# --- sentences -------------------------------------------------------------------------------


@given(
    words=st.text("wsadqe", max_size=4),
    k=st.integers(1, 9),
    strategy=st.sampled_from(sorted(STRATEGIES)),
)
def test_a_summary_names_what_was_used_and_adds_up(walk, words, k, strategy):
    retrieval = retrieve(walk, target(words), k, strategy)
    text = retrieval.summary(None)
    named = [int(view) for view in re.findall(r"view (\d+)", text.split(". ")[0])]
    assert tuple(named) == retrieval.order[:6]
    assert f"**{len(retrieval.order)} of {len(walk.views)} views**" in text
    assert ("more." in text) == (len(retrieval.order) > 6)

    best = retrieval.best_left_out
    left = [view for view in range(len(walk.views)) if view not in retrieval.order]
    assert best is not None
    assert best == max(left, key=lambda view: retrieval.votes[view])
    assert f"left out is **view {best}**" in text
    assert f"{retrieval.plain_reason(best)}." in text

    shares = picture_shares(walk, retrieval)
    total = re.search(r"\*\*(\d+) % of the picture\*\*(: (\d+) % .* and (\d+) %)?", text)
    if total is None:
        assert "nothing to invent" in text
        assert max(shares.nothing, shares.known) <= 0.005
    else:
        assert abs(int(total[1]) - 100 * (shares.nothing + shares.known)) <= 1
        if total[2]:
            assert int(total[1]) == int(total[3]) + int(total[4])


@given(
    words=st.text("wsadqe", max_size=4),
    k=st.integers(1, 9),
    strategy=st.sampled_from(sorted(STRATEGIES)),
)
def test_every_reason_for_leaving_a_view_out_has_plain_words(walk, words, k, strategy):
    retrieval = retrieve(walk, target(words), k, strategy)
    for view in np.flatnonzero(~retrieval.chosen).tolist():
        assert retrieval.plain_reason(view) != str(retrieval.reasons[view])
    for view in retrieval.order:
        assert retrieval.plain_reason(view) == str(retrieval.reasons[view])


def test_reasons_by_hand(walk):
    found = retrieve(walk, target("w"), 2, "votes")
    a = min(set(range(4)) - set(found.order))

    def why(reason: Reason, **change) -> str:
        reasons = tuple(reason if view == a else old for view, old in enumerate(found.reasons))
        return replace(found, reasons=reasons, **change).plain_reason(a)

    assert why(Reason(ReasonKind.SUPPRESSED, 7, 0.02)).startswith(
        "it stands almost where view 7 does"
    )
    assert why(Reason(ReasonKind.BANNED)) == "it was banned"
    assert why(Reason(ReasonKind.OTHER, text="a reason of tomorrow")) == "a reason of tomorrow"
    votes = np.ones_like(found.votes)
    assert (
        why(Reason(ReasonKind.BEYOND_K), votes=votes) == "both places went to views with more votes"
    )
    votes[a] = 2
    assert "as many votes, or nearly" in why(Reason(ReasonKind.BEYOND_K), votes=votes)
    assert (
        why(Reason(ReasonKind.BEYOND_K), votes=0 * votes)
        == "both places went to views nearer in pose"
    )
    assert (
        why(Reason(ReasonKind.BEYOND_K), query=Query(2, "temporal"))
        == "both places went to newer views"
    )
    assert (
        why(Reason(ReasonKind.BEYOND_K), query=Query(2, "of tomorrow"))
        == "both places went to other views"
    )


def test_wishes_are_told_as_such(walk):
    free = retrieve(walk, target("wd"), 3)
    top = free.best_left_out
    assert top is not None
    best, worst = int(np.argmax(free.votes)), int(np.argmin(free.votes))
    banned = ask(walk, target("wd"), Query(3, banned=(best,)))
    text = f"left out is **view {best}** (saw {100 * free.coverage[best]:.0f} %"
    assert text in banned.summary(None)
    assert banned.summary(None).count("it was banned.") == 1
    pinned = ask(walk, target("wd"), Query(3, pinned=(worst, top)))
    assert re.search(rf"view {worst} \([^()]*, pinned\)", pinned.summary(None))
    crowded = ask(walk, target("wd"), Query(1, pinned=(worst, best)))
    assert "other pinned views hold all places" in crowded.summary(None)
    beyond = replace(pinned, reasons=(Reason(ReasonKind.BEYOND_K),) * len(free.votes))
    assert "the pinned views and others" in beyond.plain_reason(free.order[0])
    none = ask(walk, target("wd"), Query(3, banned=tuple(range(len(walk.views)))))
    assert "from **no view** at all" in none.summary(None)
    assert told(walk, none, None)["chosen"] == []


def test_fewer_surfels_are_explained_as_what_was_asked(walk):
    whole, thin = (
        told(walk, ask(walk, target("wd"), Query(3, density=share)), None) for share in (1.0, 0.3)
    )
    assert thin["query"]["density"] == 0.3
    assert thin["memory"]["visible_surfels"] < whole["memory"]["visible_surfels"]
    assert thin["picture"]["nothing"] == pytest.approx(whole["picture"]["nothing"], abs=0.1)


def test_a_summary_says_when_it_was(walk):
    first, last = walk.retrievals[1], walk.retrievals[-1]
    assert first.summary(1).startswith("Step 1 was made from **1 of 1 view**: view 0 (saw 1")
    assert "There was no other." in first.summary(1)
    assert last.summary(8).endswith("the whole picture. There was nothing to invent.")
    supposed = last.summary(8, supposed=True)
    assert supposed.startswith("Step 8 would have been made from ")
    assert supposed.endswith("There would have been nothing to invent.")
    assert last.summary(None).endswith("the whole picture. There will be nothing to invent.")
    corner = retrieve(walk, target("d"), 4)
    assert "The generator had to invent **" in corner.summary(8)
    assert "The generator will have to invent **" in corner.summary(None)
    assert last.summary(None).startswith("From here, the next frames would be made from ")
    everything = retrieve(walk, target(""), len(walk.views), "temporal")
    assert everything.best_left_out is None
    assert "No other view saw any of it." in everything.summary(None)
