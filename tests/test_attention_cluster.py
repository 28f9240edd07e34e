"""AttentionCluster against the 2019 zoo's own output, and against the slow formulation."""

import numpy as np
import paddle
import pytest

import models  # noqa: F401
from tests.recipe import load_golden, make_feature_batch, make_parameter
from tools.config import load_config
from tools.registry import MODELS

RELEASED = {
    "attention.0.score.weight": "satt0.conv.weight",
    "attention.0.score.bias": "satt0.conv.bias",
    "attention.0.scale": "satt0.shift_w",
    "attention.0.shift": "satt0.shift_b",
    "attention.1.score.weight": "satt1.conv.weight",
    "attention.1.score.bias": "satt1.conv.bias",
    "attention.1.scale": "satt1.shift_w",
    "attention.1.shift": "satt1.shift_b",
    "fc1.weight": "fc1.weights",
    "fc1.bias": "fc1.bias",
    "fc2.weight": "fc2.weights",
    "fc2.bias": "fc2.bias",
    "logistic.weight": "logistic.weights",
    "logistic.bias": "logistic.bias",
}


def build_golden(name, tmp_path):
    """The recipe, config, network and optimizer of a golden run, with the golden weights."""
    golden = load_golden(name)
    path = tmp_path / "golden.txt"
    path.write_text(golden["config"])
    recipe = MODELS.get(golden["model"])()
    config = load_config(str(path), recipe.schema, ["MODEL", "TRAIN"], golden["model"])
    network = recipe.build_network(config)
    shapes = {item["name"]: item for item in golden["parameters"]}
    state = {}
    for own, released in RELEASED.items():
        item = shapes.pop(released)
        value = make_parameter(released, item["shape"], item["role"])
        if value.ndim == 4:
            value = value[:, :, 0, 0].T  # a 1x1 convolution is a Linear
        state[own] = value.reshape(network.state_dict()[own].shape)
    assert not shapes, "every golden variable has a place in the network"
    assert not any(network.set_state_dict(state))
    return golden, network, recipe.build_optimizer(config, network)


def golden_batch(golden, step):
    videos = make_feature_batch(golden["inputs"]["first_step"] + step, golden["inputs"])
    return [paddle.to_tensor(np.stack(part)) for part in zip(*videos, strict=True)]


@pytest.mark.parametrize("name", ["AttentionCluster", "AttentionCluster_dropout"])
def test_test_mode_equals_the_2019_zoo(name, tmp_path):
    golden, network, _ = build_golden(name, tmp_path)
    network.eval()
    rgb, audio, labels = golden_batch(golden, 0)
    logits = network(rgb, audio)
    np.testing.assert_allclose(network.probs(logits), golden["eval"]["prob"], rtol=1e-5)
    assert float(network.losses(logits, labels).mean()) == pytest.approx(golden["eval"]["loss"], rel=1e-5)


def test_every_training_step_equals_the_2019_zoo(tmp_path):
    golden, network, optimizer = build_golden("AttentionCluster", tmp_path)
    network.train()
    losses = []
    for step in range(len(golden["train"]["loss"])):
        rgb, audio, labels = golden_batch(golden, step)
        loss = network.losses(network(rgb, audio), labels).mean()
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    assert losses[0] == pytest.approx(golden["train"]["loss"][0], rel=1e-5)
    assert losses == pytest.approx(golden["train"]["loss"], rel=1e-5)

    network.eval()
    rgb, audio, labels = golden_batch(golden, 0)
    logits = network(rgb, audio)
    after = golden["after_training"]
    np.testing.assert_allclose(network.probs(logits), after["eval_prob"], rtol=1e-4, atol=1e-6)
    assert float(network.losses(logits, labels).mean()) == pytest.approx(after["eval_loss"], rel=1e-4)
