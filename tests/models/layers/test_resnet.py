"""The released names of the ResNet."""

import paddle
import pytest

from models.layers.resnet import ResNet, released_backbone_names

BLOCKS = {  # layers -> what 2019 called the blocks
    50: "2a 2b 2c  3a 3b 3c 3d  4a 4b 4c 4d 4e 4f  5a 5b 5c",
    101: f"2a 2b 2c  3a 3b 3c 3d  4a {' '.join(f'4b{j}' for j in range(1, 23))}  5a 5b 5c",
    152: f"2a 2b 2c  3a 3b 3c 3d 3e 3f 3g 3h  4a {' '.join(f'4b{j}' for j in range(1, 36))}  5a 5b 5c",
}


@pytest.mark.parametrize("num_layers", [50, 101, 152])
def test_the_released_names_are_those_of_2019_in_their_order(num_layers):
    expected = ["conv1_weights", *(f"bn_conv1_{field}" for field in ("scale", "offset", "mean", "variance"))]
    for block in BLOCKS[num_layers].split():
        for branch in ("branch2a", "branch2b", "branch2c", *(["branch1"] if block.endswith("a") else [])):
            expected.append(f"res{block}_{branch}_weights")
            expected += [f"bn{block}_{branch}_{field}" for field in ("scale", "offset", "mean", "variance")]
    names = released_backbone_names(num_layers, "trunk")
    assert list(names.values()) == expected
    assert len(set(expected)) == len(expected) == 5 * (num_layers - 1 + 4)


@pytest.mark.parametrize("num_layers", [50, 101, 152])
def test_they_cover_the_trunk_and_each_stands_at_its_block(num_layers):
    with paddle.LazyGuard():
        own = [f"trunk.{name}" for name in ResNet(num_layers).state_dict()]
    names = released_backbone_names(num_layers, "trunk")
    assert sorted(names) == sorted(own)
    for stage in range(4):
        blocks = [block for block in BLOCKS[num_layers].split() if block.startswith(str(stage + 2))]
        for j, block in enumerate(blocks):
            here = f"trunk.stages.{stage}.{j}.branch2b"
            assert names[f"{here}.conv.weight"] == f"res{block}_branch2b_weights"
            assert names[f"{here}.norm._mean"] == f"bn{block}_branch2b_mean"
