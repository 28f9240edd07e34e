"""Inception as it was released in December 2015 (classify_image_graph_def.pb), up to its last pooling.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016 (arXiv:1512.00567), section 6 and
table 1, with batch normalisation. Layers are named as the scopes of the released graph, "/" being ".". Nothing
is trained, so batch normalisation has become part of the convolutions.
"""

from collections.abc import Mapping

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from models.layers.tensorflow_arrays import is_float32, require_arrays, to_paddle_kernel
from tools.errors import CheckpointError

EPSILON = 1e-3  # of batch normalisation
STATISTICS = ("beta", "gamma", "moving_mean", "moving_variance")


class Convolution(nn.Conv2D):
    """A convolution with bias, then ReLU: (N, in_channels, H, W) -> (N, out_channels, H', W').

    height, width: of the kernel, both odd. padded: with zeros, so that stride 1 keeps the size.
    """

    def __init__(self, in_channels: int, out_channels: int, height: int, width: int, stride: int = 1, padded=True):
        padding = (height // 2, width // 2) if padded else 0
        start = nn.initializer.Constant(0.0)  # the quickest, as all weights are loaded
        super().__init__(
            in_channels, out_channels, (height, width), stride, padding, weight_attr=start, bias_attr=start
        )

    def forward(self, x):
        return F.relu(super().forward(x))


def list_convolutions(in_channels: int, *rows: tuple[int, ...]) -> list[tuple[str, Convolution]]:
    """Convolutions one after another with their names, conv, conv_1, conv_2 ...

    rows: out_channels, height and width of each; a fourth number is its stride, and without padding then.
    """
    layers = []
    for place, (out_channels, height, width, *stride) in enumerate(rows):
        name = f"conv_{place}" if place else "conv"
        layers.append((name, Convolution(in_channels, out_channels, height, width, *stride, padded=not stride)))
        in_channels = out_channels
    return layers


def build_tower(in_channels: int, *rows: tuple[int, ...]) -> nn.Sequential:
    return nn.Sequential(*list_convolutions(in_channels, *rows))


class Fork(nn.Layer):
    """Two convolutions beside each other: (N, in_channels, 8, 8) -> (N, 768, 8, 8)."""

    def __init__(self, in_channels: int):
        super().__init__()
        self.conv = Convolution(in_channels, 384, 1, 3)
        self.conv_1 = Convolution(in_channels, 384, 3, 1)

    def forward(self, x):
        return paddle.concat([self.conv(x), self.conv_1(x)], axis=1)


def build_forked_tower(in_channels: int, *rows: tuple[int, ...]) -> nn.Sequential:
    return nn.Sequential(*list_convolutions(in_channels, *rows), ("mixed", Fork(rows[-1][0])))


def build_pooled(in_channels: int, out_channels: int, pool: nn.Layer) -> nn.Sequential:
    return nn.Sequential(("pool", pool), ("conv", Convolution(in_channels, out_channels, 1, 1)))


def average_pool() -> nn.Layer:
    """The mean of the 3x3 places around each, of those that are in the picture."""
    return nn.AvgPool2D(3, stride=1, padding=1, exclusive=True)


class Mixed35(nn.Layer):
    """Figure 5 of the paper, with its 5x5 convolution in one: (N, in_channels, 35, 35) -> (N, 224 + pooled, 35, 35)."""

    def __init__(self, in_channels: int, pooled: int):
        super().__init__()
        self.conv = Convolution(in_channels, 64, 1, 1)
        self.tower = build_tower(in_channels, (48, 1, 1), (64, 5, 5))
        self.tower_1 = build_tower(in_channels, (64, 1, 1), (96, 3, 3), (96, 3, 3))
        self.tower_2 = build_pooled(in_channels, pooled, average_pool())

    def forward(self, x):
        return paddle.concat([self.conv(x), self.tower(x), self.tower_1(x), self.tower_2(x)], axis=1)


class Halving35(nn.Layer):
    """Figure 10: (N, 288, 35, 35) -> (N, 768, 17, 17)."""

    def __init__(self):
        super().__init__()
        self.conv = Convolution(288, 384, 3, 3, stride=2, padded=False)
        self.tower = build_tower(288, (64, 1, 1), (96, 3, 3), (96, 3, 3, 2))
        self.pool = nn.MaxPool2D(3, stride=2)

    def forward(self, x):
        return paddle.concat([self.conv(x), self.tower(x), self.pool(x)], axis=1)


class Mixed17(nn.Layer):
    """Figure 6 with n = 7, of which ``width`` channels are between: (N, 768, 17, 17) -> the same."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = Convolution(768, 192, 1, 1)
        self.tower = build_tower(768, (width, 1, 1), (width, 1, 7), (192, 7, 1))
        self.tower_1 = build_tower(768, (width, 1, 1), (width, 7, 1), (width, 1, 7), (width, 7, 1), (192, 1, 7))
        self.tower_2 = build_pooled(768, 192, average_pool())

    def forward(self, x):
        return paddle.concat([self.conv(x), self.tower(x), self.tower_1(x), self.tower_2(x)], axis=1)


class Halving17(nn.Layer):
    """As figure 10, with the convolutions of figure 6: (N, 768, 17, 17) -> (N, 1280, 8, 8)."""

    def __init__(self):
        super().__init__()
        self.tower = build_tower(768, (192, 1, 1), (320, 3, 3, 2))
        self.tower_1 = build_tower(768, (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3, 2))
        self.pool = nn.MaxPool2D(3, stride=2)

    def forward(self, x):
        return paddle.concat([self.tower(x), self.tower_1(x), self.pool(x)], axis=1)


class Mixed8(nn.Layer):
    """Figure 7: (N, in_channels, 8, 8) -> (N, 2048, 8, 8)."""

    def __init__(self, in_channels: int, pool: nn.Layer):
        super().__init__()
        self.conv = Convolution(in_channels, 320, 1, 1)
        self.tower = build_forked_tower(in_channels, (384, 1, 1))
        self.tower_1 = build_forked_tower(in_channels, (448, 1, 1), (384, 3, 3))
        self.tower_2 = build_pooled(in_channels, 192, pool)

    def forward(self, x):
        return paddle.concat([self.conv(x), self.tower(x), self.tower_1(x), self.tower_2(x)], axis=1)


class Inception2015(nn.Layer):
    """The network without its classifier, for ``load_constants``: it begins with zeros.

    Shape:
        x: (N, 3, 299, 299) float32 or uint8, red green blue in [0, 255], as ``datareader.youtube8m.pixels`` makes it.
        output: pool_3, (N, 2048) float32, 0 or more.
    """

    def __init__(self):
        super().__init__()
        self.conv = Convolution(3, 32, 3, 3, stride=2, padded=False)
        self.conv_1 = Convolution(32, 32, 3, 3, padded=False)
        self.conv_2 = Convolution(32, 64, 3, 3)
        self.pool = nn.MaxPool2D(3, stride=2)
        self.conv_3 = Convolution(64, 80, 1, 1)
        self.conv_4 = Convolution(80, 192, 3, 3, padded=False)
        self.pool_1 = nn.MaxPool2D(3, stride=2)
        self.mixed = Mixed35(192, pooled=32)
        self.mixed_1 = Mixed35(256, pooled=64)
        self.mixed_2 = Mixed35(288, pooled=64)
        self.mixed_3 = Halving35()
        self.mixed_4 = Mixed17(128)
        self.mixed_5 = Mixed17(160)
        self.mixed_6 = Mixed17(160)
        self.mixed_7 = Mixed17(192)
        self.mixed_8 = Halving17()
        self.mixed_9 = Mixed8(1280, average_pool())
        # The largest value, where all others take the mean: so it is in the released graph.
        self.mixed_10 = Mixed8(2048, nn.MaxPool2D(3, stride=1, padding=1))
        self.pool_3 = nn.AvgPool2D(8)

    def forward(self, x):
        x = self.pool(self.conv_2(self.conv_1(self.conv(self.scale_pixels(x)))))  # (N, 64, 73, 73)
        x = self.pool_1(self.conv_4(self.conv_3(x)))  # (N, 192, 35, 35)
        x = self.mixed_2(self.mixed_1(self.mixed(x)))  # (N, 288, 35, 35)
        x = self.mixed_7(self.mixed_6(self.mixed_5(self.mixed_4(self.mixed_3(x)))))  # (N, 768, 17, 17)
        x = self.mixed_10(self.mixed_9(self.mixed_8(x)))  # (N, 2048, 8, 8)
        return self.pool_3(x).flatten(1)  # (N, 2048)

    def scale_pixels(self, x):
        """[0, 255] to [-1, 0.992]; 128 is a power of 2, so that each value is rounded once."""
        if x.dtype == paddle.uint8:
            x = x.astype("float32")
        return (x - 128.0) * (1 / 128)

    def scopes(self) -> dict[str, Convolution]:
        """Scope in the released graph -> convolution, in the order of the layers; 94 of them."""
        layers = self.named_sublayers()
        return {name.replace(".", "/"): layer for name, layer in layers if isinstance(layer, Convolution)}


def constant_shapes(network: Inception2015) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the 470 constants of the released graph that ``load_constants`` takes, all of them float32."""
    shapes = {}
    for scope, layer in network.scopes().items():
        out_channels, in_channels, height, width = layer.weight.shape
        shapes[f"{scope}/conv2d_params"] = height, width, in_channels, out_channels
        shapes |= {f"{scope}/batchnorm/{name}": (out_channels,) for name in STATISTICS}
    return shapes


def load_constants(network: Inception2015, constants: Mapping[str, np.ndarray], where: str = "the graph") -> None:
    """Give a network the constants of the released graph, of which it makes its own weights.

    constants: at least those of ``constant_shapes``. where: what they are of, for messages. Raises CheckpointError
    where some are missing, have another shape, or are no numbers that a network can have.
    """
    require_arrays(constants, constant_shapes(network), where)
    for scope, layer in network.scopes().items():
        kernel = constants[f"{scope}/conv2d_params"].astype(np.float64)
        beta, gamma, mean, variance = (constants[f"{scope}/batchnorm/{name}"].astype(np.float64) for name in STATISTICS)
        if not (variance >= 0).all():
            raise CheckpointError(f"{where}: {scope}/batchnorm/moving_variance holds {variance.min()}, less than 0")
        scale = gamma / np.sqrt(variance + EPSILON)
        weight, bias = kernel * scale, beta - mean * scale
        if not (is_float32(weight) and is_float32(bias)):
            raise CheckpointError(f"{where}: {scope} gives weights that float32 does not have")
        layer.weight.set_value(to_paddle_kernel(weight.astype(np.float32)))
        layer.bias.set_value(bias.astype(np.float32))
