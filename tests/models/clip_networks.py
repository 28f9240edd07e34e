"""TSN and StNet with random weights, and clips for them."""

import numpy as np
import paddle
import pytest

from models.stnet.stnet import STNET
from models.tsn.tsn import TSN

COLOURS = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


@pytest.fixture(scope="module")
def networks():
    """Each network with random weights and running statistics, in test mode; tests leave them as they are."""
    paddle.seed(0)
    made = {"TSN": TSN(50, 5, seglen=1, **COLOURS), "STNET": STNET(50, 5, seglen=2, **COLOURS)}
    for network in made.values():
        settle(network)
        network.eval()
    return made


def settle(network):
    """Give statistics as of a trained network, not 0 and 1, and weights that leave every class a share."""
    for name, tensor in network.state_dict().items():
        if name.endswith("._mean"):
            tensor.set_value(paddle.randn(tensor.shape) * 0.1)
        elif name.endswith("._variance"):
            tensor.set_value(paddle.rand(tensor.shape) + 0.5)
        elif name.endswith("norm.weight"):
            tensor.set_value(tensor * 0.5)  # or fifty layers on random weights overflow into one class


def make_clips(name, videos=3, segments=3, size=32, seed=0):
    """uint8 (videos, segments, 3 or 6, size, size)."""
    shape = (videos, segments, 6 if name == "STNET" else 3, size, size)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def score(network, clips):
    with paddle.no_grad():
        return network(paddle.to_tensor(clips)).numpy()


def normalize(clips):
    """The slow, obvious version: float32 operations in NumPy, one colour after another."""
    out = clips.astype(np.float32)
    for channel in range(out.shape[2]):
        mean, std = (np.float32(COLOURS[key][channel % 3]) for key in ("image_mean", "image_std"))
        out[:, :, channel] = (out[:, :, channel] / np.float32(255) - mean) / std
    return out
