"""AttentionCluster from a config: keys, network, optimizer. Needs Paddle only once it builds something."""

from dataclasses import dataclass
from functools import partial

from models.attention_cluster.card import CARD
from models.feature_spec import FeatureModelSection, FeatureSpec, check_streams, feature_schema
from tools.config.schema import key
from tools.registry import MODELS


@dataclass(frozen=True, kw_only=True)
class ModelSection(FeatureModelSection):
    """MODEL of AttentionCluster."""

    feature_num: int = key(minimum=1, meaning="streams of features")
    feature_names: list[str] = key(meaning="names of the streams")
    feature_dims: list[int] = key(minimum=1, meaning="width of each stream")
    seg_num: int = key(minimum=1, meaning="frames a video, one from each of as many equal spans")
    cluster_nums: list[int] = key(minimum=1, meaning="attention units of each stream")
    drop_rate: float = key(minimum=0, below=1, meaning="dropout; evaluation multiplies by 1 - drop_rate")


@MODELS.register("AttentionCluster")
class AttentionClusterSpec(FeatureSpec):
    """Adam at a constant rate; the loss is summed over classes and averaged over videos."""

    reader = "feature_segments"
    card = CARD
    default_config = "configs/attention_cluster.txt"
    optimizer_states = 2
    bytes_per_value = 20
    schema = feature_schema(
        ModelSection, check=partial(check_streams, keys=("feature_names", "feature_dims", "cluster_nums"))
    )

    def build_network(self, config):
        from models.attention_cluster.attention_cluster import AttentionCluster

        model = config.MODEL
        return AttentionCluster(
            feature_dims=model.feature_dims,
            cluster_nums=model.cluster_nums,
            num_classes=model.num_classes,
            drop_rate=model.drop_rate,
        )

    def build_optimizer(self, config, network):
        from models.optimizers import FluidAdam

        return FluidAdam(config.TRAIN.learning_rate, network.parameters())

    def build_schedule(self, config, steps_per_epoch):
        return lambda step: config.TRAIN.learning_rate
