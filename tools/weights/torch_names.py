"""A ResNet by the names of torchvision and timm, brought to the names of a network's own backbone.

Their ResNet-50, -101 and -152 have the stride of a bottleneck in its 3x3 convolution, as the one here, and the same
epsilon and padding; a network says in ``torchvision_names`` what each of its parameters is called there. Other networks
have some of these names too, and what tells them apart is said when they are refused. ResNets whose stride is in the
first 1x1 convolution (Caffe's), or which are dilated, have the same names and shapes, and cannot be told.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from tools.errors import CheckpointError
from tools.runtime.text import short_repr, some_of
from tools.weights.files import SAFETENSORS, TORCH, WeightFile
from tools.weights.fluid_names import published
from tools.weights.networks import published_networks
from tools.weights.origins import count_layers, find_project

_FIRST_BLOCK = "layer1.0.conv1.weight"  # which all of this family have, behind a prefix
_COUNTERS = re.compile(r"(\w+\.)*num_batches_tracked")
_OF_A_TRUNK = re.compile(r"(conv|bn|norm|gn|layer|stem|stages?|blocks?)\d*\..*")
_SAME_NAMES = re.compile(r"resnet(blur|aa)\d+\w*")  # timm's; they differ from a ResNet in layers without weights
_FITTING = "ResNet-50, -101 and -152 of torchvision and timm (resnet50, resnet101, resnet152) fit"
_MOST_SHOWN = 8


def bring_over(file: WeightFile, network, *, fine_tune: bool) -> WeightFile:
    """A file of another framework by the names of the network, with notes on what was left out; any other as it is.

    fine_tune: whether a backbone alone will do. Raises CheckpointError for all but a ResNet of the network's depth.
    """
    if file.kind not in (TORCH, SAFETENSORS):
        return file
    wanted = published(network, "torchvision_names")
    if not wanted:
        takers = [name for name, other in published_networks() if published(other, "torchvision_names")]
        raise CheckpointError(
            f"{file.path} is a {file.kind}; {' and '.join(takers)} can begin with such, no other model"
        )
    trunk = _find_trunk(file)
    if variant := _name_variant(trunk.arrays) or _find_claim(file):
        raise CheckpointError(f"{file.path} seems to be of {variant}, which this network's ResNet is not; {_FITTING}")
    given, depth = count_layers(trunk.arrays), count_layers(wanted.values())
    if given != depth:
        raise CheckpointError(
            f"{file.path} is of a ResNet of {given} layers, and this network has {depth} (MODEL.num_layers)"
        )
    if not fine_tune:
        raise CheckpointError(
            f"{file.path} is a ResNet-{depth} of torchvision or timm, without what this network has behind it; "
            "train.py --pretrain begins with such"
        )
    _require_fit(file.path, trunk, wanted, network)
    arrays = {own: trunk.arrays[name] for own, name in wanted.items()}
    return replace(file, arrays=arrays, notes=(*file.notes, *_describe(file, trunk, wanted, depth)))


@dataclass(frozen=True)
class _Trunk:
    """arrays: by the names of torchvision. prefix: what stands before these in the file."""

    arrays: dict[str, np.ndarray]
    prefix: str


def _find_trunk(file: WeightFile) -> _Trunk:
    """The arrays that have the prefix of the only ResNet in a file. Raises CheckpointError for none or several."""
    found = [name.removesuffix(_FIRST_BLOCK) for name in file.arrays if name.endswith(_FIRST_BLOCK)]
    prefixes = [prefix for prefix in found if not prefix or prefix.endswith(".")]
    if not prefixes:
        project = find_project(list(file.arrays))
        looks = f"the names look like those of {project}: " if project else "it has "
        raise CheckpointError(
            f"{file.path} holds no ResNet by the names of torchvision or timm (conv1, layer1.0.conv1 and so on); "
            f"{looks}{_show(file.arrays)}; {_FITTING}"
        )
    if len(prefixes) > 1:
        raise CheckpointError(
            f"{file.path} holds {len(prefixes)} ResNets, whose names begin with {_show(prefixes)}, and which to take "
            "is not clear; save one alone"
        )
    (prefix,) = prefixes
    arrays = {name.removeprefix(prefix): value for name, value in file.arrays.items() if name.startswith(prefix)}
    return _Trunk(arrays, prefix)


def _name_variant(arrays: dict[str, np.ndarray]) -> str:
    """The relative of a ResNet that these are of; "" where they may be of a ResNet itself."""
    first, middle = arrays[_FIRST_BLOCK], arrays.get("layer1.0.conv2.weight")
    for convolution in (first, middle):
        if convolution is not None and convolution.ndim != 4:
            return f"a network whose convolutions have {convolution.ndim} axes"
    if "layer1.0.conv3.weight" not in arrays:
        blocks = {
            name.split(".")[:2][0] + name.split(".")[1] for name in arrays if re.match(r"layer\d\.\d+\.conv", name)
        }
        return f"ResNet-{2 * len(blocks) + 2}, whose blocks have two convolutions (resnet18, resnet34)"
    depth = count_layers(arrays)
    if middle is not None and middle.shape[0] != middle.shape[1]:
        groups = middle.shape[0] // max(middle.shape[1], 1)
        return f"ResNeXt-{depth} {groups}x{middle.shape[1]}d, whose convolutions are in groups (resnext{depth})"
    if middle is not None and first.shape[0] > 64:
        return f"Wide ResNet-{depth}-{first.shape[0] // 64}, whose blocks are wider (wide_resnet{depth}_2)"
    if "conv1.weight" not in arrays and any(name.startswith("conv1.") for name in arrays):
        return f"a ResNet-{depth} that begins with three convolutions (resnet{depth}c, -d, -s or -t)"
    if "bn1.weight" in arrays and "bn1.running_mean" not in arrays:
        return f"a ResNet-{depth} without running means, as of group normalisation (resnet{depth}_gn)"
    if depth not in (50, 101, 152):
        return f"ResNet-{depth}"
    return ""


def _find_claim(file: WeightFile) -> str:
    """What a file is called, by its path or in itself, where that is a network that its names do not tell."""
    for claim in file.claims:
        if match := _SAME_NAMES.search(claim):
            return f"{match[0]}, as {short_repr(claim)} says"
    return ""


def _require_fit(path: str, trunk: _Trunk, wanted: dict[str, str], network) -> None:
    """Raise CheckpointError unless all of a backbone is there in its shape, and nothing else of one."""
    missing = [name for name in wanted.values() if name not in trunk.arrays]
    if missing:
        raise CheckpointError(f"{path} lacks {_show(missing)} of a ResNet; {_FITTING}")
    own_shapes = {own: list(tensor.shape) for own, tensor in network.state_dict().items() if own in wanted}
    shapes = {wanted[own]: shape for own, shape in own_shapes.items()}
    first = wanted[network.first_convolution]
    wrong = [name for name, shape in shapes.items() if list(trunk.arrays[name].shape) != shape]
    if list(trunk.arrays[first].shape) == [shapes[first][0], 3, *shapes[first][2:]]:  # which loading makes fit
        wrong = [name for name in wrong if name != first]
    if wrong:
        texts = [f"{name} {list(trunk.arrays[name].shape)} for {shapes[name]}" for name in wrong[:_MOST_SHOWN]]
        raise CheckpointError(f"{path}: {len(wrong)} arrays have other shapes ({', '.join(texts)}); {_FITTING}")
    more = [name for name in _not_taken(trunk, wanted) if _OF_A_TRUNK.fullmatch(name)]
    if more:
        raise CheckpointError(f"{path} has more than a ResNet: {_show(more)}; {_FITTING}")


def _not_taken(trunk: _Trunk, wanted: dict[str, str]) -> list[str]:
    taken = set(wanted.values())
    return [name for name in trunk.arrays if name not in taken and not _COUNTERS.fullmatch(name)]


def _describe(file: WeightFile, trunk: _Trunk, wanted: dict[str, str], depth: int) -> list[str]:
    notes = [f"a ResNet-{depth} by the names of torchvision and timm" + _behind(trunk.prefix)]
    left = [f"{trunk.prefix}{name}" for name in _not_taken(trunk, wanted)]
    left += [name for name in file.arrays if not name.startswith(trunk.prefix)]
    if left:
        notes.append(f"ignored, not of the backbone: {_show(left)}")
    if counters := sum(_COUNTERS.fullmatch(name) is not None for name in trunk.arrays):
        notes.append(f"ignored: {counters} counts of training steps (num_batches_tracked)")
    return notes


def _behind(prefix: str) -> str:
    return f", each behind {short_repr(prefix)}" if prefix else ""


def _show(names: Iterable[str]) -> str:
    """The first of some names, and how many more there are."""
    names = [name if re.fullmatch(r"[\w.]{1,60}", name) else short_repr(name, 60) for name in names]
    return some_of(names, _MOST_SHOWN)
