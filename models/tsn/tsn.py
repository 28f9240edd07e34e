"""TSN: Wang et al., "Temporal Segment Networks: Towards Good Practices for Deep Action Recognition", ECCV 2016
(arXiv:1608.00859), on rgb frames and a ResNet, in the form of the zoo of 2019.
"""

import math

from paddle import nn

from models.layers.losses import average_views, class_losses
from models.layers.pixels import NormalizePixels
from models.layers.resnet import PooledResNet, ResNet, released_backbone_names, torchvision_names


class TSN(nn.Layer):
    """One ResNet for the frames of all segments; their features are averaged and classified once.

    arXiv:1608.00859, section 3.1, with the segmental consensus before the classifier. As both are linear, this
    is the average of the segments' scores. Any number of segments S works, in training and in testing.

    image_mean, image_std: of the three colours, for inputs that are bytes. seglen: frames of a segment, stacked
    on the channel axis.

    Shape:
        x: (N, S, 3 * seglen, H, W), float32 normalised or uint8 as decoded.
        output: logits (N, num_classes) float32.
    """

    classifier = "fc"
    pretrained_part = "trunk"
    backbone_parts = ("trunk",)
    first_convolution = "trunk.conv1.conv.weight"
    loss_reduction = "mean"

    def __init__(
        self,
        num_layers: int,
        num_classes: int,
        image_mean: list[float],
        image_std: list[float],
        seglen: int = 1,
    ):
        super().__init__()
        self.released_names = released_names(num_layers)
        self.torchvision_names = torchvision_names(num_layers, "trunk")
        self.normalize = NormalizePixels(image_mean, image_std, seglen)
        self.trunk = ResNet(num_layers, in_channels=3 * seglen)
        bound = 1 / math.sqrt(2048)
        start, zero = nn.initializer.Uniform(-bound, bound), nn.initializer.Constant(0.0)
        self.fc = nn.Linear(2048, num_classes, weight_attr=start, bias_attr=zero)

    def forward(self, x):
        return self.classify_segments(self.describe_segments(x))

    def describe_segments(self, x):
        """x as ``forward`` takes it -> (N, S, 2048)."""
        segments = x.shape[1]
        frames = self.normalize(x).flatten(0, 1)  # (N * S, 3 * seglen, H, W)
        features = nn.functional.adaptive_avg_pool2d(self.trunk(frames), 1)  # (N * S, 2048, 1, 1)
        return features.reshape([-1, segments, 2048])

    def classify_segments(self, features):
        """(N, S, 2048) -> logits (N, num_classes)."""
        # Not mean: exported, it makes the inference engine of Paddle 3.3.1 print a line of its own.
        return self.fc(features.sum(axis=1) / features.shape[1])

    def backbone(self) -> PooledResNet:
        """What describes a segment: (M, 3 * seglen, H, W) float32 normalised -> (M, 2048)."""
        return PooledResNet(self.trunk)

    def infer_by_onednn(self, dtype: str) -> None:
        """See ``ResNet.infer_by_onednn``."""
        self.trunk.infer_by_onednn(dtype)

    def losses(self, logits, labels, class_weights=None, label_smoothing=0.0):
        return class_losses(logits, labels, class_weights, label_smoothing)

    def probs(self, logits):
        return nn.functional.softmax(logits, axis=-1)

    def average_views(self, logits, views: int):
        return average_views(logits, views)


def released_names(num_layers: int) -> dict[str, str]:
    """Own name -> name in the weights of 2019."""
    return {
        **released_backbone_names(num_layers, "trunk"),
        "fc.weight": "fc_0.w_0",
        "fc.bias": "fc_0.b_0",
    }
