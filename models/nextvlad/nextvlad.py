"""NeXtVLAD: Lin, Xiao and Fan, "NeXtVLAD: An Efficient Neural Network to Aggregate Frame-level Features for
Large-scale Video Classification", ECCV 2018 workshops (arXiv:1811.05014), in the form of the zoo of 2019.
"""

import math

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from models.layers.linear import Linear, column_sums, linear
from models.layers.losses import multilabel_losses
from models.layers.sequence import dequantize, dequantize_unbiased, mask_frames, size_of
from tools.runtime.unchanged import make_once


def _normal(fan_in: int):
    return nn.initializer.Normal(0.0, math.sqrt(2.0 / fan_in))


def _linear(in_features: int, out_features: int, bias: bool = True) -> Linear:
    """A Linear with 2019's start: weights normal, std = sqrt(2 / inputs); bias 0."""
    zero = nn.initializer.Constant(0.0) if bias else False
    return Linear(in_features, out_features, weight_attr=_normal(in_features), bias_attr=zero)


class NeXtVLADPooling(nn.Layer):
    """One stream of frame features, aggregated into one vector a video.

    arXiv:1811.05014, section 3: expansion, then groups that are each assigned to K clusters and weighed
    by attention.

    Shape:
        x: (sum of lengths, D) float32, the frames of all videos one after another, without padding, so
            that batch normalisation sees real frames only. lengths: (N,) frames of each.
        output: (N, F * K) with F = expansion * D / groups, feature-major.
    """

    def __init__(self, feature_size: int, cluster_size: int, groups: int, expansion: int):
        super().__init__()
        self.cluster_size, self.groups = cluster_size, groups
        width = expansion * feature_size
        self.group_size = width // groups
        self.expansion = _linear(feature_size, width)
        self.attention = _linear(width, groups)
        self.clusters = self.create_parameter([width, groups * cluster_size], default_initializer=_normal(width))
        self.cluster_norm = nn.BatchNorm1D(groups * cluster_size, momentum=0.9, epsilon=1e-5)
        self.centers = self.create_parameter([cluster_size, self.group_size], default_initializer=_normal(cluster_size))
        self.output_norm = nn.BatchNorm1D(cluster_size * self.group_size, momentum=0.9, epsilon=1e-5)

    def forward(self, x, lengths: list[int]):
        width = self.groups * self.group_size
        saves = x.shape[0] * (width - x.shape[1]) > x.shape[1] * width  # see _cluster_scores
        features, assignment = self.assign(x, merged=saves)  # (sum T, G, F), (sum T, G, K)
        if len(lengths) == 1:
            sums = self.aggregate(features.unsqueeze(0), assignment.unsqueeze(0))
        else:  # split, not slices: the gradient of a slice fills the whole array with zeros, every time
            pairs = zip(paddle.split(features, lengths), paddle.split(assignment, lengths), strict=True)
            sums = paddle.concat([self.aggregate(f.unsqueeze(0), a.unsqueeze(0)) for f, a in pairs])
        return self.finish(sums)

    def assign(self, x, merged: bool):
        """The expanded features by group, and how much of each group goes to each cluster.

        x: (M, D). merged: how the cluster scores are computed. Returns (M, G, F) and (M, G, K).
        """
        expanded = self.expansion(x)  # (M, G * F)
        attention = F.sigmoid(self.attention(expanded))  # (M, G)
        scores = self.cluster_norm(self._cluster_scores(x, expanded, merged))  # (M, G * K)
        shares = F.softmax(scores.reshape([-1, self.groups, self.cluster_size]), axis=-1)
        return expanded.reshape([-1, self.groups, self.group_size]), shares * attention.unsqueeze(-1)

    def aggregate(self, features, assignment):
        """The residuals of each video summed over frames and groups: (n, T, G, F), (n, T, G, K) -> (n, K, F)."""
        features = features.flatten(1, 2)  # (n, T * G, F)
        assignment = assignment.flatten(1, 2)  # (n, T * G, K)
        totals = column_sums(assignment).unsqueeze(-1)  # (n, K, 1)
        return paddle.matmul(assignment, features, transpose_x=True) - totals * self.centers

    def finish(self, sums):
        """(N, K, F) -> (N, F * K): length 1 within each cluster, then batch normalisation."""
        inverse_norm = paddle.rsqrt((sums * sums).sum(axis=-1, keepdim=True) + 1e-12)
        return self.output_norm((sums * inverse_norm).transpose([0, 2, 1]).flatten(start_axis=1))

    def _cluster_scores(self, x, expanded, merged: bool):
        """``expanded @ clusters``, or merged, (x W + b) C = x (W C) + b C: fewer operations for many frames."""
        if not merged:
            return expanded @ self.clusters
        weight, bias = make_once(self, self._merge_clusters)
        return linear(x, weight, bias)

    def _merge_clusters(self):
        return self.expansion.weight @ self.clusters, self.expansion.bias @ self.clusters


class NeXtVLAD(nn.Layer):
    """NeXtVLAD pooling of rgb and audio, a hidden layer, context gating and a classifier.

    audio_feature_size: None for a network of rgb alone.
    whitening: (video_feature_size,) factors of the rgb features; see ``spec.load_whitening``.
    drop_rate: dropout before the hidden layer, of Fluid's kind: training multiplies by the mask alone
        and evaluation multiplies by 1 - drop_rate.

    Shape:
        lengths: (N,) int64. rgb, audio if any: (sum of lengths, D), uint8 as stored or float32 dequantised
            (rgb without the half step of 4 / 512, which 2019's reader leaves out before whitening).
        output: logits (N, num_classes) float32.
    """

    classifier = "logistic"
    loss_reduction = "mean"

    def __init__(
        self,
        video_feature_size: int,
        audio_feature_size: int | None,
        cluster_size: int,
        hidden_size: int,
        groups: int,
        expansion: int,
        gating_reduction: int,
        num_classes: int,
        drop_rate: float,
        whitening: np.ndarray,
    ):
        super().__init__()
        self.drop_rate = drop_rate
        self.register_buffer("whitening", paddle.to_tensor(whitening, dtype="float32"), persistable=False)
        self.video = NeXtVLADPooling(video_feature_size, cluster_size, groups, expansion)
        self.audio = (
            NeXtVLADPooling(audio_feature_size, cluster_size, groups, expansion) if audio_feature_size else None
        )
        width = cluster_size * sum(pooling.group_size for pooling in self.poolings())
        self.hidden = _linear(width, hidden_size, bias=False)
        self.hidden_norm = nn.BatchNorm1D(hidden_size, momentum=0.9, epsilon=1e-5)
        self.gate1 = _linear(hidden_size, hidden_size // gating_reduction, bias=False)
        self.gate_norm = nn.BatchNorm1D(hidden_size // gating_reduction, momentum=0.9, epsilon=1e-5)
        self.gate2 = _linear(hidden_size // gating_reduction, hidden_size, bias=False)
        self.logistic = _linear(hidden_size, num_classes)

    def poolings(self) -> list[NeXtVLADPooling]:
        """One for each stream."""
        return [self.video] if self.audio is None else [self.video, self.audio]

    def forward(self, lengths, rgb, audio=None):
        streams, lengths = self.prepare(rgb, audio), lengths.tolist()
        pairs = zip(self.poolings(), streams, strict=True)
        return self.classify([pooling(stream, lengths) for pooling, stream in pairs])

    def prepare(self, rgb, audio) -> list:
        """The streams as they are pooled, whitened and dequantised. audio: None of a network of rgb alone."""
        rgb = dequantize_unbiased(rgb) * self.whitening
        return [rgb] if audio is None else [rgb, dequantize(audio)]

    def classify(self, pooled: list):
        x = paddle.concat(pooled, axis=1)  # (N, K * (F of rgb + F of audio))
        x = F.dropout(x, self.drop_rate, training=self.training, mode="downscale_in_infer")
        x = self.hidden_norm(self.hidden(x))  # (N, hidden_size)
        gate = F.relu(self.gate_norm(self.gate1(x)))
        x = x * F.sigmoid(self.gate2(gate))
        return self.logistic(x)  # (N, num_classes)

    def losses(self, logits, labels, class_weights=None, label_smoothing=0.0):
        return multilabel_losses(logits, labels, class_weights, label_smoothing)

    def probs(self, logits):
        return F.sigmoid(logits)

    @property
    def released_names(self) -> dict[str, str]:
        own = self.state_dict().keys()
        return {name: released for name, released in RELEASED_NAMES.items() if name in own}

    @property
    def released_buffers(self) -> dict[str, str]:
        return RELEASED_BUFFERS


class PaddedNeXtVLAD(nn.Layer):
    """The same network in test mode on padded frames: one graph for any lengths, for ``paddle.jit.save``.

    Shape:
        lengths: (N,) int64. rgb, audio: (N, T, D); what lies behind a video's length is ignored.
        output: logits (N, num_classes) float32.
    """

    def __init__(self, network: NeXtVLAD):
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, lengths, rgb, audio=None):
        network = self.network
        streams = network.prepare(rgb, audio)
        pooled = [self._pool(network.video, streams[0], lengths)]
        if network.audio is not None:  # Paddle 3.3.1 exports no zip with strict
            pooled.append(self._pool(network.audio, streams[1], lengths))
        return network.classify(pooled)

    def _pool(self, pooling: NeXtVLADPooling, x, lengths):
        frames = size_of(x, 1)
        features, assignment = pooling.assign(x.flatten(0, 1), merged=False)
        features = features.reshape([-1, frames, pooling.groups, pooling.group_size])
        assignment = assignment.reshape([-1, frames, pooling.groups, pooling.cluster_size])
        real = mask_frames(lengths, frames)  # (N, T), 1 for real frames
        return pooling.finish(pooling.aggregate(features, assignment * real.unsqueeze([-1, -2])))


def _batch_norm(own: str, number: int) -> dict[str, str]:
    fields = {"weight": "w_0", "bias": "b_0", "_mean": "w_1", "_variance": "w_2"}
    return {f"{own}.{field}": f"batch_norm_{number}.{released}" for field, released in fields.items()}


def _pooling(own: str, number: int) -> dict[str, str]:
    return {
        f"{own}.expansion.weight": f"{own}_fc_expansion_w",
        f"{own}.expansion.bias": f"{own}_fc_expansion_b",
        f"{own}.attention.weight": f"{own}_fc_group_attention_w",
        f"{own}.attention.bias": f"{own}_fc_group_attention_b",
        f"{own}.clusters": f"{own}_cluster_weights",
        f"{own}.centers": f"{own}_cluster_weights2",
        **_batch_norm(f"{own}.cluster_norm", number),
        **_batch_norm(f"{own}.output_norm", number + 1),
    }


# Own name -> name in the weights of 2019.
RELEASED_NAMES = {
    **_pooling("video", 0),
    **_pooling("audio", 2),
    "hidden.weight": "hidden1_fc_weights",
    **_batch_norm("hidden_norm", 4),
    "gate1.weight": "gating_fc1_weights",
    **_batch_norm("gate_norm", 5),
    "gate2.weight": "gating_fc2_weights",
    "logistic.weight": "logits_clf_weights",
    "logistic.bias": "logits_clf_bias",
}

# The same for what is not trained and not in every file: the whitening factors came with the weights of 2020.
RELEASED_BUFFERS = {"whitening": "eigen_param"}
