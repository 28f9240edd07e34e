"""TSN and StNet: segments, views and layers."""

import numpy as np
import paddle
import pytest

from models.stnet.stnet import TemporalBlock, TemporalXception
from tests.models.clip_networks import make_clips, normalize, score


@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_a_batch_of_one_equals_a_batch_of_many(networks, name):
    clips = make_clips(name)
    many = score(networks[name], clips)
    assert many.std() > 1e-3
    for i in range(len(clips)):
        np.testing.assert_allclose(score(networks[name], clips[i : i + 1])[0], many[i], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_bytes_equal_normalised_input_bit_for_bit(networks, name):
    clips = make_clips(name, videos=2)
    np.testing.assert_array_equal(score(networks[name], clips), score(networks[name], normalize(clips)))


@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_any_number_of_segments_works(networks, name):
    for segments in (1, 5):
        assert score(networks[name], make_clips(name, videos=2, segments=segments)).shape == (2, 5)


def test_tsn_does_not_see_the_order_of_segments_and_stnet_does(networks):
    for name, sees in (("TSN", False), ("STNET", True)):
        clips = make_clips(name, videos=1)
        there, back = score(networks[name], clips), score(networks[name], clips[:, ::-1].copy())
        assert bool(np.abs(there - back).max() > 1e-4) == sees


def test_the_temporal_block_equals_a_convolution_segment_by_segment():
    paddle.seed(0)
    block = TemporalBlock(4)
    block.bias.set_value(paddle.randn([4]))
    block.eval()
    x = np.random.default_rng(0).standard_normal((2 * 3, 4, 2, 5)).astype(np.float32)
    weight, bias = block.weight.numpy()[:, :, :, 0, 0], block.bias.numpy()
    expected = x.copy()
    for video in range(2):
        for segment in range(3):
            total = np.zeros((4, 2, 5))
            for tap in range(3):
                if 0 <= segment + tap - 1 < 3:
                    total += np.einsum("oc,chw->ohw", weight[:, :, tap], x[3 * video + segment + tap - 1])
            total = np.maximum(total + bias[:, None, None], 0)
            expected[3 * video + segment] += total / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(block(paddle.to_tensor(x), 3).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_depthwise_layers_do_not_mix_features():
    paddle.seed(0)
    layer = TemporalXception(6, 4).depthwise1
    x = paddle.randn([2, 3, 6])
    changed = x.clone()
    changed[:, :, 2] += 1.0
    differs = (layer(x) != layer(changed)).numpy().any(axis=(0, 1))
    assert differs.tolist() == [False, False, True, False, False, False]
