"""Predicting and evaluating, on a network small enough to follow."""

from dataclasses import replace

import numpy as np
import paddle
import pytest

from datareader.transforms import empty_aligned
from models.layers.linear import Linear
from tests.tools.small_networks import Line, make_batch
from tools.inference.predict import evaluate, predict, to_tensor
from tools.training.ema import ExponentialMovingAverage


def test_predictions_come_in_test_mode_with_a_loss_where_there_are_labels():
    network = Line(drop=0.5)
    batch = make_batch([1, 3], labels=[1, 1])
    (prediction,) = predict(network, [batch])
    assert prediction.loss == pytest.approx(2.0)
    np.testing.assert_allclose(prediction.probs[:, 0], 1 / (1 + np.exp([-1.0, -3.0])), rtol=1e-6)
    unlabelled = replace(batch, labels=None)
    assert next(predict(network, [unlabelled])).loss is None


def test_the_views_of_a_record_become_one_prediction():
    class Views(Line):
        def average_views(self, logits, views):
            return logits.reshape([-1, views, 1]).mean(axis=1)

    batch = replace(
        make_batch([1, 3, 5, 7]), ids=["a", "b"], sources=["", ""], labels=np.zeros((2, 1), np.float32), views=2
    )
    (prediction,) = predict(Views(), [batch])
    np.testing.assert_allclose(prediction.probs, 1 / (1 + np.exp([[-2.0], [-6.0]])), rtol=1e-6)
    assert prediction.loss == pytest.approx((2**2 + 6**2) / 2)


def test_evaluation_counts_every_batch():
    class Counter:
        seen = 0

        def update(self, probs, labels, loss):
            self.seen += len(probs)

    counter = Counter()
    assert len(list(evaluate(Line(), [make_batch([1, 2]), make_batch([3])], counter))) == 2
    assert counter.seen == 3


def test_aligned_memory_is_shared_with_paddle_and_other_memory_is_copied():
    aligned = empty_aligned((4,), np.float32)
    aligned[:] = 1
    shifted = empty_aligned((5,), np.float32)[1:]
    shifted[:] = 1
    for array, shared in ((aligned, True), (shifted, False)):
        tensor = to_tensor(array)
        array[0] = 7
        assert (float(tensor[0]) == 7) == shared


class Wide(paddle.nn.Layer):
    """So wide that its weight is packed while it predicts."""

    def __init__(self):
        super().__init__()
        self.fc = Linear(1024, 512)

    def forward(self, x):
        return self.fc(x)

    def probs(self, logits):
        return logits


def set_values(network):
    network.fc.weight.set_value(-network.fc.weight)


def load_weights(network):
    network.set_state_dict(Wide().state_dict())


def replace_weight(network):
    network.fc.weight = Wide().fc.weight


def train(network):
    network.train()
    optimizer = paddle.optimizer.Adam(0.1, parameters=network.parameters())
    network(paddle.ones([8, 1024])).sum().backward()
    optimizer.step()
    optimizer.clear_grad()


@pytest.mark.parametrize("change", [set_values, load_weights, replace_weight, train])
def test_weights_that_changed_after_a_prediction_are_those_of_the_next(change):
    network, batch = Wide(), make_wide_batch()
    before = require_prediction(network, batch)
    change(network)
    assert not np.allclose(require_prediction(network, batch), before)


def test_averaged_weights_are_predicted_with_where_they_are_in_place_and_only_there():
    network, batch = Wide(), make_wide_batch()
    average = ExponentialMovingAverage(network, 0.9)
    train(network)
    before = require_prediction(network, batch)
    with average.in_place():
        assert not np.allclose(require_prediction(network, batch), before)
    np.testing.assert_array_equal(require_prediction(network, batch), before)


def make_wide_batch():
    inputs = np.random.default_rng(0).standard_normal((8, 1024)).astype(np.float32)
    return replace(make_batch([0] * 8), inputs=(inputs,), labels=None)


def require_prediction(network, batch):
    """What all batches of a prediction give, which has to be what the weights give now."""
    found = [prediction.probs for prediction in predict(network, [batch, batch])]
    expected = batch.inputs[0] @ network.fc.weight.numpy() + network.fc.bias.numpy()
    for probs in found:
        np.testing.assert_allclose(probs, expected, rtol=1e-4, atol=1e-4)
    return found[0]
