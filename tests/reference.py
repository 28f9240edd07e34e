"""Slow, obvious versions of what the project does fast: what tests compare with and benchmarks divide by."""

import copy

import paddle
from paddle import nn
from paddle.nn import functional as F

from models.attention_cluster.attention_cluster import AttentionCluster, ShiftingAttention
from models.attention_lstm.attention_lstm import AttentionLSTM, AttentionStream, PeepholeLSTM, lstm_step
from models.nextvlad.nextvlad import NeXtVLAD, NeXtVLADPooling


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


class PerFramePooling(NeXtVLADPooling):
    """NeXtVLADPooling as 2019 wrote it: a (K, F) product for every frame, then their sum."""

    def forward(self, x, lengths):
        expanded = self.expansion(x)
        attention = F.sigmoid(self.attention(expanded)).unsqueeze(-1)
        scores = self.cluster_norm(expanded @ self.clusters)
        shares = F.softmax(scores.reshape([-1, self.groups, self.cluster_size]), axis=-1) * attention
        features = expanded.reshape([-1, self.groups, self.group_size])
        products = shares.transpose([0, 2, 1]) @ features  # (M, K, F)
        totals = shares.sum(axis=1)  # (M, K)
        videos = zip(paddle.split(products, lengths), paddle.split(totals, lengths), strict=True)
        sums = [part.sum(axis=0) - total.sum(axis=0).unsqueeze(-1) * self.centers for part, total in videos]
        return self.finish(paddle.stack(sums))


def slow_nextvlad(fast: NeXtVLAD) -> NeXtVLAD:
    slow = copy.deepcopy(fast)
    for pooling in (slow.video, slow.audio):
        pooling.__class__ = PerFramePooling
    return slow


class StepwiseLSTM(PeepholeLSTM):
    """PeepholeLSTM whose backward is left to autograd, step by step."""

    def forward(self, x, project, active):
        gate_bias, *peepholes = self.split_bias()
        projected = project(x) + gate_bias
        rows = paddle.split(projected, active) if len(active) > 1 else [projected]
        h = c = None
        outputs = []
        for gates in rows:
            n = gates.shape[0]
            if h is not None:
                gates = gates + h[:n] @ self.weight
            *_, o, c, tanh_c = lstm_step(gates, None if c is None else c[:n], *peepholes)
            h = o * tanh_c
            outputs.append(h)
        return paddle.concat(outputs)


def stepwise_attention_lstm(fast: AttentionLSTM) -> AttentionLSTM:
    slow = copy.deepcopy(fast)
    for stream in slow.streams:
        stream.lstm_forward.__class__ = stream.lstm_backward.__class__ = StepwiseLSTM
    return slow


class StockStream(nn.Layer):
    """AttentionStream with Paddle's own bidirectional LSTM, which has no peepholes: for timing only."""

    def __init__(self, fast: AttentionStream):
        super().__init__()
        self.fast = fast
        embedding_size, hidden = fast.embedding.weight.shape[1], fast.lstm_forward.weight.shape[0]
        self.lstm = nn.LSTM(embedding_size, hidden, direction="bidirect")

    def forward(self, x, order):
        embedded = F.tanh(self.fast.embedding(x))
        places = paddle.to_tensor(order.padded.ravel())
        padded = paddle.gather(embedded, places).reshape([*order.padded.shape, embedded.shape[1]])
        lengths = paddle.to_tensor(order.real.sum(axis=1))
        hidden, _ = self.lstm(padded, sequence_length=lengths)
        return self.fast.attend(self.fast.drop(hidden), paddle.to_tensor(order.real).astype(hidden.dtype))


def stock_attention_lstm(fast: AttentionLSTM) -> AttentionLSTM:
    stock = copy.deepcopy(fast)
    stock.streams = nn.LayerList([StockStream(stream) for stream in stock.streams])
    return stock


# Model -> (what its training step is timed against, what its inference is timed against).
PLAIN_NETWORKS = {
    "AttentionCluster": (slow_attention_cluster, slow_attention_cluster),
    "NEXTVLAD": (slow_nextvlad, slow_nextvlad),
    "AttentionLSTM": (stepwise_attention_lstm, stock_attention_lstm),
}
