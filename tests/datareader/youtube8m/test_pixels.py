"""Frames are resized with the bits of TensorFlow 1, and other rules that are in use are seen."""

import time

import numpy as np
import pytest

from datareader.youtube8m import pixels
from datareader.youtube8m.pixels import SIDE, place_pixels, resize_frame
from tests.yt8m_mistakes import place_by_centres, place_in_float64
from tests.yt8m_recipe import checksum, find_difference, image, load_golden


@pytest.fixture(scope="module", params=["a", "b"])
def golden(request):
    """A picture, and what TensorFlow made of it."""
    return image(request.param), load_golden("inception")[0]["images"][request.param]


def resized_as_stored(frame):
    """(1, 299, 299, 3), TensorFlow's order."""
    return resize_frame(frame).transpose(1, 2, 0)[None]


def test_the_made_picture_is_that_of_the_golden(golden):
    frame, numbers = golden
    assert list(frame.shape[:2]) == numbers["size_hw"]
    assert checksum(frame) == numbers["image_sha256_uint8"]


def test_a_frame_is_resized_with_the_bits_of_tensorflow(golden):
    frame, numbers = golden
    resized = resized_as_stored(frame)
    assert resized.dtype == np.float32
    assert find_difference(numbers["resized"], resized) < 1e-4  # of 255, as the numbers have 7 digits
    for place, colours in numbers["resized"]["pixels_yx"].items():
        y, x = map(int, place.split(","))
        np.testing.assert_allclose(resized[0, y, x], colours, rtol=1e-6)
    assert checksum(resized) == numbers["resized"]["sha256_float32"]


@pytest.mark.parametrize(("mistake", "least"), [(place_by_centres, 10), (place_in_float64, 1e-4)])
def test_other_places_of_pixels_give_other_bits(golden, monkeypatch, mistake, least):
    frame, numbers = golden
    right = resize_frame(frame)
    monkeypatch.setattr(pixels, "place_pixels", mistake)
    assert checksum(resized_as_stored(frame)) != numbers["resized"]["sha256_float32"]
    assert np.abs(resize_frame(frame) - right).max() > least


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (299, 299), (1080, 1920), (1, 5000), (298, 300)])
def test_every_pixel_equals_the_rule_for_one(shape):
    rng = np.random.default_rng(sum(shape))
    frame = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    resized, stored = resize_frame(frame), frame.astype(np.float32)
    for y, x in rng.integers(0, SIDE, (20, 2)):
        (above, below, down), (left, right, across) = (place_one(i, n) for i, n in zip((y, x), shape, strict=True))
        top = stored[above, left] + (stored[above, right] - stored[above, left]) * across
        bottom = stored[below, left] + (stored[below, right] - stored[below, left]) * across
        assert (resized[:, y, x] == top + (bottom - top) * down).all()


def place_one(place, length):
    """The pixels before and after, and the share of the latter, of one output pixel."""
    exact = np.float32(place) * (np.float32(length) / np.float32(SIDE))
    return int(exact), min(int(exact) + 1, length - 1), exact - np.float32(int(exact))


def test_a_frame_of_the_right_size_stays_as_it_is():
    frame = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert (resize_frame(frame) == frame.transpose(2, 0, 1)).all()


def test_a_part_of_another_array_is_resized_as_its_copy():
    frame = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    for part in (frame[::-1, ::2], frame[:, :, ::-1]):
        assert (resize_frame(part) == resize_frame(part.copy())).all()


def test_what_is_no_frame_of_bytes_is_refused():
    for wrong in (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"a frame is \(H, W, 3\) uint8, not"):
            resize_frame(wrong)


def test_a_large_frame_takes_no_longer_than_its_decoding():
    frame = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    resize_frame(frame)
    took_sec = []
    for _ in range(10):
        began = time.process_time()
        resize_frame(frame)
        took_sec.append(time.process_time() - began)
    assert min(took_sec) < 0.015


def test_places_are_remembered_for_a_length():
    assert place_pixels(480) is place_pixels(480)
