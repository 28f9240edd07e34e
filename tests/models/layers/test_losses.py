"""Losses, and the average over views."""

import numpy as np
import paddle
import pytest

from models.layers.losses import average_views, class_losses


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
