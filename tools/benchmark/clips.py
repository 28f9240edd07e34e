"""Measure a model on clips: reading synthetic ones, and the network, at the sizes of its config.

Reading is timed in turn with the way of 2019 (tests/reference_readers.py: decode every frame, PIL, a growing float
array) on one core, inference with the network as it trains, with Paddle's settings as it ships and with those of this
project.
"""

import os
import pickle
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

import datareader  # noqa: F401  (registers the readers)
import models  # noqa: F401
from datareader.clips.dataset import ClipDataset
from datareader.clips.settings import ClipSettings
from datareader.dataset import Batch
from models.spec import ModelSpec
from tools.benchmark.timing import compare, median_seconds, peak_memory_mb
from tools.config.load import Config, Override, load_config
from tools.inference.load import fastest_engine, run_by
from tools.registry import MODELS, READERS
from tools.runtime.cpu import OPT_OUT
from tools.runtime.device import start_paddle
from tools.runtime.log import start_log
from tools.runtime.workers import call_in_process

SECONDS = 10  # of a synthetic clip, at 25 frames a second


def measure_clips(
    name: str, config_path: str, *, batch_size: int, repeat: int, threads: int | None, only_reading: bool
) -> dict[str, float]:
    """Every figure of a model. batch_size: of the training step. threads: of the network, None for all cores.

    Imports Paddle, unless it is only_reading. Raises ConfigError before anything is measured.
    """
    needs = ["MODEL", "TEST"] if only_reading else ["MODEL", "TRAIN", "TEST"]
    load_config(config_path, MODELS.get(name).schema, needs, name)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure_reading(name, config_path, repeat, Path(folder))
        if not only_reading:
            figures |= measure_network(name, config_path, batch_size, repeat, threads, Path(folder))
    return figures


# Synthetic clips


def draw_frames(count: int, width: int, height: int) -> np.ndarray:
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


def write_clips(folder: Path) -> dict[str, Path]:
    """A pickle and videos of 340 x 256 px, and one of 720p: title -> file."""
    frames = draw_frames(25 * SECONDS, 340, 256)
    paths = {"JPEG pickle": folder / "synthetic.pkl"}
    write_pickle(paths["JPEG pickle"], frames)
    for gop in (250, 12):
        title = f"mp4, GOP {gop}"
        paths[title] = folder / f"gop{gop}.mp4"
        write_video(paths[title], frames, gop)
    del frames
    paths["720p mp4"] = folder / "large.mp4"
    write_video(paths["720p mp4"], draw_frames(25 * SECONDS, 1280, 720), 250)
    return paths


# Reading


def measure_reading(name: str, config_path: str, repeat: int, folder: Path) -> dict[str, float]:
    """Each kind of clip, ours and in the way of 2019; then the memory of the largest in a process of its own."""
    cv2.setNumThreads(1)
    figures = {}
    for title, path in write_clips(folder).items():
        dataset = open_one(path, config_path, name)
        plain = partial(read_as_2019, path, dataset.settings)
        our_sec, _, ratio = compare(partial(read_ours, dataset), plain, repeat)
        figures[f"reading, {title}, ms a clip"] = our_sec * 1000
        figures[f"reading, {title}, times faster than in 2019"] = ratio
    before, after = call_in_process(measure_memory, folder / "large.mp4", config_path, name)
    figures["reading, 720p mp4, MB of the whole process at most"] = after
    figures["reading, 720p mp4, MB of these for the clip"] = after - before
    return figures


def open_one(path: Path, config_path: str, name: str) -> ClipDataset:
    """The dataset of one clip, as test.py opens it."""
    list_path = path.with_suffix(".list")
    list_path.write_text(f"{path} 0")
    spec = MODELS.get(name)()
    override = Override("TEST", "filelist", str(list_path), "benchmark")
    config = load_config(config_path, spec.schema, ["MODEL", "TEST"], name, [override])
    return READERS.get(spec.reader)(config, "TEST", training=False, skip_broken=0)


def read_ours(dataset: ClipDataset) -> np.ndarray:
    with dataset.open([np.array([0])], 0, 0) as fetch:
        return dataset.to_float(fetch(0)).inputs[0][0]


def read_as_2019(path: Path, settings: ClipSettings) -> np.ndarray:
    from tests.reference_readers import read_jpegs_as_2019, read_video_as_2019

    if path.suffix == ".pkl":
        return read_jpegs_as_2019(pickle.loads(path.read_bytes())[2], settings)
    return read_video_as_2019(str(path), settings)


def measure_memory(path: Path, config_path: str, name: str) -> tuple[float, float]:
    """The most memory this process has held before and after reading a clip, in MB."""
    dataset = open_one(path, config_path, name)
    before = peak_memory_mb()
    read_ours(dataset)
    return before, peak_memory_mb()


# The network


def measure_network(
    name: str, config_path: str, batch_size: int, repeat: int, threads: int | None, folder: Path
) -> dict[str, float]:
    """Inference of one video in the default engine, in dygraph and with Paddle's own settings, and a training step."""
    shipped_sec = call_in_process(measure_shipped, name, config_path, repeat)
    start_paddle(threads, use_gpu=False, gpu_wanted=False)
    from tools.inference.export import FOLDER_VARIABLE

    os.environ[FOLDER_VARIABLE] = str(folder)
    spec, config, network = build_network(name, config_path)
    return {
        **measure_inference(name, config_path, shipped_sec, repeat),
        **measure_training(spec, config, network, batch_size, repeat),
    }


def measure_shipped(name: str, config_path: str, repeat: int) -> float:
    """Seconds of one video in dygraph with Paddle's own settings, in a process that tunes nothing."""
    start_log()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "FLAGS_paddle_num_threads", "MKL_DEBUG_CPU_TYPE"):
        os.environ.pop(variable, None)
    os.environ[OPT_OUT] = "0"
    start_paddle(None, use_gpu=False, gpu_wanted=False)
    spec, config, network = build_network(name, config_path)
    infer = make_inference(network, spec.input_shape(config, "TEST"))
    infer()
    return median_seconds(infer, repeat)


def build_network(name: str, config_path: str) -> tuple:
    """A model's spec, its config, and the network, the same in every process."""
    import paddle

    spec = MODELS.get(name)()
    config = load_config(config_path, spec.schema, ["MODEL", "TRAIN", "TEST"], name)
    paddle.seed(0)
    return spec, config, spec.build_network(config)


def make_inference(network, shape: tuple[int, ...]) -> Callable:
    """A function that runs a network, or what takes its place, on one video."""
    import paddle

    x = paddle.randn([1, *shape])

    def infer():
        network.eval()
        with paddle.no_grad():
            return network(x).numpy()

    return infer


def open_inference(name: str, config_path: str, precision: str = "fp32", engine: str | None = None) -> Callable:
    """A function that runs one video in an engine, the one that infer.py would take for many videos by default."""
    spec, config, network = build_network(name, config_path)  # anew, as an engine may change it
    shape = spec.input_shape(config, "TEST")
    return make_inference(run_by(engine or fastest_engine(spec, precision), network, shape, precision), shape)


def measure_inference(name: str, config_path: str, shipped_sec: float, repeat: int) -> dict[str, float]:
    """shipped_sec: of one video with Paddle's own settings."""
    infer, infer_dygraph = open_inference(name, config_path), open_inference(name, config_path, engine="dygraph")
    our_sec, dygraph_sec, ratio = compare(infer, infer_dygraph, repeat)
    infer_bf16 = open_inference(name, config_path, precision="bf16")
    infer_bf16()
    return {
        "inference, ms a video": our_sec * 1000,
        "inference in dygraph, ms a video": dygraph_sec * 1000,
        "inference, times faster than dygraph": ratio,
        "inference in dygraph as Paddle ships it, ms a video": shipped_sec * 1000,
        "inference, times faster than dygraph as Paddle ships it": shipped_sec / our_sec,
        "inference in bf16, ms a video": median_seconds(infer_bf16, repeat) * 1000,
    }


def measure_training(spec: ModelSpec, config: Config, network, batch_size: int, repeat: int) -> dict[str, float]:
    """A step on random pixels."""
    from tools.training.step import train_epoch

    shape = batch_size, *spec.input_shape(config, "TRAIN")
    inputs = np.random.default_rng(0).standard_normal(shape, np.float32)
    names = [f"synthetic {i}" for i in range(batch_size)]
    batch = Batch(names, names, [], (inputs,), np.zeros(batch_size, np.int64))
    optimizer = spec.build_optimizer(config, network)
    options = {"schedule": lambda step: 1e-6, "seed": 0, "epoch": 0, "start": 0, "steps_taken": 0}

    def train() -> None:
        list(train_epoch(network, optimizer, [[batch]], **options))

    train()
    return {f"training step, batches of {batch_size}, ms a video": median_seconds(train, repeat) * 1000 / batch_size}
