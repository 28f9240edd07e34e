"""The training steps of every model. They yield numbers; the trainer logs them. Imports Paddle: tune the CPU first."""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle

from tools.distributed.exchange import GradientExchange
from tools.distributed.group import ProcessGroup
from tools.errors import TrainingError
from tools.inference.predict import Prediction, to_tensor
from tools.training.amp import MixedPrecision


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
    steps_taken: int, group: ProcessGroup | None = None, amp: MixedPrecision | None = None,
    grad_clip: float = 0.0, loss_options: dict[str, Any] | None = None,
    prepare: Callable[[list], Iterable] | None = None,
) -> Iterator[Step]:  # fmt: skip
    """Train on the batches of each step and yield what happened, after the weights have changed.

    steps: the batches of each, whose gradients are added up before the weights change.
    schedule: steps taken since training began -> learning rate; ``steps_taken`` is where it starts.
    seed, epoch, start: dropout depends on these, on the step and on the process alone, so that a run that
        was stopped resumes exactly where it was; ``start`` is the number of the first of the steps.
    group: the processes that train together; their gradients are added up too. amp: float32 by default.
    grad_clip: the largest norm of all gradients together; 0 for any.
    loss_options: for ``network.losses``, beside logits and labels. Weighted losses are averaged over videos too,
        whatever their weights, so that a video counts the same in every batch, micro-batch and process.
    prepare: a step's batches -> those that the network takes, by computing that is part of the step.
    Raises TrainingError for a loss that is not finite, before it can reach the weights.
    """
    group, amp = group or ProcessGroup(), amp or MixedPrecision()
    parameters = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    exchange = group.exchange_of(parameters)
    for number, (batches, data_sec) in enumerate(_timed(steps), start=start):
        began = time.perf_counter()
        shares = group.all_gather(sum(map(len, batches)))
        num_videos = sum(shares)
        rate = schedule(steps_taken + number - start)
        if not num_videos:
            yield Step(number, [], 0, math.nan, rate, data_sec, time.perf_counter() - began)
            continue
        if prepare:
            batches = [*prepare(batches)]
        network.train()
        paddle.seed(_step_seed(seed, epoch, number, group.rank))
        optimizer.set_lr(rate)
        share = 1 / num_videos if network.loss_reduction == "mean" else 1.0
        where = f"epoch {epoch}, iter {number}"
        batches = [batch for batch in batches if len(batch)]
        # Gradients travel during the last backward, which every process has to have.
        last = len(batches) - 1 if all(shares) else None
        predictions = [
            _add_gradients(network, batch, share, amp, where, loss_options or {}, exchange if place == last else None)
            for place, batch in enumerate(batches)
        ]
        if last is None:
            exchange.behind_backward()
        loss = math.fsum(group.all_gather(math.fsum(part.loss * len(part.batch) for part in predictions)))
        group.average_statistics(network)
        amp.step(optimizer, parameters, grad_clip)
        optimizer.clear_grad()
        step_sec = time.perf_counter() - began
        yield Step(number, predictions, num_videos, loss / num_videos, rate, data_sec, step_sec)


def _add_gradients(
    network, batch, share: float, amp: MixedPrecision, where: str, loss_options: dict[str, Any],
    exchange: GradientExchange | None,
) -> Prediction:  # fmt: skip
    """Add the gradient of ``share`` times the sum of a batch's losses to the parameters' gradients.

    exchange: makes them sums over all processes meanwhile; None where others are still to be added.
    """
    with amp.context():
        logits = network(*map(to_tensor, batch.inputs))
    logits = logits if logits.dtype == paddle.float32 else logits.astype("float32")
    losses = network.losses(logits, paddle.to_tensor(batch.labels), **loss_options)
    per_video = losses.numpy()
    _require_finite(per_video, batch, where)
    with exchange.during_backward() if exchange else contextlib.nullcontext():
        amp.scale(losses.sum() * share).backward()
    probs = network.probs(logits.detach()).numpy()
    return Prediction(batch, probs, float(per_video.mean()))


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
