"""The network's input besides noise: cameras as ray maps, and the context's latents and embedding.

The network has other conventions than the rest of the project: OpenGL poses, intrinsics as shares
of the image, a world centred and scaled to the cameras of the sequence. Only this file uses them.
Source: VMem, its conditioning of SEVA's network (specification, section 3).

Notation: N frames of a sequence, C of them context; latents of size (h, w).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Float64
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vmem.arrays import F64
from vmem.cameras import DEFAULT_FOV, Cameras, to_opengl
from vmem.errors import VMemError
from vmem.generation.diffusion.checks import check_finite

Rule = Literal["reference", "repaired"]
"""How the world is centred and scaled: as the released weights were trained, or repaired."""

CAMERA_SCALE = 2.0
"""Distance from the centre of the world to the first camera, as the network was trained."""
LATENT_STRIDE = 8
"""Image pixels along one side of a latent."""
_SAME_PLACE = 1e-5
"""Distances up to this count as 0, in scene units."""
_FAR_AWAY = 1e6
"""Cameras farther than this from the middle are outliers in any case, in scene units."""
_OUTLIER = 10.0
"""A camera this many times farther from the middle than most is an outlier."""


class ConditioningError(VMemError, ValueError):
    """Cameras, masks, latents or embeddings that do not fit together or the network."""


@dataclass(frozen=True, eq=False)
class Conditioning:
    """The network's input besides the noisy latents, for one side of guidance. All fields f32."""

    crossattn: Tensor
    """(N, 1, D): mean image embedding of the context."""
    replace: Tensor
    """(N, 5, h, w): clean latents, then 1 where they are known and 0 elsewhere."""
    concat: Tensor
    """(N, 7, h, w): that mask, then the Pluecker map."""
    dense: Tensor
    """(N, 6, h, w): the Pluecker map."""


@dataclass(frozen=True, eq=False)
class Conditioned:
    """Both sides of guidance, with the cameras by which its strength is chosen."""

    c: Conditioning
    """Conditioned on the content of the context."""
    uc: Conditioning
    """Without that content: rays only."""
    c2ws: Tensor
    """(N, 4, 4) f32 OpenCV, in the network's centred and scaled world."""
    Ks: Tensor
    """(N, 3, 3) f32 as they were given."""
    is_context: Tensor
    """(N,) bool."""
    scale: float
    """Factor that the centred world was multiplied by."""


def network_cameras(
    cameras: Cameras,
) -> tuple[Float64[np.ndarray, "n 4 4"], Float64[np.ndarray, "n 3 3"]]:
    """OpenGL ``c2w`` in the same world, and normalised ``K``.

    Normalised: the first row divided by the image's width, the second by its height.
    """
    h, w = cameras.hw
    return to_opengl(cameras.c2w), cameras.K / np.array([[w], [h], [1.0]])


def default_K_normalized(
    fov: float | Sequence[float] = DEFAULT_FOV, aspect: float = 1.0
) -> Float64[np.ndarray, "n 3 3"]:
    """Normalised intrinsics as published, for one or several ``fov`` in radians.

    ``fov`` is along the longer side of an image of ``aspect`` (width over height).
    """
    f = 0.5 / np.tan(np.atleast_1d(np.asarray(fov, np.float64)) / 2)
    K = np.tile(np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 1.0]]), (len(f), 1, 1))
    K[:, 0, 0] = f / min(aspect, 1.0)
    K[:, 1, 1] = f * max(aspect, 1.0)
    return K


def fill_slots(
    context: Cameras, targets: Cameras, num_frames: int
) -> tuple[Cameras, Bool[np.ndarray, " N"]]:
    """One camera for each of the network's ``num_frames`` slots, and which are context.

    Context first, then the targets, the last of them repeated until the slots are full. Results
    for the repeats are dropped: ``result[~is_context][: len(targets)]``. Raises ConditioningError
    where context and targets need more slots than there are.
    """
    n_context, n_targets = len(context), len(targets)
    spare = num_frames - n_context - n_targets
    if spare < 0:
        raise ConditioningError(
            f"{n_context} context views and {n_targets} targets need "
            f"{n_context + n_targets} slots, the network has {num_frames}: retrieve fewer views "
            "or ask for fewer targets at once"
        )
    parts = [context.resized(targets.hw), targets, *[targets[-1:]] * spare]
    cameras = Cameras(
        np.concatenate([part.c2w for part in parts]),
        np.concatenate([part.K for part in parts]),
        targets.hw,
    )
    return cameras, np.arange(num_frames) < n_context


def centred(
    c2w: Float64[np.ndarray, "n 4 4"], rule: Rule = "reference"
) -> Float64[np.ndarray, "n 4 4"]:
    """Poses moved so that the mean of their positions, outliers left out, is the origin.

    ``reference`` measures outliers from the lower median of each coordinate, against the 97 %
    quantile of all distances, which for fewer than 32 cameras contains the outlier itself and so
    rejects nothing. ``repaired`` measures them from the camera that is nearest to all others,
    against the median distance of those at other places.
    """
    t = c2w[:, :3, 3]
    out = c2w.copy()
    out[:, :3, 3] -= t[_near(t, rule)].mean(axis=0)
    return out


def world_scale(
    c2w_centred: Float64[np.ndarray, "n 4 4"],
    rule: Rule = "reference",
    camera_scale: float = CAMERA_SCALE,
) -> float:
    """Factor that brings centred poses to the network's units.

    ``reference`` brings the first camera to ``camera_scale`` from the origin, and a little farther
    (by 1 % of its distance); a first camera that is near the middle by chance sends the others far
    away. ``repaired`` brings the root mean square of all distances there, outliers left out: no
    single camera decides, and scenes in other units give the same world. Distances up to 1e-5
    count as 0.
    """
    t = c2w_centred[:, :3, 3]
    distance = np.linalg.norm(t, axis=1)
    if rule == "reference":
        first = float(distance[0])
        return camera_scale if first <= _SAME_PLACE else camera_scale / first + 0.01
    typical = float(np.sqrt(np.mean(distance[_near(t, rule)] ** 2)))
    return camera_scale if typical <= _SAME_PLACE else camera_scale / typical


def _near(t: F64, rule: Rule) -> NDArray[np.bool_]:
    """Which of the positions (N, 3) are not outliers: (N,) bool, at least one of them True."""
    if rule == "reference":
        distance = np.linalg.norm(t - np.sort(t, axis=0)[(len(t) - 1) // 2], axis=1)
        limit = min(_OUTLIER * float(np.quantile(distance, 0.97)), _FAR_AWAY)
        near = distance <= limit
        return near if near.any() else np.ones_like(near)
    between = np.linalg.norm(t[:, None] - t[None], axis=-1)
    distance = between[between.sum(axis=1).argmin()]
    elsewhere = distance[distance > _SAME_PLACE]
    limit = _OUTLIER * float(np.median(elsewhere)) if len(elsewhere) else _SAME_PLACE
    return distance <= limit


def normalised_K(
    K: Float64[np.ndarray, "n 3 3"], hw: tuple[int, int], rule: Rule = "reference"
) -> Float64[np.ndarray, "n 3 3"]:
    """Intrinsics as shares of the image of latents ``hw``, given either so or in pixels.

    A principal point outside [0, 1] means pixels, as published. ``reference`` then divides the
    first row by the height and the second by the width, ``repaired`` the other way round. Raises
    ConditioningError if principal points still lie outside the image.
    """
    if _inside(K):
        return K
    h, w = LATENT_STRIDE * hw[0], LATENT_STRIDE * hw[1]
    by = (h, w) if rule == "reference" else (w, h)
    out = K / np.array([[by[0]], [by[1]], [1.0]])
    if not _inside(out):
        raise ConditioningError(
            f"principal points must lie in the image of {h}x{w} pixels, got "
            f"{K[:, :2, 2].min():.4g} to {K[:, :2, 2].max():.4g}"
        )
    return out


def _inside(K: F64) -> bool:
    return bool((K[:, :2, 2] >= 0).all() and (K[:, :2, 2] <= 1).all())


def plucker(
    w2c: Float[np.ndarray, "n 4 4"],
    K: Float64[np.ndarray, "n 3 3"],
    hw: tuple[int, int],
    source: int = 0,
    rule: Rule = "reference",
) -> Float64[np.ndarray, "n 6 h w"]:
    """Pluecker maps of the rays through latent pixels: direction d, then moment o x d.

    w2c: OpenCV. K: as for normalised_K. Coordinates are those of camera ``source``; d has length
    1, o is the centre of the ray's own camera.
    """
    h, w = hw
    K_latent = normalised_K(K, hw, rule) * np.array([[w], [h], [1.0]])
    # The ray of pixel p = (x, y, 1) of camera i, in the frame of the source camera s:
    #   w2c_s c2w_i = [R | o],   d ~ R K_i^-1 p,   row by row  d^T ~ p^T (R K_i^-1)^T
    x, y = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
    pixels = rearrange([x, y, np.ones_like(x)], "xyz h w -> (h w) xyz")
    to_source = w2c[source] @ np.linalg.inv(w2c)
    toward = pixels @ np.swapaxes(to_source[:, :3, :3] @ np.linalg.inv(K_latent), 1, 2)
    # d and o x d are the same for every point o + t d of the ray: they name the line, not a point.
    d = toward / np.maximum(np.linalg.norm(toward, axis=-1, keepdims=True), 1e-12)
    m = np.cross(to_source[:, None, :3, 3], d)
    return rearrange(np.concatenate([d, m], axis=-1), "n (h w) c -> n c h w", h=h)


def condition(
    c2w_opengl: ArrayLike,
    K: ArrayLike,
    is_context: ArrayLike,
    latents: Tensor,
    embeddings: Tensor,
    hw: tuple[int, int],
    rule: Rule = "reference",
    camera_scale: float = CAMERA_SCALE,
) -> Conditioned:
    """Both sides of guidance for one sequence of N frames, on the latents' device.

    c2w_opengl: (N, 4, 4). K: (N, 3, 3) normalised. is_context: (N,) bool. latents (C, 4, h, w) and
    embeddings (C, D): of the context frames, in the order of the mask's True entries. hw: size of
    the latents. No argument is changed. Raises ConditioningError where they do not fit together,
    NotFiniteError for NaN among them.
    """
    c2w, Ks, known = _checked(c2w_opengl, K, is_context, latents, embeddings, hw)
    c2w = centred(c2w, rule)
    scale = world_scale(c2w, rule, camera_scale)
    c2w = to_opengl(c2w)  # its own inverse: OpenCV from here on
    # Scaling the world by s: positions s t, so that w2c = [R^T | -R^T s t].
    w2c = np.linalg.inv(c2w)
    c2w[:, :3, 3] *= scale
    w2c[:, :3, 3] *= scale

    options = {"dtype": torch.float32, "device": latents.device}
    rays = torch.tensor(plucker(w2c, Ks, hw, rule=rule), **options)
    mask = torch.tensor(known, device=latents.device)
    replace = torch.zeros(len(known), 5, *hw, **options)
    replace[mask, :4] = latents.to(torch.float32)
    replace[mask, 4] = 1
    # With the context: its latents, the mask and its mean embedding, the same for every frame.
    content = embeddings.to(**options).mean(dim=0).expand(len(known), 1, -1)
    c = Conditioning(content, replace, torch.cat([replace[:, 4:], rays], dim=1), rays)
    # Without: latents, mask and embedding are 0, the rays stay.
    nothing = torch.zeros_like(replace)
    without = torch.cat([nothing[:, 4:], rays], dim=1)
    uc = Conditioning(torch.zeros_like(content), nothing, without, rays)
    given = torch.tensor(c2w, **options), torch.tensor(Ks, **options)
    return Conditioned(c, uc, *given, is_context=mask, scale=scale)


def _checked(
    c2w_opengl: ArrayLike,
    K: ArrayLike,
    is_context: ArrayLike,
    latents: Tensor,
    embeddings: Tensor,
    hw: tuple[int, int],
) -> tuple[F64, F64, NDArray[np.bool_]]:
    c2w, Ks = np.asarray(c2w_opengl, np.float64), np.asarray(K, np.float64)
    known = np.asarray(is_context)
    n, n_known = len(known), int(known.sum())
    if known.dtype != bool or c2w.shape != (n, 4, 4) or Ks.shape != (n, 3, 3):
        raise ConditioningError(
            f"expected c2w (N, 4, 4), K (N, 3, 3) and a boolean mask (N,), got {c2w.shape}, "
            f"{Ks.shape} and {known.dtype} {known.shape}"
        )
    if not (np.isfinite(c2w).all() and np.isfinite(Ks).all()):
        raise ConditioningError("poses and intrinsics must be finite")
    if n_known == 0:
        raise ConditioningError("a generation needs at least one context view, the mask has none")
    if len(latents) != n_known or len(embeddings) != n_known:
        raise ConditioningError(
            f"the mask names {n_known} context frames, but there are {len(latents)} latents and "
            f"{len(embeddings)} embeddings"
        )
    if latents.shape[1:] != (4, *hw) or embeddings.ndim != 2:
        raise ConditioningError(
            f"expected latents (C, 4, {hw[0]}, {hw[1]}) and embeddings (C, D), got "
            f"{tuple(latents.shape)} and {tuple(embeddings.shape)}: were the context views made "
            "at another size?"
        )
    check_finite(latents, "context latents")
    check_finite(embeddings, "context embeddings")
    return c2w, Ks, known
