"""Making a step: from a request and a memory to the record that the memory may take in."""

from __future__ import annotations

from collections.abc import Callable

from vmem.arrays import U8
from vmem.backends import Backend
from vmem.cameras import Camera, Cameras
from vmem.generation import Context
from vmem.memory import MemorySnapshot, make_record
from vmem.progress import CancelToken, OnProgress, Progress
from vmem.retrieval import ask
from vmem.session.refusal import check_depths, check_pictures, check_poses
from vmem.session.stages import Stages
from vmem.session.step import check_frames, check_maps
from vmem.types import (
    AssociationConfig,
    Frames,
    Retrieval,
    RetrievalError,
    StepRecord,
    StepRequest,
)


def make_first(
    opening: Frames,
    camera: Camera,
    backend: Backend,
    association: AssociationConfig,
    on_progress: OnProgress,
    cancel: CancelToken | None,
) -> StepRecord:
    """What the first view adds to an empty memory. Raises StepError, Cancelled, and what the
    geometry raises."""
    empty, cameras = MemorySnapshot.empty(), Cameras.stack([camera])
    maps = backend.geometry.estimate(
        opening, cameras, empty, on_progress=on_progress, cancel=cancel
    )
    check_maps(maps, cameras, association.min_confidence)
    return make_record(empty, opening, cameras, maps, None, association)


def make_step(
    before: MemorySnapshot,
    request: StepRequest,
    backend: Backend,
    node: int,
    stages: Stages,
    *,
    refuse: bool,
    expect: Callable[[Retrieval | U8], None],
    on_progress: OnProgress,
    cancel: CancelToken,
) -> StepRecord:
    """What the step ``node`` of the history adds to ``before``, which stays as it is.

    refuse: raise StepRefused for steps into surfaces and for frames that show nothing · expect: is
    told the answer and the frames (T, H, W, 3) as soon as they are there. Raises RetrievalError,
    StepError, Cancelled, and what the backend raises.
    """
    targets = request.targets
    on_progress(Progress("retrieve", 0, 1))
    with stages.stage("retrieve"):
        if refuse:
            check_poses(before, targets)
        retrieval = ask(before, targets, request.query)
    if not retrieval.order:
        raise RetrievalError(retrieval.note)
    cancel.check()
    expect(retrieval)
    context = Context(
        views=tuple(before.views[view] for view in retrieval.order),
        anchor=before.views[0],
        step=len(before.steps),
    )
    with stages.stage("generate"):
        frames = backend.generator.generate(
            context,
            targets,
            seed=request.seed,
            sampler=request.sampler,
            on_progress=on_progress,
            cancel=cancel,
        )
        check_frames(frames, targets)
        if refuse:
            check_pictures(before, retrieval, context.views, frames)
    cancel.check()
    expect(frames.rgb)
    on_progress(Progress("geometry", 0, 1))
    with stages.stage("estimate"):
        maps = backend.geometry.estimate(
            frames, targets, before, on_progress=on_progress, cancel=cancel
        )
        check_maps(maps, targets, request.association.min_confidence)
        if refuse:
            check_depths(before, targets, frames, maps)
    cancel.check()
    on_progress(Progress("memory", 0, 1))
    with stages.stage("associate"):
        return make_record(
            before,
            frames,
            targets,
            maps,
            retrieval,
            request.association,
            request=request,
            node=node,
            # Association looks at frames of the usual size as the query did.
            drawn=retrieval.buffers if request.query.density == 1 else None,
        )
