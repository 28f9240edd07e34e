"""StNet from a config: that of all models on clips with a ResNet."""

from models.clip_spec import ResNetClipSpec
from models.stnet.card import CARD
from tools.registry import MODELS


@MODELS.register("STNET")
class STNETSpec(ResNetClipSpec):
    card = CARD
    default_config = "configs/stnet.txt"

    def network_class(self):
        from models.stnet.stnet import STNET

        return STNET
