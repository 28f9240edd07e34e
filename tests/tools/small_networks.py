"""Networks small enough to follow by hand, and batches for them."""

import numpy as np
import paddle
from paddle import nn

from datareader.dataset import Batch
from models.optimizers import split_parameters


class Line(nn.Layer):
    """Logits (N, 1) = w x, with squared error; ``drop`` makes it random in training."""

    classifier = "w"

    def __init__(self, reduction="mean", drop=0.0):
        super().__init__()
        self.w = self.create_parameter([1, 1], default_initializer=nn.initializer.Constant(1.0))
        self.loss_reduction = reduction
        self.drop = drop

    def forward(self, x):
        return nn.functional.dropout(x, self.drop, training=self.training) @ self.w

    def losses(self, logits, labels):
        return ((logits - labels) ** 2).sum(axis=1)

    def probs(self, logits):
        return nn.functional.sigmoid(logits)


def make_batch(values, labels=None):
    x = np.array(values, np.float32).reshape(-1, 1)
    y = np.zeros_like(x) if labels is None else np.array(labels, np.float32).reshape(-1, 1)
    names = [f"video{i}" for i in range(len(x))]
    sources = [f"file.pkl record {i}" for i in range(len(x))]
    return Batch(ids=names, sources=sources, entries=[], inputs=(x,), labels=y)


class Network(nn.Layer):
    classifier = "last"

    def __init__(self, num_classes=4):
        super().__init__()
        self.first = nn.Linear(3, 5)
        self.last = nn.Linear(5, num_classes)

    def forward(self, x):
        return self.last(self.first(x))


def train(network, optimizer, steps):
    x = paddle.to_tensor(np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3))
    for _ in range(steps):
        (network(x) ** 2).sum().backward()
        optimizer.step()
        optimizer.clear_grad()


def grouped_rmsprop(network):
    bias, others = split_parameters(network, lambda name: name.endswith("bias"))
    groups = [{"params": others, "weight_decay": 0.1}, {"params": bias}]
    return paddle.optimizer.RMSProp(0.01, rho=0.95, epsilon=1e-6, centered=True, parameters=groups)
