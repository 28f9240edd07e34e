"""The two networks on clips as people write them in PyTorch. Needs PyTorch when it is imported."""

import torch
import torch.nn.functional as F
from torch import nn


class ClipNetwork(nn.Module):
    """Of one label."""

    def probs(self, logits):
        return torch.softmax(logits, -1)

    def loss(self, logits, labels):
        return F.cross_entropy(logits, labels)


class ConvNorm(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        return self.norm(self.conv(x))


class Bottleneck(nn.Module):
    def __init__(self, in_channels: int, width: int, stride: int):
        super().__init__()
        self.branch2a = ConvNorm(in_channels, width, 1)
        self.branch2b = ConvNorm(width, width, 3, stride)
        self.branch2c = ConvNorm(width, 4 * width, 1)
        changes = stride != 1 or in_channels != 4 * width
        self.branch1 = ConvNorm(in_channels, 4 * width, 1, stride) if changes else nn.Identity()

    def forward(self, x):
        y = F.relu(self.branch2a(x), inplace=True)
        y = F.relu(self.branch2b(y), inplace=True)
        return F.relu(self.branch2c(y) + self.branch1(x), inplace=True)


class ResNet(nn.Module):
    """sizes: bottlenecks of each stage."""

    def __init__(self, sizes: list[int], in_channels: int):
        super().__init__()
        self.conv1 = ConvNorm(in_channels, 64, 7, 2)
        self.stages, channels = nn.ModuleList(), 64
        for i, size in enumerate(sizes):
            blocks = [Bottleneck(channels if j == 0 else 256 * 2**i, 64 * 2**i, 2 if i and j == 0 else 1)
                      for j in range(size)]  # fmt: skip
            self.stages.append(nn.Sequential(*blocks))
            channels = 256 * 2**i

    def stem(self, x):
        return F.max_pool2d(F.relu(self.conv1(x), inplace=True), 3, 2, 1)


class TSN(ClipNetwork):
    """x (N, S, 3 * seglen, H, W) -> logits."""

    def __init__(self, model, sizes: list[int]):
        super().__init__()
        self.trunk = ResNet(sizes, 3 * model.seglen)
        self.fc = nn.Linear(2048, model.num_classes)

    def forward(self, x):
        videos, segments = x.shape[:2]
        y = self.trunk.stem(in_channels_last(x.flatten(0, 1)))
        for stage in self.trunk.stages:
            y = stage(y)
        return self.fc(y.mean((2, 3)).reshape(videos, segments, 2048).mean(1))


class TemporalBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, channels, 3, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x, segments: int):
        clips = x.reshape(-1, segments, *x.shape[1:]).transpose(1, 2)  # (N, C, S, H, W)
        y = F.conv3d(clips, self.weight, self.bias, padding=(1, 0, 0)).transpose(1, 2).reshape(x.shape)
        return x + self.norm(F.relu(y))


class Depthwise(nn.Module):
    """(N, C, S) -> (N, C, S)."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, 1, 3, 1))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        return F.conv1d(x, self.weight.squeeze(-1), self.bias, padding=1, groups=x.shape[1])


class TemporalXception(nn.Module):
    """(N, C, S) -> (N, D, S)."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.input_norm = nn.BatchNorm1d(in_channels)
        self.depthwise1, self.pointwise1 = Depthwise(in_channels), nn.Linear(in_channels, out_channels)
        self.middle_norm = nn.BatchNorm1d(out_channels)
        self.depthwise2, self.pointwise2 = Depthwise(out_channels), nn.Linear(out_channels, out_channels)
        self.shortcut = nn.Linear(in_channels, out_channels)
        self.output_norm = nn.BatchNorm1d(out_channels)

    def forward(self, x):
        x = self.input_norm(x)
        y = F.relu(self.middle_norm(along_channels(self.pointwise1, self.depthwise1(x))))
        y = along_channels(self.pointwise2, self.depthwise2(y)) + along_channels(self.shortcut, x)
        return F.relu(self.output_norm(y))


class STNET(ClipNetwork):
    """x (N, S, 3 * seglen, H, W) -> logits."""

    def __init__(self, model, sizes: list[int]):
        super().__init__()
        self.trunk = ResNet(sizes, 3 * model.seglen)
        self.temporal1, self.temporal2 = TemporalBlock(512), TemporalBlock(1024)
        self.xception = TemporalXception(2048, 1024)
        self.fc = nn.Linear(1024, model.num_classes)

    def forward(self, x):
        videos, segments = x.shape[:2]
        stages = self.trunk.stages
        y = self.trunk.stem(in_channels_last(x.flatten(0, 1)))
        y = self.temporal1(stages[1](stages[0](y)), segments)
        y = self.temporal2(stages[2](y), segments)
        features = stages[3](y).mean((2, 3)).reshape(videos, segments, 2048)
        return self.fc(self.xception(features.transpose(1, 2)).amax(2))


def in_channels_last(x):
    """The order in which PyTorch's convolutions are fastest on a CPU."""
    return x.contiguous(memory_format=torch.channels_last)


def along_channels(layer: nn.Linear, x):
    """A 1x1 convolution: (N, C, S) -> (N, D, S)."""
    return layer(x.transpose(1, 2)).transpose(1, 2)
