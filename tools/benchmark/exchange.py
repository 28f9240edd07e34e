"""Measure training steps of several processes, whose gradients travel behind backward and during it, in turn."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.benchmark.peers import make_job
from tools.benchmark.timing import compare, median_seconds
from tools.distributed.launcher import follow_launcher
from tools.registry import MODELS
from tools.runtime.device import start_paddle


def measure_exchange(name: str, config_path: str, *, batch_size: int, repeat: int, threads: int) -> dict[str, float]:
    """Every figure, in each of the processes that a launcher has started. batch_size, threads: of each process."""
    follow_launcher()
    start_paddle(threads, use_gpu=False, gpu_wanted=False)
    from tools.distributed.group import connect

    with tempfile.TemporaryDirectory() as folder, connect("cpu") as group:
        train, exchange = make_training(name, config_path, batch_size, threads, Path(folder), group)

        def step(overlaps: bool) -> Callable[[], None]:
            def run() -> None:
                exchange.overlaps = overlaps
                train()
                group.all_gather(None)  # a step has ended when it has in all processes

            return run

        during_sec, behind_sec, ratio = compare(step(True), step(False), repeat)
        exchange_sec = median_seconds(exchange.behind_backward, repeat)  # of what the last step has left
        return {
            "training step, gradients travel behind backward, s": behind_sec,
            "training step, gradients travel during backward, s": during_sec,
            "times faster": ratio,
            "exchange alone, s": exchange_sec,
        }


def make_training(
    name: str, config_path: str, batch_size: int, threads: int, folder: Path, group
) -> tuple[Callable[[], object], Any]:
    """A function that takes a step as train.py does, and what exchanges its gradients."""
    import paddle

    from tools.training.step import train_epoch

    job = make_job(name, config_path, batch_size, threads, folder)
    spec = MODELS.get(name)()
    paddle.seed(0)
    network = spec.build_network(job.config)
    optimizer = spec.build_optimizer(job.config, network)
    options = {"schedule": lambda step: 1e-6, "seed": 0, "epoch": 0, "start": 0, "steps_taken": 0, "group": group}
    batch = job.make_batch(batch_size)
    exchange = group.exchange_of([parameter for parameter in network.parameters() if not parameter.stop_gradient])
    return lambda: list(train_epoch(network, optimizer, [[batch]], **options)), exchange
