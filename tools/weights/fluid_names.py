"""Between the names and layouts of 2019 and a network's own.

A network says what its parameters and statistics are called in the weights of 2019: see ``PublishedNetwork`` in
models/spec.py, whose layouts are those of ``LAYOUTS``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tools.errors import CheckpointError
from tools.weights.files import FLUID_FILE, WeightFile
from tools.weights.networks import published_networks
from tools.weights.state_names import ACCUMULATORS, STEP_COUNTER

_RATES = (("learning_rate_0",), ("learning_rate", STEP_COUNTER))  # of a constant rate; of one that changes
_CLASSIFIER = ("fc_0.b_0", "fc_0.w_0")  # of a bare ResNet
_UNPUBLISHED = {
    "released_names": {},
    "released_layouts": {},
    "released_buffers": {},
    "pretrained_part": None,
    "torchvision_names": {},
    "backbone_parts": (),
}


@dataclass(frozen=True)
class Layout:
    """How an array of the network lies in the weights of 2019. Both ways keep every bit."""

    shape: Callable[[list[int]], list[int]]
    to_released: Callable[[np.ndarray], np.ndarray]
    to_own: Callable[[np.ndarray], np.ndarray]


SAME = Layout(lambda shape: shape, lambda value: value, lambda value: value)
LAYOUTS = {
    # A Linear (D, K) was a 1x1 convolution (K, D, 1, 1).
    "1x1 convolution": Layout(
        lambda shape: [shape[1], shape[0], 1, 1],
        lambda value: value.T[:, :, None, None],
        lambda value: value[:, :, 0, 0].T,
    ),
    # A column (K, 1) was a vector (K,).
    "vector": Layout(lambda shape: [shape[0]], lambda value: value[:, 0], lambda value: value[:, None]),
}


@dataclass(frozen=True)
class Variable:
    """What a file calls an array of the network, and the shape it has there."""

    name: str
    shape: list[int]
    layout: Layout


def published(network, member: str):
    """A member of ``PublishedNetwork``, or what a network without weights of 2019 has in its place."""
    return getattr(network, member, _UNPUBLISHED[member])


def variables_of(network, released: bool) -> dict[str, Variable]:
    """Own name -> Variable, in the names of 2019 or in its own, for parameters and statistics."""
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    if not released:
        return {own: Variable(own, shape, SAME) for own, shape in shapes.items()}
    names, layouts = network.released_names, published(network, "released_layouts")
    found = {}
    for own, shape in shapes.items():
        layout = LAYOUTS[layouts[own]] if own in layouts else SAME
        found[own] = Variable(names[own], layout.shape(shape), layout)
    return found


def buffers_of(network, released: bool) -> dict[str, Variable]:
    """As ``variables_of``, for the buffers that a file may hold and need not."""
    buffers = dict(network.named_buffers())
    return {
        own: Variable(name if released else own, list(buffers[own].shape), SAME)
        for own, name in published(network, "released_buffers").items()
    }


def name_arrays(file: WeightFile, network) -> tuple[dict[str, np.ndarray], bool]:
    """The arrays of a file by name, and whether the names are those of 2019.

    Names of a single Fluid file come from the network, by the number of its variables: those of the
    weights alone, with those of an optimizer, or of a bare ResNet where the network has one.
    Raises CheckpointError naming the numbers that would work.
    """
    if file.kind == FLUID_FILE:
        if not published(network, "released_names"):
            raise CheckpointError(
                f"{file.path} is a {FLUID_FILE}, which does not say their names; nor does this network, for which none "
                "were released"
            )
        choices = {len(choice): choice for choice in reversed(_single_file_names(network))}
        if len(file.arrays) not in choices:
            expected = " or ".join(f"{count} ({text})" for count, text in _describe_choices(network))
            others = _models_of(len(file.arrays), network)
            raise CheckpointError(
                f"{file.path} holds {len(file.arrays)} variables; of this network a single file holds {expected}"
                + f"; it may be {' or '.join(others)}'s" * bool(others)
            )
        return dict(zip(choices[len(file.arrays)], file.arrays.values(), strict=True)), True
    own = network.state_dict().keys()
    released = set(published(network, "released_names").values())
    # Some names are the same in both.
    return file.arrays, sum(name in released for name in file.arrays) > sum(name in own for name in file.arrays)


def trained_names(network) -> dict[str, str]:
    """Own name -> name in the weights of 2019, of what an optimizer trains."""
    names = network.released_names
    return {name: names[name] for name, parameter in network.named_parameters() if not parameter.stop_gradient}


def _single_file_names(network) -> list[list[str]]:
    """The names that a single file of this network may hold, each in the order of the file."""
    names, trained = list(network.released_names.values()), trained_names(network).values()
    choices = [names]
    for accumulators in ACCUMULATORS.values():
        state = [f"{name}_{accumulator}_0" for name in trained for accumulator in accumulators]
        choices += [[*names, *state, *rates] for rates in _RATES]
    if part := published(network, "pretrained_part"):
        backbone = [name for own, name in network.released_names.items() if own.startswith(f"{part}.")]
        choices.append([*backbone, *_CLASSIFIER])
    return [sorted(choice) for choice in choices]


def _models_of(count: int, network) -> list[str]:
    """The models, other than the network's, of which a single file may hold so many variables."""
    return [
        name
        for name, other in published_networks()
        if type(other) is not type(network) and published(other, "released_names")
        if count in map(len, _single_file_names(other))
    ]


def _describe_choices(network) -> list[tuple[int, str]]:
    texts = ["weights"]
    for optimizer in ACCUMULATORS:
        texts += [f"and those of {optimizer}"] * len(_RATES)
    texts.append("a bare ResNet")
    counts = {}
    for choice, text in zip(_single_file_names(network), texts, strict=False):
        counts.setdefault(len(choice), text)
    return list(counts.items())
