"""The training, prediction and evaluation loops of every model. They yield numbers; scripts print them."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle

from tools.distributed.group import ProcessGroup
from tools.errors import TrainingError
from tools.training.amp import MixedPrecision


@dataclass(frozen=True)
class Prediction:
    """What the network made of one batch. loss: mean over the batch's videos, None where the data has no labels."""

    batch: Any
    probs: np.ndarray  # (N, num_classes)
    loss: float | None


@dataclass(frozen=True)
class Step:
    """One optimizer step. data_sec: time spent waiting for the batches.

    predictions: of this process's batches. num_videos, loss: of all processes, the loss their mean over videos; 0 and
    NaN where none of the step's videos could be read, so that the weights stayed as they were.
    """

    number: int  # in the epoch, from 0
    predictions: list[Prediction]
    num_videos: int
    loss: float
    learning_rate: float
    data_sec: float
    step_sec: float


def train_epoch(
    network, optimizer, steps: Iterable[list], *, schedule: Callable[[int], float], seed: int, epoch: int, start: int,
    steps_taken: int, group: ProcessGroup | None = None, precision: MixedPrecision | None = None,
    grad_clip: float = 0.0,
) -> Iterator[Step]:  # fmt: skip
    """Train on the batches of each step and yield what happened, after the weights have changed.

    steps: the batches of each, whose gradients are added up before the weights change.
    schedule: steps taken since training began -> learning rate; ``steps_taken`` is where it starts.
    seed, epoch, start: dropout depends on these, on the step and on the process alone, so that a run that
        was stopped goes on exactly where it was; ``start`` is the number of the first of the steps.
    group: the processes that train together; their gradients are added up too. precision: full by default.
    grad_clip: the largest norm of all gradients together; 0 for any.
    Raises TrainingError for a loss that is not finite, before it can reach the weights.
    """
    group, precision = group or ProcessGroup(), precision or MixedPrecision()
    parameters = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    for number, (batches, data_sec) in enumerate(_timed(steps), start=start):
        began = time.perf_counter()
        num_videos = sum(group.all_gather(sum(map(len, batches))))
        rate = schedule(steps_taken + number - start)
        if not num_videos:
            yield Step(number, [], 0, math.nan, rate, data_sec, time.perf_counter() - began)
            continue
        network.train()
        paddle.seed(_step_seed(seed, epoch, number, group.rank))
        optimizer.set_lr(rate)
        share = 1 / num_videos if network.loss_reduction == "mean" else 1.0
        where = f"epoch {epoch}, iter {number}"
        predictions = [_add_gradients(network, batch, share, precision, where) for batch in batches if len(batch)]
        loss = math.fsum(group.all_gather(math.fsum(part.loss * len(part.batch) for part in predictions)))
        group.all_reduce_gradients(parameters)
        group.average_statistics(network)
        precision.step(optimizer, parameters, grad_clip)
        optimizer.clear_grad()
        step_sec = time.perf_counter() - began
        yield Step(number, predictions, num_videos, loss / num_videos, rate, data_sec, step_sec)


def _add_gradients(network, batch, share: float, precision: MixedPrecision, where: str) -> Prediction:
    """Add the gradient of ``share`` times the sum of a batch's losses to the parameters' gradients."""
    with precision.context():
        logits = network(*map(to_tensor, batch.inputs))
    logits = logits if logits.dtype == paddle.float32 else logits.astype("float32")
    losses = network.losses(logits, paddle.to_tensor(batch.labels))
    per_video = losses.numpy()
    _require_finite(per_video, batch, where)
    precision.scale(losses.sum() * share).backward()
    probs = network.probs(logits.detach()).numpy()
    return Prediction(batch, probs, float(per_video.mean()))


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


def _step_seed(seed: int, epoch: int, number: int, rank: int) -> int:
    return int(np.random.SeedSequence([seed, epoch, number, rank]).generate_state(1)[0])


def _require_finite(losses: np.ndarray, batch, where: str) -> None:
    bad = np.flatnonzero(~np.isfinite(losses))
    if not len(bad):
        return
    shown = ", ".join(f"{batch.sources[i]}: {losses[i]}" for i in bad[:5])
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    raise TrainingError(
        f"the loss of {len(bad)} of {len(losses)} videos is not finite at {where}: "
        f"{shown}{more}; nothing was saved after the last good checkpoint. A lower --learning-rate often helps"
    )
