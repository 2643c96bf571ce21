"""The same step made twice from the same state, with two queries: two branches to compare."""

from __future__ import annotations

from vmem.cameras import Cameras
from vmem.progress import CancelToken, OnProgress, silent
from vmem.session.session import Session
from vmem.session.step import Step
from vmem.types import Query


def step_both(
    session: Session,
    start: int,
    targets: Cameras,
    queries: tuple[Query, Query],
    *,
    on_progress: OnProgress = silent,
    cancel: CancelToken | None = None,
) -> tuple[Step, Step]:
    """Make ``targets`` from step ``start`` of the history, once with each query.

    Both become branches of that step; the walk stands on the first one's afterwards. Whatever ends
    it early brings the walk back to where it stood. Raises what Session.step and Session.switch do.
    """
    home = session.history.head.id
    results: list[Step] = []
    try:
        # The first one last, so that the walk ends on its branch.
        for query in reversed(queries):
            session.switch(start)
            label = query.strategy
            made = session.step(
                targets, label=label, query=query, on_progress=on_progress, cancel=cancel
            )
            results.append(made)
    except BaseException:
        session.switch(home)
        raise
    second, first = results
    return first, second
