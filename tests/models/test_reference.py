"""The fast networks against the slow, obvious ones that the benchmark divides by."""

import numpy as np
import paddle
import pytest

from models.attention_cluster.attention_cluster import AttentionCluster
from tests.reference import slow_attention_cluster


@pytest.fixture
def network():
    paddle.seed(0)
    return AttentionCluster([24, 8], [3, 2], num_classes=6, drop_rate=0.0)


@pytest.fixture
def streams():
    rng = np.random.default_rng(0)
    return [paddle.to_tensor(rng.standard_normal((5, 7, dim)).astype(np.float32)) for dim in (24, 8)]


def test_one_product_equals_the_loop_over_units_with_its_gradients(network, streams):
    slow = slow_attention_cluster(network)
    labels = paddle.to_tensor((np.random.default_rng(1).random((5, 6)) < 0.3).astype(np.float32))
    for one in (network, slow):
        one.losses(one(*streams), labels).mean().backward()
    np.testing.assert_allclose(network(*streams).numpy(), slow(*streams).numpy(), rtol=1e-5, atol=1e-5)
    for fast_layer, slow_layer in zip(network.attention, slow.attention, strict=True):
        fast = fast_layer.score.weight.grad.numpy().T.ravel()
        np.testing.assert_allclose(fast, slow_layer.score.weight.grad.numpy().ravel(), rtol=1e-3, atol=1e-5)
        for name in ("scale", "shift"):
            gradients = (getattr(layer, name).grad.numpy().ravel() for layer in (fast_layer, slow_layer))
            np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-5)


def test_a_unit_has_the_length_that_its_docstring_says(network, streams):
    units = network.attention[0](streams[0]).reshape([5, 3, 24])
    np.testing.assert_allclose(units.norm(axis=-1).numpy(), 3**-0.5, rtol=1e-5)


def test_a_video_scores_the_same_alone_and_in_any_batch(network, streams):
    network.eval()
    together = network.probs(network(*streams)).numpy()
    for i in range(5):
        alone = network.probs(network(*(stream[i : i + 1] for stream in streams))).numpy()
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-5)


def test_stored_bytes_and_dequantized_features_give_the_same_logits(network):
    from datareader.transforms import dequantize

    network.eval()
    stored = [np.random.default_rng(2).integers(0, 256, (3, 7, dim), dtype=np.uint8) for dim in (24, 8)]
    from_bytes = network(*map(paddle.to_tensor, stored)).numpy()
    from_floats = network(*(paddle.to_tensor(dequantize(part)) for part in stored)).numpy()
    np.testing.assert_array_equal(from_bytes, from_floats)
