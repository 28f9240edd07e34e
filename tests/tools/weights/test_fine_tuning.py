"""Fine-tuning: a bare ResNet, and weights for another number of classes."""

import re

import numpy as np
import pytest

from tests.tools.expected_errors import error_of
from tests.tools.weights.golden_networks import golden_arrays, in_memory, restored, write_weights
from tools.weights.checkpoint_files import network_arrays
from tools.weights.files import load_weights
from tools.weights.loading import load_into_network

pytestmark = pytest.mark.usefixtures("no_sync")


def bare_resnet(network, seed=0):
    """A ResNet for single images of 1000 classes, as released: names of 2019 -> arrays."""
    chance, names = np.random.default_rng(seed), network.released_names
    shapes = {names[own]: value.shape for own, value in network.state_dict().items() if own.startswith("trunk.")}
    shapes |= {"conv1_weights": (64, 3, 7, 7), "fc_0.w_0": (2048, 1000), "fc_0.b_0": (1000,)}
    return {name: chance.random(tuple(shape), np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_a_bare_resnet_fills_the_trunk_and_leaves_the_rest_as_it_was(name, golden, tmp_path):
    network = golden(name).network
    arrays = bare_resnet(network)
    path = write_weights("folder" if name == "TSN" else "single file", tmp_path / "w", arrays)
    with restored(network) as before:
        match = load_into_network(network, load_weights(path, name), fine_tune=True)
        after = network_arrays(network)
    images = after["trunk.conv1.conv.weight"].shape[1] // 3
    for own, released in network.released_names.items():
        if own == "trunk.conv1.conv.weight" and images > 1:
            value = arrays[released].astype(np.float64)
            mean = (value[:, 0] + value[:, 1] + value[:, 2]) / 3
            for channel in range(3 * images):
                np.testing.assert_allclose(after[own][:, channel], mean / images, rtol=1e-6)
        else:
            expected = arrays[released] if own.startswith("trunk.") else before[own]
            np.testing.assert_array_equal(after[own], expected, err_msg=own)
    assert len(match.matched) == 265
    text = "\n".join(match.lines())
    assert re.search(
        r"newly initialised, classifier: fc_0.w_0 \[2048, 1000\] for \[\d+, \d+\], fc_0.b_0 \[1000\]", text
    )
    assert "running means and variances are loaded too, which 2019 initialised anew" in text
    if name == "STNET":
        shape = list(network.trunk.conv1.conv.weight.shape)
        assert f"made: conv1_weights [64, 3, 7, 7] for {shape}, the mean over colours / {images}, " in text
        assert "newly initialised, not in a bare backbone: conv3d_0.w_0, conv3d_0.b_0, batch_norm_24.w_0" in text


def test_a_classifier_of_another_name_is_left_aside_and_one_that_fits_in_part_is_not_taken(golden):
    network = golden("STNET").network
    arrays = bare_resnet(network)
    arrays["fc_0.b_0"] = np.full(network.fc.bias.shape[0], 7, np.float32)  # which fits, unlike the weight
    arrays["fc1000_weights"] = np.zeros((2048, 1000), np.float32)
    with restored(network) as before:
        match = load_into_network(network, in_memory(arrays), fine_tune=True)
        np.testing.assert_array_equal(network.fc.bias.numpy(), before["fc.bias"])
    assert match.notes[-1] == "ignored, not in this network: fc1000_weights"


def test_the_classifier_of_the_same_model_is_kept_when_it_fits(golden):
    network, arrays = golden("TSN").network, golden_arrays(golden("TSN"))
    match = load_into_network(network, in_memory(arrays), fine_tune=True)
    assert match.lines() == [f"{len(arrays)} matched, 0 missing, 0 unexpected, 0 mismatched"]


def test_what_is_enough_to_begin_with_is_not_enough_for_a_test(golden):
    message = error_of(load_into_network, golden("STNET").network, in_memory(bare_resnet(golden("STNET").network)))
    assert "264 matched, 34 missing (conv3d_0.w_0, " in message


def test_a_trunk_of_another_depth_or_with_some_of_the_blocks_is_refused(golden):
    network = golden("STNET").network
    arrays = bare_resnet(network)
    some = in_memory(arrays | {"conv3d_0.b_0": np.zeros(512, np.float32)})
    assert "33 missing (conv3d_0.w_0, " in error_of(load_into_network, network, some, fine_tune=True)
    del arrays["res4f_branch2a_weights"]
    message = error_of(load_into_network, network, in_memory(arrays), fine_tune=True)
    assert "1 missing (res4f_branch2a_weights)" in message


@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_released_weights_of_another_number_of_classes_fill_all_but_the_classifier(name, golden):
    network, arrays = golden(name).network, golden_arrays(golden(name))
    wide = arrays | {"fc_0.w_0": np.ones((len(arrays["fc_0.w_0"]), 99), np.float32)}
    wide = in_memory(wide | {"fc_0.b_0": np.ones(99, np.float32)})
    assert "2 mismatched (fc_0.w_0" in error_of(load_into_network, network, wide)
    with restored(network) as before:
        match = load_into_network(network, wide, fine_tune=True)
        assert len(match.matched) == len(arrays) - 2
        for own in ("fc.weight", "fc.bias"):
            np.testing.assert_array_equal(network.state_dict()[own].numpy(), before[own])
