"""Losses, and the average over views."""

import math

import numpy as np
import paddle
import pytest

from models.attention_cluster.attention_cluster import AttentionCluster
from models.attention_lstm.attention_lstm import AttentionLSTM
from models.layers.losses import average_views, class_losses
from models.nextvlad.nextvlad import NeXtVLAD
from models.stnet.stnet import STNET
from models.tsn.tsn import TSN


def test_losses_are_the_cross_entropy_and_label_minus_one_counts_in_the_mean_only():
    logits = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    labels = np.array([2, -1, 0, 4])
    x = paddle.to_tensor(logits, stop_gradient=False)
    losses = class_losses(x, paddle.to_tensor(labels))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = np.array([0.0 if label == -1 else -np.log(row[label]) for row, label in zip(probs, labels, strict=True)])
    assert losses.shape == [4]
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-5)
    loss = losses.mean()  # as training does; loss_reduction is "mean"
    assert float(loss) == pytest.approx(expected.sum() / 4, rel=1e-5)
    loss.backward()
    assert (x.grad.numpy()[1] == 0).all()
    assert (x.grad.numpy()[0] != 0).all()


def test_views_are_averaged_as_probabilities():
    logits = 5 * np.random.default_rng(0).standard_normal((2 * 3, 4)).astype(np.float32)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    averaged = paddle.nn.functional.softmax(average_views(paddle.to_tensor(logits), 3)).numpy()
    np.testing.assert_allclose(averaged, probs.reshape(2, 3, 4).mean(axis=1), rtol=1e-5)


def test_views_of_tiny_probability_stay_finite():
    logits = paddle.to_tensor([[0.0, -400.0], [0.0, -400.0]])
    averaged = average_views(logits, 2).numpy()
    assert averaged[0, 0] == 0
    assert -400.1 < averaged[0, 1] < -60  # Paddle's log_softmax on a CPU ends at -64


SMOOTHING = [0.0, 0.1, 0.4]
WEIGHTS = [None, [0.5, 2.0, 0.0, 3.0, 1.0]]
SOFTMAX, SIGMOID = (TSN, STNET), (AttentionCluster, AttentionLSTM, NeXtVLAD)


def log_softmax(row):
    return [x - math.log(sum(math.exp(other) for other in row)) for x in row]


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("smoothing", SMOOTHING)
@pytest.mark.parametrize("network", SOFTMAX)
def test_a_video_of_one_class_is_weighted_by_it_and_smoothed_towards_all(network, smoothing, weights):
    logits = np.random.default_rng(1).standard_normal((6, 5)).astype(np.float32)
    labels = [2, -1, 0, 4, 3, 1]
    expected = []
    for row, label in zip(logits.astype(float).tolist(), labels, strict=True):
        targets = [(1 - smoothing) * (k == label) + smoothing / 5 for k in range(5)]
        loss = -sum(target * log for target, log in zip(targets, log_softmax(row), strict=True))
        expected.append(0.0 if label == -1 else loss * (weights[label] if weights else 1))
    given = None if weights is None else paddle.to_tensor(weights, dtype="float32")
    found = network.losses(None, paddle.to_tensor(logits), paddle.to_tensor(labels), given, smoothing)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("smoothing", SMOOTHING)
@pytest.mark.parametrize("network", SIGMOID)
def test_the_classes_that_a_video_has_are_weighted_and_all_are_smoothed_towards_a_half(network, smoothing, weights):
    rng = np.random.default_rng(2)
    logits, labels = rng.standard_normal((6, 5)).astype(np.float32), rng.integers(0, 2, (6, 5)).astype(np.float32)
    labels[0] = 0
    expected = []
    for row, has in zip(logits.astype(float).tolist(), labels.tolist(), strict=True):
        loss = 0.0
        for k in range(5):
            target = has[k] * (1 - smoothing) + smoothing / 2
            prob = 1 / (1 + math.exp(-row[k]))
            term = -target * math.log(prob) - (1 - target) * math.log(1 - prob)
            loss += term * (weights[k] if weights and has[k] else 1)
        expected.append(loss)
    given = None if weights is None else paddle.to_tensor(weights, dtype="float32")
    found = network.losses(None, paddle.to_tensor(logits), paddle.to_tensor(labels), given, smoothing)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_smoothing_of_very_sure_logits_stays_exact():
    losses = class_losses(paddle.to_tensor([[0.0, -400.0]]), paddle.to_tensor([0]), label_smoothing=0.5)
    assert losses.item() == pytest.approx(0.5 * 0 + 0.5 * 200)
