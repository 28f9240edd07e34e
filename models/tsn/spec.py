"""TSN from a config: that of all models on clips."""

from models.clip_spec import ClipSpec
from tools.registry import MODELS


@MODELS.register("TSN")
class TSNSpec(ClipSpec):
    default_config = "configs/tsn.txt"

    def network_class(self):
        from models.tsn.tsn import TSN

        return TSN
