"""Class weights and label smoothing, from a config and flags to what the network's losses take."""

import numpy as np
import paddle
import pytest

import models  # noqa: F401  (registers the specs)
from tests.conftest import PROJECT
from tests.distributed_steps import write_eigenvalues
from tests.tools.small_networks import Line, make_batch
from tests.tools.training.descent import BEGINNING
from tools.config.load import Override, load_config
from tools.errors import ConfigError, DataError
from tools.registry import MODELS
from tools.training.loss_options import balance, build_loss_options
from tools.training.options import TrainingOptions
from tools.training.step import train_epoch

CONFIGS = {"AttentionCluster": "attention_cluster", "AttentionLSTM": "attention_lstm", "NEXTVLAD": "nextvlad"}


class Counted:
    """A data set of which all is known that matters here."""

    name = "some.list"

    def __init__(self, counts):
        self.counts = np.array(counts)

    def class_counts(self):
        return self.counts


def load(name, folder, **train):
    """A model's demo config with these keys in TRAIN."""
    write_eigenvalues(folder)
    overrides = [Override("TRAIN", key, value, f"--set TRAIN.{key}") for key, value in train.items()]
    if name == "NEXTVLAD":
        overrides += [
            Override("MODEL", "eigen_file", str(folder / "eigenvals.npy"), "test"),
            Override("MODEL", "video_feature_size", 24, "test"),
        ]
    path = PROJECT / "configs" / "demo" / f"{CONFIGS.get(name, name.lower())}.txt"
    return load_config(str(path), MODELS.get(name).schema, ["MODEL", "TRAIN"], name, overrides)


def test_balanced_weights_make_classes_count_the_same_and_all_as_much_as_before():
    counts = np.array([10, 0, 1, 29])
    weights = balance(counts)
    assert weights.tolist() == pytest.approx([40 / 30, 1.0, 40 / 3, 40 / (3 * 29)])
    assert (weights * counts).tolist() == pytest.approx([40 / 3, 0, 40 / 3, 40 / 3])


@pytest.mark.parametrize("name", MODELS.names())
def test_every_model_takes_weights_by_class_and_a_word_for_balanced_ones(name, tmp_path):
    num_classes = load(name, tmp_path).MODEL.num_classes
    assert build_loss_options(load(name, tmp_path), TrainingOptions(), None) == {}
    listed = [0.5] * (num_classes - 1) + [2.0]
    options = build_loss_options(load(name, tmp_path, class_weights=listed), TrainingOptions(label_smoothing=0.1), None)
    assert options["label_smoothing"] == 0.1
    np.testing.assert_array_equal(options["class_weights"].numpy(), np.array(listed, np.float32))
    counts = np.arange(num_classes)
    (found,) = build_loss_options(
        load(name, tmp_path, class_weights="balanced"), TrainingOptions(), Counted(counts)
    ).values()
    np.testing.assert_allclose(found.numpy(), balance(counts), rtol=1e-6)
    with pytest.raises(ConfigError, match=rf"class_weights has 2 entries, but num_classes = {num_classes}"):
        load(name, tmp_path, class_weights=[1.0, 2.0])
    with pytest.raises(ConfigError, match="all of them are 0"):
        load(name, tmp_path, class_weights=[0.0] * num_classes)
    with pytest.raises(ConfigError, match=r"--set TRAIN\.class_weights: .*should be a list of numbers or 'balanced'"):
        load(name, tmp_path, class_weights="balance")
    with pytest.raises(ConfigError, match=r"--set TRAIN\.sampling: .*should be 'shuffle' or 'balanced'"):
        load(name, tmp_path, sampling="random")


def test_balanced_weights_are_told_and_data_without_classes_is_refused(tmp_path, log_lines):
    config = load("TSN", tmp_path, class_weights="balanced")
    build_loss_options(config, TrainingOptions(), Counted([5, 0, 1, 3, 3, 3]))
    assert log_lines == ['class_weights = "balanced": 0.6 (class 0, 5 records) to 3 (class 2, 1 records)']
    with pytest.raises(DataError, match=r"some\.list: no record has a class"):
        build_loss_options(config, TrainingOptions(), Counted([0] * 6))


class Weighted(Line):
    """Squared errors, each multiplied by the weight of its label, 0 or 1."""

    def losses(self, logits, labels, class_weights=None, label_smoothing=0.0):
        return super().losses(logits, labels) * paddle.gather(class_weights, labels[:, 0].astype("int64"))


@pytest.mark.parametrize("parts", [1, 3])
def test_weighted_losses_are_averaged_over_videos_whatever_they_weigh(parts):
    network, weights = Weighted(), paddle.to_tensor([1.0, 10.0])
    x, y = [1.0, 2.0, 3.0], [0, 1, 1]
    batches = [make_batch(x, y)] if parts == 1 else [make_batch([a], [b]) for a, b in zip(x, y, strict=True)]
    optimizer = paddle.optimizer.SGD(1.0, parameters=network.parameters())
    options = {"schedule": lambda _: 0.1, "loss_options": {"class_weights": weights}}
    (step,) = train_epoch(network, optimizer, [batches], **BEGINNING, **options)
    assert step.loss == pytest.approx((1 * 1 + 10 * 1 + 10 * 4) / 3)
    gradient = (1 * 2 * 1 * 1 + 10 * 2 * 1 * 2 + 10 * 2 * 2 * 3) / 3  # of w (x w - y)^2 at w = 1
    assert network.w.item() == pytest.approx(1 - 0.1 * gradient, rel=1e-5)
