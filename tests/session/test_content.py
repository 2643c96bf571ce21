"""Where the content of steps is: once, and the same wherever it is read from."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

from tests.support.fakes import CONFIG, box_backend, box_photo, open_box
from tests.support.resumed import as_values, assert_same
from vmem.session import Session
from vmem.session.cache import size_of
from vmem.session.content import InMemory
from vmem.types import (
    MAPS,
    PackedRetrieval,
    Retrieval,
    Sparse,
    StepRecord,
    StoredRetrieval,
    StoredView,
    View,
)


def values(record: StepRecord) -> tuple[object, ...]:
    surfels = vars(record.surfels)
    return surfels, record.link_surfel, record.link_view, record.note, record.request


def test_surfels_are_held_by_the_memory_or_by_a_copy_and_never_by_both() -> None:
    session = open_box()
    made = [session.move(word).record for word in "wad"]
    nodes = session.history.nodes[1:]

    def check(copied: list[bool]) -> None:
        for node, record, off in zip(nodes, made, copied, strict=True):
            assert isinstance(node.content, InMemory)
            assert (node.content.copy is not None) == off
            for one, other in zip(values(node.record), values(record), strict=True):
                assert_same(one, other)
            assert node.record.views == record.views == node.views
            assert node.record.retrieval is record.retrieval

    check([False, False, False])
    session.undo()
    session.undo()
    check([False, True, True])
    session.move("e")
    check([False, True, True])
    session.switch(3)
    check([False, False, False])


def test_old_retrievals_hold_nothing_of_the_size_of_the_memory() -> None:
    session = open_box()
    session.move("w")
    (_, found) = session.memory.retrievals
    assert isinstance(found, StoredRetrieval)
    whole = session.retrieve(session.camera)
    packed = PackedRetrieval.of(whole)
    assert_same(as_values(packed.unpacked()), as_values(whole))
    more = np.zeros(100_000, np.float32)
    grown = replace(
        whole,
        surfel_weight=np.concatenate([whole.surfel_weight, more]),
        surfel_pixels=np.concatenate([whole.surfel_pixels, more]),
    )
    assert size_of(PackedRetrieval.of(grown)) == size_of(packed)
    assert_same(as_values(PackedRetrieval.of(grown).unpacked()), as_values(grown))
    assert len(Sparse.of(grown.surfel_weight).at) == np.count_nonzero(whole.surfel_weight)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A walk of two steps that is read from its file: nothing is in its cache."""
    path = tmp_path_factory.mktemp("saved") / "walk.vmem"
    with Session.open(box_photo(), backend=box_backend(), config=CONFIG, save=path) as session:
        session.move("w")
        session.move("a")
    return Session.resume(path, backend=box_backend(), read_only=True)


def test_stored_views_are_read_once_and_cannot_be_written(saved: Session) -> None:
    view = saved.memory.views[3]
    assert isinstance(view, StoredView)
    assert view.rgb is view.rgb
    for name in MAPS:
        array = getattr(view, name)
        assert array is None or not array.flags.writeable
    with pytest.raises(AttributeError, match="no 'colour'"):
        _ = view.colour  # pyright: ignore[reportAttributeAccessIssue]
    assert saved.history.node(1).views[2] is view


@pytest.mark.parametrize("copied", [copy.copy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_are_plain_values(saved: Session, copied) -> None:
    view = copied(saved.memory.views[1])
    assert type(view) is View
    assert_same(view.depth, saved.memory.views[1].depth)
    retrieval = copied(saved.memory.retrievals[1])
    assert type(retrieval) is Retrieval
    assert_same(as_values(retrieval), as_values(saved.memory.retrievals[1]))
    other = replace(saved.memory.views[1], step=7)
    assert (other.step, other.rgb.shape) == (7, view.rgb.shape)


def test_overviews_of_stored_retrievals_read_nothing(saved: Session, monkeypatch) -> None:
    file = saved.file
    assert file is not None
    retrieval = saved.memory.retrievals[2]
    assert retrieval is not None
    expected = file.retrieval(2)
    assert expected is not None
    with monkeypatch.context() as patched:
        patched.setattr(type(file), "retrieval", None)
        assert retrieval.order == expected.order
        assert (retrieval.query, retrieval.picture) == (expected.query, expected.picture)
        np.testing.assert_array_equal(retrieval.share, expected.share)
    np.testing.assert_array_equal(retrieval.buffers[0].index, expected.buffers[0].index)
    with pytest.raises(AttributeError, match="no 'winner'"):
        _ = retrieval.winner  # pyright: ignore[reportAttributeAccessIssue]
