"""The loops, on a network small enough to follow."""

from dataclasses import replace

import numpy as np
import paddle
import pytest
from paddle import nn

from datareader.dataset import Batch
from datareader.transforms import empty_aligned
from tools.errors import TrainingError
from tools.training.step import evaluate, predict, to_tensor, train_epoch


class Line(nn.Layer):
    """Logits (N, 1) = w x, with squared error; ``drop`` makes it random in training."""

    classifier = "w"

    def __init__(self, reduction="mean", drop=0.0):
        super().__init__()
        self.w = self.create_parameter([1, 1], default_initializer=nn.initializer.Constant(1.0))
        self.loss_reduction = reduction
        self.drop = drop

    def forward(self, x):
        return nn.functional.dropout(x, self.drop, training=self.training) @ self.w

    def losses(self, logits, labels):
        return ((logits - labels) ** 2).sum(axis=1)

    def probs(self, logits):
        return nn.functional.sigmoid(logits)


def make_batch(values, labels=None):
    x = np.array(values, np.float32).reshape(-1, 1)
    y = np.zeros_like(x) if labels is None else np.array(labels, np.float32).reshape(-1, 1)
    names = [f"video{i}" for i in range(len(x))]
    return Batch(ids=names, sources=[f"file.pkl record {i}" for i in range(len(x))], inputs=(x,), labels=y)


def run(network, batches, rate=0.1, seed=0, epoch=0, start=0, steps_taken=0):
    optimizer = paddle.optimizer.SGD(1.0, parameters=network.parameters())
    options = {"schedule": lambda step: rate / (1 + step), "seed": seed, "epoch": epoch}
    steps = ([batch] for batch in batches)
    return list(train_epoch(network, optimizer, steps, start=start, steps_taken=steps_taken, **options))


@pytest.mark.parametrize(("reduction", "gradient"), [("mean", 5.0), ("sum", 10.0)])
def test_one_step_follows_the_gradient_of_the_reduced_loss(reduction, gradient):
    network = Line(reduction)
    (step,) = run(network, [make_batch([1, 2])])
    assert network.w.item() == pytest.approx(1 - 0.1 * gradient, abs=1e-6)  # d/dw of w^2 + 4 w^2 at w = 1, reduced
    assert step.loss == pytest.approx(2.5)  # per video, whatever is minimised
    assert step.number == 0


def test_the_rate_is_that_of_the_steps_taken():
    steps = run(Line(), [make_batch([0])] * 3, rate=0.6, start=4, steps_taken=2)
    assert [step.learning_rate for step in steps] == pytest.approx([0.2, 0.15, 0.12])
    assert [step.number for step in steps] == [4, 5, 6]


def test_a_step_without_videos_leaves_the_weights_and_those_behind_it_as_they_would_be():
    network, whole = Line(), Line()
    steps = run(network, [make_batch([]), make_batch([1, 2])], rate=0.6)
    assert [step.num_videos for step in steps] == [0, 2]
    assert steps[0].predictions == []
    (step,) = run(whole, [make_batch([1, 2])], rate=0.6, start=1, steps_taken=1)
    assert (steps[1].loss, steps[1].learning_rate) == (step.loss, step.learning_rate)
    assert network.w.item() == whole.w.item()


def test_dropout_depends_on_seed_epoch_and_step_and_on_nothing_before():
    def losses(**position):
        return [step.loss for step in run(Line(drop=0.5), [make_batch(range(64))] * 2, rate=0.0, **position)]

    assert losses() == losses()
    assert losses()[1:] == losses(start=1)[:1]
    assert len({*losses(), *losses(epoch=1), *losses(seed=1)}) == 6


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_before_it_reaches_the_weights(value):
    network = Line()
    batches = [make_batch([1.0, 2.0]), make_batch([1.0, value])]
    with pytest.raises(TrainingError) as error:
        run(network, batches, epoch=3)
    assert "the loss of 1 of 2 videos is not finite at epoch 3, iter 1: file.pkl record 1" in str(error.value)
    assert np.isfinite(network.w.item())


def test_waiting_for_data_is_told_from_working():
    def slow():
        import time

        time.sleep(0.05)
        yield make_batch([1])

    (step,) = run(Line(), slow())
    assert step.data_sec >= 0.05


def test_predictions_come_in_test_mode_with_a_loss_where_there_are_labels():
    network = Line(drop=0.5)
    batch = make_batch([1, 3], labels=[1, 1])
    (prediction,) = predict(network, [batch])
    assert prediction.loss == pytest.approx(2.0)
    np.testing.assert_allclose(prediction.probs[:, 0], 1 / (1 + np.exp([-1.0, -3.0])), rtol=1e-6)
    unlabelled = Batch(batch.ids, batch.sources, batch.inputs, None)
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
