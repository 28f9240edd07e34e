"""Which weights make a backbone."""

import pytest

from tools.errors import ConfigError
from tools.extract.networks import require_trained

PARTS = ("trunk", "temporal1", "temporal2")


def test_a_backbone_has_no_part_that_was_drawn_at_random():
    require_trained(["fc.weight", "temporal_head.weight"], PARTS, "w", "STNET")
    with pytest.raises(ConfigError, match=r"--weights w: temporal1 of the backbone of STNET are not in it"):
        require_trained(["fc.weight", "temporal1.weight", "temporal1.bias"], PARTS, "w", "STNET")
