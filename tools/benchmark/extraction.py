"""Measure features as YouTube-8M has them, on made videos and weights, beside the same networks elsewhere.

Reading, resampling, PCA and writing are this project's in all of them; only the two networks are those of PyTorch and
ONNX Runtime, where these are installed. Each has a process of its own, which work in turn.
"""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from datareader.clips.files import open_film
from datareader.extraction.extraction import extract
from datareader.extraction.youtube8m import EXAMPLES_AT_ONCE, PICTURES_AT_ONCE, Silent, make_record, use_networks
from datareader.lists import ListEntry
from tools.benchmark.clips import draw_frames
from tools.benchmark.timing import compare, median_seconds
from tools.benchmark.workers import PEERS, Tasks, Worker
from tools.runtime.device import start_paddle
from tools.weights.extractor_names import inception_shapes, vggish_shapes
from tools.weights.extractors import Pca

SECONDS = 32  # of each video
NUM_VIDEOS = 2
Networks = tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]


def measure_extraction(repeat: int, threads: int) -> tuple[dict[str, float], list[str]]:
    """Every figure, and a line for each peer that is not installed. threads: of the networks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [write_talkie(folder / f"{number}.mp4") for number in range(NUM_VIDEOS)]
        ours = Worker("ours", open_tasks, open_ours, paths, threads, folder)
        try:
            figures = {
                "extraction, seconds of video a second": NUM_VIDEOS * SECONDS / median_seconds(ours("whole"), repeat),
                "Inception, ms a frame": median_seconds(ours("look"), repeat) * 1000 / PICTURES_AT_ONCE,
                "VGGish, ms a second of sound": median_seconds(ours("listen"), repeat) * 1000 / EXAMPLES_AT_ONCE,
            }
            missing = []
            for module, title in PEERS.items():
                try:
                    peer = Worker(title, open_tasks, OPENERS[module], paths, threads, folder)
                except ImportError as error:
                    lacks = (error.name or module).partition(".")[0]  # ONNX Runtime needs torch too, which exports
                    missing.append(f"{title} is left out: {error}; python -m pip install {lacks}")
                    continue
                figures |= compare_with(title, ours, peer, repeat)
                peer.close()
        finally:
            ours.close()
    return figures, missing


def compare_with(title: str, ours: Worker, peer: Worker, repeat: int) -> dict[str, float]:
    """How much longer another framework takes, and by how much its numbers are others."""
    parts = {"extraction": "whole", "Inception": "look", "VGGish": "listen"}
    figures = {
        f"{part}, times faster than with {title}": compare(ours(task), peer(task), repeat)[2]
        for part, task in parts.items()
    }
    gaps = [
        np.abs(one - other).max() / np.abs(one).max() for one, other in zip(ours.answers, peer.answers, strict=True)
    ]
    return {**figures, f"largest difference of features from {title}'s, of the largest": max(gaps)}


# One framework, in a process of its own


def open_tasks(opener: Callable, paths: list[Path], threads: int, folder: Path) -> tuple[Tasks, tuple]:
    """``"whole"`` describes all videos; "look" and "listen" run one batch of one network, and give the answers."""
    look, listen = opener(threads, folder)
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0, 255, (PICTURES_AT_ONCE, 3, 299, 299)).astype(np.float32)
    examples = rng.uniform(-4, 4, (EXAMPLES_AT_ONCE, 96, 64)).astype(np.float32)
    tasks = {
        "whole": partial(describe_videos, look, listen, paths),
        "look": partial(look, pictures),
        "listen": partial(listen, examples),
    }
    return tasks, (tasks["look"](), tasks["listen"]())


def describe_videos(look: Callable, listen: Callable, paths: list[Path]) -> None:
    """Records of all videos, which nobody keeps."""
    rng = np.random.default_rng(1)
    values = np.linspace(5, 1, 1024, dtype=np.float32)
    picture_pca = Pca(rng.normal(size=2048).astype(np.float32), draw_rotation(rng, 1024, 2048), values)
    sound_pca = Pca(rng.normal(size=128).astype(np.float32), draw_rotation(rng, 128, 128), None)
    sight, hearing = use_networks(look, listen, picture_pca, sound_pca)
    entries = [ListEntry(str(path)) for path in paths]
    for features in extract(entries, open_film, sight, hearing, num_workers=2):
        make_record(features, None, Silent.ZERO)


def draw_rotation(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    return (rng.normal(size=(rows, columns)) / np.sqrt(columns)).astype(np.float32)


def draw_arrays(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Weights that keep numbers about as large as they are, from layer to layer; the same ones in each process."""
    arrays = {}
    for number, (name, shape) in enumerate(shapes.items()):
        rng = np.random.default_rng(number)
        if len(shape) > 1:
            array = rng.normal(scale=np.sqrt(2 / np.prod(shape[:-1])), size=shape)
        else:
            array = rng.uniform(0.5, 1.5, shape) if name.endswith(("gamma", "variance")) else rng.normal(0, 0.1, shape)
        arrays[name] = array.astype(np.float32)
    return arrays


def draw_weights() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Those of Inception and of VGGish, by the names that were published."""
    return draw_arrays(inception_shapes()), draw_arrays(vggish_shapes())


def open_ours(threads: int, folder: Path) -> Networks:
    device = start_paddle(threads, use_gpu=False, gpu_wanted=False)
    from models.extractors import build_picture_network, build_sound_network
    from tools.inference.export import FOLDER_VARIABLE
    from tools.inference.youtube8m import EXAMPLE, PICTURE, run_network

    os.environ[FOLDER_VARIABLE] = str(folder)
    constants, variables = draw_weights()
    return (
        run_network(build_picture_network(constants), PICTURE, device),
        run_network(build_sound_network(variables), EXAMPLE, device),
    )


def open_torch(threads: int, folder: Path) -> Networks:
    import torch

    from tests.peers.torch_extractors import build_inception, build_vggish

    torch.set_num_threads(threads)
    constants, variables = draw_weights()
    return tuple(map(run_torch, (build_inception(constants), build_vggish(variables))))


def run_torch(network) -> Callable[[np.ndarray], np.ndarray]:
    import torch

    def run(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(batch)).numpy()

    return run


def open_onnx_runtime(threads: int, folder: Path) -> Networks:
    """Of what PyTorch exports, by which the most people come to it."""
    import onnxruntime
    import torch

    from tests.peers.torch_extractors import build_inception, build_vggish

    constants, variables = draw_weights()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    networks = []
    for network, shape in ((build_inception(constants), (3, 299, 299)), (build_vggish(variables), (96, 64))):
        path = folder / f"{type(network).__name__}.onnx"
        torch.onnx.export(
            network, (torch.zeros(1, *shape),), str(path), input_names=["x"], dynamic_axes={"x": {0: "n"}}, dynamo=False
        )
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        networks.append(partial(run_onnx, session))
    return tuple(networks)


def run_onnx(session, batch: np.ndarray) -> np.ndarray:
    return session.run(None, {"x": batch})[0]


OPENERS = {"torch": open_torch, "onnxruntime": open_onnx_runtime}


def write_talkie(path: Path) -> Path:
    """A made video of 340 x 256 px with sound."""
    import av

    rate = 44100
    with av.open(str(path), "w") as container:
        film = container.add_stream("libx264", rate=25, options={"g": "250", "crf": "23"})
        film.width, film.height, film.pix_fmt = 340, 256, "yuv420p"
        sound = container.add_stream("aac", rate=rate, layout="stereo")
        for frame in draw_frames(25 * SECONDS, 340, 256):
            container.mux(film.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(film.encode(None))
        times = np.arange(SECONDS * rate) / rate
        tone = np.sin(2 * np.pi * (200 + 50 * times) * times).astype(np.float32) / 2
        for start in range(0, len(tone), 1024):
            part = av.AudioFrame.from_ndarray(np.stack([tone[start : start + 1024]] * 2), "fltp", "stereo")
            part.rate, part.pts = rate, start
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    return path
