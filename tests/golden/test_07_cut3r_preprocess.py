"""Views for CUT3R equal the published ones, reduced or enlarged, square or not."""

from __future__ import annotations

import numpy as np

from tests.golden.packs import assert_close
from vmem.geometry.cut3r.preprocess import prepare

PACKS = "07_cut3r_preprocess"
TOLERANCE = 1e-5


def test_preprocess(pack):
    names = sorted(name for name in pack.tensors if name.startswith("in"))
    assert names
    for name in names:
        number = name.removeprefix("in")
        cropped = pack[f"out{number}"]
        views, crop = prepare(pack[name][None], pack.config["size"])
        expected = np.moveaxis(cropped, -1, 0)[None].astype(np.float32) / 255 * 2 - 1
        assert_close(views, expected, TOLERANCE)
        assert np.array_equal([crop.hw], pack[f"true_shape{number}"])
        assert crop.frame_hw == pack[name].shape[:2]
