"""Training steps of plain gradient descent."""

import paddle

from tools.training.step import train_epoch

BEGINNING = {"seed": 0, "epoch": 0, "start": 0, "steps_taken": 0}


def descend(network, batches, **options):
    """Steps of plain descent at a rate of 0.1."""
    optimizer = paddle.optimizer.SGD(1.0, parameters=network.parameters())
    return list(
        train_epoch(network, optimizer, [[batch] for batch in batches], schedule=lambda _: 0.1, **BEGINNING, **options)
    )
