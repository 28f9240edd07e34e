"""Training steps of a small network whose gradients are exchanged in each way, and ends in the middle of an exchange.

python -m tests.exchanged_gradients FOLDER PROCESSES [END]

Leaves FOLDER/{way}_{rank}.npz of each of WAYS, all that the steps change. END, of ENDS, is what happens to the last
process in its second step, where gradients travel during backward.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path

import numpy as np

from tools.distributed.launcher import follow_launcher, launch, plan_processes
from tools.errors import DataError
from tools.runtime.entry import run_program

WAYS = ("plain", "behind", "during")
ENDS = ("killed in backward", "killed in exchange", "raised", "not finite")
BUCKET_BYTES = 256  # the small network has six buckets
NUM_STEPS = 4


def build_network(rank: int):
    """A network with a weight that is used twice, a layer of odd ranks, a frozen one, and a weight of nobody."""
    import paddle
    from paddle import nn

    class Branches(nn.Layer):
        loss_reduction = "mean"

        def __init__(self):
            super().__init__()
            self.first = nn.Linear(6, 8)
            self.shared = self.create_parameter([8, 8])
            self.unused = self.create_parameter([8, 8])
            self.odd = nn.Linear(8, 8)
            self.frozen = nn.Linear(8, 8)
            self.last = nn.Linear(8, 4)
            for parameter in self.frozen.parameters():
                parameter.stop_gradient = True

        def forward(self, x):
            x = nn.functional.tanh(self.first(x) @ self.shared) @ self.shared
            return self.last(self.frozen(self.odd(x) if rank % 2 else x))

        def losses(self, logits, labels):
            return ((logits - labels) ** 2).sum(axis=1)

        def probs(self, logits):
            return nn.functional.sigmoid(logits)

    paddle.seed(0)
    return Branches()


def make_batch(step: int, rank: int, part: int, world: int):
    """One of two micro-batches: in the second step each rank lacks one of them, in the third the last rank both."""
    from datareader.dataset import Batch

    rng = np.random.default_rng([step, rank, part])
    is_empty = (step == 1 and part == rank % 2) or (step == 2 and rank == world - 1)
    count = 0 if is_empty else 3 + rank
    names = [f"video{i}" for i in range(count)]
    inputs, labels = (rng.standard_normal((count, width)).astype(np.float32) for width in (6, 4))
    return Batch(names, names, [], (inputs,), labels)


class PlainExchange:
    """Sums all gradients that any process has, once backward has ended; as plain as can be."""

    def __init__(self, group, parameters):
        self.group, self.parameters = group, parameters

    @contextlib.contextmanager
    def during_backward(self):
        yield
        self.behind_backward()

    def behind_backward(self):
        import paddle
        from paddle import distributed

        from tools.distributed.exchange import buckets

        present = self.group.all_gather([parameter.grad is not None for parameter in self.parameters])
        used = [p for p, of_ranks in zip(self.parameters, zip(*present, strict=True), strict=True) if any(of_ranks)]
        for parameter in used:
            if parameter.grad is None:
                parameter.grad = paddle.zeros_like(parameter)
        for bucket in buckets(used):
            flat = paddle.concat([parameter.grad.flatten() for parameter in bucket])
            distributed.all_reduce(flat)
            for parameter, part in zip(bucket, flat.split([p.size for p in bucket]), strict=True):
                parameter.grad.set_value(part.reshape(parameter.shape))


def take_steps(group, way: str, end: str = "") -> dict[str, np.ndarray]:
    """What the steps leave: "losses" (NUM_STEPS,), and weights and moments by name."""
    import paddle

    from tools.distributed.exchange import GradientExchange
    from tools.training.step import train_epoch

    network = build_network(group.rank)
    optimizer = paddle.optimizer.AdamW(0.01, parameters=network.parameters(), weight_decay=0.1)
    trained = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    exchange = PlainExchange(group, trained) if way == "plain" else GradientExchange(group, trained, way == "during")
    group.exchange_of = lambda parameters: exchange
    steps = [[make_batch(step, group.rank, part, group.world) for part in range(2)] for step in range(NUM_STEPS)]
    if end and group.rank == group.world - 1:
        prepare_end(end, network, exchange, steps)
    options = {"schedule": lambda step: 0.01, "seed": 0, "epoch": 0, "start": 0, "steps_taken": 0, "grad_clip": 0.5}
    losses = [step.loss for step in train_epoch(network, optimizer, steps, group=group, **options)]
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    names = {parameter.name: name for name, parameter in network.named_parameters()}
    moments = {
        f"{names[key.split('_moment')[0]]} moment{key.split('_moment')[1]}": value.numpy()
        for key, value in optimizer.state_dict().items()
        if "_moment" in key
    }
    return {"losses": np.array(losses), **weights, **moments}


def prepare_end(end: str, network, exchange, steps: list) -> None:
    """Let it happen in the second step, whose first bucket has travelled by then, save that a loss ends it before."""
    from tools.distributed import exchange as module

    def die(*_) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if end == "not finite":
        batches = [batch for batch in steps[1] if len(batch)]
        batches[0].inputs[0][0, 0] = np.nan
        return
    calls, all_reduce = [], module.distributed.all_reduce

    def count_and_sum(tensor) -> None:
        calls.append(tensor)
        if end == "killed in exchange" and len(calls) == num_buckets + 2:
            die()
        all_reduce(tensor)

    def after_the_first_bucket(gradient) -> None:
        if len(calls) >= num_buckets:  # of the second step
            exchange._sums[0].result()
            if end == "killed in backward":
                die()

    num_buckets = len(exchange._buckets)
    module.distributed.all_reduce = count_and_sum
    network.first.weight.register_hook(after_the_first_bucket)
    if end == "raised":
        during_backward = exchange.during_backward

        @contextlib.contextmanager
        def raise_after_backward():
            with during_backward():
                yield
                if len(calls) > num_buckets:
                    raise DataError("clip 7 is broken")

        exchange.during_backward = raise_after_backward


def main() -> int:
    folder, count, *end = sys.argv[1:]
    processes = plan_processes(int(count), use_gpu=False)
    if processes.to_start:
        return launch(processes, Path(folder))
    follow_launcher()
    from tools.runtime.device import start_paddle

    start_paddle(1, False, False)
    from tools.distributed import exchange
    from tools.distributed.group import connect

    exchange.BUCKET_BYTES = BUCKET_BYTES
    with connect("cpu") as group:
        if end:
            take_steps(group, "during", *end)
        for way in () if end else WAYS:
            np.savez(Path(folder) / f"{way}_{group.rank}.npz", **take_steps(group, way))
    return 0


if __name__ == "__main__":
    run_program(main)
