"""Frames to views for CUT3R, and where the views lie in the frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vmem.errors import VMemError
from vmem.geometry.cut3r.heads import Prediction
from vmem.geometry.cut3r.preprocess import crop_maps, crop_of, prepare


def frames(h: int, w: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(h * w).integers(0, 256, (count, h, w, 3), dtype=np.uint8)


def test_a_square_loses_a_quarter_or_nothing():
    assert crop_of((576, 576)).box == (0, 64, 512, 448)
    assert crop_of((576, 576), whole_square=True).box == (0, 0, 512, 512)
    assert crop_of((575, 576)).hw == (496, 512)  # not square in the frame, nor after resizing


@given(st.integers(1, 1200), st.integers(1, 1200), st.integers(1, 40), st.booleans())
def test_a_crop_lies_in_the_frame(h, w, patches, whole):
    try:
        crop = crop_of((h, w), 16 * patches, whole_square=whole)
    except VMemError:
        return
    left, top, right, bottom = crop.box
    assert 0 <= left < right <= crop.resized_hw[1]
    assert 0 <= top < bottom <= crop.resized_hw[0]
    assert crop.hw[0] % 16 == crop.hw[1] % 16 == 0
    # All but less than a patch is kept, but for squares.
    if whole or crop.resized_hw[0] != crop.resized_hw[1]:
        assert all(0 <= side - kept < 16 for side, kept in zip(crop.resized_hw, crop.hw))  # noqa: B905
    ends = np.array(crop.frame_box)
    assert (ends > -1e-9).all()
    assert (ends < np.array([w, h, w, h]) + 1e-9).all()


def test_intrinsics_follow_the_crop():
    crop = crop_of((400, 700))
    K = np.array([[[500.0, 0, 350], [0, 510, 200], [0, 0, 1]]])
    point = np.array([0.2, -0.1, 1.0])
    in_frame, in_crop = ((k @ point)[:2] for k in (K[0], crop.intrinsics(K)[0]))
    left, top, right, bottom = crop.frame_box
    share = (in_frame - (left, top)) / (right - left, bottom - top)
    h, w = crop.hw
    np.testing.assert_allclose(in_crop, share * (w, h), atol=1e-9)


def test_a_spot_is_where_the_crop_says():
    frame = np.zeros((1, 300, 480, 3), np.uint8)
    frame[0, 100:110, 200:210] = 255
    views, crop = prepare(frame)
    weight = views[0, 0].double() + 1
    rows, columns = (torch.arange(side) + 0.5 for side in crop.hw)
    at = (weight * columns).sum() / weight.sum(), (weight * rows[:, None]).sum() / weight.sum()
    across, down = crop.scale
    expected = 205 * across - crop.box[0], 105 * down - crop.box[1]
    np.testing.assert_allclose(np.array(at), expected, atol=0.05)


def test_values_and_order():
    pair = frames(96, 128, 2)
    views, crop = prepare(pair, 128)
    assert crop.hw == (96, 128)
    expected = np.moveaxis(pair, -1, 1) / 255 * 2 - 1
    np.testing.assert_allclose(views, expected, atol=1e-6)
    assert views.dtype == torch.float32


@pytest.mark.parametrize(
    ("bad", "size"),
    [
        (frames(10, 1000), 512),  # less than a patch is left
        (frames(64, 64), 80),  # 3/4 of it is no multiple of 16
        (frames(64, 64), 8),
        (frames(64, 64)[0], 512),
        (frames(64, 64)[..., :1], 512),
        (frames(64, 64).astype(np.float32), 512),
        (frames(64, 64)[:0], 512),
        (frames(64, 64)[:, :0], 512),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_frames(bad, size):
    with pytest.raises(VMemError, match=r"frame"):
        prepare(bad, size)


def test_maps_stand_beside_their_crop():
    crop = crop_of((96, 128), 128)
    points = torch.rand(2, 96, 128, 3)
    prediction = Prediction(own_points=points, own_confidence=points[..., 0])
    maps = crop_maps(prediction, crop)
    assert maps.points.shape == (2, *crop.hw, 3)
    assert maps.crop == crop
    np.testing.assert_array_equal(maps.confidence, points[..., 0])
    with pytest.raises(VMemError, match="no world points"):
        crop_maps(prediction, crop, "world")
    with pytest.raises(VMemError, match="not those of"):
        crop_maps(prediction, crop_of((64, 128), 128))
