"""A small network to export, for the tests of exported programs."""

import numpy as np
import paddle


class Small(paddle.nn.Layer):
    """A network whose weights take 360 kB."""

    losses = probs = average_views = None

    def __init__(self):
        super().__init__()
        self.first = paddle.nn.Linear(300, 297)
        self.last = paddle.nn.Linear(297, 3)

    def forward(self, x):
        return self.last(self.first(x))


def require_same_answers(network, predictor):
    x = paddle.ones([2, 300])
    np.testing.assert_allclose(predictor(x).numpy(), network(x).numpy(), rtol=1e-4, atol=1e-5)
