"""Which past views matter for a view to come, and why.

The surfels visible from the target vote for the views that saw them; a strategy picks K views from
that evidence and says of every view why it was taken or left. Source: paper, section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vmem.cameras import Camera, Cameras, pose_distance
from vmem.errors import VMemError
from vmem.memory import MemorySnapshot
from vmem.progress import Cancelled
from vmem.raster import rasterize
from vmem.retrieval.attribution import chosen_looks_at
from vmem.retrieval.evidence import Evidence, Selection, SelectionConfig, completed
from vmem.retrieval.strategies import STRATEGIES
from vmem.retrieval.tally import Tally, tally
from vmem.retrieval.thinning import thinned
from vmem.types import DEFAULT_STRATEGY, WEIGHTINGS, PictureShares, Query, Retrieval, RetrievalError

QUERY_SIDE = 192
"""Longer side, in pixels, of the drawings that vote: finer ones change no shares that matter."""

ALL_BANNED = "every view is banned, so nothing can be chosen: lift a ban"


def query_size(hw: tuple[int, int]) -> tuple[int, int]:
    """The size at which a target of size ``hw`` is drawn for voting."""
    scale = min(1.0, QUERY_SIDE / max(hw))
    return max(1, round(hw[0] * scale)), max(1, round(hw[1] * scale))


def retrieve(
    memory: MemorySnapshot,
    targets: Cameras | Camera | Iterable[Camera],
    k: int = 4,
    strategy: str = DEFAULT_STRATEGY,
    config: SelectionConfig | None = None,
) -> Retrieval:
    """Choose at most ``k`` views of ``memory`` as context for all ``targets``.

    Raises what `ask` raises.
    """
    return ask(memory, targets, Query(k, strategy), config)


def ask(
    memory: MemorySnapshot,
    targets: Cameras | Camera | Iterable[Camera],
    query: Query | None = None,
    config: SelectionConfig | None = None,
    **parts: Any,
) -> Retrieval:
    """The views of ``memory`` that ``query`` chooses as context for all ``targets`` together.

    Every target is drawn at query size and their votes add up. Fields of a Query may be given by
    name instead of a query, or to change one: ``ask(memory, camera, k=4, strategy="votes")``.

    Raises RetrievalError for what cannot be asked, an empty memory or views that it does not have,
    and for a strategy that fails or whose answer cannot be, CameraError for targets that are no
    cameras, SurfelError or LinkError for a memory that was put together wrongly by hand.
    """
    query = Query() if query is None else query
    config = SelectionConfig() if config is None else config
    for given, kind in ((memory, MemorySnapshot), (query, Query), (config, SelectionConfig)):
        if not isinstance(given, kind):
            hint = ": pass session.memory" if kind is MemorySnapshot else ""
            raise RetrievalError(f"expected a {kind.__name__}, got {given!r}{hint}")
    known = [field.name for field in fields(Query)]
    for name in parts:
        if name not in known:
            raise RetrievalError(f"a query has no {name!r}: it has {', '.join(known)}")
    query, targets = replace(query, **parts), Cameras.of(targets)
    if query.strategy not in STRATEGIES:
        raise RetrievalError(
            f"unknown strategy {query.strategy!r}: use one of {', '.join(STRATEGIES)}"
        )
    if not memory.views:
        raise RetrievalError("this memory holds no views yet: nothing can be retrieved")
    query.check_views(len(memory.views))
    if query.density < 1:
        return _asked_of_few(memory, targets, query, config)

    if query.suppression is not None:
        config = replace(config, suppression=query.suppression)
    n_views = len(memory.views)
    buffers = tuple(
        rasterize(memory.surfels, target, blocks=memory.blocks)
        for target in targets.resized(query_size(targets.hw))
    )
    by_slant, by_depth = WEIGHTINGS[query.vote]
    found = tally(buffers, memory.seen_by, n_views, by_slant, by_depth)
    votes = found.votes.astype(np.float32)
    covered = found.surfel_pixels[found.visible].sum(dtype=np.float64)
    coverage = found.pixels / max(1.0, float(covered))
    distance = pose_distance(memory.poses[:, None], targets.c2w[None]).min(axis=1)

    some_depth = np.concatenate([buffer.depth[::4, ::4].ravel() for buffer in buffers])
    some_depth = some_depth[some_depth > 0]
    evidence = Evidence(
        votes=votes,
        coverage=coverage,
        distance=distance,
        poses=memory.poses,
        visible=found.visible,
        pixels=found.surfel_pixels if query.weighting is None else found.surfel_weight,
        seen_by=memory.seen_by,
        K_normalized=memory.K_normalized,
        targets=targets,
        target_depth=float(np.median(some_depth)) if some_depth.size else 1.0,
        memory=memory,
        pinned=query.pinned,
        banned=frozenset(query.banned),
        config=config,
    )
    selection = _selected(evidence, query)
    chosen = np.zeros(n_views, bool)
    chosen[list(selection.order)] = True
    rank = np.empty(n_views, np.int32)
    rank[list(selection.ranking)] = np.arange(n_views, dtype=np.int32)
    nothing = (
        ALL_BANNED
        if len(evidence.banned) == n_views
        else f"strategy {query.strategy!r} selected no view"
    )
    return Retrieval(
        query=query,
        targets=targets,
        votes=votes,
        share=votes / max(float(votes.sum()), 1e-12),
        coverage=coverage.astype(np.float32),
        pose_distance=distance.astype(np.float32),
        rank=rank,
        chosen=chosen,
        reasons=selection.reasons,
        order=selection.order,
        surfel_weight=found.surfel_weight,
        surfel_pixels=found.surfel_pixels,
        buffers=buffers,
        picture=_picture(found, chosen, memory, sum(b.index.size for b in buffers)),
        note=selection.note if selection.order else nothing,
    )


def _selected(evidence: Evidence, query: Query) -> Selection:
    """What the strategy chose; RetrievalError that names it if it fails."""
    try:
        answer = STRATEGIES[query.strategy](evidence, query.k)
    except (VMemError, Cancelled):
        raise
    except Exception as error:
        raise RetrievalError(
            f"strategy {query.strategy!r} failed: {type(error).__name__}: {error}"
        ) from error
    try:
        return completed(evidence, answer, query.k)
    except RetrievalError as error:
        raise RetrievalError(f"strategy {query.strategy!r} {error}") from error


def _picture(
    found: Tally, chosen: NDArray[np.bool_], memory: MemorySnapshot, total: int
) -> PictureShares:
    """Shares of the targets' ``total`` pixels by who saw them."""
    pixels = found.surfel_pixels[found.visible]
    looks = chosen_looks_at(memory, chosen, found.visible)
    drawn, known = (float(part.sum(dtype=np.float64)) for part in (pixels, pixels[looks == 0]))
    return PictureShares((drawn - known) / total, known / total, (total - drawn) / total)


def _asked_of_few(
    memory: MemorySnapshot, targets: Cameras, query: Query, config: SelectionConfig
) -> Retrieval:
    """The answer of a share of the surfels, in the numbering of all."""
    few = thinned(memory, query.density)
    answer = ask(few.memory, targets, replace(query, density=1.0), config)
    weight = np.zeros(len(memory.surfels), np.float32)
    pixels = np.zeros(len(memory.surfels), np.float32)
    weight[few.kept], pixels[few.kept] = answer.surfel_weight, answer.surfel_pixels
    number = np.append(few.kept, np.int32(-1))  # -1, nothing drawn, stays -1
    buffers = tuple(
        replace(buffer, index=number[buffer.index].astype(np.int32)) for buffer in answer.buffers
    )
    return replace(answer, query=query, surfel_weight=weight, surfel_pixels=pixels, buffers=buffers)
