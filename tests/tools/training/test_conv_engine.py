"""What --conv-engine onednn needs, and where --amp bf16 goes with it."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import paddle
import pytest

import train
from tools.errors import ConfigError
from tools.training.options import TrainingOptions
from tools.training.resume import build_state, train_by_onednn

OPTIONS = TrainingOptions(conv_engine="onednn")


class Records:
    """A data set of none."""

    def __len__(self):
        return 0

    def checksum(self):
        return 0


def test_onednn_trains_on_the_cpu_alone():
    assert train.fit_to("cpu", OPTIONS).conv_engine == "onednn"
    with pytest.raises(ConfigError, match="--conv-engine onednn computes on the CPU"):
        train.fit_to("gpu", OPTIONS)


def test_onednn_trains_nothing_without_a_resnet():
    with pytest.raises(ConfigError, match="trains a ResNet, and Linear has none; TSN and STNET have one"):
        train_by_onednn(paddle.nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("has_amx", "conv_engine", "amp", "left", "said"),
    [
        (True, "onednn", "bf16", "bf16", []),
        (
            False,
            "onednn",
            "bf16",
            "off",
            ["--amp bf16 has no effect without a GPU, or --conv-engine onednn and a CPU with amx_bf16"],
        ),
        (
            True,
            "paddle",
            "bf16",
            "off",
            ["--amp bf16 has no effect without a GPU, or --conv-engine onednn and a CPU with amx_bf16"],
        ),
        (True, "onednn", "fp16", "off", ["--amp fp16 has no effect without a GPU"]),
        (True, "onednn", "off", "off", []),
    ],
)
def test_a_cpu_trains_in_bf16_by_onednn_where_it_has_amx(has_amx, conv_engine, amp, left, said, monkeypatch, caplog):
    monkeypatch.setattr(train, "has_amx", lambda: has_amx)
    caplog.set_level(logging.INFO)
    assert train.fit_to("cpu", replace(OPTIONS, conv_engine=conv_engine, amp=amp)).amp == left
    assert caplog.messages == said


@pytest.mark.parametrize(("amp", "dtype"), [("off", "float32"), ("bf16", "bfloat16")])
def test_amp_decides_what_the_maps_of_a_resnet_are_and_all_else_stays_float32(amp, dtype):
    asked = []

    class Network(paddle.nn.Layer):
        pretrained_part = "trunk"

        def __init__(self):
            super().__init__()
            self.fc = paddle.nn.Linear(2, 1)
            self.trunk = SimpleNamespace(train_by_onednn=asked.append)

    spec = SimpleNamespace(
        build_network=lambda config: Network(),
        build_optimizer=lambda config, network: paddle.optimizer.SGD(parameters=network.parameters()),
    )
    config = SimpleNamespace(TRAIN=SimpleNamespace(seed=0, batch_size=1))
    state = build_state(spec, config, replace(OPTIONS, amp=amp), Records(), world=1)
    assert asked == [dtype]
    with state.amp.context():
        assert state.network.fc(paddle.ones([1, 2])).dtype == paddle.float32
