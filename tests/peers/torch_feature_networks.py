"""The three networks on frame features as people write them in PyTorch.

Frames of videos come one after another where the zoo's networks take them so, and nothing is spent on padding but in
AttentionLSTM, as PyTorch's LSTM has no other fast way. Needs PyTorch when it is imported.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


def drop(x, rate: float, training: bool):
    """Dropout of Fluid's kind: training multiplies by the mask alone."""
    return x * torch.empty_like(x).bernoulli_(1 - rate) if training else x * (1 - rate)


class FeatureNetwork(nn.Module):
    """Of many labels; as ``models.layers.losses.multilabel_losses``."""

    summed = False  # over the batch

    def probs(self, logits):
        return torch.sigmoid(logits)

    def loss(self, logits, labels):
        loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
        return loss if self.summed else loss / len(labels)


# AttentionCluster


class ShiftingAttention(nn.Module):
    """x (N, T, D) -> (N, K * D)."""

    def __init__(self, width: int, units: int):
        super().__init__()
        self.units = units
        self.score = nn.Linear(width, units)
        self.scale = nn.Parameter(torch.zeros(units, 1))
        self.shift = nn.Parameter(torch.zeros(units, 1))

    def forward(self, x):
        pooled = torch.softmax(self.score(x).transpose(1, 2), -1) @ x
        shifted = F.normalize(self.scale * pooled + self.shift, dim=-1, eps=1e-6)
        return (shifted / math.sqrt(self.units)).flatten(1)


class AttentionCluster(FeatureNetwork):
    def __init__(self, model):
        super().__init__()
        self.drop_rate = model.drop_rate
        pairs = list(zip(model.feature_dims, model.cluster_nums, strict=True))
        self.attention = nn.ModuleList(ShiftingAttention(width, units) for width, units in pairs)
        self.fc1 = nn.Linear(sum(width * units for width, units in pairs), 1024)
        self.fc2 = nn.Linear(1024, 4096)
        self.logistic = nn.Linear(4096, model.num_classes)

    def forward(self, *streams):
        x = torch.cat([layer(stream) for layer, stream in zip(self.attention, streams, strict=True)], 1)
        x = torch.tanh(self.fc1(drop(x, self.drop_rate, self.training)))
        return self.logistic(torch.tanh(self.fc2(x)))


# NeXtVLAD


class NeXtVLADPooling(nn.Module):
    """x (sum of lengths, D) -> (N, F * K)."""

    def __init__(self, width: int, model):
        super().__init__()
        self.groups, self.cluster_size = model.groups, model.cluster_size
        expanded = model.expansion * width
        self.group_size = expanded // model.groups
        self.expansion = nn.Linear(width, expanded)
        self.attention = nn.Linear(expanded, model.groups)
        self.clusters = nn.Parameter(torch.zeros(expanded, model.groups * model.cluster_size))
        self.cluster_norm = nn.BatchNorm1d(model.groups * model.cluster_size)
        self.centers = nn.Parameter(torch.zeros(model.cluster_size, self.group_size))
        self.output_norm = nn.BatchNorm1d(model.cluster_size * self.group_size)

    def forward(self, x, lengths: list[int]):
        expanded = self.expansion(x)
        attention = torch.sigmoid(self.attention(expanded))
        scores = self.cluster_norm(expanded @ self.clusters).reshape(-1, self.groups, self.cluster_size)
        shares = torch.softmax(scores, -1) * attention.unsqueeze(-1)
        features = expanded.reshape(-1, self.groups, self.group_size)
        pairs = zip(shares.split(lengths), features.split(lengths), strict=True)
        sums = torch.stack([self.aggregate(share.flatten(0, 1), part.flatten(0, 1)) for share, part in pairs])
        return self.output_norm(F.normalize(sums, dim=-1, eps=1e-6).transpose(1, 2).flatten(1))

    def aggregate(self, shares, features):
        return shares.T @ features - shares.sum(0).unsqueeze(-1) * self.centers


class NeXtVLAD(FeatureNetwork):
    def __init__(self, model):
        super().__init__()
        self.drop_rate = model.drop_rate
        self.register_buffer("whitening", torch.zeros(model.video_feature_size))
        self.video = NeXtVLADPooling(model.video_feature_size, model)
        self.audio = NeXtVLADPooling(model.audio_feature_size, model) if model.audio_feature_size else None
        size, gate = model.hidden_size, model.hidden_size // model.gating_reduction
        width = model.cluster_size * sum(pooling.group_size for pooling in self.poolings())
        self.hidden = nn.Linear(width, size, bias=False)
        self.hidden_norm = nn.BatchNorm1d(size)
        self.gate1 = nn.Linear(size, gate, bias=False)
        self.gate_norm = nn.BatchNorm1d(gate)
        self.gate2 = nn.Linear(gate, size, bias=False)
        self.logistic = nn.Linear(size, model.num_classes)

    def poolings(self) -> list[NeXtVLADPooling]:
        """One for each stream."""
        return [self.video] if self.audio is None else [self.video, self.audio]

    def forward(self, lengths, rgb, *others):
        lengths, streams = lengths.tolist(), (rgb * self.whitening, *others)
        pairs = zip(self.poolings(), streams, strict=True)
        x = torch.cat([pooling(stream, lengths) for pooling, stream in pairs], 1)
        x = self.hidden_norm(self.hidden(drop(x, self.drop_rate, self.training)))
        gate = F.relu(self.gate_norm(self.gate1(x)))
        return self.logistic(x * torch.sigmoid(self.gate2(gate)))


# AttentionLSTM


class AttentionStream(nn.Module):
    """x (N, T, D), padded -> (N, 2H). The LSTMs have no peepholes, which are 0 before training.

    On padded frames, as packed sequences leave PyTorch's fast way on a CPU and take 2.4 times as long (2.13).
    """

    def __init__(self, width: int, model):
        super().__init__()
        self.drop_rate = model.drop_rate
        self.embedding = nn.Linear(width, model.embedding_size)
        self.lstm_forward = nn.LSTM(model.embedding_size, model.lstm_size, batch_first=True)
        self.lstm_backward = nn.LSTM(model.embedding_size, model.lstm_size, batch_first=True)
        self.score = nn.Linear(2 * model.lstm_size, 1)

    def forward(self, x, flip, real):
        """flip: (N, T) the frame as far from the video's other end. real: (N, T), False behind the end."""
        embedded = torch.tanh(self.embedding(x))
        forward, backward = self.lstm_forward(embedded)[0], self.lstm_backward(pick(embedded, flip))[0]
        hidden = drop(torch.cat([forward, pick(backward, flip)], -1), self.drop_rate, self.training)
        weights = torch.softmax(self.score(hidden).squeeze(-1).masked_fill(~real, -torch.inf), -1)
        return (weights.unsqueeze(1) @ hidden).squeeze(1)


def pick(x, frames):
    """(N, T, C) and (N, T) -> (N, T, C)."""
    return x.gather(1, frames.unsqueeze(-1).expand(-1, -1, x.shape[2]))


class AttentionLSTM(FeatureNetwork):
    summed = True

    def __init__(self, model):
        super().__init__()
        self.streams = nn.ModuleList(AttentionStream(width, model) for width in model.feature_dims)
        self.fc1 = nn.Linear(2 * model.lstm_size * len(self.streams), 8192)
        self.fc2 = nn.Linear(8192, 4096)
        self.logistic = nn.Linear(4096, model.num_classes)

    def forward(self, lengths, *streams):
        frames = lengths.tolist()
        most = max(frames)
        padded = [[F.pad(part, (0, 0, 0, most - part.shape[0])) for part in x.split(frames)] for x in streams]
        times, ends = torch.arange(most), lengths.unsqueeze(1)
        real, flip = times < ends, torch.where(times < ends, ends - 1 - times, times)
        pooled = [layer(torch.stack(x), flip, real) for layer, x in zip(self.streams, padded, strict=True)]
        x = torch.tanh(self.fc2(F.relu(self.fc1(torch.cat(pooled, 1)))))
        return self.logistic(x)
