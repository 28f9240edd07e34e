"""Frame features on the device are those of the reader, bit for bit."""

import numpy as np
import paddle
from hypothesis import given
from hypothesis import strategies as st

from datareader.transforms import DEQUANTIZED, DEQUANTIZED_UNBIASED, dequantize
from models.layers import sequence
from models.layers.sequence import PackedOrder


def test_every_byte_dequantizes_to_the_same_bits_in_numpy_and_on_the_device():
    stored = np.arange(256, dtype=np.uint8).reshape(2, 128)
    exact = (stored.astype(np.float64) * 4 / 255 + 4 / 512 - 2).astype(np.float32)
    np.testing.assert_array_equal(dequantize(stored), exact)
    np.testing.assert_array_equal(sequence.dequantize(paddle.to_tensor(stored)).numpy(), exact)
    np.testing.assert_array_equal(DEQUANTIZED, sequence.DEQUANTIZED)


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_packed_order_holds_every_frame_once_and_its_maps_agree(lengths):
    lengths = np.array(lengths)
    order = PackedOrder(lengths)
    total = lengths.sum()
    assert sum(order.active) == total
    assert sorted(order.flat) == list(range(total))
    np.testing.assert_array_equal(order.flip[order.flip], np.arange(total))
    starts = np.cumsum([0, *lengths[:-1]])
    for video, length in enumerate(lengths):
        assert order.real[video].sum() == length
        places = order.padded[video, :length]
        np.testing.assert_array_equal(order.flat[places], starts[video] + np.arange(length))
        np.testing.assert_array_equal(order.flip[places], places[::-1])


def test_unbiased_bytes_have_the_same_bits_in_numpy_and_on_the_device():
    stored = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(
        sequence.dequantize_unbiased(paddle.to_tensor(stored)).numpy(), DEQUANTIZED_UNBIASED[stored]
    )
    np.testing.assert_array_equal(sequence.DEQUANTIZED_UNBIASED, DEQUANTIZED_UNBIASED)
