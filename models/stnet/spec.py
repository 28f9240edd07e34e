"""StNet from a config: that of all models on clips."""

from models.clip_spec import ClipSpec
from tools.registry import MODELS


@MODELS.register("STNET")
class STNETSpec(ClipSpec):
    default_config = "configs/stnet.txt"

    def network_class(self):
        from models.stnet.stnet import STNET

        return STNET
