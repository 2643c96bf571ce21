"""Reasons: English, and what reads it back is data, never the English."""

from __future__ import annotations

import json

import pytest

from vmem.types import Reason, ReasonKind

EXAMPLES = [
    (Reason(ReasonKind.CHOSEN), "chosen"),
    (Reason(ReasonKind.SUPPRESSED, view=12, distance=0.031), "suppressed: 0.03 rad from view 12"),
    (Reason(ReasonKind.CHOSEN_ADDS, share=0.125), "chosen: adds 12 % of the visible surface"),
    (Reason(ReasonKind.CHOSEN_OLDER, view=3), "chosen: as good as view 3, and older"),
    (Reason(ReasonKind.CANDIDATE, distance=0.5), "a candidate, but 0.50 rad away"),
    (Reason(ReasonKind.OTHER, text="it is blue {view}"), "it is blue {view}"),
]


@pytest.mark.parametrize(("reason", "english"), EXAMPLES)
def test_english(reason: Reason, english: str) -> None:
    assert str(reason) == english


@pytest.mark.parametrize("reason", [reason for reason, _ in EXAMPLES])
def test_json_and_back(reason: Reason) -> None:
    assert Reason.from_json(json.loads(json.dumps(reason.to_json()))) == reason


@pytest.mark.parametrize("kind", ReasonKind)
def test_every_kind_has_english_with_its_numbers(kind: ReasonKind) -> None:
    reason = Reason(kind, view=7, distance=0.25, share=0.5, text="words")
    english = str(reason)
    assert english
    assert "{" not in english
    assert "None" not in english
