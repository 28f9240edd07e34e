"""The training loop, on a network small enough to follow."""

import numpy as np
import paddle
import pytest

from tests.tools.small_networks import Line, make_batch
from tests.tools.training.descent import descend
from tools.errors import TrainingError
from tools.training.step import train_epoch


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


@pytest.mark.parametrize(("clip", "length"), [(0.0, 5.0), (2.0, 2.0), (5.5, 5.0)])
def test_clipping_shortens_the_gradient_to_the_norm_and_leaves_shorter_ones(clip, length):
    network = Line()
    descend(network, [make_batch([1, 2])], grad_clip=clip)  # d/dw of the mean of w^2 and 4 w^2 at w = 1 is 5
    assert network.w.item() == pytest.approx(1 - 0.1 * length, rel=1e-5)
