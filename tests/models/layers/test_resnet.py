"""The released names of the ResNet."""

import paddle
import pytest

from models.layers.resnet import STAGE_SIZES, ResNet, released_backbone_names


@pytest.mark.parametrize("num_layers", [50, 101, 152])
def test_the_released_names_of_the_trunk_are_unique_and_cover_it(num_layers, monkeypatch):
    monkeypatch.setattr(paddle.nn.initializer.Normal, "__call__", lambda self, tensor, block=None: tensor)  # is slow
    own = [f"trunk.{name}" for name in ResNet(num_layers).state_dict()]
    names = released_backbone_names(num_layers, "trunk")
    assert sorted(names) == sorted(own)
    assert len(set(names.values())) == len(names) == 5 * (num_layers - 1 + 4)
    blocks = {name.split("_")[0] for name in names.values() if name.startswith("res4")}
    last = {50: "res4f", 101: "res4b22", 152: "res4b35"}[num_layers]
    assert last in blocks
    assert len(blocks) == STAGE_SIZES[num_layers][2]
