"""Every network against the output of the 2019 zoo: test mode, and every training step with its optimizer."""

import inspect
import sys

import numpy as np
import paddle
import pytest

import models  # noqa: F401  (registers the recipes)
from tests.recipe import load_golden, make_feature_batch, make_parameter
from tools.config import load_config
from tools.registry import MODELS

# How closely the losses of training agree, relative; 1e-4 is what the reference's own noise allows.
TRAINING = {"AttentionCluster": 1e-5, "NEXTVLAD": 1e-4, "AttentionLSTM": 1e-4}


def fill(network, parameters):
    """Give a network the golden weights; every golden variable must have its place."""
    names = sys.modules[type(network).__module__].RELEASED_NAMES
    shapes = {item["name"]: item for item in parameters}
    tensors = network.state_dict()
    assert tensors.keys() == names.keys()
    for own, released in names.items():
        item = shapes.pop(released)
        value = make_parameter(released, item["shape"], item["role"])
        if value.ndim == 4 and tensors[own].ndim == 2:
            value = value[:, :, 0, 0].T  # a 1x1 convolution is a Linear
        tensors[own].set_value(value.reshape(tensors[own].shape))
    assert not shapes


class Golden:
    """A golden run: its numbers, and our recipe, network, optimizer and schedule with its weights."""

    def __init__(self, name, tmp_path):
        self.numbers = load_golden(name)
        np.save(tmp_path / "eigenvals.npy", np.ones((2048, 1), np.float32))
        path = tmp_path / "golden.txt"
        path.write_text(self.numbers["config"].replace("./dataset/youtube8m/yt8m_pca", str(tmp_path)))
        recipe = MODELS.get(self.numbers["model"])()
        config = load_config(str(path), recipe.schema, ["MODEL", "TRAIN"], self.numbers["model"])
        self.network = recipe.build_network(config)
        fill(self.network, self.numbers["parameters"])
        if "whitening" in dict(self.network.named_buffers()):
            self.network.whitening.set_value(paddle.ones_like(self.network.whitening))  # golden inputs are whitened
        self.optimizer = recipe.build_optimizer(config, self.network)
        self.schedule = recipe.build_schedule(config, steps_per_epoch=1)

    def run(self, step):
        """Per-video losses and probabilities of a golden batch."""
        inputs = self.numbers["inputs"]
        videos = make_feature_batch(inputs["first_step"] + step, inputs)
        rgb, audio, labels = ([video[i] for video in videos] for i in range(3))
        if "lengths" in inspect.signature(self.network.forward).parameters:
            lengths = np.array([len(frames) for frames in rgb])
            arrays = lengths, np.concatenate(rgb), np.concatenate(audio)
        else:
            arrays = np.stack(rgb), np.stack(audio)
        logits = self.network(*map(paddle.to_tensor, arrays))
        return self.network.losses(logits, paddle.to_tensor(np.stack(labels))), self.network.probs(logits)

    def reduce(self, losses):
        return losses.mean() if self.network.loss_reduction == "mean" else losses.sum()


NAMES = ["AttentionCluster", "NEXTVLAD", "AttentionLSTM"]


@pytest.mark.parametrize("name", [name + kind for name in NAMES for kind in ("", "_dropout")])
def test_test_mode_equals_the_2019_zoo(name, tmp_path):
    golden = Golden(name, tmp_path)
    golden.network.eval()
    losses, probs = golden.run(0)
    np.testing.assert_allclose(probs.numpy(), golden.numbers["eval"]["prob"], rtol=1e-5)
    assert float(golden.reduce(losses)) == pytest.approx(golden.numbers["eval"]["loss"], rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_training_step_equals_the_2019_zoo(name, tmp_path):
    golden = Golden(name, tmp_path)
    golden.network.train()
    expected = golden.numbers["train"]
    found = []
    for step in range(len(expected["loss"])):
        golden.optimizer.set_lr(golden.schedule(step))
        losses, probs = golden.run(step)
        loss = golden.reduce(losses)
        if step == 0:
            np.testing.assert_allclose(probs.numpy(), expected["first_batch_prob"], rtol=1e-5)
        loss.backward()
        golden.optimizer.step()
        golden.optimizer.clear_grad()
        found.append(float(loss))
    assert found[0] == pytest.approx(expected["loss"][0], rel=1e-5)
    assert found == pytest.approx(expected["loss"], rel=TRAINING[name])

    golden.network.eval()
    losses, probs = golden.run(0)
    after = golden.numbers["after_training"]
    np.testing.assert_allclose(probs.numpy(), after["eval_prob"], rtol=2e-4, atol=1e-6)
    assert float(golden.reduce(losses)) == pytest.approx(after["eval_loss"], rel=1e-4)
