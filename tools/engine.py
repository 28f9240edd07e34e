"""The training, prediction and evaluation loops of every model. They yield numbers; scripts print them."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle

from tools.errors import TrainingError


@dataclass(frozen=True)
class Step:
    """One optimizer step. loss: mean over the batch's videos. data_sec: time spent waiting for the batch."""

    number: int  # in the epoch, from 0
    batch: Any
    loss: float
    probs: np.ndarray  # (N, num_classes)
    learning_rate: float
    data_sec: float
    step_sec: float


@dataclass(frozen=True)
class Prediction:
    """One batch in test mode. loss: mean over the batch's videos, None where the data has no labels."""

    batch: Any
    probs: np.ndarray  # (N, num_classes)
    loss: float | None


def train_epoch(
    network, optimizer, batches: Iterable, *, schedule: Callable[[int], float], seed: int, epoch: int, start: int,
    steps_taken: int,
) -> Iterator[Step]:  # fmt: skip
    """Train on each batch and yield what happened, after the weights have changed.

    schedule: steps taken since training began -> learning rate; ``steps_taken`` is where it starts.
    seed, epoch, start: dropout depends on these and on the step alone, so that a run that was stopped
        goes on exactly where it was; ``start`` is the number of the first of the batches.
    Raises TrainingError for a loss that is not finite, before it can reach the weights.
    """
    for number, (batch, data_sec) in enumerate(_timed(batches), start=start):
        began = time.perf_counter()
        network.train()
        paddle.seed(_step_seed(seed, epoch, number))
        rate = schedule(steps_taken + number - start)
        optimizer.set_lr(rate)
        logits = network(*map(to_tensor, batch.inputs))
        losses = network.losses(logits, paddle.to_tensor(batch.labels))
        per_video = losses.numpy()
        _require_finite(per_video, batch, epoch, number)
        (losses.mean() if network.loss_reduction == "mean" else losses.sum()).backward()
        optimizer.step()
        optimizer.clear_grad()
        probs = network.probs(logits.detach()).numpy()
        step_sec = time.perf_counter() - began
        yield Step(number, batch, float(per_video.mean()), probs, rate, data_sec, step_sec)


def predict(network, batches: Iterable) -> Iterator[Prediction]:
    """Run the network in test mode. The views of a record become one prediction."""
    for batch in batches:
        network.eval()
        with paddle.no_grad():
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

    Other memory is copied to such a boundary: where it began would show in the last bits of results.
    """
    if paddle.get_device() == "cpu" and array.flags.c_contiguous and array.ctypes.data % 64 == 0:
        return paddle.from_dlpack(array)
    return paddle.to_tensor(array)


def _timed(batches: Iterable) -> Iterator[tuple[Any, float]]:
    """Each batch with the seconds spent waiting for it."""
    began = time.perf_counter()
    for batch in batches:
        yield batch, time.perf_counter() - began
        began = time.perf_counter()


def _step_seed(seed: int, epoch: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, epoch, number]).generate_state(1)[0])


def _require_finite(losses: np.ndarray, batch, epoch: int, number: int) -> None:
    bad = np.flatnonzero(~np.isfinite(losses))
    if not len(bad):
        return
    shown = ", ".join(f"{batch.wheres[i]}: {losses[i]}" for i in bad[:5])
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    raise TrainingError(
        f"the loss of {len(bad)} of {len(losses)} videos is not finite at epoch {epoch}, iter {number}: "
        f"{shown}{more}; nothing was saved after the last good checkpoint. A lower --learning-rate often helps"
    )
