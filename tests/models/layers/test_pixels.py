"""Pixels are normalised on the device as NumPy does it."""

import numpy as np
import paddle

from models.layers.pixels import NormalizePixels
from tests.models.clip_networks import COLOURS, normalize


def test_every_byte_is_normalised_to_the_bits_of_numpy():
    clips = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(1, 1, 1, 16, 16), (2, 3, 6, 16, 16)).copy()
    layer = NormalizePixels(COLOURS["image_mean"], COLOURS["image_std"], seglen=2)
    found = layer(paddle.to_tensor(clips)).numpy()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, normalize(clips))
