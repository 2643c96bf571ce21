"""Warnings: silent on sound memories, and each one raised by what it is about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.fakes import HW
from vmem.cameras import MOVES, Camera, Cameras, apply_move, default_K
from vmem.memory import LinkError, MemorySnapshot
from vmem.retrieval import retrieve
from vmem.retrieval.explain import warnings
from vmem.types import Retrieval


def target(words: str, amount: float = 1.0) -> Cameras:
    c2w = np.eye(4)
    for word in words:
        c2w = apply_move(c2w, MOVES[word], amount=amount)
    return Cameras.stack([Camera(c2w, default_K(HW), HW)])


def with_links(memory: MemorySnapshot, kept: np.ndarray) -> MemorySnapshot:
    return replace(memory, link_surfel=memory.link_surfel[kept], link_view=memory.link_view[kept])


def only(found: tuple[str, ...]) -> str:
    assert len(found) == 1, found
    return found[0]


def test_a_sound_walk_has_no_warnings(walk):
    for retrieval in walk.retrievals[1:]:
        assert warnings(walk, retrieval) == ()


def test_nothing_visible(walk):
    away = retrieve(walk, target("w", 500))
    assert "Nothing stored is visible" in only(warnings(walk, away))


def test_flipped_normals_are_the_one_cause_that_is_named(walk):
    flipped = replace(walk, surfels=replace(walk.surfels, normal=-walk.surfels.normal))
    for retrieval in walk.retrievals[1:]:
        found = warnings(flipped, retrieve(flipped, retrieval.targets))
        assert "normals are flipped" in found[0]
        assert not any("smaller moves keep" in text for text in found)


def test_a_room_seen_from_outside_turns_its_back(walk):
    """Out through the wall ahead, and round: the wall's back stands before the room."""
    outside = np.diag([-1.0, 1, -1, 1])
    outside[:3, 3] = 0, 0, 5
    found = warnings(walk, retrieve(walk, Cameras.stack([Camera(outside, default_K(HW), HW)])))
    assert "stands behind a wall" in found[0]


def test_one_view_alone_saw_everything(walk):
    """Later views do not find the photo's surfels again; nor does anything else."""
    lost = with_links(walk, walk.link_view == 0)
    here = target("")
    text = only(warnings(lost, retrieve(lost, here)))
    assert "View 0 alone saw 100 %" in text
    assert "look the same way" in text
    assert warnings(walk, retrieve(walk, here)) == ()


def test_the_only_view_that_looks_there_is_no_fault(walk):
    photo = walk.at_step(0)
    assert warnings(photo, retrieve(photo, target(""))) == ()
    views = tuple(
        view if i == 0 else replace(view, camera=view.camera.moved_to(target("a", 20).c2w[0]))
        for i, view in enumerate(walk.views)
    )
    turned = with_links(replace(walk, views=views), walk.link_view == 0)
    assert warnings(turned, retrieve(turned, target(""))) == ()


def test_mostly_empty(walk):
    far_round = retrieve(walk, target("d", 11))
    assert "invented" in only(warnings(walk, far_round))


def chosen(retrieval: Retrieval, order: tuple[int, ...]) -> Retrieval:
    marks = np.zeros(len(retrieval.votes), bool)
    marks[list(order)] = True
    return replace(retrieval, order=order, chosen=marks)


def test_near_duplicates_while_others_know_more(walk):
    """The photo and the views of step 1, asked about what later steps saw on the left."""
    retrieval = retrieve(walk, target("wwaa", 1.5))
    same = chosen(retrieval, (0, 1, 2, 3))
    text = only(warnings(walk, same))
    assert text.startswith("All 4 chosen views stand in the same place")
    assert "more views (K)" in text
    newest = replace(same, query=replace(same.query, strategy="temporal"))
    # More of the newest views would stand there too.
    assert "more views (K)" not in only(warnings(walk, newest))
    assert "Both chosen" in only(warnings(walk, chosen(retrieval, same.order[:2])))
    assert warnings(walk, chosen(retrieval, same.order[:1])) == ()
    assert warnings(walk, retrieval) == ()


def test_an_older_answer_says_the_same_of_the_grown_memory(walk):
    for step in range(1, len(walk.steps)):
        retrieval, before = walk.retrievals[step], walk.at_step(step - 1)
        assert warnings(walk, retrieval) == warnings(before, retrieval)
    with pytest.raises(LinkError, match="retrieve anew"):
        warnings(walk.at_step(0), walk.retrievals[-1])
