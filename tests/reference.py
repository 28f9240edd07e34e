"""Slow, obvious versions of what the project does fast: what tests compare with and benchmarks divide by."""

import paddle
from paddle import nn
from paddle.nn import functional as F

from models.attention_cluster.attention_cluster import AttentionCluster, ShiftingAttention


class LoopAttention(nn.Layer):
    """ShiftingAttention as 2019 wrote it: a 1x1 convolution for the scores, then unit after unit."""

    def __init__(self, fast: ShiftingAttention):
        super().__init__()
        feature_dim, cluster_num = fast.score.weight.shape
        self.score = nn.Conv2D(feature_dim, cluster_num, 1)
        self.score.weight.set_value(fast.score.weight.t().reshape(self.score.weight.shape))
        self.score.bias.set_value(fast.score.bias)
        self.scale = self.create_parameter([cluster_num])
        self.scale.set_value(fast.scale.reshape([-1]))
        self.shift = self.create_parameter([cluster_num])
        self.shift.set_value(fast.shift.reshape([-1]))

    def forward(self, x):
        num_videos, num_frames, _ = x.shape
        cluster_num = self.scale.shape[0]
        scores = self.score(x.transpose([0, 2, 1]).unsqueeze(-1))  # (N, K, T, 1)
        weights = F.softmax(scores.reshape([num_videos, cluster_num, num_frames]), axis=2)
        units = []
        for k in range(cluster_num):
            pooled = (x * weights[:, k].unsqueeze(-1)).sum(axis=1)  # (N, D)
            shifted = pooled * self.scale[k] + self.shift[k]
            norm = paddle.sqrt((shifted * shifted).sum(axis=1, keepdim=True) + 1e-12)
            units.append(shifted / norm / cluster_num**0.5)
        return paddle.concat(units, axis=1)


def slow_attention_cluster(fast: AttentionCluster) -> AttentionCluster:
    """A network with the same weights whose attention is a loop over the units."""
    dims = [layer.score.weight.shape[0] for layer in fast.attention]
    nums = [layer.cluster_num for layer in fast.attention]
    slow = AttentionCluster(dims, nums, fast.logistic.weight.shape[1], fast.drop_rate)
    slow.set_state_dict(fast.state_dict())
    slow.attention = nn.LayerList([LoopAttention(layer) for layer in fast.attention])
    return slow


SLOW_NETWORKS = {"AttentionCluster": slow_attention_cluster}
