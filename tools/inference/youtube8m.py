"""The published networks of YouTube-8M's features, ready to describe frames and sound, and the PCAs behind them.

Imports Paddle inside its function: tune the CPU first.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tools.weights.extractors import Pca, load_audio_pca, load_inception, load_vggish, load_visual_pca

PICTURE, EXAMPLE = (3, 299, 299), (96, 64)  # what the networks take of a frame, and of a second of sound
Builder = Callable[[Mapping[str, np.ndarray]], Any]


class Published(NamedTuple):
    """look: (N, 3, 299, 299) float32 -> (N, 2048) float32. listen: (N, 96, 64) float32 -> (N, 128) float32.

    picture_pca, sound_pca: what is to be done with these. digest: changes with any of the published numbers. device:
    "gpu" or "cpu".
    """

    look: Callable[[np.ndarray], np.ndarray]
    listen: Callable[[np.ndarray], np.ndarray]
    picture_pca: Pca
    sound_pca: Pca
    digest: str
    device: str


def open_published(
    build_picture_network: Builder, build_sound_network: Builder, device: str, *, weights_dir: str | None, offline: bool
) -> Published:
    """Fetch what is not here yet, and build both networks. device: "gpu" or "cpu".

    Raises DownloadError, DataError and CheckpointError for published files that cannot be had or used.
    """
    where = {"weights_dir": weights_dir, "offline": offline}
    constants, picture_pca = load_inception(**where), load_visual_pca(**where)
    variables, sound_pca = load_vggish(**where), load_audio_pca(**where)
    digest = hashlib.blake2b(digest_size=16)
    for name, array in sorted({**constants, **variables}.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).data)
    for pca in (picture_pca, sound_pca):
        for array in (pca.mean, pca.vectors, pca.values):
            digest.update(b"" if array is None else np.ascontiguousarray(array).data)
    return Published(
        run_network(build_picture_network(constants), PICTURE, device),
        run_network(build_sound_network(variables), EXAMPLE, device),
        picture_pca,
        sound_pca,
        digest.hexdigest(),
        device,
    )


def run_network(network, shape: tuple[int, ...], device: str) -> Callable[[np.ndarray], np.ndarray]:
    """A network as a function of arrays, in the inference engine where that is for the device."""
    import paddle

    network.eval()
    if device == "cpu":
        from tools.inference.predictor import Engine

        network = Engine(network, shape, "fp32")

    def run(batch: np.ndarray) -> np.ndarray:
        with paddle.no_grad():
            return network(paddle.to_tensor(batch)).numpy()

    return run
