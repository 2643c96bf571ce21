"""Which views saw what a query sees, as published: weights, and how many frames each may give.

Differs from ours (vmem.retrieval.tally): votes only decide which views may be chosen, and the first
contribution to a view counts twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from vmem.types import SurfelBuffers


@dataclass(frozen=True, eq=False)
class Votes:
    """What the visible surfels say of the k views that saw some of them."""

    timestep: Int64[np.ndarray, " k"]
    """The views, ascending."""
    weight: Float32[np.ndarray, " k"]
    """Share of all votes; the sum is 1."""
    count: Int64[np.ndarray, " k"]
    """Frames that each may give: 0 or 1, since no more are asked for than there are."""

    @property
    def candidates(self) -> list[int]:
        """The timesteps, each as often as it counts."""
        return np.repeat(self.timestep, self.count).tolist()


def gather_votes(
    buffers: SurfelBuffers,
    timesteps: Sequence[Sequence[int]] | Mapping[int, Sequence[int]],
    context_num_frames: int = 4,
) -> Votes:
    """Votes of the visible surfels for the views that saw them, ``cos / (1 + depth)`` a pixel.

    timesteps: the views of every visible surfel, in the order in which they were linked. Sums are
    f32, pixel by pixel, and the first contribution to a view counts twice. Nothing visible: no
    votes.
    """
    covered = buffers.index >= 0
    pixel_weight = buffers.cosine[covered] / (1 + buffers.depth[covered])
    surfels, surfel_of_pixel = np.unique(buffers.index[covered], return_inverse=True)
    seen_by: dict[int, list[int]] = {}
    for row, surfel in enumerate(surfels.tolist()):
        for t in timesteps[surfel]:
            seen_by.setdefault(t, []).append(row)

    timestep = np.array(sorted(seen_by), np.int64)
    sums = np.empty(len(timestep), np.float32)
    appearance: list[tuple[int, int]] = []
    for i, t in enumerate(timestep.tolist()):
        sees = np.zeros(len(surfels), bool)
        sees[seen_by[t]] = True
        pixels = np.flatnonzero(sees[surfel_of_pixel])
        sums[i] = np.cumsum(pixel_weight[np.concatenate([pixels[:1], pixels])])[-1]
        surfel = int(surfels[surfel_of_pixel[pixels[0]]])
        appearance.append((int(pixels[0]), timesteps[surfel].index(t)))
    by_appearance = sorted(range(len(timestep)), key=appearance.__getitem__)
    total = np.cumsum(sums[by_appearance])[-1] if len(sums) else np.float32(1)
    share = sums / total
    # The weights go to the distribution in order of first appearance, where ties are broken.
    count = np.empty(len(timestep), np.int64)
    wanted = min(context_num_frames + 10, len(timestep))
    count[by_appearance] = frame_distribution(wanted, share[by_appearance])
    return Votes(timestep, share, count)


def frame_distribution(n: int, ratios: Float[np.ndarray, " k"]) -> Int64[np.ndarray, " k"]:
    """Shares n frames out to k ratios.

    Fewer frames than ratios: one to each of the n largest. Otherwise one to each and the rest in
    proportion; an entry that rounding would raise is *set* to one, so that the sum may fall short.
    """
    k = len(ratios)
    if k >= n:
        result = np.zeros(k, np.int64)
        result[np.argsort(ratios, kind="stable")[::-1][:n]] = 1
        return result
    exact = np.asarray(ratios) * (n - k)
    whole = np.floor(exact).astype(np.int64)
    result = 1 + whole
    left = n - int(result.sum())
    result[np.argsort(-(exact - whole), kind="stable")[:left]] = 1
    return result
