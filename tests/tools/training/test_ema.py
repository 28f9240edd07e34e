"""Averaged weights."""

import numpy as np
import paddle
import pytest

from tools.errors import CheckpointError
from tools.training.ema import ExponentialMovingAverage


def test_averaged_weights_are_those_worked_out_by_hand_and_can_stand_in_for_the_weights():
    network = paddle.nn.Linear(1, 1, bias_attr=False)
    network.weight.set_value(np.array([[1.0]], np.float32))
    average = ExponentialMovingAverage(network, decay=0.9)
    network.weight.set_value(np.array([[2.0]], np.float32))
    average.update(1)  # decay (1 + 1) / (10 + 1)
    expected = 2 / 11 * 1 + 9 / 11 * 2
    assert average.arrays()["weight"].item() == pytest.approx(expected)
    network.weight.set_value(np.array([[5.0]], np.float32))
    average.update(100)  # decay 0.9
    expected = 0.9 * expected + 0.1 * 5
    assert average.arrays()["weight"].item() == pytest.approx(expected)
    with average.in_place():
        assert network.weight.item() == pytest.approx(expected)
    assert network.weight.item() == 5.0


def test_averaged_weights_go_on_from_what_was_saved_and_refuse_that_of_another_network():
    networks = [paddle.nn.Sequential(paddle.nn.Linear(2, 2), paddle.nn.BatchNorm1D(2)) for _ in range(2)]
    averages = [ExponentialMovingAverage(network, decay=0.5) for network in networks]
    assert averages[0].arrays().keys() == networks[0].state_dict().keys()  # running statistics too
    averages[1].restore(averages[0].arrays(), "here")
    for name, _ in networks[0].named_parameters():
        if "._" not in name:
            np.testing.assert_array_equal(averages[1].arrays()[name], averages[0].arrays()[name])
    with pytest.raises(CheckpointError, match=r"here holds averaged weights of another network: 0\.weight"):
        averages[1].restore({"0.weight": np.zeros((3, 2), np.float32)}, "here")
