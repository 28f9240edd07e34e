"""Measure a model on frame features: network, reader, metrics and start, on synthetic records of its config."""

import pickle
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from itertools import repeat as endless
from pathlib import Path

import numpy as np

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from datareader.dataset import Batch, Dataset
from datareader.features.records import RECORD_KEYS, Expected, expect_records
from datareader.loader import EvaluationLoader
from metrics.youtube8m import YouTube8MMetrics
from models.spec import ModelSpec
from tools.benchmark.timing import compare, median_seconds, peak_memory_mb, seconds
from tools.config.flags import PROJECT
from tools.config.load import Config, Override, load_config
from tools.registry import METRICS, MODELS, READERS
from tools.runtime.device import start_paddle
from tools.runtime.workers import call_in_process


def measure_features(
    name: str, config_path: str, *, batch_size: int, repeat: int, threads: int | None
) -> dict[str, float]:
    """Every figure of a model. threads: of the network, None for all cores. Imports Paddle."""
    spec = MODELS.get(name)()
    with tempfile.TemporaryDirectory() as folder:
        config = load_synthetic_config(config_path, spec, name, Path(folder), 4 * batch_size)
        dataset = READERS.get(spec.reader)(config, "TRAIN", training=True, skip_broken=0)
        start_paddle(threads, use_gpu=False, gpu_wanted=False)
        return {
            **measure_network(name, spec, config, dataset, batch_size, repeat),
            **measure_reader(dataset, batch_size, repeat),
            **measure_metrics(spec, config, repeat),
            **measure_start(repeat),
        }


def load_synthetic_config(path: str, spec: ModelSpec, name: str, folder: Path, count: int) -> Config:
    """The config with synthetic records in place of its training set, and placeholders for other files it names."""
    list_path = folder / "synthetic.list"
    overrides = [Override("TRAIN", "filelist", str(list_path), "benchmark"), *spec.make_placeholders(folder)]
    config = load_config(path, spec.schema, ["MODEL", "TRAIN"], name, overrides)
    write_records(list_path, expect_records(config, "TRAIN"), count)
    return config


def write_records(list_path: Path, expected: Expected, count: int) -> None:
    """A list of two files of random records as a config expects them, 200 to 300 frames each."""
    widths = {RECORD_KEYS[name]: dim for name, dim in zip(expected.feature_names, expected.feature_dims, strict=True)}
    rng = np.random.default_rng(0)
    names = []
    for part, size in enumerate((count - count // 2, count // 2)):
        records = []
        for i in range(size):
            frames = int(rng.integers(200, 301))
            records.append(
                {
                    "video": f"synthetic{part}_{i}",
                    **{key: rng.integers(0, 256, (frames, width), dtype=np.uint8) for key, width in widths.items()},
                    "label": rng.choice(expected.num_classes, min(3, expected.num_classes), replace=False).tolist(),
                    "nframes": frames,
                }
            )
        names.append(f"synthetic{part}.pkl")
        (list_path.parent / names[-1]).write_bytes(pickle.dumps(records, protocol=4))
    list_path.write_text("\n".join(names) + "\n")


def measure_network(
    name: str, spec: ModelSpec, config: Config, dataset: Dataset, batch_size: int, repeat: int
) -> dict[str, float]:
    """Training step and inference of one batch, ours and the plain formulation."""
    import paddle

    from tests.reference import PLAIN_NETWORKS

    loader = EvaluationLoader(dataset, batch_size, num_workers=0, as_float=True)
    batch = next(loader.epoch())
    paddle.seed(0)
    network = spec.build_network(config)
    train, infer = make_jobs(spec, config, network, batch)
    train()
    figures = {"peak memory after training, MB": peak_memory_mb()}
    plain_train, plain_infer = (build(network) for build in PLAIN_NETWORKS[name])
    slow_train, _ = make_jobs(spec, config, plain_train, batch)
    _, slow_infer = make_jobs(spec, config, plain_infer, batch)
    for title, ours, plain in (("inference", infer, slow_infer), ("training step", train, slow_train)):
        our_sec, plain_sec, ratio = compare(ours, plain, repeat)
        figures[f"{title}, ms a video"] = our_sec * 1000 / batch_size
        figures[f"{title}, plain formulation, ms a video"] = plain_sec * 1000 / batch_size
        figures[f"{title}, times faster than plain"] = ratio
    return figures


def make_jobs(spec: ModelSpec, config: Config, network, batch: Batch) -> tuple[Callable, Callable]:
    """Two functions: one trains a network on the batch for a step, the other predicts it.

    The weights must stay as they are from the first prediction to the last.
    """
    from tools.inference.predict import predict
    from tools.training.step import train_epoch

    predictions = predict(network, endless(batch))  # what it makes of the weights once serves all batches of a test
    optimizer = spec.build_optimizer(config, network)
    options = {"schedule": spec.build_schedule(config, 1), "seed": 0, "epoch": 0, "start": 0, "steps_taken": 0}
    return (
        lambda: list(train_epoch(network, optimizer, [[batch]], **options)),
        lambda: next(predictions),
    )


def measure_reader(dataset: Dataset, batch_size: int, repeat: int) -> dict[str, float]:
    figures = {}
    for num_workers in (0, 2):
        loader = EvaluationLoader(dataset, batch_size, num_workers=num_workers, as_float=True)

        def read(loader=loader) -> None:
            for _ in loader.epoch():
                pass

        read()
        figures[f"reader with {num_workers} workers, records/s"] = len(dataset) / median_seconds(read, repeat)
    return figures


def measure_metrics(spec: ModelSpec, config: Config, repeat: int) -> dict[str, float]:
    """Counting batches of the config's classes; then GAP of 1.1 million videos in a process of its own."""
    rng = np.random.default_rng(0)
    probs = rng.random((1000, config.MODEL.num_classes), dtype=np.float32)
    labels = (rng.random(probs.shape) < 3 / config.MODEL.num_classes).astype(np.float32)

    def count() -> None:
        METRICS.get(spec.metrics)(config).update(probs, labels, 1.0)

    count()
    count_sec = median_seconds(count, repeat)
    gap_sec, gap_mb = call_in_process(measure_gap_at_scale)
    return {
        "metrics, ms for 1,000 videos": count_sec * 1000,
        "GAP of 1.1 million videos x 20, s": gap_sec,
        "GAP of 1.1 million videos x 20, MB with its pairs": gap_mb,
    }


def measure_gap_at_scale(num_videos: int = 1_100_000, top_k: int = 20) -> tuple[float, float]:
    """Seconds of the epoch's scores, and the most memory that counting and scoring hold, in MB."""
    rng = np.random.default_rng(0)
    chunk = 10_000
    tracemalloc.start()
    metric = YouTube8MMetrics(top_k, top_k)
    for _ in range(num_videos // chunk):
        probs = rng.random((chunk, top_k), dtype=np.float32)
        metric.update(probs, (probs > 1.7 * rng.random(probs.shape)).astype(np.float32), 1.0)  # 3 hits in 10
    sec = seconds(lambda: metric.compute(full=False))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return sec, peak / 1e6


def measure_start(repeat: int) -> dict[str, float]:
    def start(*command: str) -> float:
        whole = [sys.executable, *command]
        return median_seconds(lambda: subprocess.run(whole, cwd=PROJECT, capture_output=True, check=True), repeat)

    return {"train.py --help, s": start("train.py", "--help"), "import paddle, s": start("-c", "import paddle")}
