"""A frozen backbone: what it leaves, and that describing clips once trains as describing them in every step does."""

import time
from pathlib import Path

import numpy as np
import paddle
import pytest

from datareader.loader import EvaluationLoader, TrainingLoader
from models.stnet.stnet import STNET
from models.tsn.tsn import TSN
from tests.datareader.clips.synthetic import MEAN, STD, TINY, make_frames, open_dataset, write_pickle
from tests.tools.small_networks import Line
from tools.errors import CheckpointError, ConfigError
from tools.inference.predict import predict
from tools.training.amp import MixedPrecision
from tools.training.changes import Changes
from tools.training.checkpoint import Checkpoint, Progress
from tools.training.ema import ExponentialMovingAverage
from tools.training.frozen import FILE, WIDTH, FrozenBackbone
from tools.training.optimizer_state import load_into_optimizer, optimizer_arrays
from tools.training.options import TrainingOptions
from tools.training.resume import TrainingState, restore
from tools.training.step import train_epoch

EPOCHS, BATCH, RATE, SEED = 2, 2, 0.05, 4


@pytest.fixture
def clips(tmp_path):
    for i in range(5):
        write_pickle(tmp_path / f"{i}.pkl", make_frames(9 + i, seed=i), label=i)
    path = tmp_path / "clips.list"
    path.write_text("".join(f"{i}.pkl\n" for i in range(5)))
    return path


def build(kind):
    paddle.seed(SEED)
    return kind(50, num_classes=TINY["num_classes"], seglen=TINY["seglen"], image_mean=[*MEAN], image_std=[*STD])


def arrays(network):
    return {name: value.numpy().copy() for name, value in network.state_dict().items()}


def is_of_backbone(name, network):
    return name.partition(".")[0] in network.backbone_parts


def train_frozen(kind, clips, tmp_path, epochs=EPOCHS, **flags):
    """The network after some epochs; options of --freeze as flags."""
    network, dataset = build(kind), open_dataset(clips, training=True)
    options = TrainingOptions(freeze="backbone", cache_dir=str(tmp_path / "kept"), **flags)
    frozen = FrozenBackbone("X", network, options, SEED, [dataset])
    optimizer = paddle.optimizer.Momentum(RATE, 0.9, network.parameters(), weight_decay=1e-3)
    loader = TrainingLoader(dataset, BATCH, seed=SEED, num_workers=0, as_float=True)
    losses = []
    for epoch in range(epochs):
        frozen.set_for(epoch)
        steps = train_epoch(
            frozen.network, optimizer, loader.epoch(epoch), schedule=lambda step: RATE,
            seed=SEED, epoch=epoch, start=0, steps_taken=0, prepare=frozen.describe,
        )  # fmt: skip
        losses += [step.loss for step in steps]
    return network, losses, frozen


def train_plainly(kind, clips, epochs=EPOCHS):
    """The same with nothing of the project's training: frames go through the whole network in every step."""
    network, dataset = build(kind), open_dataset(clips, training=True)
    dataset.freeze(None, 0, SEED, 1)  # for the view of a test
    network.train()
    for name, layer in network.named_children():
        if name in network.backbone_parts:
            layer.eval()
            for parameter in layer.parameters():
                parameter.stop_gradient = True
    trained = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    optimizer = paddle.optimizer.Momentum(RATE, 0.9, trained, weight_decay=1e-3)
    losses = []
    loader = TrainingLoader(dataset, BATCH, seed=SEED, num_workers=0, as_float=True)
    for epoch in range(epochs):
        for (batch,) in loader.epoch(epoch):
            logits = network(paddle.to_tensor(batch.inputs[0]))
            loss = paddle.nn.functional.cross_entropy(logits, paddle.to_tensor(batch.labels))
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            losses.append(float(loss))
    return network, losses


@pytest.mark.slow
@pytest.mark.parametrize("kind", [TSN, STNET])
def test_it_trains_as_the_whole_network_with_its_backbone_left_alone(kind, clips, tmp_path):
    expected, expected_losses = train_plainly(kind, clips)
    found, losses, _ = train_frozen(kind, clips, tmp_path)
    assert losses == pytest.approx(expected_losses, rel=1e-5)
    before, wanted = arrays(build(kind)), arrays(expected)
    for name, value in arrays(found).items():
        np.testing.assert_allclose(value, wanted[name], rtol=1e-5, atol=1e-5 * np.abs(wanted[name]).max())
        if is_of_backbone(name, found):
            np.testing.assert_array_equal(value, before[name])
    assert any((arrays(found)[name] != before[name]).any() for name in before)


@pytest.mark.slow
def test_what_is_kept_changes_nothing(clips, tmp_path):
    first, losses, _ = train_frozen(TSN, clips, tmp_path)
    assert (tmp_path / "kept" / FILE).exists()
    again, kept_losses, _ = train_frozen(TSN, clips, tmp_path)
    anew, new_losses, _ = train_frozen(TSN, clips, tmp_path / "other", cache_size=0)
    assert not (tmp_path / "other").exists()
    assert losses == pytest.approx(kept_losses, rel=1e-6)
    assert losses == pytest.approx(new_losses, rel=1e-6)
    for name, value in arrays(first).items():
        np.testing.assert_allclose(value, arrays(again)[name], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(value, arrays(anew)[name], rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_other_weights_are_not_taken_for_these(clips, tmp_path):
    _, losses, _ = train_frozen(TSN, clips, tmp_path, epochs=1)
    global SEED
    before, SEED = SEED, SEED + 1
    try:
        _, other, _ = train_frozen(TSN, clips, tmp_path, epochs=1)
        _, expected, _ = train_frozen(TSN, clips, tmp_path / "other", epochs=1)
    finally:
        SEED = before
    assert other == pytest.approx(expected, rel=1e-6)
    assert other != pytest.approx(losses, rel=1e-3)


def test_it_is_scored_as_the_whole_network_is(clips, tmp_path):
    network, _, frozen = train_frozen(TSN, clips, tmp_path, epochs=1)
    dataset = open_dataset(clips)
    whole = [
        part.probs for part in predict(network, EvaluationLoader(dataset, 3, num_workers=0, as_float=True).epoch())
    ]
    dataset.freeze(None, 0, SEED, 2048)
    batches = frozen.describe(EvaluationLoader(dataset, 3, num_workers=0, as_float=True).epoch())
    parts = [part.probs for part in predict(frozen.network, batches)]
    np.testing.assert_allclose(np.concatenate(parts), np.concatenate(whole), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_everything_is_trained_from_the_epoch_that_is_given(clips, tmp_path):
    still, _, _ = train_frozen(TSN, clips, tmp_path, epochs=1, unfreeze_at=1)
    moved, _, frozen = train_frozen(TSN, clips, tmp_path, epochs=2, unfreeze_at=1)
    assert frozen.network is moved
    changed = [name for name, value in arrays(still).items() if (value != arrays(moved)[name]).any()]
    assert {name.partition(".")[0] for name in changed} == {"trunk", "fc"}
    assert any(name.endswith("_mean") for name in changed)  # batch normalisation is in training mode again


class Small(paddle.nn.Layer):
    """A network with a backbone, which is described and trained in no time."""

    backbone_parts = ("trunk",)
    loss_reduction = "mean"

    def __init__(self):
        super().__init__()
        self.trunk = paddle.nn.Sequential(paddle.nn.Conv2D(3 * TINY["seglen"], 4, 1), paddle.nn.BatchNorm2D(4))
        self.fc = paddle.nn.Linear(WIDTH, TINY["num_classes"])

    def describe_segments(self, x):
        maps = self.trunk(x.flatten(0, 1))
        return maps.mean(axis=[2, 3]).tile([1, WIDTH // 4]).reshape([*x.shape[:2], WIDTH])

    def classify_segments(self, features):
        return self.fc(features.mean(axis=1))

    def forward(self, x):
        return self.classify_segments(self.describe_segments(x))

    def losses(self, logits, labels):
        return paddle.nn.functional.cross_entropy(logits, labels, reduction="none")

    def probs(self, logits):
        return paddle.nn.functional.softmax(logits)


def build_small(ema=None, **flags):
    """A network and its frozen backbone."""
    paddle.seed(SEED)
    network, options = Small(), TrainingOptions(freeze="backbone", cache_size=0, **flags)
    averages = ExponentialMovingAverage(network, ema) if ema else None
    return network, FrozenBackbone("X", network, options, SEED, [], averages), averages


@pytest.mark.parametrize("moved", [True, False])
def test_averages_of_a_frozen_backbone_are_what_its_clips_are_described_by(moved, log_lines):
    """As in a run that was trained as a whole, or had been unfrozen, and goes on frozen."""
    network, frozen, averages = build_small(ema=0.9)
    if moved:
        network.trunk[0].weight.set_value(network.trunk[0].weight * 1.5)
    frozen.set_for(0)
    network.fc.weight.set_value(network.fc.weight * 3)
    for steps in range(1, 4):
        averages.update(steps)
    frames = paddle.randn([2, TINY["seg_num"], 3 * TINY["seglen"], 4, 4])
    network.eval()
    with paddle.no_grad():
        described = network.describe_segments(frames)
        with averages.in_place():
            np.testing.assert_array_equal(frozen.network(described).numpy(), network(frames).numpy())
    np.testing.assert_array_equal(averages.arrays()["trunk.0.weight"], network.trunk[0].weight.numpy())
    assert (averages.arrays()["fc.weight"] != network.fc.weight.numpy()).any()
    assert len(log_lines) == moved
    assert all("its averaged weights are these from here on" in line for line in log_lines)


def test_of_a_backbone_that_is_trained_again_what_never_was_is_not(clips):
    network, frozen, _ = build_small(unfreeze_at=1)
    before = {name: parameter.stop_gradient for name, parameter in network.named_parameters()}
    assert {name for name, is_still in before.items() if is_still} == {"trunk.1._mean", "trunk.1._variance"}
    frozen.set_for(0)
    assert all(parameter.stop_gradient for parameter in network.trunk.parameters())
    frozen.set_for(1)
    assert {name: parameter.stop_gradient for name, parameter in network.named_parameters()} == before


def step_small(network, frozen, optimizer, steps=2):
    """Train all of a network on made clips, or what lies behind its frozen backbone."""
    frames = paddle.to_tensor(np.linspace(-1, 1, 3 * 6 * 4 * 4, dtype=np.float32).reshape(1, 3, 6, 4, 4))
    network.train()
    for _ in range(steps):
        inputs = network.describe_segments(frames).detach() if frozen.is_active else frames
        frozen.network.losses(frozen.network(inputs), paddle.to_tensor([1])).sum().backward()
        optimizer.step()
        optimizer.clear_grad()


def test_what_was_frozen_goes_on_as_a_whole_as_if_it_had_been_unfrozen():
    momentum = {"learning_rate": 0.1, "momentum": 0.9}
    network, frozen, _ = build_small(unfreeze_at=1)
    optimizer = paddle.optimizer.Momentum(parameters=network.parameters(), **momentum)
    frozen.set_for(0)
    step_small(network, frozen, optimizer)
    progress = Progress(batch_size=1, seed=0, records=2, data=0, epoch=1)
    checkpoint = Checkpoint(
        Path("saved"), arrays(network), optimizer_arrays(optimizer, network), progress, flags={"--freeze": "backbone"}
    )
    frozen.set_for(1)
    step_small(network, frozen, optimizer)

    paddle.seed(0)
    other = Small()
    resumed = paddle.optimizer.Momentum(parameters=other.parameters(), **momentum)
    state = TrainingState(other, resumed, progress, MixedPrecision("off"), None)
    restore(state, checkpoint, Changes([], []), None)
    never = FrozenBackbone("X", other, TrainingOptions(freeze="backbone"), 0, [])
    step_small(other, never, resumed)
    for name, value in arrays(network).items():
        np.testing.assert_array_equal(arrays(other)[name], value)


def test_a_state_that_lacks_a_whole_backbone_for_no_reason_is_refused_in_one_line():
    network, frozen, _ = build_small()
    optimizer = paddle.optimizer.Momentum(0.1, parameters=network.parameters())
    frozen.set_for(0)
    step_small(network, frozen, optimizer)
    saved = optimizer_arrays(optimizer, network)
    paddle.seed(0)
    other = paddle.nn.Sequential(*(paddle.nn.Linear(1, 1) for _ in range(20)))
    other.fc = paddle.nn.Linear(WIDTH, TINY["num_classes"])
    with pytest.raises(CheckpointError) as error:
        load_into_optimizer(paddle.optimizer.Momentum(0.1, parameters=other.parameters()), other, saved, "saved")
    message = str(error.value)
    assert message.startswith("saved: the optimizer's velocity of 0.bias, 0.weight, 1.bias, ")
    assert message.endswith(" and 35 more is missing")


def test_what_the_backbone_computes_is_no_waiting_for_data(clips, monkeypatch):
    dataset = open_dataset(clips, training=True)
    network, _, _ = build_small()
    frozen = FrozenBackbone("X", network, TrainingOptions(freeze="backbone", cache_size=0), SEED, [dataset])
    frozen.set_for(0)
    describe_segments = network.describe_segments

    def describe_slowly(frames):
        time.sleep(0.2)
        return describe_segments(frames)

    monkeypatch.setattr(network, "describe_segments", describe_slowly)
    loader = TrainingLoader(dataset, BATCH, accumulate=2, seed=SEED, num_workers=0, as_float=True)
    optimizer = paddle.optimizer.SGD(RATE, network.parameters())
    steps = train_epoch(
        frozen.network, optimizer, loader.epoch(0), schedule=lambda step: RATE, seed=SEED, epoch=0, start=0,
        steps_taken=0, prepare=frozen.describe,
    )  # fmt: skip
    for step in steps:
        assert step.step_sec >= 0.4  # two micro-batches
        assert step.data_sec < 0.2


def test_a_network_without_a_backbone_is_refused():
    with pytest.raises(ConfigError, match=r"--freeze backbone: Line has none; TSN and STNET have one"):
        FrozenBackbone("Line", Line(), TrainingOptions(freeze="backbone"), SEED, [])


def test_it_tells_what_is_frozen_at_random():
    frozen = FrozenBackbone("STNET", build(STNET), TrainingOptions(freeze="backbone"), SEED, [])
    assert frozen.describe_start(["fc.weight", "xception.input_norm.weight"]) == []
    (line,) = frozen.describe_start(["temporal2.weight", "temporal1.norm.bias", "fc.bias"])
    assert "temporal1, temporal2 of it are newly initialised" in line
