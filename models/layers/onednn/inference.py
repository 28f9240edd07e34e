"""A ResNet in test mode by oneDNN: each normalisation folded into the convolution before it, which adds and cuts too.

Paddle's inference engine (3.3.1) computes by the same library, but copies what a block adds to, and takes seconds to
start.
"""

import ctypes
from functools import lru_cache

import paddle

from models.layers.onednn.library import (
    ADD,
    BIAS,
    DIRECT,
    DST,
    FORWARD_INFERENCE,
    MAX,
    MEAN,
    RELU,
    SCALE,
    SHIFT,
    SRC,
    SRC_1,
    VARIANCE,
    WEIGHTS,
    Attributes,
    Layout,
    Memory,
    Primitive,
    count_channels,
    engine,
    pair,
)

_ZERO = ctypes.c_float(0.0)
_KNOWN, _SCALED, _SHIFTED = 0x1, 0x2, 0x4  # of a normalisation
_KEPT = 512  # operations of different shapes: ResNet-50 has 24 for each size of batch


class FoldedResNet:
    """A ResNet with the weights that it has when this is made.

    dtype: of the maps between layers, "float32" or "bfloat16".
    """

    def __init__(self, network, dtype: str):
        self._stem = _fold(network.conv1, dtype)
        self._stages = [[FoldedBottleneck(block, dtype) for block in stage] for stage in network.stages]

    def run(self, x, begin: int, end: int):
        """As ``ResNet.run``, but maps stay in oneDNN's memory between its parts.

        The first part takes a tensor and the last gives one; all others take and give Memory.
        """
        if not begin:
            y = self._stem(Memory.of(x.contiguous()), with_relu=True)
            x = _max_pool(y.layout.shape, y.layout.dtype).run(y)
        for stage in self._stages[max(begin - 1, 0) : end - 1]:
            for block in stage:
                x = block(x)
        return x if end <= len(self._stages) else x.copy_to(Memory.of(paddle.empty(x.layout.shape))).tensor


class FoldedBottleneck:
    """See ``models.layers.resnet.Bottleneck``."""

    def __init__(self, block, dtype: str):
        self._a, self._b, self._c = (_fold(one, dtype) for one in (block.branch2a, block.branch2b, block.branch2c))
        self._shortcut = block.branch1 and _fold(block.branch1, dtype)

    def __call__(self, x: Memory) -> Memory:
        """The result lies where x did, unless the shortcut has a convolution."""
        y = self._b(self._a(x, with_relu=True), with_relu=True)
        return self._c(y, with_relu=True, onto=self._shortcut(x) if self._shortcut else x)


class FoldedTemporalBlock:
    """See ``models.stnet.stnet.TemporalBlock``; as 1x1 convolutions of whole frames, whose maps need not be moved."""

    def __init__(self, block, dtype: str):
        nothing = paddle.zeros_like(block.bias)
        with paddle.no_grad():
            taps = [block.weight[:, :, i].contiguous() for i in range(3)]
            self._before, self._here, self._after = (
                FoldedConvolution(tap, bias, 1, dtype)
                for tap, bias in zip(taps, (nothing, block.bias.clone(), nothing), strict=True)
            )
            norm = block.norm
            known = {MEAN: norm._mean, VARIANCE: norm._variance, SCALE: norm.weight, SHIFT: norm.bias}
            self._statistics = {role: Memory.of(tensor.clone()) for role, tensor in known.items()}
        self._epsilon = norm._epsilon

    def __call__(self, x: Memory, segments: int) -> Memory:
        """x: maps of (N * S, C, H, W)."""
        (count, *sizes), dtype = x.layout.shape, x.layout.dtype
        y = self._here(x)
        if segments > 1:
            neighbours = Layout.of_maps((segments - 1, *sizes), dtype)
            for first in range(0, count, segments):
                second = first + 1
                self._before(x.part(neighbours, first), onto=y.part(neighbours, second))
                self._after(x.part(neighbours, second), onto=y.part(neighbours, first))
        _normalize_cut(x.layout.shape, dtype, self._epsilon).run(y, self._statistics, x)
        return y


class FoldedConvolution:
    """A convolution with a bias. Its weight is laid out once in each way that shapes ask for.

    weight: (C', C, k, k) float32, bias: (C',) float32. dtype: of the maps.
    """

    def __init__(self, weight, bias, stride: int, dtype: str):
        weight = Memory.of(weight).widen(count_channels(weight.shape[1]))
        self._weights, self._bias = [weight], Memory.of(bias)
        self._window, self._dtype, self._is_laid_out = (weight.layout.shape, stride), dtype, False

    def __call__(self, x: Memory, with_relu: bool = False, onto: Memory | None = None) -> Memory:
        """onto: what the result is added to, in its place, before relu."""
        x = x.widen(self._window[0][1])
        convolution = _convolution(x.layout.shape, *self._window, self._dtype, with_relu, onto is not None)
        y = onto or Memory(convolution.y)
        weight = self._lay_out(convolution.weight)
        convolution.primitive.run({SRC: x.to(convolution.x), WEIGHTS: weight, BIAS: self._bias, DST: y})
        return y

    def _lay_out(self, layout) -> Memory:
        for weight in self._weights:
            if weight.lies_as(layout):
                return weight
        found = self._weights[0].to(layout)
        self._weights = [*self._weights, found] if self._is_laid_out else [found]  # not as it came, which takes as much
        self._is_laid_out = True
        return found


def _fold(layer, dtype: str) -> FoldedConvolution:
    """A ConvNorm as one convolution."""
    norm = layer.norm
    with paddle.no_grad():
        scale = norm.weight / (norm._variance + norm._epsilon).sqrt()
        weight = layer.conv.weight * scale.reshape([-1, 1, 1, 1])
        return FoldedConvolution(weight, norm.bias - norm._mean * scale, layer.conv._stride[0], dtype)


class _Convolution:
    """Maps are (N, C, H, W), a weight (C', C, k, k); padding keeps the size for stride 1."""

    def __init__(self, x_shape, weight_shape, stride: int, dtype: str, with_relu: bool, is_added: bool):
        videos, channels, *sizes = x_shape
        # Few channels lie as oneDNN likes best, as in training.
        x = (Layout.of_maps if channels % 16 == 0 else Layout.any)(x_shape, dtype)
        self.y = Layout.of_maps((videos, weight_shape[0], *(-(-size // stride) for size in sizes)), dtype)
        weight, bias = Layout.any(weight_shape, dtype), Layout.plain(weight_shape[:1])
        padding = pair(weight_shape[2] // 2)
        attributes = Attributes()
        if is_added:
            attributes.then_add_to_result()
        if with_relu:
            attributes.then_relu()
        self.primitive = Primitive(
            "dnnl_convolution_forward_primitive_desc_create",
            *(engine(), FORWARD_INFERENCE, DIRECT, x.handle, weight.handle, bias.handle, self.y.handle),
            *(pair(stride), pair(0), padding, padding),
            attributes=attributes,
        )
        self.x, self.weight = self.primitive.layout(SRC), self.primitive.layout(WEIGHTS)


class _MaxPool:
    """Of 3x3 with stride 2 and padding 1."""

    def __init__(self, layout: Layout):
        self._y = Layout.of_maps((*layout.shape[:2], *(-(-size // 2) for size in layout.shape[2:])), layout.dtype)
        self._primitive = Primitive(
            "dnnl_pooling_forward_primitive_desc_create",
            *(engine(), FORWARD_INFERENCE, MAX, layout.handle, self._y.handle, pair(2), pair(3), pair(0)),
            *(pair(1), pair(1)),
        )

    def run(self, x: Memory) -> Memory:
        y = Memory(self._y)
        self._primitive.run({SRC: x, DST: y})
        return y


class _NormalizeCut:
    """relu, then batch normalisation by known statistics, then the sum with other maps."""

    def __init__(self, layout: Layout, epsilon: float):
        here = layout.handle
        self._relu = Primitive(
            "dnnl_eltwise_forward_primitive_desc_create",
            *(engine(), FORWARD_INFERENCE, RELU, here, here, _ZERO, _ZERO),
        )
        self._normalize = Primitive(
            "dnnl_batch_normalization_forward_primitive_desc_create",
            *(engine(), FORWARD_INFERENCE, here, here, ctypes.c_float(epsilon), _KNOWN | _SCALED | _SHIFTED),
        )
        self._add = Primitive("dnnl_binary_primitive_desc_create", engine(), ADD, here, here, here)

    def run(self, y: Memory, statistics: dict[int, Memory], other: Memory) -> None:
        """In the place of y. statistics: MEAN, VARIANCE, SCALE and SHIFT -> (C,)."""
        self._relu.run({SRC: y, DST: y})
        self._normalize.run({SRC: y, DST: y, **statistics})
        self._add.run({SRC: y, SRC_1: other, DST: y})


@lru_cache(_KEPT)
def _convolution(
    x_shape: tuple[int, ...], weight_shape: tuple[int, ...], stride: int, dtype: str, with_relu: bool, is_added: bool
) -> _Convolution:
    return _Convolution(x_shape, weight_shape, stride, dtype, with_relu, is_added)


@lru_cache(_KEPT)
def _max_pool(shape: tuple[int, ...], dtype: str) -> _MaxPool:
    return _MaxPool(Layout.of_maps(shape, dtype))


@lru_cache(_KEPT)
def _normalize_cut(shape: tuple[int, ...], dtype: str, epsilon: float) -> _NormalizeCut:
    return _NormalizeCut(Layout.of_maps(shape, dtype), epsilon)
