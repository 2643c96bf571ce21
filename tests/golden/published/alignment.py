"""The published alignment of CUT3R's points with known cameras, stage by stage.

Poses are OpenCV camera-to-world, pixels count from integer coordinates, arithmetic is f32.
``spanning_tree`` -> ``initialised`` -> ``optimised`` -> ``cleaned``; ``align_as_published`` runs
all four. The optimisation never moves depth, which is detached from it: only the focal lengths of
the outputs change. Scale depends on PnP alone: without a confident pixel the cameras coincide,
and the scale explodes. Source: published code, section 8 of its mathematics (numbers in brackets).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tests.golden.published.registration import (
    coded,
    pnp,
    quaternion,
    register_poses,
    weiszfeld_focal,
)
from vmem.arrays import F32, F64
from vmem.cameras import Similarity, invert_pose, nearest_rotation, similarity

FOCAL_CODE = 20.0
"""Focal lengths are optimised as this times their logarithm."""
LEAST_RATE = 1e-6
CLEANING = 0.001
"""A point is in front of another view's surface if nearer by more than this share."""


@dataclass(frozen=True, eq=False)
class Records:
    """What the network says of N >= 2 views, in view 0's frame."""

    points: F32
    """(N, H, W, 3): of view 0 its own point map, of the others those in view 0's frame."""
    confidence: F32
    """(N, H, W), at least 1."""


@dataclass(frozen=True, eq=False)
class Tree:
    """Cameras estimated from the records."""

    c2w: NDArray[np.floating]
    """(N, 4, 4)."""
    focal: F64
    """(N,) pixels, NaN where PnP failed."""


@dataclass(frozen=True, eq=False)
class State:
    """What the optimisation works on."""

    c2w: F32
    """(N, 4, 4) the known poses."""
    depth: F32
    """(N, H, W) scene units."""
    focal: F32
    """(N,) pixels."""
    pairs: F32
    """(N - 1, 8) the coded similarity of each edge (0, j)."""

    def points(self) -> F32:
        """(N, H, W, 3) f32 world points."""
        n, h, w = self.depth.shape
        x = (np.arange(w, dtype=np.float32) - np.float32(w / 2)) / self.focal[:, None]
        y = (np.arange(h, dtype=np.float32) - np.float32(h / 2)) / self.focal[:, None]
        local = np.empty((n, h, w, 3), np.float32)
        local[..., 0] = self.depth * x[:, None, :]
        local[..., 1] = self.depth * y[:, :, None]
        local[..., 2] = self.depth
        world = np.einsum("nij,nhwj->nhwi", self.c2w[:, :3, :3], local)
        return world + self.c2w[:, None, None, :3, 3]


@dataclass(frozen=True, eq=False)
class PublishedAlignment:
    """The outputs."""

    state: State
    """The state after the optimisation."""
    points: F32
    """(N, H, W, 3) world points."""
    confidence: F32
    """(N, H, W) raw confidence, 0 where it was cleaned."""
    loss: F64
    """(niter,) the loss before each step."""


def align_as_published(
    records: Records,
    c2w: F64,
    known_depth: F32 | None = None,
    *,
    lr: float = 0.01,
    niter: int = 400,
) -> PublishedAlignment:
    """Align N >= 2 views with known c2w (N, 4, 4); the first k depths may be known (k, H, W)."""
    state = initialised(records, spanning_tree(records), c2w, known_depth)
    state, loss = optimised(state, records, lr=lr, niter=niter)
    return PublishedAlignment(state, state.points(), cleaned(state, records.confidence), loss)


def spanning_tree(records: Records) -> Tree:
    """Cameras of all views in view 0's frame: of view 0 the identity, of the others by PnP (8.5).

    The graph is a star about view 0, so its points stay as they are: their registration to
    themselves is the identity up to rounding.
    """
    n = len(records.points)
    c2w, focal = np.tile(np.eye(4), (n, 1, 1)), np.full(n, np.nan)
    focal[0] = weiszfeld_focal(records.points[0])
    for j in range(1, n):
        found = pnp(records.points[j], records.confidence[j])
        if found is not None:
            focal[j], c2w[j] = found
    return Tree(c2w, focal)


def initialised(
    records: Records,
    tree: Tree,
    c2w: F64,
    known_depth: F32 | None = None,
    registration: Similarity | None = None,
) -> State:
    """Depths, focal lengths and pair transforms from the estimated cameras, brought to the known
    ones (8.3, 8.6). ``registration`` stands in for register_poses, whose rotation rounding decides
    where all estimates coincide."""
    n, h, w = records.confidence.shape
    known_depth = np.zeros((0, h, w), np.float32) if known_depth is None else known_depth
    found = registration or register_poses(tree.c2w, c2w)
    points = found.applied(records.points)
    # Registered points, seen by registered cameras, whose own scale was divided out.
    inverse = invert_pose(_registered(tree.c2w, found))
    depth = np.einsum("nj,nhwj->nhw", inverse[:, 2, :3].astype(np.float32), points)
    depth += inverse[:, 2, 3].astype(np.float32)[:, None, None]
    depth[: len(known_depth)] = known_depth
    pair = similarity(records.points[0], points[0], records.confidence[0])
    focal = np.where(np.isnan(tree.focal), max(h, w), tree.focal)
    return State(
        _round_trip(c2w),
        _stored(depth),
        focal.astype(np.float32),
        np.tile(coded(pair), (n - 1, 1)),
    )


def _registered(c2w: NDArray[np.floating], by: Similarity) -> F64:
    out = np.tile(np.eye(4), (len(c2w), 1, 1))
    out[:, :3, :3] = by.R @ c2w[:, :3, :3]
    out[:, :3, 3] = by.scale * c2w[:, :3, 3] @ by.R.T + by.T
    return out


def _round_trip(c2w: F64) -> F32:
    """Poses as f32 unit quaternions and back."""
    out = np.array(c2w, np.float32)
    for pose, given in zip(out, c2w, strict=True):
        x, y, z, w = quaternion(nearest_rotation(given[:3, :3])).astype(np.float32)
        pose[:3, :3] = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
    return out


def _stored(depth: F32) -> F32:
    """Depth kept as its logarithm: what has none (0, negative, nan) becomes 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(depth)
    return np.exp(np.where(np.isnan(log) | np.isneginf(log), np.float32(0), log))


def rates(lr: float, niter: int) -> F64:
    """(niter,) learning rates, falling in a line."""
    return lr + (LEAST_RATE - lr) * np.arange(niter) / niter


def optimised(
    state: State, records: Records, *, lr: float = 0.01, niter: int = 400
) -> tuple[State, F64]:
    """The state after Adam on pair transforms and focal lengths, and the loss before each step
    (8.7). Depth and poses are as before. Imports torch."""
    import torch

    n = len(state.depth)
    h, w = state.depth.shape[1:]
    pairs = torch.tensor(state.pairs, requires_grad=True)
    code = (FOCAL_CODE * torch.tensor(state.focal).log()).requires_grad_()
    depth, c2w = torch.tensor(state.depth), torch.tensor(state.c2w)
    points = torch.tensor(np.ascontiguousarray(records.points))
    weight = torch.tensor(records.confidence).log()
    x, y = torch.arange(w) - w / 2, torch.arange(h) - h / 2
    offset = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)

    def loss_of():
        focal = (code / FOCAL_CODE).exp()[:, None, None, None]
        local = torch.cat([depth[..., None] * offset / focal, depth[..., None]], dim=-1)
        world = torch.einsum("nij,nhwj->nhwi", c2w[:, :3, :3], local)
        world = world + c2w[:, None, None, :3, 3]
        q = pairs[:, :4] / pairs[:, :4].norm(dim=-1, keepdim=True)
        T = pairs[:, 4:7].sign() * pairs[:, 4:7].abs().expm1()
        scale = pairs[:, 7].exp()[:, None, None, None]
        total = torch.zeros(())
        for e in range(n - 1):
            R = _rotation(q[e])
            for view in (0, e + 1):
                moved = scale[e] * (points[view] @ R.T + T[e])
                total = total + (weight[view] * (world[view] - moved).norm(dim=-1)).sum()
        return total / ((n - 1) * h * w)

    adam = torch.optim.Adam([pairs, code], lr=lr, betas=(0.9, 0.9), eps=1e-8)
    losses = []
    for rate in rates(lr, niter):
        adam.param_groups[0]["lr"] = float(rate)
        adam.zero_grad()
        loss = loss_of()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    focal = (code.detach() / FOCAL_CODE).exp().numpy()
    return replace(state, focal=focal, pairs=pairs.detach().numpy()), np.array(losses)


def _rotation(q):
    """Rotation (3, 3) of a unit quaternion xyzw, as tensors."""
    import torch

    x, y, z, w = q
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row) for row in rows])


def cleaned(state: State, confidence: F32) -> F32:
    """Confidence (N, H, W), 0 in points in front of what a more confident view saw (8.8).

    View after view against all others, each against what the ones before left.
    """
    out, points = confidence.copy(), state.points()
    n, h, w = out.shape
    w2c = invert_pose(state.c2w.astype(np.float64)).astype(np.float32)
    for i in range(n):
        for j in range(n):
            if i == j:
                continue
            local = points[i] @ w2c[j, :3, :3].T + w2c[j, :3, 3]
            z = local[..., 2]
            with np.errstate(divide="ignore", invalid="ignore"):
                u = np.rint(state.focal[j] * local[..., 0] / z + np.float32(w / 2))
                v = np.rint(state.focal[j] * local[..., 1] / z + np.float32(h / 2))
            seen = (z > 0) & (u >= 0) & (u < w) & (v >= 0) & (v < h)
            at = v[seen].astype(np.int64), u[seen].astype(np.int64)
            front = z[seen] < np.float32(1 - CLEANING) * state.depth[j][at]
            mine = out[i][seen]
            out[i][seen] = np.where(front & (mine < out[j][at]), 0, mine)
    return out
