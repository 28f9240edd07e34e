"""Frame features on the device are those of the reader, bit for bit."""

import numpy as np
import paddle

from datareader.transforms import DEQUANTIZED, dequantize
from models.layers import sequence


def test_every_byte_dequantizes_to_the_same_bits_in_numpy_and_on_the_device():
    stored = np.arange(256, dtype=np.uint8).reshape(2, 128)
    exact = (stored.astype(np.float64) * 4 / 255 + 4 / 512 - 2).astype(np.float32)
    np.testing.assert_array_equal(dequantize(stored), exact)
    np.testing.assert_array_equal(sequence.dequantize(paddle.to_tensor(stored)).numpy(), exact)
    np.testing.assert_array_equal(DEQUANTIZED, sequence.DEQUANTIZED)
