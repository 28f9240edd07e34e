"""A ResNet's stem and bottlenecks in training, one after another in oneDNN's memory, as one operation of Paddle."""

from collections.abc import Callable, Sequence

import paddle
from paddle.autograd import PyLayer

from models.layers.onednn.library import Layout, Memory
from models.layers.onednn.operations import convolution, max_pool, normalization, shortcut

# What a layer leaves for its gradients: (gradient of its output, whether that of its input is needed) -> the latter.
Backward = Callable[[Memory, bool], Memory | None]


def train_part(x, stem, blocks: Sequence, dtype: str = "float32"):
    """Run layers of a ResNet as in training mode: batch statistics normalise, and move the running ones.

    stem: the ConvNorm that relu and a maximum over 3x3 follow; None to begin with the blocks. blocks: of Bottleneck.
    dtype: of the maps between layers, "float32" or "bfloat16".

    Shape: x (N, C, H, W) float32 on the CPU -> what the last layer gives, (N, C', H', W').
    """
    return _Part.apply(x, stem, blocks, dtype, *_parameters(stem, blocks))


def _parameters(stem, blocks: Sequence) -> list:
    layers = [*([] if stem is None else [stem]), *blocks]
    return [one for layer in layers for one in layer.parameters() if not one.stop_gradient]


class _Part(PyLayer):
    """The parameters are arguments for Paddle alone, which takes gradients of those."""

    @staticmethod
    def forward(ctx, x, stem, blocks, dtype, *_):
        ctx.gradients, ctx.backwards = {}, []
        ctx.order = [id(parameter) for parameter in _parameters(stem, blocks)]
        ctx.x_needed, ctx.dtype = not x.stop_gradient, dtype
        y = Memory.of(x.contiguous())
        if stem is not None:
            y, backward = _stem(stem, y, dtype, ctx.gradients)
            ctx.backwards.append(backward)
        for block in blocks:
            y, backward = _bottleneck(block, y.to(Layout.of_maps(y.layout.shape, dtype)), dtype, ctx.gradients)
            ctx.backwards.append(backward)
        return y.copy_to(Memory.of(paddle.empty(y.layout.shape))).tensor

    @staticmethod
    def backward(ctx, dy):
        assert ctx.backwards, "gradients are taken once, as what they need is freed on the way"
        shape, dy = dy.shape, Memory.of(dy.contiguous())
        dy = dy.copy_to(Memory(Layout.of_maps(shape, ctx.dtype)))  # layers write into it
        while ctx.backwards:  # what a layer has kept is free once its gradients are there
            backward = ctx.backwards.pop()
            dy = backward(dy, bool(ctx.backwards) or ctx.x_needed)
        dx = dy and dy.copy_to(Memory.of(paddle.empty(dy.layout.shape))).tensor
        return dx, *(ctx.gradients[key] for key in ctx.order)


def _stem(layer, x: Memory, dtype: str, gradients: dict) -> tuple[Memory, Backward]:
    y, of_layer = _conv_norm(layer, x, True, dtype, gradients)
    pool = max_pool(y.layout.shape, dtype)
    y, places = pool.forward(y)

    def backward(dy: Memory, needed: bool) -> Memory | None:
        return of_layer(pool.backward(places, dy), needed)

    return y, backward


def _bottleneck(block, x: Memory, dtype: str, gradients: dict) -> tuple[Memory, Backward]:
    y, of_a = _conv_norm(block.branch2a, x, True, dtype, gradients)
    y, of_b = _conv_norm(block.branch2b, y, True, dtype, gradients)
    y, of_c = _conv_norm(block.branch2c, y, False, dtype, gradients)
    other, of_other = x, None
    if block.branch1 is not None:
        other, of_other = _conv_norm(block.branch1, x, False, dtype, gradients)
    join = shortcut(y.layout.shape, dtype)
    join.forward(y, other)

    def backward(dy: Memory, needed: bool) -> Memory | None:
        join.backward(y, dy)
        dx = of_a(of_b(of_c(dy, True), True), needed)
        other = of_other(dy, needed) if of_other else dy
        if needed:
            shortcut(x.layout.shape, dtype).add(dx, other)
        return dx

    return y, backward


def _conv_norm(layer, x: Memory, with_relu: bool, dtype: str, gradients: dict) -> tuple[Memory, Backward]:
    weight, norm = layer.conv.weight, layer.norm
    conv = convolution(x.layout.shape, tuple(weight.shape), layer.conv._stride[0], dtype)
    maps = conv.forward(x, weight)
    normalize = normalization(conv.y.shape, dtype, norm._epsilon, with_relu)
    y, statistics = normalize.forward(maps, norm.weight, norm.bias)
    with paddle.no_grad():
        for running, seen in ((norm._mean, statistics.mean), (norm._variance, statistics.variance)):
            running.set_value(running * norm._momentum + seen.tensor * (1 - norm._momentum))

    def backward(dy: Memory, needed: bool) -> Memory | None:
        dy, by_scale, by_shift = normalize.backward(maps, statistics, norm.weight, dy)
        gradients[id(norm.weight)], gradients[id(norm.bias)] = by_scale, by_shift
        gradients[id(weight)] = conv.backward_weight(x, dy)
        return conv.backward_x(weight, dy) if needed else None

    return y, backward
