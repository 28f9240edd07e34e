"""Weights of other projects, depths and models are called so, with true counts and a few names of each side."""

import numpy as np
import paddle
import pytest

import models  # noqa: F401  (registers the specs)
from tests.conftest import PROJECT
from tests.tools.expected_errors import error_of
from tests.tools.weights.golden_networks import default_network, in_memory
from tools.config.load import Override, load_config
from tools.registry import MODELS
from tools.weights.files import FLUID_FILE, WeightFile
from tools.weights.fluid_names import variables_of
from tools.weights.loading import load_into_network
from tools.weights.origins import count_layers, find_project


def zeros(shape):
    return np.broadcast_to(np.float32(0), shape)  # takes no memory


def weights_of(network, released):
    return {variable.name: zeros(variable.shape) for variable in variables_of(network, released).values()}


def resnet(name_of_block, fields, stem="", sizes=(3, 4, 6, 3)):
    """Names of a ResNet of PyTorch's kind."""
    names = [f"{stem}conv1.weight", *(f"{stem}bn1.{field}" for field in fields)]
    for stage, size in enumerate(sizes):
        for block in range(size):
            here = f"{stem}layer{stage + 1}.{block}"
            for i in (1, 2, 3):
                conv, norm = (part.format(i) for part in name_of_block)
                names += [f"{here}.{conv}.weight", *(f"{here}.{norm}.{field}" for field in fields)]
    return names


TORCH = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
PADDLE = ("weight", "bias", "_mean", "_variance")
PLAIN = ("conv{}", "bn{}")
PROJECTS = {
    "torchvision or timm": resnet(PLAIN, TORCH),
    "paddle.vision": resnet(PLAIN, PADDLE),
    "MMAction2": [*resnet(("conv{}.conv", "conv{}.bn"), TORCH, "backbone."), "cls_head.fc_cls.weight"],
    "PaddleVideo": [f"backbone.conv._conv.{field}" for field in PADDLE] + ["head.fc.weight", "head.fc.bias"],
    "PaddleClas": ["conv._conv.weight", *(f"bb_0_0.conv0._batch_norm.{field}" for field in PADDLE), "out.weight"],
    "a network of PyTorch": [f"features.1.{field}" for field in TORCH],
    "TensorFlow or Keras": ["resnet/conv1/kernel:0", "resnet/bn1/gamma:0", "resnet/bn1/moving_mean:0"],
}


@pytest.mark.parametrize("project", PROJECTS)
@pytest.mark.parametrize("fine_tune", [False, True])
def test_weights_of_another_project_are_called_so(project, fine_tune):
    names = PROJECTS[project]
    network = default_network("TSN")
    message = error_of(load_into_network, network, in_memory(dict.fromkeys(names, zeros([2]))), fine_tune=fine_tune)
    assert message.startswith("w: no weight fits this network: 0 matched, 267 missing (trunk.conv1.conv.weight, ")
    assert f"{len(names)} unexpected ({names[0]}, {names[1]}, " in message
    own_files = "whose own files (.pth, .safetensors) train.py --pretrain takes"
    what = own_files if project == "torchvision or timm" else "whose weights are not read here"
    assert message.endswith(f"0 mismatched; the names look like those of {project}, {what}")
    assert len(message) < 1100


@pytest.mark.parametrize("released", [False, True])
def test_no_model_of_the_zoo_is_taken_for_another_project(released):
    for name in MODELS.names():
        assert find_project(list(weights_of(default_network(name), released))) is None


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize(
    ("given", "taker"),
    [("TSN", "STNET"), ("STNET", "TSN"), ("AttentionCluster", "NEXTVLAD"), ("AttentionLSTM", "AttentionCluster"),
     ("NEXTVLAD", "AttentionLSTM")],
)  # fmt: skip
def test_weights_of_another_model_of_the_zoo_are_called_so(given, taker, released):
    arrays = weights_of(default_network(given), released)
    message = error_of(load_into_network, default_network(taker), in_memory(arrays))
    _, _, origin = message.rpartition("; the names look like those of ")
    resnet_too = ", or of a bare ResNet, which train.py --pretrain takes" * (given == "TSN" and released)
    assert origin == given + resnet_too
    assert len(message) < 1100


def test_an_optimizer_s_state_beside_weights_does_not_hide_whose_they_are():
    network = default_network("NEXTVLAD")
    arrays = weights_of(network, released=True)
    state = {f"{name}_{kind}_0": zeros([1]) for name in arrays for kind in ("moment1", "beta1_pow_acc")}
    message = error_of(load_into_network, default_network("TSN"), in_memory(arrays | state))
    assert message.endswith("; the names look like those of NEXTVLAD")


def test_weights_of_the_same_model_in_other_sizes_are_not_called_another_s():
    network = default_network("TSN")
    arrays = weights_of(network, released=True) | {"fc_0.w_0": zeros([2048, 99])}
    message = error_of(load_into_network, network, in_memory(arrays))
    assert message == (
        "w does not fit this network: 266 matched, 0 missing, 0 unexpected, "
        "1 mismatched (fc_0.w_0 [2048, 99] for [2048, 400])"
    )


@pytest.mark.parametrize("released", [False, True])
def test_a_resnet_of_another_depth_is_told_by_its_layers(released):
    spec = MODELS.get("TSN")()
    layers = [Override("MODEL", "num_layers", 152, "test")]
    config = load_config(str(PROJECT / spec.default_config), spec.schema, ["MODEL"], "TSN", layers)
    with paddle.LazyGuard():
        deep = spec.build_network(config)
    message = error_of(load_into_network, default_network("TSN"), in_memory(weights_of(deep, released)))
    assert message.endswith("these are of a ResNet of 152 layers, and this network has 50 (MODEL.num_layers)")
    assert count_layers(resnet(PLAIN, TORCH, sizes=(3, 4, 23, 3))) == 101
    assert count_layers(["fc.weight"]) == 0


def test_what_is_unexpected_is_counted_in_fine_tuning_too():
    network = default_network("TSN")
    arrays = weights_of(network, released=True) | {"extra": zeros([3])}
    del arrays["res4f_branch2a_weights"]
    message = error_of(load_into_network, network, in_memory(arrays), fine_tune=True)
    assert message.endswith("266 matched, 1 missing (res4f_branch2a_weights), 1 unexpected (extra), 0 mismatched")


def test_an_optimizer_s_state_is_called_so_with_the_weights_beside_it(tmp_path):
    (tmp_path / "x.pdparams").write_bytes(b"")
    file = WeightFile(f"{tmp_path}/x.pdopt", "pickle", {"batch_norm2d_52.w_0_velocity_0": zeros([3])})
    message = error_of(load_into_network, default_network("TSN"), file)
    assert message.endswith(f"; the names are those of an optimizer's state; give {tmp_path}/x.pdparams")


def test_a_single_file_is_told_by_its_number_of_variables():
    file = WeightFile("w", FLUID_FILE, {str(number): zeros([1]) for number in range(14)})
    message = error_of(load_into_network, default_network("NEXTVLAD"), file)
    assert message.endswith("; it may be AttentionCluster's")
