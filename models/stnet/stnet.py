"""StNet: He et al., "StNet: Local and Global Spatial-Temporal Modeling for Action Recognition", AAAI 2019
(arXiv:1811.01549), in the form of the zoo of 2019.
"""

import math

import paddle
import paddle.nn.functional as F
from paddle import nn

from models.layers.losses import average_views, class_losses
from models.layers.onednn.inference import FoldedTemporalBlock
from models.layers.pixels import NormalizePixels
from models.layers.resnet import STAGE_SIZES, ResNet, released_backbone_names, torchvision_names


def _uniform(fan_in: int):
    bound = math.sqrt(6.0 / fan_in)
    return nn.initializer.Uniform(-bound, bound)


def _linear(in_features: int, out_features: int) -> nn.Linear:
    """A 1x1 convolution over the segments, as a Linear on features that come last."""
    zero = nn.initializer.Constant(0.0)
    return nn.Linear(in_features, out_features, weight_attr=_uniform(in_features), bias_attr=zero)


class TemporalBlock(nn.Layer):
    """A convolution over three neighbouring segments, relu and batch normalisation, added to its input.

    arXiv:1811.01549, section 3.2, the temporal modelling block between two stages of the backbone.

    Shape: x (N * S, C, H, W) -> the same; the segments of a video are neighbours on the first axis.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = self.create_parameter([channels, channels, 3, 1, 1], default_initializer=_uniform(3 * channels))
        self.bias = self.create_parameter([channels], is_bias=True)
        self.norm = nn.BatchNorm2D(channels, momentum=0.9, epsilon=1e-5)
        self._folded = None

    def infer_by_onednn(self, dtype: str) -> None:
        """See ``ResNet.infer_by_onednn``: x and the result are then maps in oneDNN's memory."""
        self._folded = FoldedTemporalBlock(self, dtype)

    def forward(self, x, segments: int):
        if self._folded and not self.training:
            return self._folded(x, segments)
        channels, height, width = x.shape[1:]
        y = x.reshape([-1, segments, channels, height, width]).transpose([0, 2, 1, 3, 4])  # (N, C, S, H, W)
        y = F.conv3d(y, self.weight, padding=(1, 0, 0))
        y = y.transpose([0, 2, 1, 3, 4]).reshape([-1, channels, height * width])
        # The bias is added here: in the convolution, Paddle 3.3.1 on a CPU spends 8 to 15 % of its time on it.
        y = F.relu(y + self.bias.unsqueeze(1)).reshape([-1, channels, height, width])
        return x + self.norm(y)


class DepthwiseOverSegments(nn.Layer):
    """Each feature's own weighted sum over three neighbouring segments: (N, S, C) -> (N, S, C)."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = self.create_parameter([channels, 1, 3, 1], default_initializer=_uniform(3))
        self.bias = self.create_parameter([channels], is_bias=True)

    def forward(self, x):
        segments = x.shape[1]
        # Not F.pad, which leaves the axes in another order in the inference engine of Paddle 3.3.1, nor zeros_like,
        # which it does not export without a warning.
        edge = x[:, :1] * 0
        padded = paddle.concat([edge, x, edge], axis=1)  # (N, S + 2, C)
        taps = self.weight.reshape([-1, 3])
        return sum(padded[:, i : i + segments] * taps[:, i] for i in range(3)) + self.bias

    def multiply_adds(self, shape: tuple[int, int, int]) -> int:
        """Of a call on x of this shape (N, S, C): a convolution, though it is written without one."""
        return 3 * math.prod(shape)


class TemporalXception(nn.Layer):
    """Two depthwise separable convolutions over the segments, beside a linear shortcut.

    arXiv:1811.01549, section 3.3, the temporal Xception block: (N, S, C) -> (N, S, D).
    """

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.input_norm = nn.BatchNorm1D(in_features, momentum=0.9, epsilon=1e-5)
        self.depthwise1 = DepthwiseOverSegments(in_features)
        self.pointwise1 = _linear(in_features, out_features)
        self.middle_norm = nn.BatchNorm1D(out_features, momentum=0.9, epsilon=1e-5)
        self.depthwise2 = DepthwiseOverSegments(out_features)
        self.pointwise2 = _linear(out_features, out_features)
        self.shortcut = _linear(in_features, out_features)
        self.output_norm = nn.BatchNorm1D(out_features, momentum=0.9, epsilon=1e-5)

    def forward(self, x):
        x = _normalize(self.input_norm, x)
        y = self.pointwise1(self.depthwise1(x))
        y = F.relu(_normalize(self.middle_norm, y))
        y = self.pointwise2(self.depthwise2(y))
        return F.relu(_normalize(self.output_norm, y + self.shortcut(x)))


def _normalize(norm: nn.BatchNorm1D, x):
    """Batch normalisation of (N, S, C) over videos and segments."""
    return norm(x.flatten(0, 1)).reshape(x.shape)


class PooledSegments(nn.Layer):
    """What STNET sees of single super-images, each as a clip of one segment: the mean of its last maps.

    Shape: x (M, 3 * seglen, H, W) float32 -> (M, 2048) float32.
    """

    def __init__(self, trunk: ResNet, temporal1: TemporalBlock, temporal2: TemporalBlock):
        super().__init__()
        self.trunk, self.temporal1, self.temporal2 = trunk, temporal1, temporal2

    def forward(self, x):
        return pool_segments(self, x, 1).flatten(1)


def pool_segments(network, x, segments: int):
    """(N * S, 3 * seglen, H, W) -> (N * S, 2048, 1, 1), by the trunk and the temporal blocks of a network."""
    trunk = network.trunk
    x = network.temporal1(trunk.run(x, 0, 3), segments)  # (N * S, 512, H / 8, W / 8)
    x = network.temporal2(trunk.run(x, 3, 4), segments)  # (N * S, 1024, H / 16, W / 16)
    return F.adaptive_avg_pool2d(trunk.run(x, 4, 5), 1)


class STNET(nn.Layer):
    """A ResNet on super-images, temporal blocks after its second and third stage, and an Xception over segments.

    A super-image is seglen neighbouring frames stacked on the channel axis. Any number of segments S works, in
    training and in testing.

    image_mean, image_std: of the three colours, for inputs that are bytes.

    Shape:
        x: (N, S, 3 * seglen, H, W), float32 normalised or uint8 as decoded.
        output: logits (N, num_classes) float32.
    """

    classifier = "fc"
    pretrained_part = "trunk"
    backbone_parts = ("trunk", "temporal1", "temporal2")
    first_convolution = "trunk.conv1.conv.weight"
    loss_reduction = "mean"

    def __init__(
        self,
        num_layers: int,
        num_classes: int,
        seglen: int,
        image_mean: list[float],
        image_std: list[float],
    ):
        super().__init__()
        self.released_names = released_names(num_layers)
        self.torchvision_names = torchvision_names(num_layers, "trunk")
        self.released_layouts = RELEASED_LAYOUTS
        self.normalize = NormalizePixels(image_mean, image_std, seglen)
        self.trunk = ResNet(num_layers, in_channels=3 * seglen)
        self.temporal1 = TemporalBlock(512)
        self.temporal2 = TemporalBlock(1024)
        self.xception = TemporalXception(2048, 1024)
        bound = 1 / math.sqrt(2048)  # 2019: TSN's bound, though this classifier has 1024 inputs
        start, zero = nn.initializer.Uniform(-bound, bound), nn.initializer.Constant(0.0)
        self.fc = nn.Linear(1024, num_classes, weight_attr=start, bias_attr=zero)

    def forward(self, x):
        return self.classify_segments(self.describe_segments(x))

    def describe_segments(self, x):
        """x as ``forward`` takes it -> (N, S, 2048)."""
        segments = x.shape[1]
        x = pool_segments(self, self.normalize(x).flatten(0, 1), segments)  # (N * S, 2048, 1, 1)
        return x.reshape([-1, segments, 2048])

    def classify_segments(self, features):
        """(N, S, 2048) -> logits (N, num_classes)."""
        x = self.xception(features)  # (N, S, 1024)
        return self.fc(x.max(axis=1))

    def backbone(self) -> PooledSegments:
        """What describes a segment: (M, 3 * seglen, H, W) float32 normalised -> (M, 2048)."""
        return PooledSegments(self.trunk, self.temporal1, self.temporal2)

    def infer_by_onednn(self, dtype: str) -> None:
        """See ``ResNet.infer_by_onednn``."""
        for part in (self.trunk, self.temporal1, self.temporal2):
            part.infer_by_onednn(dtype)

    def losses(self, logits, labels, class_weights=None, label_smoothing=0.0):
        return class_losses(logits, labels, class_weights, label_smoothing)

    def probs(self, logits):
        return F.softmax(logits, axis=-1)

    def average_views(self, logits, views: int):
        return average_views(logits, views)


def released_names(num_layers: int) -> dict[str, str]:
    """Own name -> name in the weights of 2019, which numbered batch normalisations along with those of the trunk."""
    norms = [3 * size + 1 for size in STAGE_SIZES[num_layers]]  # of each stage, shortcut included
    first = 1 + norms[0] + norms[1]
    second = first + 1 + norms[2]
    return {
        **released_backbone_names(num_layers, "trunk"),
        **_released("temporal1", "conv3d_0"),
        **_released_norm("temporal1.norm", f"batch_norm_{first}"),
        **_released("temporal2", "conv3d_1"),
        **_released_norm("temporal2.norm", f"batch_norm_{second}"),
        **_released_norm("xception.input_norm", "xception_bn"),
        **_released("xception.depthwise1", "xception_att_conv"),
        **_released("xception.pointwise1", "xception_att_2"),
        **_released_norm("xception.middle_norm", "xception_bndw"),
        **_released("xception.depthwise2", "xception_att1"),
        **_released("xception.pointwise2", "xception_att1_2"),
        **_released("xception.shortcut", "xception_dw"),
        **_released_norm("xception.output_norm", "xception_bn2"),
        **_released("fc", "fc_0"),
    }


def _released(own: str, released: str) -> dict[str, str]:
    return {f"{own}.weight": f"{released}.w_0", f"{own}.bias": f"{released}.b_0"}


def _released_norm(own: str, released: str) -> dict[str, str]:
    return {**_released(own, released), f"{own}._mean": f"{released}.w_1", f"{own}._variance": f"{released}.w_2"}


# Own name -> layout in the weights of 2019, see ``tools.weights.fluid_names``, where it is not the same.
RELEASED_LAYOUTS = {
    "xception.pointwise1.weight": "1x1 convolution",
    "xception.pointwise2.weight": "1x1 convolution",
    "xception.shortcut.weight": "1x1 convolution",
}
