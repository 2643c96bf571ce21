"""Merging by radius, as published: disk by disk, through an octree built for every frame.

Differs from ours (vmem.memory.association): one radius for all disks, however far they are, and
similar normals make two disks one; a single NaN radius switches merging off. Undo renumbers disks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int, Int32

from vmem.published.arithmetic import dot
from vmem.published.octree import Octree
from vmem.published.surfels import Disks
from vmem.types import SurfelError


@dataclass(frozen=True, eq=False)
class Merge:
    """What became of M new disks: merged into existing ones, or kept."""

    credited: Int32[np.ndarray, " M"]
    """The existing disk into which each was merged, -1 for those kept."""
    threshold: np.float32
    """The radius of the search, in scene units."""

    @property
    def kept(self) -> Int[np.ndarray, " n"]:
        """Indices of the new disks that merged with none, ascending."""
        return np.flatnonzero(self.credited < 0)


def merge_threshold(
    existing: Float32[np.ndarray, " S"], new: Float32[np.ndarray, " M"]
) -> np.float32:
    """Mean plus half the standard deviation of all radii, in f32; NaN if one is NaN, 0 of none."""
    radius = np.concatenate([existing, new])
    if not len(radius):
        return np.float32(0)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.mean(radius) + np.float32(0.5) * np.std(radius)


def merge_reference(existing: Disks, new: Disks, normal_threshold: float = 0.6) -> Merge:
    """Find, for each new disk, the first existing one in octree order that is near enough and whose
    normal agrees. New disks do not merge with each other; nothing is averaged.

    ``existing`` may be empty: then all are kept. The benchmarks' baseline for merging. Raises
    SurfelError for a position that is not finite.
    """
    for disks in (existing, new):
        if not np.isfinite(disks.position).all():
            raise SurfelError("disks to merge need finite positions: leave the others out")
    threshold = merge_threshold(existing.radius, new.radius)
    credited = np.full(len(new), -1, np.int32)
    if len(existing):
        tree = Octree.build(existing.position)
        for i in range(len(new)):
            for j in tree.query(new.position[i], threshold):
                if dot(existing.normal[j], new.normal[i]) > np.float32(normal_threshold):
                    credited[i] = j
                    break
    return Merge(credited, threshold)
