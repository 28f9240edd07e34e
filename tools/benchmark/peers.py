"""Measure a model's network beside the same one in PyTorch and ONNX Runtime: CPU seconds, in turn, in one run.

Ours goes the way of test.py and train.py; theirs are tests/peers/torch_networks.py with the same weights, and what
PyTorch exports of them. Each has a process of its own on the same cores. Answers are compared too, and ours with the
arithmetic floor.
"""

import importlib.util
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat as endless
from pathlib import Path
from typing import Any

import numpy as np

import datareader  # noqa: F401  (registers the readers)
import models  # noqa: F401
from datareader.dataset import Batch
from datareader.loader import EvaluationLoader
from tools.benchmark.features import load_synthetic_config
from tools.benchmark.floor import PASSES, count_multiply_adds, make_products, measure_speed
from tools.benchmark.workers import PEERS, Tasks, Team, Worker
from tools.config.load import Config, load_config
from tools.errors import PackageError
from tools.inference.load import fastest_engine, run_by
from tools.registry import MODELS, READERS
from tools.runtime.device import start_paddle

NEEDS = {"torch": ("torch",), "onnxruntime": ("onnxruntime", "onnx", "torch")}  # modules: PyTorch exports for both
# Sizes of the batches that models on clips are run on in test mode, and how many segments these may have, as memory
# grows with them.
CLIPS_AT_ONCE, MOST_SEGMENTS = (1, 8, 32), 96
WEIGHTS = "weights.npz"


@dataclass(frozen=True)
class Modes:
    """How networks compute. conv_engine, amp: of training, as of train.py. precision: of inference, as of infer.py.

    PyTorch computes in bf16 where ours does, by its autocast.
    """

    conv_engine: str = "paddle"
    amp: str = "off"
    precision: str = "fp32"

    def __str__(self) -> str:
        """What is not as by default, for a title."""
        training = [self.conv_engine] * (self.conv_engine != "paddle") + [self.amp] * (self.amp != "off")
        parts = [f"training by {' in '.join(training)}"] if training else []
        return ", ".join([*parts, *([f"inference in {self.precision}"] if self.precision != "fp32" else [])])


DEFAULT_MODES = Modes()


@dataclass(frozen=True)
class Job:
    """What each process builds: a model by a config, on batches that it makes by ``make_inputs(size)``.

    folder: where ours leaves its weights, which the others take.
    """

    name: str
    config: Config
    make_inputs: Callable[[int], tuple[np.ndarray, ...]]
    test_sizes: Sequence[int]
    train_size: int
    threads: int
    folder: Path
    modes: Modes = DEFAULT_MODES

    def make_batch(self, size: int) -> Batch:
        inputs = self.make_inputs(size)
        names = [f"synthetic {i}" for i in range(size)]
        return Batch(names, names, [], inputs, make_labels(MODELS.get(self.name).data, size, self.config))


def measure_against(
    name: str, config_path: str, peers: Sequence[str], *,
    batch_size: int, repeat: int, threads: int, modes: Modes = DEFAULT_MODES,
) -> dict[str, float]:  # fmt: skip
    """Every figure. peers: of PEERS. batch_size: of training, and of inference on features. threads: of the networks.

    Raises PackageError for a peer that is not installed, and PeerError where the process of one ends.
    """
    for peer in peers:
        require_peer(peer)
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(name, config_path, batch_size, threads, Path(folder), modes)
        os.environ["OPENBLAS_NUM_THREADS"] = str(threads)  # NumPy's library reads it as a process loads it
        workers = {"ours": start_ours(job, threads)}
        try:
            multiply_adds = count_in(job)
            for peer in peers:
                workers[PEERS[peer]] = Worker(PEERS[peer], OPENERS[peer], job, cores=threads)
            figures = compare_workers(job, workers, repeat)
            return figures | compare_with_floor(job, figures, measure_speed(workers["ours"], repeat), multiply_adds)
        finally:
            for worker in workers.values():
                worker.close()


def require_peer(peer: str) -> None:
    """Raise PackageError where a module that a peer needs is not installed."""
    if missing := [module for module in NEEDS[peer] if importlib.util.find_spec(module) is None]:
        raise PackageError(
            f"--against {peer}: {', '.join(missing)} cannot be found; python -m pip install -r "
            "requirements-benchmark.txt, or leave it out"
        )


def make_job(
    name: str, config_path: str, batch_size: int, threads: int, folder: Path, modes: Modes = DEFAULT_MODES
) -> Job:
    """The job of a model, with a batch of features in the folder where it takes such."""
    spec = MODELS.get(name)()
    if spec.data == "clips":
        config = load_config(config_path, spec.schema, ["MODEL", "TRAIN", "TEST"], name)
        shape = spec.input_shape(config, "TRAIN")
        sizes = [size for size in CLIPS_AT_ONCE if size == 1 or size * shape[0] <= MOST_SEGMENTS]
        return Job(name, config, partial(draw_clips, shape), sizes, batch_size, threads, folder, modes)
    config = load_synthetic_config(config_path, spec, name, folder, batch_size)
    dataset = READERS.get(spec.reader)(config, "TRAIN", training=True, skip_broken=0)
    batch = next(EvaluationLoader(dataset, batch_size, num_workers=0, as_float=True).epoch())
    np.savez(folder / "inputs.npz", *batch.inputs)
    return Job(name, config, partial(load_inputs, folder), (batch_size,), batch_size, threads, folder, modes)


def draw_clips(shape: tuple[int, ...], size: int) -> tuple[np.ndarray, ...]:
    return (np.random.default_rng(0).standard_normal((size, *shape), np.float32),)


def load_inputs(folder: Path, size: int) -> tuple[np.ndarray, ...]:
    with np.load(folder / "inputs.npz") as arrays:
        return tuple(arrays[f"arr_{i}"] for i in range(len(arrays.files)))


def make_labels(data: str, size: int, config: Config) -> np.ndarray:
    if data == "clips":
        return np.arange(size, dtype=np.int64) % config.MODEL.num_classes
    chosen = np.random.default_rng(0).random((size, config.MODEL.num_classes)) < 3 / config.MODEL.num_classes
    return chosen.astype(np.float32)


def compare_workers(job: Job, workers: dict[str, Worker | Team], repeat: int) -> dict[str, float]:
    """CPU time of each task a video, in each framework, and the share that ours takes of theirs: medians."""
    figures = {}
    for title, task, size in list_tasks(job):
        able = {peer: worker(task) for peer, worker in workers.items() if task in worker.tasks}
        for run in able.values():
            run()
        rounds = [{peer: run() for peer, run in able.items()} for _ in range(repeat)]
        for peer in able:
            figures[f"{title}, {peer}, CPU ms a video"] = statistics.median(r[peer] for r in rounds) * 1000 / size
        for peer in list(able)[1:]:
            figures[f"{title}, share of {peer}'s time"] = statistics.median(r["ours"] / r[peer] for r in rounds)
    for peer in list(workers)[1:]:
        difference = np.abs(workers["ours"].answers - workers[peer].answers).max()
        figures[f"largest difference of probabilities from {peer}'s"] = float(difference)
    return figures


def list_tasks(job: Job) -> Iterator[tuple[str, str, int]]:
    """(title, task, batch size) of each task that is measured."""
    for size in job.test_sizes:
        yield f"inference, batches of {size}", f"inference {size}", size
    yield f"training step, batches of {job.train_size}", "training", job.train_size


def compare_with_floor(job: Job, figures: dict[str, float], speed: float, multiply_adds: float) -> dict[str, float]:
    """The arithmetic floor of each task a video, and how many times that ours takes, as ``figures`` say.

    speed: multiply-adds in a CPU second. multiply_adds: of a video in inference.
    """
    floors = {
        "multiply-adds of a video, millions": multiply_adds / 1e6,
        "fastest matrix product, GFLOP a CPU second": 2 * speed / 1e9,
    }
    for title, task, _ in list_tasks(job):
        floor_ms = PASSES[task.partition(" ")[0]] * multiply_adds / speed * 1000
        floors[f"{title}, arithmetic floor, CPU ms a video"] = floor_ms
        floors[f"{title}, ours, times the floor"] = figures[f"{title}, ours, CPU ms a video"] / floor_ms
    return floors


def count_in(job: Job) -> float:
    """Multiply-adds of a video in inference, with the weights that ours has left, counted in a process of its own."""
    worker = Worker("multiply-adds", open_count, job, cores=job.threads)
    worker.close()
    return worker.answers


# The processes


def start_ours(job: Job, cores: int) -> Team:
    """Inference and training in a process each: Paddle's engine (3.3.1) leaves all else in its process one thread."""
    return Team(Worker("ours", open_ours, job, cores=cores), Worker("ours", open_training, job, cores=cores))


def open_ours(job: Job) -> tuple[Tasks, np.ndarray]:
    """Inference, whose weights it leaves in the job's folder."""
    start_paddle(job.threads, use_gpu=False, gpu_wanted=False)
    import paddle

    from tools.inference.export import FOLDER_VARIABLE
    from tools.inference.predict import predict

    os.environ[FOLDER_VARIABLE] = str(job.folder)
    spec = MODELS.get(job.name)()
    paddle.seed(0)
    network = spec.build_network(job.config)
    if spec.data == "clips":
        moderate(network, job.make_batch(job.test_sizes[0]))
    save_weights(job, network)
    engine = build_engine(spec, job, network)
    runs = {size: predict(engine, endless(job.make_batch(size))) for size in job.test_sizes}
    tasks = {f"inference {size}": partial(next, run) for size, run in runs.items()}
    return tasks | make_products(), next(runs[job.test_sizes[0]]).probs


def open_training(job: Job) -> tuple[Tasks, None]:
    start_paddle(job.threads, use_gpu=False, gpu_wanted=False)
    import paddle

    from tools.training.resume import train_by_onednn
    from tools.training.step import train_epoch

    spec = MODELS.get(job.name)()
    network = spec.build_network(job.config)
    with np.load(job.folder / WEIGHTS) as arrays:
        network.set_state_dict({name: paddle.to_tensor(arrays[name]) for name in arrays.files})
    if job.modes.conv_engine == "onednn":
        train_by_onednn(network, job.modes.amp)
    optimizer = spec.build_optimizer(job.config, network)
    options = {"schedule": lambda step: 1e-6, "seed": 0, "epoch": 0, "start": 0, "steps_taken": 0}
    batch = job.make_batch(job.train_size)
    return {"training": lambda: list(train_epoch(network, optimizer, [[batch]], **options))}, None


def save_weights(job: Job, network) -> None:
    """Parameters and buffers, for the others."""
    state = {**network.state_dict(), **dict(network.named_buffers())}
    np.savez(job.folder / WEIGHTS, **{name: value.numpy() for name, value in state.items()})


def moderate(network, batch: Batch) -> None:
    """Scale the classifier so that logits are about 1 large: those of a new ResNet give one class all of it."""
    import paddle

    network.eval()
    with paddle.no_grad():
        logits = network(*map(paddle.to_tensor, batch.inputs))
        weight = getattr(network, network.classifier).weight
        weight.set_value(weight / logits.std())


def build_engine(spec, job: Job, network):
    """The network in the engine that infer.py would take for many videos, or what stands in for it."""
    if spec.data != "clips":
        return network
    precision = job.modes.precision
    return run_by(fastest_engine(spec, precision), network, spec.input_shape(job.config, "TRAIN"), precision)


def open_torch(job: Job) -> tuple[Tasks, np.ndarray]:
    import torch

    torch.set_num_threads(job.threads)
    network, trained = build_torch(job), build_torch(job).train()
    tasks = {"training": make_torch_training(job, trained)}
    for size in job.test_sizes:
        tasks[f"inference {size}"] = partial(run_torch, network, job.make_batch(size), job.modes.precision)
    return tasks, tasks[f"inference {job.test_sizes[0]}"]()


def build_torch(job: Job) -> Any:
    """The network in test mode."""
    from tests.peers.torch_networks import build

    with np.load(job.folder / WEIGHTS) as arrays:
        return build(job.name, job.config.MODEL, dict(arrays)).eval()


def open_count(job: Job) -> tuple[Tasks, float]:
    """Without tasks."""
    inputs = job.make_batch(job.test_sizes[0]).inputs
    return {}, count_multiply_adds(build_torch(job), inputs)


def run_torch(network, batch: Batch, precision: str = "fp32") -> np.ndarray:
    """Probabilities."""
    import torch

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        return network.probs(network(*map(torch.from_numpy, batch.inputs)).float()).numpy()


def make_torch_training(job: Job, network) -> Callable[[], float]:
    """A function that takes a step, as PyTorch's own optimizers do, and gives the loss."""
    import torch

    from tests.peers.torch_networks import build_optimizer

    batch, optimizer = job.make_batch(job.train_size), build_optimizer(network)
    labels = torch.from_numpy(batch.labels)

    def train() -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=job.modes.amp == "bf16"):
            loss = network.loss(network(*map(torch.from_numpy, batch.inputs)), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return train


def open_onnx_runtime(job: Job) -> tuple[Tasks, np.ndarray]:
    """Of what PyTorch exports for the very batch, by which the most people come to it."""
    import onnxruntime
    import torch

    from tests.peers.torch_networks import WithProbabilities

    torch.set_num_threads(job.threads)
    network = WithProbabilities(build_torch(job)).eval()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    tasks = {}
    for size in job.test_sizes:
        inputs = job.make_batch(size).inputs
        path, names = job.folder / f"{size}.onnx", [f"input{i}" for i in range(len(inputs))]
        torch.onnx.export(
            network, tuple(map(torch.from_numpy, inputs)), str(path), input_names=names, dynamo=False, verbose=False
        )
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        wanted = {given.name for given in session.get_inputs()}  # lengths are constants by now
        named = {name: array for name, array in zip(names, inputs, strict=True) if name in wanted}
        tasks[f"inference {size}"] = partial(session.run, None, named)
    return tasks, tasks[f"inference {job.test_sizes[0]}"]()[0]


OPENERS = {"torch": open_torch, "onnxruntime": open_onnx_runtime}
