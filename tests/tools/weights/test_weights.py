"""Weights of 2019 and 2020 in today's networks: names, layouts, reports, fine-tuning, resuming, converting."""

import argparse
import contextlib
import json
import os
import pickle
import random
import re
import subprocess
import sys
import tarfile
import time

import numpy as np
import paddle
import pytest

import models  # noqa: F401  (registers the specs)
from models.optimizers import FluidAdam
from tests.conftest import PROJECT, clean_env, run_script
from tests.golden_inputs import GOLDEN, make_parameter
from tests.models.test_golden import Golden
from tests.released_server import Page
from tests.tools.weights.test_fluid_files import mutate
from tools.config.load import Override, load_config
from tools.errors import CheckpointError, ConfigError, DownloadError
from tools.registry import MODELS
from tools.run_setup import choose_pretrain
from tools.training.checkpoint import Progress, load_into_optimizer, network_arrays, optimizer_arrays
from tools.training.fluid_checkpoint import as_checkpoint
from tools.weights.__main__ import build_network, convert, parse_args, show
from tools.weights.files import FLUID_FOLDER, PICKLE, WeightFile, load_weights
from tools.weights.fluid_files import write_file, write_folder
from tools.weights.fluid_names import split_state, trained_names, variables_of
from tools.weights.loading import load_into_network, own_arrays

RELEASED = json.loads((GOLDEN / "release_variables.json").read_text())
NAMES = list(RELEASED)


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """These tests do not cut the power."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


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


def error_of(function, *arguments, **options):
    with pytest.raises(CheckpointError) as error:
        function(*arguments, **options)
    return str(error.value)


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
    return build_network(name, None)


def write_weights(form, path, arrays):
    if form == "folder":
        write_folder(path, arrays)
    elif form == "single file":
        write_file(path, arrays)
    else:
        path.write_bytes(pickle.dumps(arrays, protocol=2))
    return str(path)


# Names and layouts.


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


@pytest.mark.parametrize("num_layers", [101, 152])
@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_deeper_trunks_have_a_name_for_everything_once(name, num_layers):
    spec = MODELS.get(name)()
    layers = Override("MODEL", "num_layers", num_layers, "test")
    config = load_config(str(PROJECT / spec.default_config), spec.schema, ["MODEL"], name, [layers])
    with paddle.LazyGuard():
        network = spec.build_network(config)
    assert network.released_names.keys() == network.state_dict().keys()
    assert len({*network.released_names.values()}) == len(network.released_names)


def test_networks_of_one_stream_have_the_names_that_2019_gave_them():
    from models.attention_cluster.attention_cluster import AttentionCluster
    from models.attention_lstm.attention_lstm import AttentionLSTM

    with paddle.LazyGuard():
        cluster, lstm = AttentionCluster([8], [2], 3, 0.5), AttentionLSTM([8], 4, 4, 3, 0.5)
    for network in (cluster, lstm):
        assert network.released_names.keys() == network.state_dict().keys()
    assert lstm.released_names["fc1.weight"] == "fc_4.w_0"


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


# Reports.


@pytest.fixture
def nextvlad(golden, tmp_path):
    """NeXtVLAD, the smallest, and its golden weights by the names of 2019."""
    run = golden("NEXTVLAD")
    return run.network, golden_arrays(run)


def fill_from(arrays, network, tmp_path, **options):
    """Through a folder of variables."""
    write_folder(tmp_path / "weights", arrays)
    return load_into_network(network, load_weights(str(tmp_path / "weights"), "NEXTVLAD"), **options)


def test_every_shape_that_differs_and_every_variable_that_is_missing_or_unknown_is_named(nextvlad, tmp_path):
    network, arrays = nextvlad
    for name in sorted(arrays):
        changed = in_memory(arrays | {name: np.zeros((3, 5, 7), np.float32)})
        message = error_of(load_into_network, network, changed)
        assert f"1 mismatched ({name} [3, 5, 7] for {list(arrays[name].shape)})" in message
        rest = in_memory({key: value for key, value in arrays.items() if key != name})
        assert f"1 missing ({name})" in error_of(load_into_network, network, rest)
    message = error_of(fill_from, arrays | {"extra": np.zeros(2, np.float32)}, network, tmp_path)
    assert message.endswith("41 matched, 0 missing, 1 unexpected (extra), 0 mismatched")


def test_nothing_is_filled_unless_everything_fits(nextvlad, tmp_path):
    network, arrays = nextvlad
    before = network_arrays(network)
    changed = {name: value + 1 for name, value in arrays.items()} | {"batch_norm_5.w_2": np.zeros(1, np.float32)}
    error_of(fill_from, changed, network, tmp_path)
    for name, value in network_arrays(network).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_variable_that_no_longer_looks_like_one_is_pointed_at(nextvlad, tmp_path):
    network, arrays = nextvlad
    write_folder(tmp_path / "weights", arrays)
    (tmp_path / "weights" / "logits_clf_bias").write_bytes(b"junk")
    message = error_of(load_into_network, network, load_weights(str(tmp_path / "weights"), "NEXTVLAD"))
    assert "1 missing (logits_clf_bias: the file is there, but does not begin as a variable)" in message


def test_a_variable_of_another_type_is_refused(nextvlad, tmp_path):
    network, arrays = nextvlad
    message = error_of(fill_from, arrays | {"logits_clf_bias": np.zeros(17, np.int32)}, network, tmp_path)
    assert message.endswith("logits_clf_bias holds int32, expected float32")


def test_the_optimizer_s_variables_and_foreign_files_are_named_and_left_aside(nextvlad, tmp_path):
    network, arrays = nextvlad
    state = training_state(network, arrays)
    write_folder(tmp_path / "weights", arrays | state)
    (tmp_path / "weights" / "README").write_text("hello")
    match = load_into_network(network, load_weights(str(tmp_path / "weights"), "NEXTVLAD"))
    assert match.lines() == [
        "41 matched, 0 missing, 0 unexpected, 0 mismatched",
        "ignored: 118 variables of an optimizer (@LR_DECAY_COUNTER@, beta1_pow_acc 29, beta2_pow_acc 29, "
        "moment1 29, moment2 29, learning_rate)",
        "ignored, not variables: README",
    ]


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


def test_a_single_file_with_the_optimizer_s_variables_is_told_by_their_number(nextvlad, tmp_path):
    network, arrays = nextvlad
    write_file(tmp_path / "file", arrays | training_state(network, arrays))
    match = load_into_network(network, load_weights(str(tmp_path / "file"), "NEXTVLAD"))
    assert len(match.matched) == 41
    assert match.notes[0].startswith("ignored: 118 variables of an optimizer")
    del arrays["logits_clf_bias"]
    write_file(tmp_path / "short", arrays)
    message = error_of(load_into_network, network, load_weights(str(tmp_path / "short"), "NEXTVLAD"))
    assert "holds 40 variables; of this network a single file holds 41 (weights) or 158 (and those of Adam)" in message


def test_the_weights_of_another_model_are_refused_in_a_line(nextvlad):
    network, _ = nextvlad
    other = {f"fc_{i}.w_0": np.zeros((2, 2), np.float32) for i in range(20)}
    message = error_of(load_into_network, network, in_memory(other))
    assert message.startswith("w: no weight fits this network: 0 matched, 41 missing (")
    assert "and 33 more), 20 unexpected (fc_0.w_0, " in message
    assert len(message) < 1000


def test_the_whitening_factors_of_2020_are_taken_and_compared(nextvlad, tmp_path):
    network, arrays = nextvlad
    before = network.whitening.numpy()
    try:
        match = fill_from(arrays | {"eigen_param": before}, network, tmp_path)
        assert match.notes == ["eigen_param taken as whitening: as in the config"]
        factors = before * np.float32(2)
        path = write_weights("pdparams", tmp_path / "x.pdparams", arrays | {"eigen_param": factors})
        file = load_weights(path, "NEXTVLAD")
        match = load_into_network(network, file, fine_tune=True)
        assert match.notes == ["eigen_param ignored in favour of the config's whitening: up to 0.5 of the largest away "
                               "from the config's"]  # fmt: skip
        np.testing.assert_array_equal(network.whitening.numpy(), before)
        load_into_network(network, file)
        np.testing.assert_array_equal(network.whitening.numpy(), factors)
    finally:
        network.whitening.set_value(before)
    wrong = arrays | {"eigen_param": np.ones(3, np.float32)}
    assert "1 unexpected (eigen_param)" in error_of(load_into_network, network, load_weights(
        write_weights("pdparams", tmp_path / "y.pdparams", wrong), "NEXTVLAD"))  # fmt: skip


# Fine-tuning.


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
        assert "newly initialised, not in a bare trunk: conv3d_0.w_0, conv3d_0.b_0, batch_norm_24.w_0" in text


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


def stnet_config(tmp_path, base, num_layers=50):
    spec = MODELS.get("STNET")
    overrides = [
        Override("TRAIN", "pretrain_base", base, "test"),
        Override("MODEL", "num_layers", num_layers, "test"),
    ]
    return load_config(str(PROJECT / spec.default_config), spec.schema, ["MODEL", "TRAIN"], "STNET", overrides)


def chosen(config, lines, pretrain=None, weights_dir=None):
    args = argparse.Namespace(pretrain=pretrain, weights_dir=weights_dir, offline=True)
    return choose_pretrain(args, config, lines.append)


def test_pretrain_base_is_used_if_it_is_there_and_pretrain_comes_before_it(tmp_path):
    lines = []
    config = stnet_config(tmp_path, str(tmp_path))
    assert chosen(config, lines) == ("TRAIN.pretrain_base", str(tmp_path))
    assert chosen(config, lines, pretrain="x") == ("--pretrain", "x")
    assert chosen(stnet_config(tmp_path, None), lines) is None
    assert lines == []
    with pytest.raises(CheckpointError, match=r"pretrain_base = .*/no does not exist; a path to weights"):
        chosen(stnet_config(tmp_path, f"{tmp_path}/no"), lines)


def test_the_released_resnet_is_no_base_for_a_deeper_one(tmp_path):
    config = stnet_config(tmp_path, "ResNet50_pretrained", num_layers=101)
    with pytest.raises(ConfigError, match=r"has 50 layers, and MODEL.num_layers is 101; .*pretrain_base=None"):
        chosen(config, [], weights_dir=str(tmp_path))
    assert chosen(config, [], pretrain="x") == ("--pretrain", "x")


def test_the_released_resnet_is_looked_for_in_the_cache_where_the_config_s_folder_is_not_there(tmp_path):
    config = stnet_config(tmp_path, "./dataset/pretrained/ResNet50_pretrained")
    with pytest.raises(DownloadError) as error:
        chosen(config, [], weights_dir=str(tmp_path))
    for part in ("[TRAIN]", "ResNet50_pretrained.tar.gz", str(tmp_path), "TRAIN.pretrain_base=None starts from random"):
        assert part in str(error.value)
    write_folder(tmp_path / "ResNet50_pretrained", {"conv1_weights": np.zeros((2, 3, 1, 1), np.float32)})
    assert chosen(config, [], weights_dir=str(tmp_path)) == (
        "TRAIN.pretrain_base",
        str(tmp_path / "ResNet50_pretrained"),
    )


def test_without_weights_the_released_ones_are_fetched_once_and_scored(trained, server, tmp_path, monkeypatch, capsys):
    """A checkpoint stands in for the release: as an archive of variables on a server."""
    folder = tmp_path / "attention_cluster_youtube8m"
    best = str(trained / "checkpoints" / "AttentionCluster_epoch0")
    options = ["--model-name=AttentionCluster", f"--config={trained}/tiny.txt", "--to=fluid"]
    run_tool(monkeypatch, capsys, "convert", best, folder, *options)
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as archive:
        archive.add(folder, folder.name)
    server.pages["/attention_cluster_youtube8m.tar.gz"] = Page((tmp_path / "packed.tar.gz").read_bytes())
    cache = f"--weights-dir={tmp_path / 'cache'}"
    for _ in range(2):
        run_script("test", cache, f"--output={tmp_path}/released.json", cwd=trained)
    assert len(server.requests) == 1
    run_script("test", f"--weights={best}", f"--output={tmp_path}/own.json", cwd=trained)
    released, own = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("released", "own"))
    assert released["scores"] == own["scores"]


@pytest.mark.parametrize("flags", [(), ("--offline",)])
def test_without_weights_and_network_one_line_says_what_to_fetch_and_where_to_put_it(flags, tmp_path, monkeypatch):
    monkeypatch.setenv("PADDLE_WEIGHTS_URL", "http://127.0.0.1:9/")  # nothing listens there
    monkeypatch.setenv("PADDLE_WEIGHTS_DIR", str(tmp_path / "cache"))
    began = time.monotonic()
    command = [sys.executable, str(PROJECT / "test.py"), "--model-name=TSN", *flags]
    result = subprocess.run(command, cwd=tmp_path, env=clean_env(), capture_output=True, text=True, check=False)
    assert time.monotonic() - began < 20
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    for part in ("http://127.0.0.1:9/tsn_kinetics.tar.gz", str(tmp_path / "cache")):
        assert part in line


def test_pretrain_base_has_no_effect_on_models_without_a_trunk():
    for name in NAMES:
        live = "pretrain_base" in MODELS.get(name).schema.keys("TRAIN")
        assert live == (name in ("TSN", "STNET"))


# Resuming.


def resumed(network, optimizer, path, name="NEXTVLAD"):
    progress = Progress(batch_size=8, seed=0, records=40, data=1)
    return as_checkpoint(load_weights(str(path), name), network, optimizer, progress, 100, name)


def test_a_training_folder_of_2019_goes_on_with_weights_moments_steps_and_epoch(nextvlad, tmp_path):
    network, arrays = nextvlad
    state = training_state(network, arrays, steps=250)
    write_folder(tmp_path / "NEXTVLAD_epoch3", arrays | state)
    optimizer = FluidAdam(0.01, network.parameters())
    checkpoint = resumed(network, optimizer, tmp_path / "NEXTVLAD_epoch3")
    assert (checkpoint.progress.epoch, checkpoint.progress.steps_taken) == (4, 250)
    assert checkpoint.notes == ("the best score is looked for anew",)
    load_into_optimizer(optimizer, network, checkpoint.optimizer, "x")
    kept = optimizer_arrays(optimizer, network)
    assert kept["steps"] == 250
    for own, name in trained_names(network).items():
        np.testing.assert_array_equal(kept[f"moment1/{own}"], state[f"{name}_moment1_0"])
        np.testing.assert_array_equal(kept[f"beta2_pow_acc/{own}"], state[f"{name}_beta2_pow_acc_0"])


def test_moments_of_1x1_convolutions_turn_with_their_weights(golden, tmp_path):
    run = golden("AttentionCluster")
    arrays = golden_arrays(run)
    state = training_state(run.network, arrays)
    write_folder(tmp_path / "w", arrays | state)
    checkpoint = resumed(run.network, FluidAdam(0.1, run.network.parameters()), tmp_path / "w", "AttentionCluster")
    found = checkpoint.optimizer["moment1/attention.0.score.weight"]
    np.testing.assert_array_equal(found, state["satt0.conv.weight_moment1_0"][:, :, 0, 0].T)
    assert checkpoint.optimizer["moment2/attention.1.scale"].shape == (3, 1)


def test_what_a_folder_does_not_hold_starts_afresh_and_is_named(nextvlad, tmp_path):
    network, arrays = nextvlad
    optimizer = FluidAdam(0.01, network.parameters())
    write_folder(tmp_path / "w", arrays)
    checkpoint = resumed(network, optimizer, tmp_path / "w")
    assert checkpoint.optimizer is None
    assert checkpoint.notes == (
        "the optimizer is newly initialised: there is none of its state",
        "epochs are counted from 0: w is not called NEXTVLAD_epoch and a number",
        "the steps taken are not known, having no @LR_DECAY_COUNTER@: the learning rate continues as after 0 steps, "
        "0 epochs of 100",
        "the best score is looked for anew",
    )
    state = training_state(network, arrays)
    del state["gating_fc1_weights_moment2_0"]
    write_folder(tmp_path / "nextvlad_epoch1", arrays | state)
    checkpoint = resumed(network, optimizer, tmp_path / "nextvlad_epoch1")
    assert (checkpoint.progress.epoch, checkpoint.progress.steps_taken) == (2, 3)
    assert "the optimizer is newly initialised: there is no gating_fc1_weights_moment2_0" in checkpoint.notes


@pytest.mark.parametrize("name", [pytest.param("AttentionLSTM", marks=pytest.mark.slow), "TSN"])
def test_the_state_of_every_optimizer_of_2019_has_its_place(name, golden):
    run = golden(name)
    arrays = golden_arrays(run)
    kinds = {"AttentionLSTM": ("momentum", "mean_square", "mean_grad"), "TSN": ("velocity",)}[name]
    trained = trained_names(run.network)
    state = {
        f"{variable}_{kind}_0": np.broadcast_to(np.float32(1), arrays[variable].shape)
        for variable in trained.values()
        for kind in kinds
    }
    file = WeightFile("w", FLUID_FOLDER, arrays | state)
    progress = Progress(batch_size=8, seed=0, records=40, data=1)
    checkpoint = as_checkpoint(file, run.network, run.optimizer, progress, 100, name)
    assert checkpoint.optimizer.keys() == {f"{kind}/{own}" for own in trained for kind in kinds}
    load_into_optimizer(run.optimizer, run.network, checkpoint.optimizer, "x")


def test_training_goes_on_from_a_folder_of_2019_in_the_script(trained_copy):
    network = build_network("AttentionCluster", str(trained_copy / "tiny.txt"))
    own = load_weights(str(trained_copy / "checkpoints" / "AttentionCluster_epoch0"), "AttentionCluster").arrays
    arrays = {
        item.name: item.layout.to_released(own[key]) for key, item in variables_of(network, released=True).items()
    }
    state = training_state(network, arrays)
    del state["@LR_DECAY_COUNTER@"]  # Adam at a constant rate had none
    (trained_copy / "old").mkdir()
    write_folder(trained_copy / "old" / "AttentionCluster_epoch1", arrays | state)
    run = ["--valid-interval=0", "--epoch=3", "--save-dir=new"]
    result = run_script("train", "--resume=old/AttentionCluster_epoch1", *run, cwd=trained_copy)
    text = result.stdout
    assert (
        "resumed old/AttentionCluster_epoch1: weights, optimizer and 3 steps of the schedule; next is epoch 2" in text
    )
    assert sorted(path.name for path in (trained_copy / "new").iterdir() if path.is_dir()) == [
        "AttentionCluster_epoch1",
        "AttentionCluster_epoch2",
    ]


# Damaged pickles, and conversion.


class Runs:
    """Leaves a file behind if a pickle that holds it is ever obeyed."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (open, (self.place, "w"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("protocol", [2, 4])
def test_damaged_pickles_end_in_an_error_or_the_same_shapes(protocol, tmp_path):
    arrays = {name: np.ones(3, np.float32) for name in ("a.w_0", "b.w_0", "c.w_0")}
    good, chance = pickle.dumps(arrays, protocol=protocol), random.Random(protocol)
    for _ in range(1000):
        (tmp_path / "x.pdparams").write_bytes(mutate(good, chance))
        with contextlib.suppress(CheckpointError):
            for value in load_weights(str(tmp_path / "x.pdparams"), None).arrays.values():
                assert value.size <= 64
    bad = pickle.dumps(arrays | {"d": Runs(str(tmp_path / "ran"))}, protocol=protocol)
    (tmp_path / "x.pdparams").write_bytes(bad)
    assert "which data does not need" in error_of(load_weights, str(tmp_path / "x.pdparams"), None)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02}r\x00\x00\x00\x10.",  # the 268,435,456th object to be remembered
        b"\x80\x04\x8e\x00\x00\x00\x00\x02\x00\x00\x00.",  # 8 GB of bytes
        b"\x80\x04\x95\xff\xff\xff\xff\xff\x00\x00\x00}.",  # a frame
        b"\x80\x02}p9999999999\n.",
        b"\x80\x02X\xff\xff\xff\x7fabc.",
    ],
)
def test_a_pickle_that_asks_for_more_than_it_holds_is_refused_unread(content, tmp_path):
    (tmp_path / "x.pdparams").write_bytes(content)
    assert "UnsafePickle: it " in error_of(load_weights, str(tmp_path / "x.pdparams"), None)


def run_tool(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["weights", *map(str, arguments)])
    args = parse_args()
    name = MODELS.canonical_name(args.model_name) if args.model_name else None
    show(args, name) if args.command == "show" else convert(args, name)
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["NEXTVLAD", "AttentionCluster"])
def test_converting_there_and_back_keeps_every_bit(name, golden, tmp_path, monkeypatch, capsys):
    run = golden(name)
    arrays = golden_arrays(run)
    if name == "NEXTVLAD":
        arrays["eigen_param"] = run.network.whitening.numpy()
    write_weights("folder", tmp_path / "old", arrays)
    config = tmp_path / "golden.txt"
    config.write_text(run.numbers["config"])
    options = ["--model-name", name.lower(), "--config", config]
    text = run_tool(
        monkeypatch, capsys, "convert", tmp_path / "old", tmp_path / "new.pdparams", *options, "--to=paddle"
    )
    assert f"{len(run.network.released_names)} matched, 0 missing" in text
    run_tool(monkeypatch, capsys, "convert", tmp_path / "new.pdparams", tmp_path / "back", *options, "--to=fluid")
    assert {p.name: p.read_bytes() for p in (tmp_path / "old").iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "back").iterdir()
    }
    loaded = paddle.load(str(tmp_path / "new.pdparams"))
    for own, value in network_arrays(run.network).items():
        np.testing.assert_array_equal(loaded[own], value)
    load_into_network(run.network, load_weights(str(tmp_path / "new.pdparams"), name))


def test_converting_overwrites_nothing_and_leaves_nothing_behind_when_it_fails(golden, tmp_path, monkeypatch, capsys):
    write_weights("folder", tmp_path / "old", golden_arrays(golden("NEXTVLAD")))
    with pytest.raises(CheckpointError, match="old exists and is left as it is"):
        run_tool(
            monkeypatch, capsys, "convert", tmp_path / "old", tmp_path / "old", "--model-name=NEXTVLAD", "--to=fluid"
        )
    with pytest.raises(CheckpointError, match=r"logits_clf_weights \[16, 17\] for \[2048, 3862\]"):
        run_tool(
            monkeypatch, capsys, "convert", tmp_path / "old", tmp_path / "x", "--model-name=NEXTVLAD", "--to=fluid"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_show_lists_names_shapes_types_and_totals(golden, tmp_path, monkeypatch, capsys):
    run = golden("NEXTVLAD")
    arrays = golden_arrays(run)
    write_weights("folder", tmp_path / "w", arrays)
    (tmp_path / "w" / "README").write_text("x")
    lines = run_tool(monkeypatch, capsys, "show", tmp_path / "w").splitlines()
    assert lines[0] == f"{tmp_path}/w: folder of Fluid variables"
    assert "audio_fc_group_attention_b  float32  [8]" in lines
    assert lines[-2].startswith("41 arrays; ")
    assert lines[-1] == "not variables: README"
    write_weights("single file", tmp_path / "f", arrays)
    assert "it does not say its names" in run_tool(monkeypatch, capsys, "show", tmp_path / "f")
    (tmp_path / "golden.txt").write_text(run.numbers["config"])
    options = ["--model-name=NEXTVLAD", "--config", tmp_path / "golden.txt"]
    assert "audio_fc_group_attention_b" in run_tool(monkeypatch, capsys, "show", tmp_path / "f", *options)
