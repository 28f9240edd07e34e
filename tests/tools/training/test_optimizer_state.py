"""The optimizer's state: kept under the network's names, matched by name and shape."""

import pickle

import numpy as np
import pytest

from models.optimizers import FluidAdam, split_parameters
from tests.tools.expected_errors import error_of
from tests.tools.small_networks import Network, grouped_rmsprop, train
from tools.training.optimizer_state import load_into_optimizer, optimizer_arrays
from tools.weights.checkpoint_files import network_arrays
from tools.weights.loading import load_into_network, own_file


def adam(network):
    return FluidAdam(0.01, network.parameters())


def grouped_adam(network):
    last, others = split_parameters(network, lambda name: name.startswith("last"))
    return FluidAdam(0.01, [{"params": last, "weight_decay": 0.1}, {"params": others}])


@pytest.mark.parametrize("build", [adam, grouped_adam, grouped_rmsprop])
def test_an_optimizer_goes_on_with_the_same_bits_where_parameters_have_other_names(build):
    network = Network()
    optimizer = build(network)
    train(network, optimizer, 3)
    weights = {name: value.copy() for name, value in network_arrays(network).items()}
    state = pickle.loads(pickle.dumps(optimizer_arrays(optimizer, network)))
    train(network, optimizer, 3)

    other = Network()  # whose parameters Paddle names otherwise, as another process may
    load_into_network(other, own_file("w", weights))
    resumed = build(other)
    load_into_optimizer(resumed, other, state, "w")
    train(other, resumed, 3)
    for name, value in network_arrays(network).items():
        np.testing.assert_array_equal(network_arrays(other)[name], value)


def test_the_state_of_the_optimizer_is_kept_under_the_network_s_names():
    network = Network()
    optimizer = FluidAdam(0.01, network.parameters())
    train(network, optimizer, 2)
    arrays = optimizer_arrays(optimizer, network)
    assert arrays["steps"] == 2
    assert arrays["moment1/first.weight"].shape == (3, 5)
    assert {key.partition("/")[0] for key in arrays} == {
        "moment1",
        "moment2",
        "beta1_pow_acc",
        "beta2_pow_acc",
        "steps",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"steps": -1}, {"steps": "x"}, {"moment1/none": np.zeros((3, 5), np.float32)}, {5: 1},
        {"moment1/first.weight": np.zeros((5, 3), np.float32)}, {"moment1/first.weight": np.zeros((3, 5), np.int64)},
        {"moment1/first.weight": None},
    ],
    ids=str,
)  # fmt: skip
def test_an_optimizer_state_of_another_network_is_refused(change):
    network = Network()
    optimizer = FluidAdam(0.01, network.parameters())
    train(network, optimizer, 1)
    arrays = optimizer_arrays(optimizer, network)
    assert "w: " in error_of(load_into_optimizer, FluidAdam(0.01, network.parameters()), network, arrays | change, "w")
    del arrays["moment1/first.weight"]
    assert "moment1 of first.weight is missing" in error_of(load_into_optimizer, optimizer, network, arrays, "w")
