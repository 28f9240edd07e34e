"""Names and shapes of variables and optimizer state are those of the released weights."""

import numpy as np
import paddle
import pytest

import models  # noqa: F401  (registers the specs)
from tests.conftest import PROJECT
from tests.tools.weights.golden_networks import NAMES, RELEASED, default_network, in_memory
from tools.config.load import Override, load_config
from tools.registry import MODELS
from tools.weights.fluid_names import trained_names, variables_of
from tools.weights.loading import own_arrays
from tools.weights.state_names import split_state


@pytest.mark.parametrize("name", NAMES)
def test_the_names_and_shapes_are_those_of_the_released_weights_and_nothing_is_left_over(name):
    expected = {released: shape for released, shape, _ in RELEASED[name]["variables"]}
    found = {item.name: item.shape for item in variables_of(default_network(name), released=True).values()}
    assert found == expected


@pytest.mark.parametrize("name", NAMES)
def test_what_is_trained_and_what_an_optimizer_keeps_of_it_is_that_of_2019(name):
    network = default_network(name)
    moving = {released for released, _, role in RELEASED[name]["variables"] if role in ("bn_mean", "bn_variance")}
    assert {*network.released_names.values()} - {*trained_names(network).values()} == moving
    split = [split_state(variable) for variable in RELEASED[name]["optimizer_variables"]]
    assert None not in split
    assert {owner for owner, _ in split} - {""} == {*trained_names(network).values()}
    assert not any(split_state(released) for released in network.released_names.values())


@pytest.mark.parametrize("num_layers", [50, 101, 152])
@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_weights_of_every_depth_have_a_place_for_everything_once(name, num_layers):
    spec = MODELS.get(name)()
    layers = Override("MODEL", "num_layers", num_layers, "test")
    config = load_config(str(PROJECT / spec.default_config), spec.schema, ["MODEL"], name, [layers])
    with paddle.LazyGuard():
        network = spec.build_network(config)
    assert network.released_names.keys() == network.state_dict().keys()
    variables = variables_of(network, released=True)
    marks = {variable.name: np.float32(mark) for mark, variable in enumerate(variables.values())}
    assert len(marks) == len(variables)
    arrays = {item.name: np.broadcast_to(marks[item.name], item.shape) for item in variables.values()}
    own, match = own_arrays(network, in_memory(arrays))
    assert (len(match.matched), match.missing, match.unexpected) == (len(variables), [], [])
    assert all(own[name].flat[0] == marks[item.name] for name, item in variables.items())


def test_networks_of_one_stream_have_the_names_that_2019_gave_them():
    from models.attention_cluster.attention_cluster import AttentionCluster
    from models.attention_lstm.attention_lstm import AttentionLSTM

    with paddle.LazyGuard():
        cluster, lstm = AttentionCluster([8], [2], 3, 0.5), AttentionLSTM([8], 4, 4, 3, 0.5)
    for network in (cluster, lstm):
        assert network.released_names.keys() == network.state_dict().keys()
    assert lstm.released_names["fc1.weight"] == "fc_4.w_0"
