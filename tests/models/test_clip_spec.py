"""The specs of TSN and StNet: config, schedule and optimizer."""

import math

import numpy as np
import paddle
import pytest

import models  # noqa: F401  (registers the specs)
from models.clip_spec import NUM_LAYERS
from models.layers.resnet import STAGE_SIZES
from tests.conftest import PROJECT
from tools.config.load import Override, load_config, parse_set
from tools.errors import ConfigError
from tools.registry import MODELS


def load(name, *settings, needs=("MODEL", "TRAIN")):
    spec = MODELS.get(name)()
    return spec, load_config(str(PROJECT / spec.default_config), spec.schema, needs, name, settings)


def setting(section, key, value):
    return Override(section, key, value, f"--{key}")


def test_the_config_allows_the_trunks_that_exist():
    assert tuple(STAGE_SIZES) == NUM_LAYERS


@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_the_page_counts_the_parameters_of_the_default_config(name):
    spec, config = load(name)
    parameters = spec.build_network(config).parameters()
    count = sum(math.prod(parameter.shape) for parameter in parameters if not parameter.stop_gradient)
    assert f"{count:,} parameters" in (PROJECT / "models" / name.lower() / "README.md").read_text()


@pytest.mark.parametrize(("name", "epochs", "batch_size"), [("TSN", 45, 256), ("STNET", 60, 128)])
def test_the_rate_falls_after_each_third_of_the_epochs_counted_in_total_videos(name, epochs, batch_size):
    spec, config = load(name)
    rate = spec.build_schedule(config, steps_per_epoch=1)
    third = epochs // 3 * int(224684 / batch_size + 1)
    steps = (0, third - 1, third, 2 * third - 1, 2 * third, 10 * third)
    assert [rate(step) for step in steps] == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001])


def test_with_auto_the_rate_falls_by_the_length_of_the_list():
    spec, config = load("TSN", parse_set("TRAIN.total_videos=auto"), setting("TRAIN", "epoch", 3))
    rate = spec.build_schedule(config, steps_per_epoch=7)
    assert [rate(step) for step in (6, 7, 13, 14)] == pytest.approx([0.01, 0.001, 0.001, 0.0001])


def test_a_total_videos_that_is_not_the_lists_is_noticed():
    spec, config = load("TSN", setting("TRAIN", "total_videos", 1000))
    assert spec.notices(config, 1000) == spec.notices(config, 1100) == []
    (notice,) = spec.notices(config, 100)
    assert notice.startswith(f"{config.path} [TRAIN]: total_videos = 1000, but the list holds 100 videos")
    assert "too late or never" in notice
    assert '"auto" counts the list' in notice
    assert "too early" in spec.notices(config, 10_000)[0]
    _, config = load("TSN", setting("TRAIN", "total_videos", "auto"))
    assert spec.notices(config, 100) == []


def test_momentum_decays_everything_that_is_trained():
    spec, config = load("TSN", setting("MODEL", "num_classes", 5))
    network = paddle.nn.Sequential(paddle.nn.Linear(2, 2), paddle.nn.BatchNorm1D(2))
    optimizer = spec.build_optimizer(config, network)
    before = {name: tensor.numpy().copy() for name, tensor in network.named_parameters()}
    sum((tensor * 0).sum() for tensor in network.parameters()).backward()
    optimizer.step()
    for name, tensor in network.named_parameters():
        expected = before[name] if tensor.stop_gradient else before[name] * (1 - 0.01 * 1e-4)
        np.testing.assert_allclose(tensor.numpy(), expected, rtol=2e-7)  # the decay is 1e-6


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("MODEL", "num_layers", 34, "[MODEL]: num_layers = 34 should be 50, 101 or 152"),
        ("MODEL", "image_mean", [0.5], "[MODEL]: image_mean = [0.5] should be 3 numbers, for red, green and blue"),
        ("MODEL", "image_std", [1, 0, 1], "[MODEL]: image_std = [1, 0, 1] should be above 0; pixels are divided by it"),
        ("TEST", "num_crops", 5, "[TEST]: num_crops = 5 should be 1, 3 or 10"),
        (
            "VALID",
            "target_size",
            257,
            "[VALID]: target_size = 257 should be at most short_size = 256; "
            "frames are scaled to short_size and cropped to target_size",
        ),
    ],
)
def test_a_value_that_cannot_work_is_named(section, key, value, message):
    with pytest.raises(ConfigError) as error:
        load("TSN", setting(section, key, value))
    assert str(error.value) == f"{PROJECT / 'configs' / 'tsn.txt'} {message}"


def test_the_default_configs_hold_the_values_of_2019():
    sections = ("MODEL", "TRAIN", "VALID", "TEST", "INFER")
    for name, epoch, sizes in (("TSN", 45, (256, 256, 32, 1)), ("STNET", 60, (128, 128, 16, 1))):
        _, config = load(name, needs=sections)
        train = config.TRAIN
        assert (train.epoch, train.learning_rate, train.learning_rate_decay, train.momentum) == (epoch, 0.01, 0.1, 0.9)
        assert (train.l2_weight_decay, train.total_videos) == (1e-4, 224684)
        assert tuple(getattr(config, section).batch_size for section in sections[1:]) == sizes
        assert config.TEST.target_size == config.INFER.target_size == (256 if name == "STNET" else 224)
        assert (config.TEST.seg_num, config.TEST.num_clips, config.TEST.num_crops) == (None, 1, 1)
        assert (config.TEST.keep_aspect, config.TRAIN.fast_decode) == (False, False)
