"""AttentionCluster from a config: keys, network, optimizer. Needs Paddle only once it builds something."""

from functools import partial

from models.feature_spec import check_streams, youtube8m_sections
from models.spec import OBSOLETE_KEYS, ModelSpec
from tools.config.load import Key, Schema
from tools.registry import MODELS


@MODELS.register("AttentionCluster")
class AttentionClusterSpec(ModelSpec):
    """Adam at a constant rate; the loss is summed over classes and averaged over videos."""

    default_config = "configs/attention_cluster.txt"
    optimizer_states = 2
    schema = Schema(
        sections=youtube8m_sections(
            model={
                "feature_num": Key(int, minimum=1),
                "feature_names": Key(list[str]),
                "feature_dims": Key(list[int], minimum=1),
                "seg_num": Key(int, minimum=1),
                "cluster_nums": Key(list[int], minimum=1),
                "drop_rate": Key(float, minimum=0, below=1),
            },
            train={},
        ),
        obsolete=OBSOLETE_KEYS,
        check=partial(check_streams, keys=("feature_names", "feature_dims", "cluster_nums")),
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
