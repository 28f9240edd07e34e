"""What --conv-engine onednn needs."""

import paddle
import pytest

import train
from tools.errors import ConfigError
from tools.training.options import TrainingOptions
from tools.training.resume import train_by_onednn

OPTIONS = TrainingOptions(conv_engine="onednn")


def test_onednn_trains_on_the_cpu_alone():
    assert train.fit_to("cpu", OPTIONS).conv_engine == "onednn"
    with pytest.raises(ConfigError, match="--conv-engine onednn computes on the CPU"):
        train.fit_to("gpu", OPTIONS)


def test_onednn_trains_nothing_without_a_resnet():
    with pytest.raises(ConfigError, match="trains a ResNet, and Linear has none; TSN and STNET have one"):
        train_by_onednn(paddle.nn.Linear(1, 1))
