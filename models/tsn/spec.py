"""TSN from a config: that of all models on clips with a ResNet."""

from models.clip_spec import ResNetClipSpec
from models.tsn.card import CARD
from tools.registry import MODELS


@MODELS.register("TSN")
class TSNSpec(ResNetClipSpec):
    card = CARD
    default_config = "configs/tsn.txt"

    def network_class(self):
        from models.tsn.tsn import TSN

        return TSN
