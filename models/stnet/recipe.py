"""StNet from a config: keys, network, optimizer. Needs Paddle only once it builds something."""

from models.kinetics import (
    MODEL_KEYS,
    TRAIN_KEYS,
    build_momentum,
    build_thirds,
    check_clips,
    clip_shape,
    compare_total_videos,
)
from models.model import DEAD_KEYS, Recipe, kinetics_sections
from tools.config import Schema
from tools.registry import MODELS


@MODELS.register("STNET")
class STNETRecipe(Recipe):
    """Momentum with L2 decay of everything; the rate falls twice, after equal parts of the epochs."""

    default_config = "configs/stnet.txt"
    optimizer_states = 1
    schema = Schema(sections=kinetics_sections(MODEL_KEYS, TRAIN_KEYS), dead=DEAD_KEYS, check=check_clips)

    def build_network(self, config):
        from models.stnet.stnet import STNET

        model = config.MODEL
        return STNET(
            num_layers=model.num_layers,
            num_classes=model.num_classes,
            image_mean=model.image_mean,
            image_std=model.image_std,
            seglen=model.seglen,
        )

    def build_optimizer(self, config, network):
        return build_momentum(config, network)

    def build_schedule(self, config, steps_per_epoch):
        return build_thirds(config, steps_per_epoch)

    def input_shape(self, config, section):
        return clip_shape(config, section)

    def notices(self, config, num_videos):
        return compare_total_videos(config, num_videos)
