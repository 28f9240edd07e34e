"""Measure TSN or STNET on this machine: reading clips and the network, at the sizes of the default config.

python -m tools.benchmark_clips --model-name TSN

Reading is timed in turn with the way of 2019 (tests/reference.py: decode every frame, PIL, a growing
float array) on one core, inference with the network as it trains, with Paddle's settings as it ships
and with those of this project.
"""

import argparse
import os
import pickle
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

import datareader  # noqa: F401  (registers the readers)
import models  # noqa: F401
from datareader.clips.dataset import ClipDataset
from tools.benchmark.timing import compare, seconds, show_figures
from tools.config.flags import PROJECT, parse_count, run
from tools.config.load import Config, Override, load_config
from tools.errors import ConfigError
from tools.registry import MODELS, READERS
from tools.run_setup import start_paddle
from tools.runtime.cpu import OPT_OUT

SECONDS = 10  # of a made clip, at 25 frames a second


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model-name", required=True, metavar="NAME", help="TSN or STNET")
    add("--config", metavar="FILE", help="default: the model's own in configs/")
    add("--batch-size", type=parse_count, default=4, metavar="N", help="videos in a training step (4)")
    add("--repeat", type=parse_count, default=5, metavar="N", help="timed runs of each, after one that is not (5)")
    add("--threads", type=int, metavar="N", help="CPU threads of the network; default: all available cores")
    add("--only-reading", action="store_true", help="leave the network out")
    add("--json", metavar="FILE", help="also write the figures here")
    return parser.parse_args()


def make_frames(count: int, width: int, height: int) -> np.ndarray:
    """A texture that moves over another, with noise, as hard to encode as real clips: (count, H, W, 3) uint8."""
    rng = np.random.default_rng(0)
    back, front = (cv2.resize(rng.integers(0, 256, (n, n, 3), dtype=np.uint8), (width, height)) for n in (12, 40))
    frames = np.empty((count, height, width, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[:] = np.roll(back, i, axis=1)
        part = slice(height // 4, 3 * height // 4), slice(width // 4, 3 * width // 4)
        frame[part] = np.roll(front, (2 * i, -3 * i), axis=(0, 1))[part]
        noise = rng.integers(0, 5, (height, width, 1), dtype=np.uint8)
        np.copyto(frame, np.minimum(frame, 250) + noise)
    return frames


def write_video(path: Path, frames: np.ndarray, gop: int) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": str(gop), "crf": "23"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode(None))


def write_pickle(path: Path, frames: np.ndarray) -> None:
    jpegs = [cv2.imencode(".jpg", frame[:, :, ::-1])[1].tobytes() for frame in frames]
    path.write_bytes(pickle.dumps((path.stem, 0, jpegs), protocol=4))


def make_clips(folder: Path) -> dict[str, Path]:
    """A pickle and videos of 340 x 256 px, and one of 720p: title -> file."""
    frames = make_frames(25 * SECONDS, 340, 256)
    paths = {"JPEG pickle": folder / "made.pkl"}
    write_pickle(paths["JPEG pickle"], frames)
    for gop in (250, 12):
        title = f"mp4, GOP {gop}"
        paths[title] = folder / f"gop{gop}.mp4"
        write_video(paths[title], frames, gop)
    del frames
    paths["720p mp4"] = folder / "large.mp4"
    write_video(paths["720p mp4"], make_frames(25 * SECONDS, 1280, 720), 250)
    return paths


def open_one(path: Path, config_path: str, name: str) -> ClipDataset:
    """The dataset of one clip, as test.py opens it."""
    path.with_suffix(".list").write_text(f"{path} 0")
    override = Override("TEST", "filelist", str(path.with_suffix(".list")), "benchmark")
    config = load_config(config_path, MODELS.get(name)().schema, ["MODEL", "TEST"], name, [override])
    return READERS.get(MODELS.get(name).reader)(config, "TEST", training=False, skip_broken=0)


def read_ours(dataset: ClipDataset) -> np.ndarray:
    with dataset.open([np.array([0])], 0, 0) as fetch:
        return dataset.to_float(fetch(0)).inputs[0][0]


def measure_reading(args, config_path: str, name: str, folder: Path) -> dict:
    from tests.reference_readers import read_jpegs_as_2019, read_video_as_2019

    cv2.setNumThreads(1)
    figures = {}
    for title, path in make_clips(folder).items():
        dataset = open_one(path, config_path, name)
        if title == "JPEG pickle":

            def plain(path=path, dataset=dataset):
                return read_jpegs_as_2019(pickle.loads(path.read_bytes())[2], dataset.settings)
        else:

            def plain(path=path, dataset=dataset):
                return read_video_as_2019(str(path), dataset.settings)

        our_sec, _, ratio = compare(lambda dataset=dataset: read_ours(dataset), plain, args.repeat)
        figures[f"reading, {title}, ms a clip"] = our_sec * 1000
        figures[f"reading, {title}, times faster than in 2019"] = ratio
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        before, after = pool.submit(measure_memory, folder / "large.mp4", config_path, name).result()
    figures["reading, 720p mp4, MB of the whole process at most"] = after
    figures["reading, 720p mp4, MB of these for the clip"] = after - before
    return figures


def measure_memory(path: Path, config_path: str, name: str) -> tuple[float, float]:
    """The most memory this process has held before and after reading a clip, in MB."""
    dataset = open_one(path, config_path, name)
    before = most_memory()
    read_ours(dataset)
    return before, most_memory()


def most_memory() -> float:
    """MB. From Linux itself: what getrusage tells a new process includes the memory of its parent."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) / 1024


def make_network(config_path: str, name: str):
    """The network of the default config, its spec and config, and one video that it can take."""
    import paddle

    spec = MODELS.get(name)()
    config: Config = load_config(config_path, spec.schema, ["MODEL", "TRAIN", "TEST"], name)
    paddle.seed(0)
    return spec.build_network(config), spec, config, spec.input_shape(config, "TEST")


def make_inference(network, shape) -> Callable:
    import paddle

    x = paddle.randn([1, *shape])

    def infer():
        network.eval()
        with paddle.no_grad():
            return network(x).numpy()

    return infer


def measure_shipped(config_path: str, name: str, repeat: int) -> float:
    """Seconds of one video in dygraph with Paddle's own settings, in a process that tunes nothing."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "FLAGS_paddle_num_threads", "MKL_DEBUG_CPU_TYPE"):
        os.environ.pop(variable, None)
    os.environ[OPT_OUT] = "0"
    start_paddle(None, False, False, print)
    network, *_, shape = make_network(config_path, name)
    infer = make_inference(network, shape)
    infer()
    return statistics.median(seconds(infer) for _ in range(repeat))


def measure_network(args, config_path: str, name: str, folder: Path) -> dict:
    """Inference of one video in both engines, and a training step."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        shipped = pool.submit(measure_shipped, config_path, name, args.repeat).result()
    start_paddle(args.threads, False, False, print)
    from tools.inference.predictor import PLACE, Predictor
    from tools.training.step import train_epoch

    os.environ[PLACE] = str(folder)
    network, spec, config, shape = make_network(config_path, name)
    predictor = Predictor(network, shape, "fp32", print)
    our_sec, plain_sec, ratio = compare(make_inference(predictor, shape), make_inference(network, shape), args.repeat)
    half_sec = statistics.median(
        seconds(make_inference(Predictor(network, shape, "bf16", print), shape)) for _ in range(args.repeat)
    )
    figures = {
        "inference, ms a video": our_sec * 1000,
        "inference in dygraph, ms a video": plain_sec * 1000,
        "inference, times faster than dygraph": ratio,
        "inference in dygraph as Paddle ships it, ms a video": shipped * 1000,
        "inference, times faster than dygraph as Paddle ships it": shipped / our_sec,
        "inference in bf16, ms a video": half_sec * 1000,
    }
    size = config.TRAIN.target_size
    inputs = np.random.default_rng(0).standard_normal((args.batch_size, *shape[:2], size, size), np.float32)
    from datareader.dataset import Batch

    names = [f"made {i}" for i in range(args.batch_size)]
    batch = Batch(names, names, (inputs,), np.zeros(args.batch_size, np.int64))
    optimizer = spec.build_optimizer(config, network)
    options = {"schedule": lambda step: 1e-6, "seed": 0, "epoch": 0, "start": 0, "steps_taken": 0}

    def train() -> None:
        list(train_epoch(network, optimizer, [[batch]], **options))

    train()
    step_sec = statistics.median(seconds(train) for _ in range(args.repeat))
    figures[f"training step, batches of {args.batch_size}, ms a video"] = step_sec * 1000 / args.batch_size
    return figures


def main() -> None:
    args = parse_args()
    name = MODELS.canonical_name(args.model_name)
    spec = MODELS.get(name)()
    if spec.data != "clips":
        raise ConfigError(f"{name} takes no clips; python -m tools.benchmark --model-name {name} measures it")
    path = args.config or str(PROJECT / spec.default_config)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure_reading(args, path, name, Path(folder))
        if not args.only_reading:
            figures |= measure_network(args, path, name, Path(folder))
    show_figures(f"{name}, {path}, median of {args.repeat}", figures, args.json, {"model": name})


if __name__ == "__main__":
    run(main)
