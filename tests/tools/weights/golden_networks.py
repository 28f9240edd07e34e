"""Networks with the weights of the golden runs, and those weights as the zoo of 2019 had them."""

import contextlib
import json
import pickle

import numpy as np
import pytest

from tests.golden_inputs import GOLDEN, make_parameter
from tests.models.test_golden import Golden
from tools.config.flags import ConfigSource
from tools.weights.checkpoint_files import network_arrays
from tools.weights.files import PICKLE, WeightFile
from tools.weights.fluid_files import write_file, write_folder
from tools.weights.fluid_names import trained_names
from tools.weights.networks import build_network

RELEASED = json.loads((GOLDEN / "release_variables.json").read_text())
NAMES = list(RELEASED)


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """name -> its golden run, filled once for all tests of this file."""
    runs = {}

    def get(name):
        if name not in runs:
            runs[name] = Golden(name, tmp_path_factory.mktemp(name))
            runs[name].network.eval()
        return runs[name]

    return get


def golden_arrays(golden):
    """The weights of a golden run as the zoo of 2019 had them, by its names. To be read only."""
    if not hasattr(golden, "arrays"):
        items = golden.numbers["parameters"]
        golden.arrays = {item["name"]: make_parameter(item["name"], item["shape"], item["role"]) for item in items}
    return dict(golden.arrays)


def in_memory(arrays):
    """Weights as a .pdparams gives them."""
    return WeightFile("w", PICKLE, arrays)


@contextlib.contextmanager
def restored(network):
    """Give a network that several tests share its weights back."""
    before = network_arrays(network)
    yield before
    for own, tensor in network.state_dict().items():
        tensor.set_value(before[own])


def default_network(name):
    """Names and shapes at the sizes of the published config, without values."""
    return build_network(name, ConfigSource(None))


def write_weights(form, path, arrays):
    if form == "folder":
        write_folder(path, arrays)
    elif form == "single file":
        write_file(path, arrays)
    else:
        path.write_bytes(pickle.dumps(arrays, protocol=2))
    return str(path)


@pytest.fixture
def nextvlad(golden, tmp_path):
    """NeXtVLAD, the smallest, and its golden weights by the names of 2019."""
    run = golden("NEXTVLAD")
    return run.network, golden_arrays(run)


def training_state(network, arrays, steps=3):
    """What Adam leaves in a folder after some steps: names of 2019 -> arrays."""
    chance = np.random.default_rng(0)
    state = {"learning_rate": np.array([0.1], np.float32), "@LR_DECAY_COUNTER@": np.array([steps - 1])}
    for name in trained_names(network).values():
        state[f"{name}_moment1_0"] = chance.standard_normal(arrays[name].shape).astype(np.float32)
        state[f"{name}_moment2_0"] = chance.random(arrays[name].shape, np.float32)
        state[f"{name}_beta1_pow_acc_0"] = np.array([0.9 ** (steps + 1)], np.float32)
        state[f"{name}_beta2_pow_acc_0"] = np.array([0.999 ** (steps + 1)], np.float32)
    return state
