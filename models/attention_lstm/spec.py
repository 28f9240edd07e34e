"""AttentionLSTM from a config: keys, network, optimizer. Needs Paddle only once it builds something."""

from dataclasses import dataclass
from functools import partial

from models.attention_lstm.card import CARD
from models.feature_spec import FeatureModelSection, FeatureSpec, FeatureTrainSection, check_streams, feature_schema
from models.spec import Choice, compare_length
from tools.config.schema import key
from tools.registry import MODELS


@dataclass(frozen=True, kw_only=True)
class ModelSection(FeatureModelSection):
    """MODEL of AttentionLSTM."""

    feature_num: int = key(minimum=1, meaning="streams of features")
    feature_names: list[str] = key(meaning="names of the streams")
    feature_dims: list[int] = key(minimum=1, meaning="width of each stream")
    embedding_size: int = key(minimum=1, meaning="width of the layer before the LSTMs")
    lstm_size: int = key(minimum=1, meaning="units of each LSTM, one forward and one backward a stream")
    drop_rate: float = key(minimum=0, below=1, meaning="dropout; evaluation multiplies by 1 - drop_rate")


@dataclass(frozen=True, kw_only=True)
class TrainSection(FeatureTrainSection):
    """TRAIN of AttentionLSTM."""

    decay_epochs: list[int] = key(minimum=0, meaning="epochs after which the learning rate falls")
    decay_gamma: float = key(minimum=0, meaning="the factor by which it falls")
    weight_decay: float = key(minimum=0, meaning="L2 decay of all but the biases of the linear layers")
    num_samples: int = key(minimum=1, meaning="videos that an epoch of the schedule counts")
    sort_by_length: bool = key(False, meaning="training batches hold videos of similar length")


@MODELS.register("AttentionLSTM")
class AttentionLSTMSpec(FeatureSpec):
    """Centred RMSProp with L2 decay of all but the fc biases; the rate falls after given epochs."""

    reader = "feature_frames"
    card = CARD
    default_config = "configs/attention_lstm.txt"
    optimizer_states = 3
    schema = feature_schema(
        ModelSection, TrainSection, check=partial(check_streams, keys=("feature_names", "feature_dims"))
    )

    def build_network(self, config):
        from models.attention_lstm.attention_lstm import AttentionLSTM

        model = config.MODEL
        return AttentionLSTM(
            feature_dims=model.feature_dims,
            embedding_size=model.embedding_size,
            lstm_size=model.lstm_size,
            num_classes=model.num_classes,
            drop_rate=model.drop_rate,
        )

    def graph(self, network):
        from models.attention_lstm.attention_lstm import PaddedAttentionLSTM

        return PaddedAttentionLSTM(network)

    def build_optimizer(self, config, network):
        import paddle

        from models.optimizers import split_parameters

        train = config.TRAIN
        # 2019: the biases of fc layers are exempt; the LSTM's row of biases and peepholes is not.
        exempt, decayed = split_parameters(network, lambda name: name.endswith(".bias") and "lstm_" not in name)
        groups = [{"params": decayed, "weight_decay": train.weight_decay}, {"params": exempt}]
        return paddle.optimizer.RMSProp(
            train.learning_rate, rho=0.95, epsilon=1e-6, momentum=0.0, centered=True, parameters=groups
        )

    def build_schedule(self, config, steps_per_epoch):
        """2019: epochs are counted in num_samples of the config, not in the length of the list."""
        train = config.TRAIN
        ends = [epoch * train.num_samples // train.batch_size for epoch in sorted(train.decay_epochs)]
        return lambda step: train.learning_rate * train.decay_gamma ** sum(step >= end for end in ends)

    def fit_schedule(self, num_videos, epochs):
        return {
            "num_samples": Choice(num_videos, "the training list's videos, which make an epoch of the schedule"),
            "decay_epochs": Choice([max(epochs // 2, 1)], "after half of the epochs, as published"),
        }

    def notices(self, config, num_videos):
        return compare_length(config, "num_samples", config.TRAIN.num_samples, num_videos)
