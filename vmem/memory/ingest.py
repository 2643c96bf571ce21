"""What new frames add to memory: association frame by frame, as one record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vmem.arrays import I32
from vmem.cameras import Cameras
from vmem.memory.association import Association, associate
from vmem.memory.snapshot import MemorySnapshot
from vmem.types import (
    AssociationConfig,
    Frames,
    PointMapError,
    PointMaps,
    Retrieval,
    StepRecord,
    StepRequest,
    SurfelBuffers,
    Surfels,
    View,
    ViewId,
)


def make_record(
    memory: MemorySnapshot,
    frames: Frames,
    cameras: Cameras,
    maps: PointMaps,
    retrieval: Retrieval | None,
    config: AssociationConfig,
    *,
    request: StepRequest | None = None,
    node: int | None = None,
    drawn: Sequence[SurfelBuffers] | None = None,
) -> StepRecord:
    """Work out what T new frames add to ``memory``, without touching it.

    Frames are associated one after the other, each also with what the ones before it spawned.
    request: what the step was asked to make · node: id that the step will have in the history, by
    default its number · drawn: what each camera sees of ``memory``, at any size, if that was drawn
    before.
    Raises CameraError for impossible cameras, PointMapError for maps that do not fit them.
    """
    maps.validated((len(frames), *cameras.hw))
    if frames.rgb.shape != (len(cameras), *cameras.hw, 3):
        raise PointMapError(f"{len(cameras)} cameras of {cameras.hw}, frames {frames.rgb.shape}")
    step = len(memory.steps)
    spawned = Surfels.empty()
    link_surfel: list[I32] = []
    link_view: list[I32] = []
    views: list[View] = []
    for i, camera in enumerate(cameras):
        found: Association = associate(
            memory.surfels,
            maps.points[i],
            maps.depth[i],
            maps.confidence[i],
            frames.rgb[i],
            camera,
            config,
            blocks=memory.blocks,
            recent=spawned,
            drawn=None if drawn is None else drawn[i],
        )
        first = len(memory.surfels) + len(spawned)
        new = np.arange(first, first + len(found.spawned), dtype=np.int32)
        links = np.concatenate([found.seen, new])
        link_surfel.append(links)
        link_view.append(np.full(len(links), len(memory.views) + i, np.int32))
        spawned = Surfels.concatenate([spawned, found.spawned])
        views.append(
            View(
                rgb=frames.rgb[i],
                camera=camera,
                step=step,
                depth=maps.depth[i],
                confidence=maps.confidence[i],
                provenance=None if frames.provenance is None else frames.provenance[i],
                age=None if frames.age is None else frames.age[i],
                latents=None if frames.latents is None else frames.latents[i],
                geometry_state=maps.state if i == len(cameras) - 1 else None,
                id=ViewId(step if node is None else node, i),
            )
        )
    return StepRecord(
        tuple(views),
        spawned,
        np.concatenate(link_surfel),
        np.concatenate(link_view),
        retrieval,
        maps.note,
        request,
    )
