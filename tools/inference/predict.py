"""Prediction and evaluation of every model. They yield numbers; scripts print them. Imports Paddle."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle

from tools.runtime.unchanged import unchanged_weights


@dataclass(frozen=True)
class Prediction:
    """What the network made of one batch. loss: mean over the batch's videos, None where the data has no labels."""

    batch: Any
    probs: np.ndarray  # (N, num_classes)
    loss: float | None


def predict(network, batches: Iterable) -> Iterator[Prediction]:
    """Run the network in test mode. The views of a record become one prediction.

    Its weights must stay as they are until the last batch: what is made of them once serves all batches.
    """
    made = {}
    for batch in batches:
        network.eval()
        with paddle.no_grad(), unchanged_weights(made):
            logits = network(*map(to_tensor, batch.inputs))
            if batch.views > 1:
                logits = network.average_views(logits, batch.views)
            probs = network.probs(logits).numpy()
            loss = None
            if batch.labels is not None:
                loss = float(network.losses(logits, paddle.to_tensor(batch.labels)).mean())
        yield Prediction(batch, probs, loss)


def evaluate(network, batches: Iterable, metrics) -> Iterator[Prediction]:
    """Predict, and let ``metrics`` count every batch."""
    for prediction in predict(network, batches):
        metrics.update(prediction.probs, prediction.batch.labels, prediction.loss)
        yield prediction


def to_tensor(array: np.ndarray):
    """An array on Paddle's device. On the CPU, memory on a 64-byte boundary is shared, not copied.

    Other memory is copied to such a boundary: where it began would show in the last bits of results (Paddle 3.3.1).
    """
    if paddle.get_device() == "cpu" and array.flags.c_contiguous and array.ctypes.data % 64 == 0:
        return paddle.from_dlpack(array)
    return paddle.to_tensor(array)
