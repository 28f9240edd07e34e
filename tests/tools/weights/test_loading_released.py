"""Weights of 2019 in every form give today's networks the same values and answers."""

import numpy as np
import paddle
import pytest

import models  # noqa: F401  (registers the specs)
from tests.conftest import PROJECT
from tests.golden_inputs import make_parameter
from tests.tools.weights.golden_networks import NAMES, RELEASED, default_network, golden_arrays, write_weights
from tools.config.load import Override, load_config
from tools.registry import MODELS
from tools.weights.checkpoint_files import network_arrays
from tools.weights.files import load_weights
from tools.weights.fluid_files import write_folder
from tools.weights.loading import load_into_network, own_arrays

pytestmark = pytest.mark.usefixtures("no_sync")


FORMS = [
    pytest.param(name, form, marks=[pytest.mark.slow] * (form not in quick))
    for name, quick in {
        "AttentionCluster": ("folder", "single file", "pdparams"),
        "NEXTVLAD": ("folder", "single file", "pdparams"),
        "AttentionLSTM": (),  # 50 million weights, however small its config
        "TSN": ("single file",),
        "STNET": ("folder",),
    }.items()
    for form in ("folder", "single file", "pdparams")
]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_golden_weights_in_every_form_give_the_golden_probabilities(name, form, golden, tmp_path):
    run = golden(name)
    before = network_arrays(run.network)
    path = write_weights(form, tmp_path / "weights", golden_arrays(run))
    for tensor in run.network.state_dict().values():
        tensor.set_value(paddle.zeros_like(tensor))
    match = load_into_network(run.network, load_weights(path, name))
    assert str(match) == f"{len(before)} matched, 0 missing, 0 unexpected, 0 mismatched"
    assert match.notes == []
    for own, value in network_arrays(run.network).items():
        assert value.tobytes() == before[own].tobytes(), own
    _, probs = run.run(0)
    np.testing.assert_allclose(probs.numpy(), run.numbers["eval"]["prob"], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_weights_at_the_published_sizes_survive_a_folder_bit_for_bit(name, tmp_path):
    arrays = {released: make_parameter(released, shape, role) for released, shape, role in RELEASED[name]["variables"]}
    write_folder(tmp_path / "weights", arrays)
    assert sum(path.stat().st_size for path in (tmp_path / "weights").iterdir()) > 90e6
    lazy = default_network(name)
    own, _ = own_arrays(lazy, load_weights(str(tmp_path / "weights"), name))
    assert own.keys() == lazy.state_dict().keys()
    for key, released in lazy.released_names.items():
        expected = arrays[released]
        if expected.ndim == 4 and own[key].ndim == 2:
            expected = expected[:, :, 0, 0].T
        np.testing.assert_array_equal(own[key], expected.reshape(own[key].shape), err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_network_of_the_published_size_answers_alike_through_a_folder(name, tmp_path):
    spec = MODELS.get(name)()
    np.save(tmp_path / "eigenvals.npy", np.ones((2048, 1), np.float32))
    eigenvalues = Override("MODEL", "eigen_file", str(tmp_path / "eigenvals.npy"), "test")
    overrides = [eigenvalues] * (name == "NEXTVLAD")
    config = load_config(str(PROJECT / spec.default_config), spec.schema, ["MODEL"], name, overrides)
    network = spec.build_network(config)
    network.eval()
    arrays = {released: make_parameter(released, shape, role) for released, shape, role in RELEASED[name]["variables"]}
    for own, released in network.released_names.items():
        tensor, value = network.state_dict()[own], arrays[released]
        if value.ndim == 4 and len(tensor.shape) == 2:
            value = value[:, :, 0, 0].T
        tensor.set_value(value.reshape(tensor.shape))
    inputs = default_inputs(name)
    expected = network.probs(network(*inputs)).numpy()
    write_folder(tmp_path / "weights", arrays)
    for tensor in network.state_dict().values():
        tensor.set_value(paddle.zeros_like(tensor))
    load_into_network(network, load_weights(str(tmp_path / "weights"), name))
    found = network.probs(network(*inputs)).numpy()
    assert expected.std() > 0
    np.testing.assert_array_equal(found, expected)


def default_inputs(name):
    """A batch of one or two videos, small where the network allows."""
    rng = np.random.default_rng(0)
    if name in ("TSN", "STNET"):
        shape = (1, 3, 3, 64, 64) if name == "TSN" else (1, 3, 15, 64, 64)
        return [paddle.to_tensor(rng.integers(0, 256, shape, np.uint8))]
    frames = [rng.integers(0, 256, (2, 100, width), np.uint8) for width in (1024, 128)]
    if name == "AttentionCluster":
        return [*map(paddle.to_tensor, frames)]
    lengths = np.array([7, 4])
    return [paddle.to_tensor(lengths), *(paddle.to_tensor(x[0, :11]) for x in frames)]
