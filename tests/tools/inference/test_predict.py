"""Predicting and evaluating, on a network small enough to follow."""

from dataclasses import replace

import numpy as np
import pytest

from datareader.transforms import empty_aligned
from tests.tools.small_networks import Line, make_batch
from tools.inference.predict import evaluate, predict, to_tensor


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
