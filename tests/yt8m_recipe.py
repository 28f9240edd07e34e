"""The pictures, sounds and weights behind tests/golden/youtube8m_features/, made from names, so that none are stored.

Every number comes from a stream of 24-bit integers that a name begins, in whole-number arithmetic, so that any machine
makes the same bits; the goldens hold checksums of some.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden" / "youtube8m_features"
_PIECE = 1 << 16  # of a stream, so that its steps stay in the processor's cache


def load_golden(name: str) -> tuple[dict, dict[str, np.ndarray]]:
    """The numbers and the arrays of "inception" or "vggish"."""
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return json.loads((GOLDEN / f"{name}.json").read_text()), dict(arrays)


def checksum(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def find_difference(numbers: dict, array: np.ndarray) -> float:
    """How far an array is from what a golden tells of one, where the mean, the deviation and single values are told.

    Infinite where the shape is another. Numbers are told to 7 digits.
    """
    if tuple(numbers["shape"]) != array.shape:
        return math.inf
    flat = array.ravel()
    differences = [flat.mean(dtype=np.float64) - numbers["mean"], flat.std(dtype=np.float64) - numbers["std"]]
    differences += [np.abs(flat).max() - numbers["absmax"], *(flat[:8] - numbers["first8"])]
    differences += [flat[int(place)] - value for place, value in numbers.get("at", {}).items()]
    return float(np.abs(differences).max())


# Numbers


def stream(name: str, count: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Pieces of ``count`` integers in [0, 2**24), uint64, with their places: splitmix64, seeded by a name's SHA-256."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    for begin in range(0, count, _PIECE):
        end = min(begin + _PIECE, count)
        state = np.arange(begin + 1, end + 1, dtype=np.uint64)
        state *= np.uint64(0x9E3779B97F4A7C15)
        state += np.uint64(seed)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state ^= state >> np.uint64(shift)
            state *= np.uint64(factor)
        state ^= state >> np.uint64(31)
        yield slice(begin, end), state >> np.uint64(40)


def integers(name: str, count: int) -> np.ndarray:
    """(count,) int64 in [0, 2**24)."""
    values = np.empty(count, np.int64)
    for place, piece in stream(name, count):
        values[place] = piece
    return values


def uniform(name: str, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """float32 in [low, high), computed in float64 and rounded once."""
    values = np.empty(math.prod(shape), np.float32)
    for place, piece in stream(name, values.size):
        values[place] = low + (high - low) * (piece.astype(np.float64) * 2.0**-24)
    return values.reshape(shape)


# Weights


def inception_convolutions() -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """(scope, shape of its kernel in TensorFlow's order) of all 94 convolutions."""
    yield from (("conv", (3, 3, 3, 32)), ("conv_1", (3, 3, 32, 32)), ("conv_2", (3, 3, 32, 64)))
    yield from (("conv_3", (1, 1, 64, 80)), ("conv_4", (3, 3, 80, 192)))
    for block, channels, pooled in (("mixed", 192, 32), ("mixed_1", 256, 64), ("mixed_2", 288, 64)):
        yield from tower(f"{block}", channels, (1, 1, 64))
        yield from tower(f"{block}/tower", channels, (1, 1, 48), (5, 5, 64))
        yield from tower(f"{block}/tower_1", channels, (1, 1, 64), (3, 3, 96), (3, 3, 96))
        yield from tower(f"{block}/tower_2", channels, (1, 1, pooled))
    yield from tower("mixed_3", 288, (3, 3, 384))
    yield from tower("mixed_3/tower", 288, (1, 1, 64), (3, 3, 96), (3, 3, 96))
    for block, width in (("mixed_4", 128), ("mixed_5", 160), ("mixed_6", 160), ("mixed_7", 192)):
        across, down = (1, 7, width), (7, 1, width)
        yield from tower(block, 768, (1, 1, 192))
        yield from tower(f"{block}/tower", 768, (1, 1, width), across, (7, 1, 192))
        yield from tower(f"{block}/tower_1", 768, (1, 1, width), down, across, down, (1, 7, 192))
        yield from tower(f"{block}/tower_2", 768, (1, 1, 192))
    yield from tower("mixed_8/tower", 768, (1, 1, 192), (3, 3, 320))
    yield from tower("mixed_8/tower_1", 768, (1, 1, 192), (1, 7, 192), (7, 1, 192), (3, 3, 192))
    for block, channels in (("mixed_9", 1280), ("mixed_10", 2048)):
        yield from tower(block, channels, (1, 1, 320))
        yield from tower(f"{block}/tower", channels, (1, 1, 384))
        yield from fork(f"{block}/tower/mixed")
        yield from tower(f"{block}/tower_1", channels, (1, 1, 448), (3, 3, 384))
        yield from fork(f"{block}/tower_1/mixed")
        yield from tower(f"{block}/tower_2", channels, (1, 1, 192))


def tower(scope: str, channels: int, *kernels: tuple[int, int, int]) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    for place, (height, width, out_channels) in enumerate(kernels):
        yield f"{scope}/conv_{place}" if place else f"{scope}/conv", (height, width, channels, out_channels)
        channels = out_channels


def fork(scope: str) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    yield from ((f"{scope}/conv", (1, 3, 384, 384)), (f"{scope}/conv_1", (3, 1, 384, 384)))


def inception_weights() -> dict[str, np.ndarray]:
    """The 470 constants of Inception, in TensorFlow's layouts. Each output channel's kernel has the mean 0."""
    weights = {}
    ranges = {"beta": (-0.1, 0.1), "gamma": (0.9, 1.3), "moving_mean": (-0.1, 0.1), "moving_variance": (0.4, 1.2)}
    for scope, shape in inception_convolutions():
        name, fan_in = f"{scope}/conv2d_params", math.prod(shape[:3])
        values = integers(name, math.prod(shape)).reshape(fan_in, -1)
        values = fan_in * values - values.sum(axis=0)
        step = 2.0 * float(np.sqrt(6.0 / fan_in)) / (fan_in * 2.0**24)
        weights[name] = (values.astype(np.float64) * step).astype(np.float32).reshape(shape)
        for part, (low, high) in ranges.items():
            name = f"{scope}/batchnorm/{part}"
            weights[name] = uniform(name, shape[-1:], low, high)
    return weights


def vggish_weights() -> dict[str, np.ndarray]:
    """The 18 variables of VGGish, in TensorFlow's layouts."""
    convolutions = {"conv1": (1, 64), "conv2": (64, 128), "conv3/conv3_1": (128, 256), "conv3/conv3_2": (256, 256)}
    convolutions |= {"conv4/conv4_1": (256, 512), "conv4/conv4_2": (512, 512)}
    shapes = {scope: (3, 3, *channels) for scope, channels in convolutions.items()}
    shapes |= {"fc1/fc1_1": (12288, 4096), "fc1/fc1_2": (4096, 4096), "fc2": (4096, 128)}
    weights = {}
    for scope, shape in shapes.items():
        limit = float(np.sqrt(6.0 / math.prod(shape[:-1]))) * (0.1 if scope == "fc2" else 1.0)
        name = f"vggish/{scope}/weights"
        weights[name] = uniform(name, shape, -limit, limit)
        name = f"vggish/{scope}/biases"
        weights[name] = uniform(name, shape[-1:], -0.05, 0.05)
    return weights


def visual_pca() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """mean (2048, 1), eigenvals (1100, 1), eigenvecs (1100, 2048), float32; more rows than are used."""
    rows = 1100
    eigenvals = (0.04 * 2.0 ** (-np.arange(rows, dtype=np.float64) / 96.0)).astype(np.float32).reshape(rows, 1)
    lengths = (0.016 * np.sqrt(eigenvals.astype(np.float64))).astype(np.float32)
    eigenvecs = uniform("pca/eigenvecs", (rows, 2048), -1.0, 1.0) * lengths
    return uniform("pca/mean", (2048, 1), 0.0, 6.0), eigenvals, eigenvecs


def used_visual_pca() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of ``visual_pca`` what is used: mean (2048,), the first components (1024, 2048), their eigenvalues (1024,)."""
    mean, eigenvals, eigenvecs = visual_pca()
    return mean[:, 0], eigenvecs[:1024], eigenvals[:1024, 0]


def used_vggish_pca() -> tuple[np.ndarray, np.ndarray, None]:
    """As ``used_visual_pca``; its vectors whiten already."""
    vectors, mean = vggish_pca()
    return mean, vectors, None


def vggish_pca() -> tuple[np.ndarray, np.ndarray]:
    """pca_eigen_vectors (128, 128) and pca_means (128,), float32."""
    vectors = uniform("vggish/pca_eigen_vectors", (128, 128), -0.25, 0.25)
    return vectors, uniform("vggish/pca_means", (128,), -0.5, 0.5)


# Inputs


def image(key: str) -> np.ndarray:
    """(H, W, 3) uint8 for "a" or "b": in each colour two slanted waves, blocks and noise."""
    height, width = {"a": (270, 480), "b": (96, 128)}[key]
    y, x = np.mgrid[0:height, 0:width]
    colours = []
    for colour, (p, q, block) in enumerate(((5, 3, 37), (2, 7, 53), (9, 1, 29))):
        waves = 4 * np.abs((p * x + q * y) % 510 - 255) + 3 * np.abs((q * x - p * y) * 2 % 510 - 255)
        blocks = 255 * ((x // block + y // (block - 6)) % 2)
        noise = integers(f"image/{key}/{colour}", height * width).reshape(height, width) >> 16
        colours.append((waves + 5 * blocks + 4 * noise) // 16)
    return np.stack(colours, axis=2).astype(np.uint8)


def wave(key: str) -> tuple[np.ndarray, int]:
    """Samples (n, channels) int16 of "chirp", "noise05" or "noise32", and how many there are in a second.

    A chirp of 3.2 s in stereo; 0.5 s and 3.2 s of noise that grows louder, at 16 kHz.
    """
    if key == "chirp":
        rate_hz, length_sec = 44100, 3.2
        count = round(rate_hz * length_sec)
        sec = np.arange(count, dtype=np.float64) / rate_hz
        left, right = (
            loudness * np.sin(2 * np.pi * (begin * sec + (end - begin) / (2 * length_sec) * sec * sec))
            for loudness, begin, end in ((0.6, 100.0, 6000.0), (0.3, 7000.0, 200.0))
        )
        noise = 2.0 * (integers("wave/chirp", count) * 2.0**-24) - 1.0
        return np.round(np.stack([left, right + 0.02 * noise], axis=1) * 32767.0).astype(np.int16), rate_hz
    count = {"noise05": 8000, "noise32": 51200}[key]
    noise = 2.0 * (integers(f"wave/{key}", count) * 2.0**-24) - 1.0
    loudness = 0.05 + 0.05 * (np.arange(count) * 16 // count)
    return np.floor(noise * loudness * 32767.0).astype(np.int16)[:, None], 16000
