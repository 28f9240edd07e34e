"""The two networks of YouTube-8M's features as people run them in PyTorch: convolutions with batch normalisation behind
them, and VGG as a sequence. Needs PyTorch when it is imported.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

EPSILON = 1e-3


class Convolution(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, in_channels, out_channels, height, width, stride=1, padded=True):
        padding = (height // 2, width // 2) if padded else 0
        super().__init__(
            nn.Conv2d(in_channels, out_channels, (height, width), stride, padding, bias=False),
            nn.BatchNorm2d(out_channels, eps=EPSILON),
            nn.ReLU(inplace=True),
        )


class Tower(nn.Sequential):
    """Convolutions one after another: conv, conv_1 ... of (out_channels, height, width[, stride without padding])."""

    def __init__(self, in_channels, *rows, head=None):
        super().__init__()
        if head is not None:
            self.add_module("pool", head)
        for place, (out_channels, height, width, *stride) in enumerate(rows):
            layer = Convolution(in_channels, out_channels, height, width, *stride, padded=not stride)
            self.add_module(f"conv_{place}" if place else "conv", layer)
            in_channels = out_channels


class Fork(nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.conv = Convolution(in_channels, 384, 1, 3)
        self.conv_1 = Convolution(in_channels, 384, 3, 1)

    def forward(self, x):
        return torch.cat([self.conv(x), self.conv_1(x)], 1)


class Mixed(nn.Module):
    """Branches beside each other, in the order in which they are given."""

    def __init__(self, **branches):
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.children()], 1)


def mean_pool():
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def mixed_35(in_channels, pooled):
    return Mixed(
        conv=Convolution(in_channels, 64, 1, 1),
        tower=Tower(in_channels, (48, 1, 1), (64, 5, 5)),
        tower_1=Tower(in_channels, (64, 1, 1), (96, 3, 3), (96, 3, 3)),
        tower_2=Tower(in_channels, (pooled, 1, 1), head=mean_pool()),
    )


def mixed_17(width):
    return Mixed(
        conv=Convolution(768, 192, 1, 1),
        tower=Tower(768, (width, 1, 1), (width, 1, 7), (192, 7, 1)),
        tower_1=Tower(768, (width, 1, 1), (width, 7, 1), (width, 1, 7), (width, 7, 1), (192, 1, 7)),
        tower_2=Tower(768, (192, 1, 1), head=mean_pool()),
    )


def forked(tower, width):
    tower.add_module("mixed", Fork(width))
    return tower


def mixed_8(in_channels, pool):
    return Mixed(
        conv=Convolution(in_channels, 320, 1, 1),
        tower=forked(Tower(in_channels, (384, 1, 1)), 384),
        tower_1=forked(Tower(in_channels, (448, 1, 1), (384, 3, 3)), 384),
        tower_2=Tower(in_channels, (192, 1, 1), head=pool),
    )


class Inception(nn.Module):
    """x (N, 3, 299, 299) float32 in [0, 255] -> (N, 2048)."""

    def __init__(self):
        super().__init__()
        self.conv = Convolution(3, 32, 3, 3, 2, padded=False)
        self.conv_1 = Convolution(32, 32, 3, 3, padded=False)
        self.conv_2 = Convolution(32, 64, 3, 3)
        self.conv_3 = Convolution(64, 80, 1, 1)
        self.conv_4 = Convolution(80, 192, 3, 3, padded=False)
        self.mixed, self.mixed_1, self.mixed_2 = mixed_35(192, 32), mixed_35(256, 64), mixed_35(288, 64)
        self.mixed_3 = Mixed(
            conv=Convolution(288, 384, 3, 3, 2, padded=False),
            tower=Tower(288, (64, 1, 1), (96, 3, 3), (96, 3, 3, 2)),
            pool=nn.MaxPool2d(3, 2),
        )
        self.mixed_4, self.mixed_5, self.mixed_6, self.mixed_7 = map(mixed_17, (128, 160, 160, 192))
        self.mixed_8 = Mixed(
            tower=Tower(768, (192, 1, 1), (320, 3, 3, 2)),
            tower_1=Tower(768, (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3, 2)),
            pool=nn.MaxPool2d(3, 2),
        )
        self.mixed_9, self.mixed_10 = mixed_8(1280, mean_pool()), mixed_8(2048, nn.MaxPool2d(3, 1, 1))

    def forward(self, x):
        x = self.conv_2(self.conv_1(self.conv((x - 128) / 128)))
        x = self.conv_4(self.conv_3(F.max_pool2d(x, 3, 2)))
        x = self.mixed_2(self.mixed_1(self.mixed(F.max_pool2d(x, 3, 2))))
        x = self.mixed_7(self.mixed_6(self.mixed_5(self.mixed_4(self.mixed_3(x)))))
        return self.mixed_10(self.mixed_9(self.mixed_8(x))).mean(dim=(2, 3))


class VGGish(nn.Module):
    """x (N, 96, 64) -> (N, 128)."""

    def __init__(self):
        super().__init__()
        layers, in_channels = [], 1
        for group in ((64,), (128,), (256, 256), (512, 512)):
            for out_channels in group:
                layers += [nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU(inplace=True)]
                in_channels = out_channels
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(12288, 4096), nn.ReLU(inplace=True), nn.Linear(4096, 4096), nn.ReLU(inplace=True),
            nn.Linear(4096, 128),
        )  # fmt: skip

    def forward(self, x):
        x = self.features(x.unsqueeze(1))
        return self.embeddings(x.permute(0, 2, 3, 1).reshape(x.shape[0], -1))


def build_inception(constants: Mapping[str, np.ndarray]) -> Inception:
    """In test mode, of the constants of ``models.inception2015``."""
    network = Inception().eval()
    with torch.no_grad():
        for name, layer in network.named_modules():
            if isinstance(layer, Convolution):
                scope, (conv, norm, _) = name.replace(".", "/"), layer
                conv.weight.copy_(torch.from_numpy(constants[f"{scope}/conv2d_params"].transpose(3, 2, 0, 1).copy()))
                for own, theirs in (
                    ("weight", "gamma"), ("bias", "beta"), ("running_mean", "moving_mean"),
                    ("running_var", "moving_variance"),
                ):  # fmt: skip
                    norm.state_dict()[own].copy_(torch.from_numpy(constants[f"{scope}/batchnorm/{theirs}"]))
    return network


def build_vggish(variables: Mapping[str, np.ndarray]) -> VGGish:
    """In test mode, of the variables of ``models.vggish``, in their order."""
    network = VGGish().eval()
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    weights = [value for name, value in variables.items() if name.endswith("/weights")]
    biases = [value for name, value in variables.items() if name.endswith("/biases")]
    with torch.no_grad():
        for layer, weight, bias in zip(layers, weights, biases, strict=True):
            there = weight.transpose(3, 2, 0, 1) if weight.ndim == 4 else weight.T
            layer.weight.copy_(torch.from_numpy(there.copy()))
            layer.bias.copy_(torch.from_numpy(bias.copy()))
    return network
