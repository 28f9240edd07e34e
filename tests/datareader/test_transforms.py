"""Transforms of what is read: dequantising, scaling, cropping and normalising."""

import numpy as np
import pytest
from PIL import Image

from datareader.transforms import (
    DEQUANTIZED,
    DEQUANTIZED_UNBIASED,
    Crop,
    crop_frame,
    dequantize,
    list_crops,
    normalize,
    scale_size,
)
from tests.datareader.clips.synthetic import MEAN, STD, make_frames


def test_dequantized_batches_begin_where_paddle_can_share_their_memory():
    for rows in range(1, 20):
        assert dequantize(np.zeros((rows, 7), np.uint8)).ctypes.data % 64 == 0


@pytest.mark.parametrize("shape", [(), (5,), (0, 4), (3, 1), (4, 3, 70), (1, 400_000)])
def test_bytes_are_looked_up_in_arrays_of_any_shape(shape):
    stored = np.asarray(np.random.default_rng(0).integers(0, 256, shape), np.uint8)
    for frames in (stored, stored[::2, ::3] if stored.ndim == 2 else stored):
        for table in (DEQUANTIZED, DEQUANTIZED_UNBIASED):
            np.testing.assert_array_equal(dequantize(frames, table), table[frames])


@pytest.mark.parametrize(
    ("size", "keep_aspect", "expected"),
    [
        ((340, 256), False, (340, 256)),
        ((640, 360), False, (341, 256)),
        ((640, 360), True, (455, 256)),
        ((240, 320), False, (256, 341)),
        ((300, 300), False, (341, 256)),
        ((300, 300), True, (256, 256)),
    ],
)
def test_the_short_side_is_scaled_and_the_other_becomes_4_3_unless_told_otherwise(size, keep_aspect, expected):
    assert scale_size(*size, 256, keep_aspect) == expected


@pytest.mark.parametrize("crop", [Crop(0, 0), Crop(1, 1, flip=True), Crop(0.5, 0.5), Crop(0.3, 0.8)])
@pytest.mark.parametrize(("width", "height"), [(97, 61), (61, 97), (70, 48), (341, 256)])
def test_a_crop_equals_that_of_the_whole_scaled_frame_to_one_grey_level(width, height, crop):
    frame = make_frames(1, width, height)[0]
    scaled = scale_size(width, height, 48, keep_aspect=False)
    whole = np.asarray(Image.fromarray(frame).resize(scaled, Image.Resampling.BILINEAR)).astype(int)
    left, top = round(crop.x * (scaled[0] - 40)), round(crop.y * (scaled[1] - 40))
    expected = whole[top : top + 40, left : left + 40]
    expected = expected[:, ::-1] if crop.flip else expected
    assert np.abs(crop_frame(frame, crop, scaled, 40) - expected).max() <= 1


def test_ten_crops_are_corners_and_centre_and_their_mirror_images():
    crops = list_crops(10, 60, 40)
    assert {(crop.x, crop.y) for crop in crops} == {(0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)}
    assert sum(crop.flip for crop in crops) == 5
    assert len(set(crops)) == 10
    assert [crop.y for crop in list_crops(3, 40, 60)] == [0, 0.5, 1]


def test_normalising_has_the_bits_of_the_three_steps_of_2019():
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 6, 5, 7), dtype=np.uint8)
    expected = frames.astype(np.float32)
    expected /= 255
    expected -= np.array(MEAN * 2, np.float32)[:, None, None]
    expected /= np.array(STD * 2, np.float32)[:, None, None]
    np.testing.assert_array_equal(normalize(frames, MEAN, STD), expected)
