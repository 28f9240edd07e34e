"""Measure a model of YouTube-8M on this machine, on made inputs of its default config.

python -m tools.benchmark --model-name AttentionCluster

Speeds are medians. The network is timed in turn with a plain formulation of the same network
(tests/reference.py), so that their ratio holds whatever else the machine is doing.

python -m tools.benchmark --simulate-world 64

plans an epoch of YouTube-8M and Kinetics-400 for so many processes, on lists of their size without the data.
"""

import argparse
import multiprocessing
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from datareader.loader import EvaluationLoader
from tools.benchmark.simulation import (
    compare_processes,
    make_clip_list,
    make_feature_list,
    measure_process,
    open_clips,
    open_features,
)
from tools.benchmark.timing import compare, seconds, show_figures
from tools.config.flags import PROJECT, parse_count, parse_positive, run
from tools.config.load import Config, Override, load_config
from tools.errors import ConfigError
from tools.registry import METRICS, MODELS, READERS
from tools.run_setup import start_paddle

NUM_SHARDS, NUM_RECORDS = 3844, 3_900_000  # of YouTube-8M's frame features for training
NUM_CLIPS = 240_000  # of Kinetics-400 for training


def parse_args():
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model-name", metavar="NAME", help=", ".join(MODELS.names()))
    add(
        "--simulate-world",
        type=parse_positive,
        metavar="N",
        help="in place of a model: what N processes need to plan an epoch of data sets of full size",
    )
    add("--config", metavar="FILE", help="default: the model's own in configs/")
    add("--batch-size", type=parse_count, default=64, metavar="N", help="videos in a batch (64)")
    add("--repeat", type=parse_count, default=5, metavar="N", help="timed runs of each, after one that is not (5)")
    add("--threads", type=int, metavar="N", help="CPU threads; default: all available cores")
    add("--json", metavar="FILE", help="also write the figures here")
    args = parser.parse_args()
    if bool(args.model_name) == bool(args.simulate_world):
        parser.error("give --model-name or --simulate-world")
    return args


def load_synthetic_config(path: str, spec, name: str, folder: Path, count: int) -> Config:
    """The config with made data in place of the data set and of its eigenvalues."""
    overrides = [Override("TRAIN", "filelist", str(folder / "made.list"), "benchmark"), *spec.make_placeholders(folder)]
    config = load_config(path, spec.schema, ["MODEL", "TRAIN"], name, overrides)
    make_records(folder, config, count)
    return config


def make_records(folder: Path, config: Config, count: int) -> None:
    """A list of two files of random YouTube-8M records, 200 to 300 frames each."""
    rng = np.random.default_rng(0)
    names = []
    for part, size in enumerate((count - count // 2, count // 2)):
        records = []
        for i in range(size):
            frames = int(rng.integers(200, 301))
            records.append(
                {
                    "video": f"made{part}_{i}",
                    "feature": rng.integers(0, 256, (frames, 1024), dtype=np.uint8),
                    "audio": rng.integers(0, 256, (frames, 128), dtype=np.uint8),
                    "label": rng.choice(config.MODEL.num_classes, 3, replace=False).tolist(),
                    "nframes": frames,
                }
            )
        names.append(f"made{part}.pkl")
        (folder / names[-1]).write_bytes(pickle.dumps(records, protocol=4))
    (folder / "made.list").write_text("\n".join(names) + "\n")


def measure_network(args, name: str, config: Config, dataset) -> dict:
    """Training step and inference of one batch, ours and the plain formulation."""
    import paddle

    from tests.reference import PLAIN_NETWORKS
    from tools.training.step import predict, train_epoch

    spec = MODELS.get(name)()
    loader = EvaluationLoader(dataset, args.batch_size, num_workers=0, as_float=True)
    batch = next(loader.epoch())

    def make_jobs(network):
        optimizer = spec.build_optimizer(config, network)
        options = {"schedule": spec.build_schedule(config, 1), "seed": 0, "epoch": 0, "start": 0, "steps_taken": 0}
        return (
            lambda: list(train_epoch(network, optimizer, [[batch]], **options)),
            lambda: list(predict(network, [batch])),
        )

    paddle.seed(0)
    network = spec.build_network(config)
    train, infer = make_jobs(network)
    train()
    figures = {"peak memory after training, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    plain_train, plain_infer = (build(network) for build in PLAIN_NETWORKS[name])
    slow_train, slow_infer = make_jobs(plain_train)[0], make_jobs(plain_infer)[1]
    for title, ours, plain in (("inference", infer, slow_infer), ("training step", train, slow_train)):
        our_sec, plain_sec, ratio = compare(ours, plain, args.repeat)
        figures[f"{title}, ms a video"] = our_sec * 1000 / args.batch_size
        figures[f"{title}, plain formulation, ms a video"] = plain_sec * 1000 / args.batch_size
        figures[f"{title}, times faster than plain"] = ratio
    return figures


def measure_reader(args, dataset) -> dict:
    def read(num_workers: int) -> None:
        loader = EvaluationLoader(dataset, args.batch_size, num_workers=num_workers, as_float=True)
        for _ in loader.epoch():
            pass

    figures = {}
    for num_workers in (0, 2):
        read(num_workers)
        sec = statistics.median(seconds(lambda n=num_workers: read(n)) for _ in range(args.repeat))
        figures[f"reader with {num_workers} workers, records/s"] = len(dataset) / sec
    return figures


def measure_metrics(args, name: str, config: Config) -> dict:
    """Counting batches of the config's classes; then GAP of 1.1 million videos in a process of its own."""
    rng = np.random.default_rng(0)
    probs = rng.random((1000, config.MODEL.num_classes), dtype=np.float32)
    labels = (rng.random(probs.shape) < 3 / config.MODEL.num_classes).astype(np.float32)

    def count() -> None:
        METRICS.get(MODELS.get(name).metrics)(config).update(probs, labels, 1.0)

    count()
    sec = statistics.median(seconds(count) for _ in range(args.repeat))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        gap_sec, gap_mb = pool.apply(measure_gap_at_scale)
    return {
        "metrics, ms for 1,000 videos": sec * 1000,
        "GAP of 1.1 million videos x 20, s": gap_sec,
        "GAP of 1.1 million videos x 20, MB with its pairs": gap_mb,
    }


def measure_gap_at_scale(num_videos: int = 1_100_000, top_k: int = 20) -> tuple[float, float]:
    """Seconds of the epoch's scores, and the most memory that counting and scoring hold, in MB."""
    from metrics.youtube8m import YouTube8MMetrics

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


def measure_start(args) -> dict:
    def start(*command: str) -> float:
        return statistics.median(
            seconds(lambda: subprocess.run([sys.executable, *command], cwd=PROJECT, capture_output=True, check=True))
            for _ in range(args.repeat)
        )

    return {"train.py --help, s": start("train.py", "--help"), "import paddle, s": start("-c", "import paddle")}


def simulate_world(args) -> None:
    """Plans of both kinds of data set for so many processes; prints and writes the figures."""
    world, size = args.simulate_world, args.batch_size
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for title, path, open_dataset in (
            ("YouTube-8M", make_feature_list(Path(folder), NUM_SHARDS, NUM_RECORDS), open_features),
            ("Kinetics-400", make_clip_list(Path(folder), NUM_CLIPS), open_clips),
        ):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found = pool.apply(measure_process, (open_dataset, path, world, size))
            found |= compare_processes(open_dataset(path), world, size)
            figures |= {f"{title}: {name}": value for name, value in found.items()}
    sizes = f"{NUM_RECORDS:,} records in {NUM_SHARDS:,} files, {NUM_CLIPS:,} clips"
    show_figures(f"{sizes}; {world} processes with batches of {size} each", figures, args.json, {"world": world})


def main() -> None:
    args = parse_args()
    if args.simulate_world:
        simulate_world(args)
        return
    name = MODELS.canonical_name(args.model_name)
    spec = MODELS.get(name)()
    if spec.data == "clips":
        raise ConfigError(f"{name} is measured by python -m tools.benchmark_clips --model-name {name}")
    path = args.config or str(PROJECT / spec.default_config)
    with tempfile.TemporaryDirectory() as folder:
        config = load_synthetic_config(path, spec, name, Path(folder), 4 * args.batch_size)
        dataset = READERS.get(spec.reader)(config, "TRAIN", training=True, skip_broken=0)
        start_paddle(args.threads, False, False, print)
        figures = {
            **measure_network(args, name, config, dataset),
            **measure_reader(args, dataset),
            **measure_metrics(args, name, config),
            **measure_start(args),
        }
    title = f"{name}, {path}, batches of {args.batch_size}, median of {args.repeat}"
    show_figures(title, figures, args.json, {"model": name, "batch_size": args.batch_size})


if __name__ == "__main__":
    run(main)
