"""ResNet, the backbone that TSN and StNet share: He et al., "Deep Residual Learning for Image Recognition",
CVPR 2016 (arXiv:1512.03385), section 4.1, bottlenecks of the first version, with the stride in the 3x3 convolution.
"""

import math
import string

import paddle.nn.functional as F
from paddle import nn

from models.layers.onednn.inference import FoldedResNet
from models.layers.onednn.library import load_onednn
from models.layers.onednn.part import train_part
from tools.errors import ConfigError
from tools.runtime.cpu import WITHOUT_AVX2, name_vectors

# Layers -> bottlenecks in each of the four stages (table 1).
STAGE_SIZES = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class ConvNorm(nn.Layer):
    """A convolution without bias, then batch normalisation. Padding keeps the size for stride 1.

    Shape: x (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1):
        super().__init__()
        start = nn.initializer.Normal(0.0, math.sqrt(2.0 / (in_channels * kernel * kernel)))
        self.conv = nn.Conv2D(
            in_channels, out_channels, kernel, stride, kernel // 2, weight_attr=start, bias_attr=False
        )
        self.norm = nn.BatchNorm2D(out_channels, momentum=0.9, epsilon=1e-5)

    def forward(self, x):
        return self.norm(self.conv(x))


class Bottleneck(nn.Layer):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut: (N, in_channels, H, W) -> (N, 4 * width, H', W').

    The names of the branches are those of the released weights. branch1 is there where the shape changes.
    """

    def __init__(self, in_channels: int, width: int, stride: int):
        super().__init__()
        self.branch2a = ConvNorm(in_channels, width, 1)
        self.branch2b = ConvNorm(width, width, 3, stride)
        self.branch2c = ConvNorm(width, 4 * width, 1)
        changes = stride != 1 or in_channels != 4 * width
        self.branch1 = ConvNorm(in_channels, 4 * width, 1, stride) if changes else None

    def forward(self, x):
        shortcut = x if self.branch1 is None else self.branch1(x)
        x = F.relu(self.branch2a(x))
        x = F.relu(self.branch2b(x))
        return F.relu(shortcut + self.branch2c(x))


class ResNet(nn.Layer):
    """The backbone without its classifier. Parts of it can be called one by one, see ``run``.

    num_layers: 50, 101 or 152.

    Shape:
        x: (N, in_channels, H, W) float32.
        stem: (N, 64, H / 4, W / 4). stages[i]: (N, 256 * 2**i, H / (4 * 2**i), W / (4 * 2**i)), rounded up.
        output: (N, 2048, H / 32, W / 32), that of the last stage.
    """

    def __init__(self, num_layers: int, in_channels: int = 3):
        super().__init__()
        self.conv1 = ConvNorm(in_channels, 64, 7, stride=2)
        self.stages = nn.LayerList()
        channels = 64
        for i, size in enumerate(STAGE_SIZES[num_layers]):
            blocks = []
            for j in range(size):
                blocks.append(Bottleneck(channels, 64 * 2**i, stride=2 if i > 0 and j == 0 else 1))
                channels = 256 * 2**i
            self.stages.append(nn.Sequential(*blocks))
        self._by_onednn = None  # in training: the dtype of its maps
        self._folded = None  # in test mode

    def train_by_onednn(self, dtype: str = "float32") -> None:
        """Have oneDNN compute in training mode, with Paddle's numbers but for rounding; on the CPU.

        dtype: of the maps, "float32" or "bfloat16". Raises ConfigError where oneDNN is missing, and where it would take
        its plain loops.
        """
        load_onednn()
        if name_vectors() == WITHOUT_AVX2:
            raise ConfigError("--conv-engine onednn needs a processor with AVX2; --conv-engine paddle works everywhere")
        self._by_onednn = dtype

    def infer_by_onednn(self, dtype: str = "float32") -> None:
        """Have oneDNN compute in test mode, with the weights as they are now; on the CPU.

        The network can be neither copied nor exported from then on.
        dtype: of the maps, "float32" or "bfloat16". Raises ConfigError where oneDNN is missing.
        """
        load_onednn()
        self._folded = FoldedResNet(self, dtype)

    def forward(self, x):
        return self.run(x, 0, 1 + len(self.stages))

    def run(self, x, begin: int, end: int):
        """Of the stem and the stages those from begin up to, and without, end; the stem is 0, ``stages[0]`` is 1.

        After ``infer_by_onednn``, parts in test mode hand on oneDNN's memory in place of tensors.
        """
        if self._folded and not self.training:
            return self._folded.run(x, begin, end)
        stages = self.stages[max(begin - 1, 0) : end - 1]
        if self.training and self._by_onednn:
            blocks = [block for stage in stages for block in stage]
            return train_part(x, None if begin else self.conv1, blocks, self._by_onednn)
        x = x if begin else self.stem(x)
        for stage in stages:
            x = stage(x)
        return x

    def stem(self, x):
        return F.max_pool2d(F.relu(self.conv1(x)), kernel_size=3, stride=2, padding=1)


class PooledResNet(nn.Layer):
    """What a ResNet sees of single pictures: the mean of its last maps.

    trunk: shared with the network that it is of.

    Shape: x (N, in_channels, H, W) float32 -> (N, 2048) float32.
    """

    def __init__(self, trunk: ResNet):
        super().__init__()
        self.trunk = trunk

    def forward(self, x):
        return F.adaptive_avg_pool2d(self.trunk(x), 1).flatten(1)


def released_backbone_names(num_layers: int, own: str) -> dict[str, str]:
    """Own name -> name in the weights of 2019, of a ResNet that is the attribute ``own`` of its network.

    Blocks have letters (res3a ... res3h). With more than 50 layers those of res4 alone are numbered after the first
    (res4a, res4b1 ... res4b35).
    """
    names = _conv_norm(f"{own}.conv1", "conv1", "bn_conv1")
    for i, size in enumerate(STAGE_SIZES[num_layers]):
        numbered = i == 2 and num_layers > 50
        for j in range(size):
            block = f"{i + 2}{f'b{j}' if numbered and j else string.ascii_lowercase[j]}"
            for branch in ("branch2a", "branch2b", "branch2c", *(["branch1"] if j == 0 else [])):
                here = f"{own}.stages.{i}.{j}.{branch}"
                names |= _conv_norm(here, f"res{block}_{branch}", f"bn{block}_{branch}")
    return names


def torchvision_names(num_layers: int, own: str) -> dict[str, str]:
    """Own name -> name in torchvision's and timm's ResNet, of one that is the attribute ``own`` of its network.

    Theirs computes the same: it has the stride in the 3x3 convolution, the same padding, and an epsilon of 1e-5.
    """
    names = _torch_conv_norm(f"{own}.conv1", "conv1", "bn1")
    for i, size in enumerate(STAGE_SIZES[num_layers]):
        for j in range(size):
            here, there = f"{own}.stages.{i}.{j}", f"layer{i + 1}.{j}"
            for number, branch in enumerate(("branch2a", "branch2b", "branch2c"), start=1):
                names |= _torch_conv_norm(f"{here}.{branch}", f"{there}.conv{number}", f"{there}.bn{number}")
            if j == 0:
                names |= _torch_conv_norm(f"{here}.branch1", f"{there}.downsample.0", f"{there}.downsample.1")
    return names


def _torch_conv_norm(own: str, conv: str, norm: str) -> dict[str, str]:
    fields = {"weight": "weight", "bias": "bias", "_mean": "running_mean", "_variance": "running_var"}
    return {
        f"{own}.conv.weight": f"{conv}.weight",
        **{f"{own}.norm.{field}": f"{norm}.{theirs}" for field, theirs in fields.items()},
    }


def _conv_norm(own: str, conv: str, norm: str) -> dict[str, str]:
    fields = {"weight": "scale", "bias": "offset", "_mean": "mean", "_variance": "variance"}
    return {
        f"{own}.conv.weight": f"{conv}_weights",
        **{f"{own}.norm.{field}": f"{norm}_{released}" for field, released in fields.items()},
    }
