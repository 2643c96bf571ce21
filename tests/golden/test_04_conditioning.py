"""Conditioning equals the published one: cameras, masks, and both sides of guidance."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from tests.golden.packs import assert_close
from vmem.generation.diffusion.conditioning import (
    centred,
    condition,
    default_K_normalized,
    plucker,
)

PACKS = "04_conditioning"
TOLERANCE = 1e-5
FAR_TOLERANCE = 5e-5  # cameras a thousand units apart, whose rounding the published float32 shows


def cases(pack):
    """(prefix, latent size, largest coordinate of a camera) of each case."""
    found = sorted({name.split(".")[0] for name in pack.tensors if re.match(r"c\d+\.in\.", name)})
    assert found
    for case in found:
        hw = pack[f"{case}.c.dense_vector"].shape[-2:]
        yield case, hw, np.abs(pack[f"{case}.in.c2ws"][:, :3, 3]).max()


def test_default_intrinsics(pack):
    names = [name for name in pack.tensors if re.fullmatch(r"default_K\d+", name)]
    assert names
    for name in names:
        meaning = pack.manifest["tensors"][name]["meaning"]
        given = re.search(r"fov_rad=([^a]*), aspect_ratio=([\d.]+)", meaning)
        if given is None:
            pytest.skip("the manifest does not say what was asked for")
        fov = [float(number) for number in re.findall(r"[\d.]+", given[1])]
        got = default_K_normalized(fov, float(given[2]))
        assert_close(got, pack[name], TOLERANCE)


def test_every_tensor(pack):
    for case, hw, reach in cases(pack):
        given = {
            k[len(case) + 4 :]: v for k, v in pack.tensors.items() if k.startswith(f"{case}.in.")
        }
        got = condition(
            given["c2ws"],
            given["Ks"],
            given["input_mask"],
            torch.from_numpy(given["context_latents"]),
            torch.from_numpy(given["context_embeddings"]),
            hw,
            camera_scale=pack.config["camera_scale"],
        )
        np.testing.assert_allclose(got.scale, pack[f"{case}.scale"], rtol=TOLERANCE)
        atol = TOLERANCE if reach < 100 else FAR_TOLERANCE
        middle = centred(given["c2ws"].astype(np.float64))
        far = {"rtol": TOLERANCE, "atol": TOLERANCE if reach < 100 else 1e-7 * reach}
        np.testing.assert_allclose(middle, pack[f"{case}.c2ws_centred"], **far)
        np.testing.assert_allclose(got.c2ws, pack[f"{case}.all_c2ws"], rtol=TOLERANCE, atol=atol)
        np.testing.assert_array_equal(got.Ks, pack[f"{case}.all_Ks"])
        for side in ("c", "uc"):
            mine = getattr(got, side)
            for name in ("crossattn", "replace", "concat", "dense"):
                golden = pack[f"{case}.{side}.{name.replace('dense', 'dense_vector')}"]
                assert_close(getattr(mine, name), golden, atol, what=f"{case} {side} {name}")


def test_pluecker_maps_seen_from_another_camera(pack):
    for case, hw, reach in cases(pack):
        w2c = pack[f"{case}.plucker_src1.w2c"].astype(np.float64)
        got = plucker(w2c, pack[f"{case}.in.Ks"].astype(np.float64), hw, source=1)
        atol = TOLERANCE if reach < 100 else FAR_TOLERANCE
        assert_close(got, pack[f"{case}.plucker_src1"], atol)
