"""Whose weights these are, by their names: of another project, of another depth, of another model of this zoo."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from tools.weights.advice import near
from tools.weights.fluid_names import published
from tools.weights.networks import published_networks
from tools.weights.state_names import is_optimizer_state, split_state

_OF_A_RESNET = r"(\w+\.)*layer[1-4]\.\d+\."
_SHARE = 0.3  # of the names that have to look like a project's; two of a ResNet's five kinds are running statistics
_TORCH = "torchvision or timm"
_PROJECTS = (  # (how names of it look, whose they are), the first that fits
    (rf"{_OF_A_RESNET}conv\d\.(conv|bn)\.\w+", "MMAction2"),
    (rf"{_OF_A_RESNET}(bn\d|downsample\.1)\.(running_\w+|num_batches_tracked)", _TORCH),
    (rf"(?!backbone\.){_OF_A_RESNET}(bn\d|downsample\.1)\.(_mean|_variance)", "paddle.vision"),
    (r"(backbone|head)\..+", "PaddleVideo"),
    (r".+\.(_conv|_batch_norm)\.\w+|(stem|blocks)\.\d+\..*(conv|bn)\.\w+", "PaddleClas"),
    (r".+\.(running_mean|running_var|num_batches_tracked)", "a network of PyTorch"),
    (r".*\b(kernel|gamma|beta|moving_mean|moving_variance)(:0)?", "TensorFlow or Keras"),
)
_LAST_CONVOLUTIONS = (  # of each bottleneck: its stage and its place in that
    r"res(\d)([a-z]\d*)_branch2c_weights",
    r"\w+\.stages\.(\d)\.(\d+)\.branch2c\.conv\.weight",
    r"(?:\w+\.)*layer(\d)\.(\d+)\.conv3\.(?:conv\.)?weight",
)


def describe_origin(names: Iterable[str], network, path: str) -> str:
    """A sentence on whose weights these look like, where they are not the network's; "" where nothing can be told.

    path: of their file. Other models of the zoo are built for it, without values.
    """
    if is_optimizer_state(names):
        better = near(Path(path))
        return f"the names are those of an optimizer's state{f'; {better}' * bool(better)}"
    names = [name for name in names if not split_state(name)]
    if project := find_project(names):
        own = "whose own files (.pth, .safetensors) train.py --pretrain takes"
        return (
            f"the names look like those of {project}, {own if project == _TORCH else 'whose weights are not read here'}"
        )
    given, wanted = count_layers(names), count_layers(_names_of(network)[0])
    if given and wanted and given != wanted:
        return f"these are of a ResNet of {given} layers, and this network has {wanted} (MODEL.num_layers)"
    if model := find_model(names, network):
        return f"the names look like those of {model}"
    return ""


def find_project(names: list[str]) -> str | None:
    """The project whose way of naming many names follow."""
    for pattern, project in _PROJECTS:
        if sum(map(_matcher(pattern), names)) > _SHARE * len(names):
            return project
    return None


def count_layers(names: Iterable[str]) -> int:
    """Of a ResNet with bottlenecks, as 50; 0 where there is none."""
    found = (re.fullmatch(pattern, name) for name in names for pattern in _LAST_CONVOLUTIONS)
    blocks = {match.groups() for match in found if match}
    return 3 * len(blocks) + 2 if blocks else 0


def recognise_model(names: Iterable[str]) -> str | None:
    """The model whose own or published names are nearly these, those of an optimizer's variables aside."""
    nearest = _find_nearest([name for name in names if not split_state(name)])
    return nearest[0] if nearest else None


def _find_nearest(names: Iterable[str]) -> tuple | None:
    """(name, network, its own or published names) of that model."""
    best, nearest = 0.8, None  # the share of names in common that is enough
    for name, other in published_networks():
        for wanted in _names_of(other):
            share = len(wanted.intersection(names)) / len(wanted.union(names))
            if share > best:
                best, nearest = share, (name, other, wanted)
    return nearest


def find_model(names: Iterable[str], network) -> str | None:
    """The model, other than the network's, whose own or published names are nearly these."""
    nearest = _find_nearest(names)
    if nearest is None or type(nearest[1]) is type(network):
        return None
    name, other, wanted = nearest
    part, own = published(other, "pretrained_part"), set(other.state_dict())
    is_resnet = part and wanted != own and all(each.startswith((f"{part}.", f"{other.classifier}.")) for each in own)
    return f"{name}, or of a bare ResNet, which train.py --pretrain takes" if is_resnet else name


def _names_of(network) -> list[set[str]]:
    """Its own, and those of 2019 where there are any."""
    released = set(published(network, "released_names").values())
    return [set(network.state_dict()), *[released] * bool(released)]


def _matcher(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda name: compiled.fullmatch(name) is not None
