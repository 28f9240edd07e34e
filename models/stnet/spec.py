"""StNet from a config: that of all models on clips."""

from models.clip_spec import ClipRecipe
from tools.registry import MODELS


@MODELS.register("STNET")
class STNETRecipe(ClipRecipe):
    default_config = "configs/stnet.txt"

    def network_class(self):
        from models.stnet.stnet import STNET

        return STNET
