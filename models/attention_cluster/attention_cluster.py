"""AttentionCluster: Long et al., "Attention Clusters: Purely Attention Based Local Feature Integration
for Video Classification", CVPR 2018 (arXiv:1711.09550), in the form of the zoo of 2019.
"""

import math

import paddle
import paddle.nn.functional as F
from paddle import nn

from models.layers.linear import Linear, row_sums
from models.layers.losses import multilabel_losses
from models.layers.sequence import dequantize


def _linear(in_features: int, out_features: int, bias=None) -> Linear:
    """A Linear with 2019's start: weights normal, std = sqrt(2 / inputs); bias uniform unless given."""
    bias = bias or _uniform_bias(out_features)
    return Linear(in_features, out_features, weight_attr=_normal(in_features), bias_attr=bias)


def _normal(fan: int):
    return nn.initializer.Normal(0.0, math.sqrt(2.0 / fan))


def _uniform_bias(length: int):
    bound = math.sqrt(6.0 / length)
    return nn.initializer.Uniform(-bound, bound)


class ShiftingAttention(nn.Layer):
    """K attention units over one stream of frame features, each shifted and normalised.

    arXiv:1711.09550, sections 3.2 (attention units) and 3.3 (the shifting operation).

    Shape:
        x: (N, T, D) float32, T frame features for each of N videos.
        output: (N, K * D); columns ``k * D : (k + 1) * D`` are unit k, with L2 norm 1 / sqrt(K).
    """

    def __init__(self, feature_dim: int, cluster_num: int):
        super().__init__()
        self.cluster_num = cluster_num
        init = nn.initializer.Normal(0.0, cluster_num**-0.25)
        self.score = _linear(feature_dim, cluster_num)
        self.scale = self.create_parameter([cluster_num, 1], default_initializer=init)
        self.shift = self.create_parameter([cluster_num, 1], default_initializer=init)

    def forward(self, x):
        scores = self.score(x).transpose([0, 2, 1])  # (N, K, T)
        weights = self.scale * F.softmax(scores, axis=-1)  # (N, K, T): scaled here, where it is D / T times cheaper
        shifted = weights @ x + self.shift  # (N, K, D)
        # 2019: epsilon is added to the squared norm.
        inverse_norm = paddle.rsqrt(row_sums(shifted * shifted) + 1e-12)  # (N, K, 1)
        units = shifted * (inverse_norm / math.sqrt(self.cluster_num))
        return units.flatten(start_axis=1)  # (N, K * D)


class AttentionCluster(nn.Layer):
    """Attention clusters over every feature stream, then two tanh layers and a classifier.

    feature_dims, cluster_nums: width and number of attention units of each stream.
    drop_rate: dropout before the first layer, of Fluid's kind: training multiplies by the mask
        alone and evaluation multiplies by 1 - drop_rate.

    Shape:
        streams: one (N, T, D) a stream, uint8 as stored or float32 dequantised.
        output: logits (N, num_classes) float32.
    """

    classifier = "logistic"
    loss_reduction = "mean"

    def __init__(self, feature_dims, cluster_nums, num_classes: int, drop_rate: float):
        super().__init__()
        self.drop_rate = drop_rate
        self.attention = nn.LayerList(
            [ShiftingAttention(dim, num) for dim, num in zip(feature_dims, cluster_nums, strict=True)]
        )
        width = sum(dim * num for dim, num in zip(feature_dims, cluster_nums, strict=True))
        self.fc1 = _linear(width, 1024)
        self.fc2 = _linear(1024, 4096)
        self.logistic = _linear(4096, num_classes, bias=_normal(num_classes))

    def forward(self, *streams):
        pooled = [layer(dequantize(x)) for layer, x in zip(self.attention, streams, strict=True)]
        x = paddle.concat(pooled, axis=1)  # (N, sum of K * D)
        x = F.dropout(x, self.drop_rate, training=self.training, mode="downscale_in_infer")
        x = F.tanh(self.fc1(x))  # (N, 1024)
        x = F.tanh(self.fc2(x))  # (N, 4096)
        return self.logistic(x)  # (N, num_classes)

    def losses(self, logits, labels, class_weights=None, label_smoothing=0.0):
        return multilabel_losses(logits, labels, class_weights, label_smoothing)

    def probs(self, logits):
        return F.sigmoid(logits)

    @property
    def released_names(self) -> dict[str, str]:
        return released_names(len(self.attention))

    @property
    def released_layouts(self) -> dict[str, str]:
        return released_layouts(len(self.attention))


# What a stream's own parameters are called in the weights of 2019, and how they lie there if otherwise.
_STREAM = {
    "score.weight": ("conv.weight", "1x1 convolution"),
    "score.bias": ("conv.bias", None),
    "scale": ("shift_w", "vector"),
    "shift": ("shift_b", "vector"),
}
_LAYERS = ("fc1", "fc2", "logistic")


def released_names(num_streams: int) -> dict[str, str]:
    """Own name -> name in the weights of 2019."""
    return {
        **{f"attention.{i}.{own}": f"satt{i}.{name}" for i in range(num_streams) for own, (name, _) in _STREAM.items()},
        **{f"{layer}.weight": f"{layer}.weights" for layer in _LAYERS},
        **{f"{layer}.bias": f"{layer}.bias" for layer in _LAYERS},
    }


def released_layouts(num_streams: int) -> dict[str, str]:
    """Own name -> layout in the weights of 2019, see ``tools.weights.fluid_names``, where it is not the same."""
    layouts = {own: layout for own, (_, layout) in _STREAM.items() if layout}
    return {f"attention.{i}.{own}": layout for i in range(num_streams) for own, layout in layouts.items()}
