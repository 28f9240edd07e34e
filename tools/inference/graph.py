"""What a network is made of and how much it multiplies, from the graph of one forward pass. Nothing is computed.

Paddle builds the graph for inputs of given shapes; values are not needed, of weights neither. Multiply-adds are those
of convolutions and matrix products, each counted from the shapes of its operands; sums, activations, normalisation,
poolings and look-ups are not counted. A product in a loop counts once for each round.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Protocol, runtime_checkable

import paddle
from paddle import nn

from tools.errors import ZooError

_CONVOLUTIONS = ("conv2d", "conv3d", "depthwise_conv2d")
_PRODUCTS = ("matmul", "addmm", *_CONVOLUTIONS)
# Operations that may multiply matrices: one of these that is not counted would make the sum wrong in silence.
_MAY_MULTIPLY = re.compile(r"conv|matmul|mm$|^mv$|dot|einsum|rnn|lstm|gru|attn|attention|gemm|^fc$|linear|bilinear")
_NO_PRODUCTS = ("linear_interp", "bilinear_interp", "trilinear_interp")


class UncountedError(ZooError):
    """A product of a kind that is not counted, or of shapes that are not known."""


@runtime_checkable
class CountsItself(Protocol):
    """A layer that writes a convolution as element-wise operations, which the graph does not show as one."""

    def multiply_adds(self, *shapes: tuple[int, ...]) -> int:
        """Those of one call on inputs of these shapes."""


@dataclass
class LayerFacts:
    """A layer that has weights or statistics of its own, multiplies, or was called. name: as in ``named_sublayers``.

    parameters, statistics: own name -> shape, of what is trained and of the running statistics that are not.
    inputs: shapes of its call's tensors; None where the graph uses its weights without calling it. output: likewise.
    """

    name: str
    kind: str
    parameters: dict[str, tuple[int, ...]] = field(default_factory=dict)
    statistics: dict[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: list[tuple[int, ...]] | None = None
    output: tuple[int, ...] | None = None
    multiply_adds: int = 0

    @property
    def num_parameters(self) -> int:
        return sum(map(prod, self.parameters.values()))

    @property
    def num_statistics(self) -> int:
        return sum(map(prod, self.statistics.values()))


@dataclass(frozen=True)
class GraphInput:
    """Shape with the batch's axis, as one input of the graph has it."""

    name: str
    shape: tuple[int, ...]
    dtype: str


def examine(network, graph, inputs: Sequence[GraphInput], rounds: int) -> list[LayerFacts]:
    """The layers of a network in the order of ``named_sublayers``, the network itself, called "", first.

    graph: the network, or a layer that calls it or its parts, whose operations do not depend on values. rounds: of each
    loop in it. A product belongs to the layer whose weights it takes; one without weights to the innermost layer that
    is running, or to the part of the network that its operands come from.
    Raises UncountedError.
    """
    layers = {layer.name: layer for layer in list_layers(network)}
    program, spans = _build(network, graph, inputs, layers)
    owners = {parameter.name: name.rpartition(".")[0] for name, parameter in network.named_parameters()}
    attribution = _Attribution(program, owners, spans)
    for op, times in _walk(program.global_block(), rounds):
        kind = _kind(op)
        if kind in _PRODUCTS:
            layers[attribution.owner(op)].multiply_adds += times * count_product(kind, op)
        elif _MAY_MULTIPLY.search(kind) and kind not in _NO_PRODUCTS:
            raise UncountedError(f"multiply-adds of {kind} are not counted")
    return list(layers.values())


def list_layers(network) -> list[LayerFacts]:
    """The layers of a network that nobody has called, itself first."""
    return [_describe(name, layer) for name, layer in network.named_sublayers(include_self=True)]


def _describe(name: str, layer) -> LayerFacts:
    own = dict(layer.named_parameters(include_sublayers=False))
    shapes = {part: tuple(value.shape) for part, value in own.items()}
    trained = {part for part, value in own.items() if not value.stop_gradient}
    return LayerFacts(
        name,
        type(layer).__name__,
        {part: shape for part, shape in shapes.items() if part in trained},
        {part: shape for part, shape in shapes.items() if part not in trained},
    )


class _Graph(nn.Layer):
    """Calls a layer as it is: Paddle's translation of Python into graphs does not know all of it."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    @paddle.jit.not_to_static
    def forward(self, inputs):
        return self.layer(*inputs)


def _build(network, graph, inputs: Sequence[GraphInput], layers: dict[str, LayerFacts]):
    """The program, and (layer, id of the operation before its first, of its last) of each call; no id for no operation.

    What calls take and give is noted in ``layers``.
    """
    spans, hooks = [], []

    def place() -> int | None:  # no number in a row: those of weights are put in front when they are first used
        block = paddle.static.default_main_program().global_block()
        return None if block.empty() else block.back().id()

    def begin(name: str, starts: list[int | None]):
        return lambda layer, values: starts.append(place())

    def end(name: str, starts: list[int | None]):
        def note(layer, values, output) -> None:
            spans.append((name, starts.pop(), place()))
            facts = layers[name]
            facts.inputs = [tuple(value.shape) for value in values if isinstance(value, paddle.pir.Value)]
            facts.output = tuple(output.shape) if isinstance(output, paddle.pir.Value) else None
            if isinstance(layer, CountsItself):
                facts.multiply_adds += layer.multiply_adds(*facts.inputs)

        return note

    for name, layer in network.named_sublayers(include_self=True):
        starts = []
        hooks.append(layer.register_forward_pre_hook(begin(name, starts)))
        hooks.append(layer.register_forward_post_hook(end(name, starts)))
    network.eval()
    specs = [paddle.static.InputSpec(one.shape, one.dtype, one.name) for one in inputs]
    try:
        static = paddle.jit.to_static(_Graph(graph), input_spec=[specs], full_graph=True)
        return static.forward.concrete_program.main_program, spans
    finally:
        for hook in hooks:
            hook.remove()


def _kind(op) -> str:
    return op.name().removeprefix("pd_op.").rstrip("_")


def _walk(block, rounds: int, times: int = 1) -> Iterator[tuple]:
    """(operation, how often it runs) of a block and of the loops in it."""
    for op in block.ops:
        yield op, times
        inner = list(op.blocks())
        if inner and _kind(op) != "while":
            raise UncountedError(f"how often the blocks of {_kind(op)} run is not known")
        for body in inner:
            yield from _walk(body, rounds, times * rounds)


def count_product(kind: str, op) -> int:
    """The multiply-adds of a product of the graph. Raises UncountedError where a shape is not known."""
    shapes = [tuple(operand.source().shape) for operand in op.operands()]
    output = tuple(op.result(0).shape)
    if kind in _CONVOLUTIONS:  # x, filter (out, in / groups, kernel)
        return _known(kind, output, shapes[1][1:])
    one = shapes[1] if kind == "addmm" else shapes[0]
    transposed = kind == "matmul" and op.attrs()["transpose_x"] and len(one) > 1
    return _known(kind, output, one[-2:-1] if transposed else one[-1:])


def _known(kind: str, *shapes: tuple[int, ...]) -> int:
    sizes = [size for shape in shapes for size in shape]
    if min(sizes, default=1) < 0:
        raise UncountedError(f"the sizes of {kind} are not known: {shapes}")
    return prod(sizes)


class _Attribution:
    """Which layer an operation belongs to."""

    def __init__(self, program, owners: dict[str, str], spans: list[tuple[str, int | None, int | None]]):
        self.owners = owners
        self.running = {}  # id of an operation of the program -> the innermost layer that was running
        ids = [op.id() for op in program.global_block().ops]
        places = {None: -1} | {number: place for place, number in enumerate(ids)}
        for name, before, last in reversed(spans):  # of a layer, those of its parts come later and hold
            self.running |= dict.fromkeys(ids[places[before] + 1 : places[last] + 1], name)

    def owner(self, op) -> str:
        return self._told(op) or self._common_origin(op)

    def _told(self, op) -> str:
        """By its weights, or by its layer's call; "" where neither says more than that it is of the network."""
        for operand in op.operands():
            source = operand.source().get_defining_op()
            if source is not None and source.name() == "builtin.parameter":
                name = source.attrs()["parameter_name"]
                if name in self.owners:
                    return self.owners[name]
        return self.running.get(op.id(), "")

    def _common_origin(self, op) -> str:
        """The part of the network that all layers are of which its operands come from."""
        waiting, seen, found = [op], set(), []
        while waiting:
            last = waiting.pop()
            for body in last.blocks():  # what a loop gives comes from what is in it
                for inner in body.ops:
                    waiting.append(inner)
                    if name := self._told(inner):
                        found.append(name.split("."))
            for operand in last.operands():
                source = operand.source().get_defining_op()
                if source is None or source.id() in seen:
                    continue
                seen.add(source.id())
                if name := self._told(source):
                    found.append(name.split("."))
                else:
                    waiting.append(source)
        parts = []
        for level in zip(*found, strict=False):
            if len(set(level)) > 1:
                break
            parts.append(level[0])
        return ".".join(parts)
