"""What a ResNet in training is made of, forward and backward, on oneDNN's memory: on the CPU, in float32 or bfloat16.

Sums are float32 in both, as are weights, their gradients, and what normalisation knows of a channel. Each class is
compiled for one shape; the functions at the end keep what they have made, as steps have few shapes.
"""

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import paddle

from models.layers.onednn.library import (
    ADD,
    BACKWARD,
    DIFF_DST,
    DIFF_SCALE,
    DIFF_SHIFT,
    DIFF_SRC,
    DIFF_WEIGHTS,
    DIRECT,
    DST,
    FORWARD_TRAINING,
    MAX,
    MEAN,
    RELU,
    SCALE,
    SHIFT,
    SRC,
    SRC_1,
    VARIANCE,
    WEIGHTS,
    WORKSPACE,
    Layout,
    Memory,
    Primitive,
    count_channels,
    engine,
    pair,
)

_SCALED, _SHIFTED, _WITH_RELU = 0x2, 0x4, 0x8  # of a normalisation
_ZERO = ctypes.c_float(0.0)
_KEPT = 512  # operations of different shapes: a ResNet has fewer than a hundred for each size of batch


class Convolution:
    """Without bias; padding keeps the size for stride 1. Maps are (N, C, H, W), a weight (C', C, k, k)."""

    def __init__(self, x_shape: tuple[int, ...], weight_shape: tuple[int, ...], stride: int, dtype: str):
        videos, channels, *sizes = x_shape
        self._channels, wide = channels, count_channels(channels)
        self._x_shape, self._weight_shape = (videos, wide, *sizes), (weight_shape[0], wide, *weight_shape[2:])
        # Few channels lie as oneDNN likes best: that is not in blocks.
        x = (Layout.of_maps if wide % 16 == 0 else Layout.any)(self._x_shape, dtype)
        self.y = Layout.of_maps((videos, weight_shape[0], *(-(-size // stride) for size in sizes)), dtype)
        self._x, self._weight = x, Layout.any(self._weight_shape, dtype)
        self._window = pair(stride), pair(0), pair(weight_shape[2] // 2), pair(weight_shape[2] // 2)
        layouts = x.handle, self._weight.handle, None, self.y.handle
        self._forward = Primitive(
            "dnnl_convolution_forward_primitive_desc_create",
            *(engine(), FORWARD_TRAINING, DIRECT, *layouts, *self._window),
        )
        gradient = Layout.any(self._weight_shape, "float32")
        self._by_weight = Primitive(
            "dnnl_convolution_backward_weights_primitive_desc_create",
            *(engine(), DIRECT, x.handle, gradient.handle, None, self.y.handle, *self._window),
            self._forward.description,
        )
        self._by_x = None  # not needed of a network's first

    def forward(self, x: Memory, weight) -> Memory:
        y = Memory(self.y)
        weight = Memory.of(weight).widen(self._x_shape[1]).to(self._forward.layout(WEIGHTS))
        x = x.widen(self._x_shape[1]).to(self._forward.layout(SRC))
        self._forward.run({SRC: x, WEIGHTS: weight, DST: y})
        return y

    def backward_weight(self, x: Memory, dy: Memory):
        """The gradient of the weight, as a tensor of its shape."""
        gradient = Memory(self._by_weight.layout(DIFF_WEIGHTS))
        x = x.widen(self._x_shape[1]).to(self._by_weight.layout(SRC))
        self._by_weight.run({SRC: x, DIFF_DST: dy, DIFF_WEIGHTS: gradient})
        return gradient.copy_to(Memory.of(paddle.empty(self._weight_shape))).tensor[:, : self._channels]

    def backward_x(self, weight, dy: Memory) -> Memory:
        """The gradient of the maps."""
        if self._by_x is None:
            layouts = self._x.handle, self._weight.handle, self.y.handle
            self._by_x = Primitive(
                "dnnl_convolution_backward_data_primitive_desc_create",
                *(engine(), DIRECT, *layouts, *self._window, self._forward.description),
            )
        dx = Memory(self._by_x.layout(DIFF_SRC, self._x_shape, self._x.dtype))
        weight = Memory.of(weight).widen(self._x_shape[1]).to(self._by_x.layout(WEIGHTS))
        self._by_x.run({DIFF_DST: dy, WEIGHTS: weight, DIFF_SRC: dx})
        return dx.narrow(self._channels)


@dataclass(frozen=True)
class Statistics:
    """Of a batch by channel, the variance divided by the count; and what relu has let through."""

    mean: Memory
    variance: Memory
    passed: Memory | None


class Normalization:
    """Of each channel by its mean and variance in the batch, scaled and shifted; with relu where that follows."""

    def __init__(self, layout: Layout, epsilon: float, with_relu: bool):
        self._layout, self._vector, self._with_relu = layout, Layout.plain([layout.shape[1]]), with_relu
        flags = _SCALED | _SHIFTED | (_WITH_RELU if with_relu else 0)
        here = layout.handle
        self._forward = Primitive(
            "dnnl_batch_normalization_forward_primitive_desc_create",
            *(engine(), FORWARD_TRAINING, here, here, ctypes.c_float(epsilon), flags),
        )
        self._backward = Primitive(
            "dnnl_batch_normalization_backward_primitive_desc_create",
            *(engine(), BACKWARD, here, here, here, ctypes.c_float(epsilon), flags, self._forward.description),
        )

    def forward(self, x: Memory, scale, shift) -> tuple[Memory, Statistics]:
        y = Memory(self._layout)
        mean, variance = (Memory.of(paddle.empty(self._vector.shape)) for _ in range(2))
        statistics = Statistics(mean, variance, Memory(self._forward.layout(WORKSPACE)) if self._with_relu else None)
        arguments = {SRC: x, DST: y, SCALE: Memory.of(scale), SHIFT: Memory.of(shift)}
        self._forward.run(arguments | self._of(statistics))
        return y, statistics

    def backward(
        self, x: Memory, statistics: Statistics, scale, dy: Memory
    ) -> tuple[Memory, paddle.Tensor, paddle.Tensor]:
        """The gradients of the maps, of scale and of shift."""
        dx = Memory(self._layout)
        by_scale, by_shift = (Memory.of(paddle.empty(self._vector.shape)) for _ in range(2))
        arguments = {SRC: x, SCALE: Memory.of(scale), DIFF_DST: dy}
        results = {DIFF_SRC: dx, DIFF_SCALE: by_scale, DIFF_SHIFT: by_shift}
        self._backward.run(arguments | self._of(statistics) | results)
        return dx, by_scale.tensor, by_shift.tensor

    def _of(self, statistics: Statistics) -> dict[int, Memory]:
        passed = {WORKSPACE: statistics.passed} if self._with_relu else {}
        return {MEAN: statistics.mean, VARIANCE: statistics.variance, **passed}


class MaxPool:
    """Of 3x3 with stride 2 and padding 1."""

    def __init__(self, layout: Layout):
        self._x = layout
        self.y = Layout.of_maps((*layout.shape[:2], *(-(-size // 2) for size in layout.shape[2:])), layout.dtype)
        arguments = layout.handle, self.y.handle, pair(2), pair(3), pair(0), pair(1), pair(1)
        self._forward = Primitive(
            "dnnl_pooling_forward_primitive_desc_create", engine(), FORWARD_TRAINING, MAX, *arguments
        )
        forward = self._forward.description
        self._backward = Primitive("dnnl_pooling_backward_primitive_desc_create", engine(), MAX, *arguments, forward)

    def forward(self, x: Memory) -> tuple[Memory, Memory]:
        """The maps, and where their maxima were."""
        y, places = Memory(self.y), Memory(self._forward.layout(WORKSPACE))
        self._forward.run({SRC: x, DST: y, WORKSPACE: places})
        return y, places

    def backward(self, places: Memory, dy: Memory) -> Memory:
        dx = Memory(self._x)
        self._backward.run({DIFF_DST: dy, WORKSPACE: places, DIFF_SRC: dx})
        return dx


class Shortcut:
    """The sum of two branches, and relu of it."""

    def __init__(self, layout: Layout):
        here = layout.handle
        self._add = Primitive("dnnl_binary_primitive_desc_create", engine(), ADD, here, here, here)
        self._relu = Primitive(
            "dnnl_eltwise_forward_primitive_desc_create",
            *(engine(), FORWARD_TRAINING, RELU, here, here, _ZERO, _ZERO),
        )
        self._backward = Primitive(
            "dnnl_eltwise_backward_primitive_desc_create",
            *(engine(), RELU, here, here, here, _ZERO, _ZERO, self._relu.description),
        )

    def add(self, x: Memory, other: Memory) -> None:
        """Add the other to x, in its place."""
        self._add.run({SRC: x, SRC_1: other, DST: x})

    def forward(self, x: Memory, other: Memory) -> None:
        """relu(x + other), in the place of x."""
        self.add(x, other)
        self._relu.run({SRC: x, DST: x})

    def backward(self, y: Memory, dy: Memory) -> None:
        """The gradient of both branches, in the place of dy; y: what ``forward`` has left, positive as the sum was."""
        self._backward.run({SRC: y, DIFF_DST: dy, DIFF_SRC: dy})


@lru_cache(_KEPT)
def convolution(x_shape: tuple[int, ...], weight_shape: tuple[int, ...], stride: int, dtype: str) -> Convolution:
    return Convolution(x_shape, weight_shape, stride, dtype)


@lru_cache(_KEPT)
def normalization(shape: tuple[int, ...], dtype: str, epsilon: float, with_relu: bool) -> Normalization:
    return Normalization(Layout.of_maps(shape, dtype), epsilon, with_relu)


@lru_cache(_KEPT)
def max_pool(shape: tuple[int, ...], dtype: str) -> MaxPool:
    return MaxPool(Layout.of_maps(shape, dtype))


@lru_cache(_KEPT)
def shortcut(shape: tuple[int, ...], dtype: str) -> Shortcut:
    return Shortcut(Layout.of_maps(shape, dtype))
