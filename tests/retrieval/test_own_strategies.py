"""Strategies of others: what they may answer, what they cannot spoil, how faults are named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vmem.errors import VMemError
from vmem.memory import MemorySnapshot
from vmem.progress import Cancelled
from vmem.retrieval import STRATEGIES, Evidence, Selection, ask, register
from vmem.retrieval.evidence import by_votes, top
from vmem.types import Reason, ReasonKind, Retrieval, RetrievalError

ARRAYS = ("votes", "coverage", "distance", "poses", "visible", "pixels", "K_normalized")
Ask = Callable[..., Retrieval]


@pytest.fixture
def asked(walk: MemorySnapshot) -> Iterator[Ask]:
    """Ask the walk by a strategy, which is called "mine" meanwhile."""

    def by(strategy: Callable[..., Any], k: int = 3, **parts: Any) -> Retrieval:
        register("mine")(strategy)
        return ask(walk, walk.views[5].camera, k=k, strategy="mine", **parts)

    yield by
    STRATEGIES.pop("mine", None)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_strategy_cannot_write_into_memory_or_the_answer(asked: Ask, name: str) -> None:
    def spoils(evidence: Evidence, k: int) -> list[int]:
        getattr(evidence, name)[:] = 0
        return [0]

    with pytest.raises(RetrievalError, match=r"strategy 'mine' failed: ValueError.*read-only"):
        asked(spoils)


def fails(evidence: Evidence, k: int) -> list[int]:
    return {"votes": [0]}["voices"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "got None"),
        (3, "got 3"),
        ("01", "got '01'"),
        ({0: 1}, "got {0: 1}"),
        ([[0, 1], [2]], "whole numbers"),
        ([True, False], "whole numbers"),
        (np.array([True]), "whole numbers"),
        ([0.0], "whole numbers"),
        ([float("nan")], "whole numbers"),
        ([0, 9999], r"returned view 9999 of \d+"),
        ([-1], r"returned view -1 of \d+"),
    ],
)
def test_an_answer_that_cannot_be_is_refused_by_the_strategys_name(
    asked: Ask, answer: Any, says: str
) -> None:
    with pytest.raises(RetrievalError, match=f"^strategy 'mine' .*{says}") as refused:
        asked(lambda evidence, k: answer)
    assert refused.value.__cause__ is not None


@pytest.mark.parametrize("strategy", [fails, lambda evidence: [0]])
def test_a_strategy_that_fails_is_named_and_its_cause_kept(asked: Ask, strategy: Any) -> None:
    with pytest.raises(RetrievalError, match=r"strategy 'mine' failed: (Key|Type)Error") as refused:
        asked(strategy)
    assert isinstance(refused.value.__cause__, KeyError | TypeError)


@pytest.mark.parametrize("error", [VMemError("mend it"), Cancelled("cancelled")])
def test_what_a_user_can_mend_and_a_stop_pass_through(asked: Ask, error: Exception) -> None:
    def stops(evidence: Evidence, k: int) -> list[int]:
        raise error

    with pytest.raises(type(error)) as raised:
        asked(stops)
    assert raised.value is error


def test_numpy_numbers_are_numbers(asked: Ask) -> None:
    assert asked(lambda evidence, k: np.array([4, 2])).order == (4, 2)
    assert asked(lambda evidence, k: [np.int32(4), 2]).order == (4, 2)


def whole(evidence: Evidence, k: int) -> Selection:
    return top(evidence, by_votes(evidence), k, Reason(ReasonKind.CHOSEN))


SPOILT: dict[str, Callable[[Selection], Selection]] = {
    "a view twice": lambda s: replace(s, order=s.order[:2] + s.order[:1]),
    r"view 9999 of \d+": lambda s: replace(s, order=(*s.order[:2], 9999)),
    "chose 4 views, but k is 3": lambda s: replace(s, order=s.ranking[:4]),
    "view 1, which is banned": lambda s: replace(s, order=(*s.order[:2], 1)),
    "are pinned": lambda s: replace(s, order=s.order[1:]),
    "must rank": lambda s: replace(s, ranking=s.ranking[1:]),
    "must rank each": lambda s: replace(s, ranking=s.ranking[:1] + s.ranking[:-1]),
    "one Reason": lambda s: replace(s, reasons=s.reasons[1:]),
    "one Reason for each": lambda s: replace(s, reasons=("why",) * len(s.reasons)),  # pyright: ignore
}


@pytest.mark.parametrize("says", SPOILT)
def test_a_selection_is_checked(asked: Ask, says: str) -> None:
    wishes: dict[str, Any] = {"pinned": (7,), "banned": (1,)}
    assert asked(whole, **wishes).order[0] == 7
    with pytest.raises(RetrievalError, match=f"^strategy 'mine' .*{says}"):
        asked(lambda evidence, k: SPOILT[says](whole(evidence, k)), **wishes)


def test_nothing_selected_is_no_ban(asked: Ask, walk: MemorySnapshot) -> None:
    assert asked(lambda evidence, k: []).note == "strategy 'mine' selected no view"
    everything = tuple(range(len(walk.views)))
    assert "lift a ban" in asked(lambda evidence, k: [], banned=everything).note


@pytest.mark.parametrize("name", [None, "", 3, fails])
def test_a_strategy_needs_a_name(name: Any) -> None:
    with pytest.raises(RetrievalError, match=r'@register\("mine"\)'):
        register(name)


def test_a_strategy_can_be_called() -> None:
    with pytest.raises(RetrievalError, match="'mine' must be a function, got 5"):
        register("mine")(5)  # pyright: ignore
    assert "mine" not in STRATEGIES
