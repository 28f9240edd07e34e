"""Optimizers: which parameters they decay."""

import numpy as np
import paddle

from tests.tools.small_networks import Network, grouped_rmsprop
from tools.weights.checkpoint_files import network_arrays


def test_weight_decay_reaches_its_own_group_only():
    network = Network()
    before = network_arrays(network)
    optimizer = grouped_rmsprop(network)
    (network(paddle.zeros([1, 3])) * 0).sum().backward()
    optimizer.step()
    after = network_arrays(network)
    assert (before["first.weight"] != after["first.weight"]).all()
    np.testing.assert_array_equal(before["first.bias"], after["first.bias"])
