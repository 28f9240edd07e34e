"""The inputs and weights behind tests/golden/: made from names and seeds, so that none are stored.

The numbers in tests/golden were printed by the zoo of 2019 under Paddle Fluid 1.8.5 on a CPU. Every
generator here is NumPy's legacy RandomState, whose streams never change.
"""

import json
import zlib
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden"


def load_golden(name: str):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def make_parameter(name: str, shape, role: str) -> np.ndarray:
    """One variable of the 2019 zoo, float32 in Fluid's layout.

    role: "weight", "bn_scale", "bn_offset", "bn_mean" or "bn_variance".
    """
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    value = rng.standard_normal(int(np.prod(shape))).reshape(shape)
    if len(shape) > 2:
        scale = np.sqrt(1.5 / np.prod(shape[1:]))
    elif len(shape) == 2 and shape[0] > 1:
        scale = np.sqrt(1.5 / shape[0])
    else:
        scale = 0.1
    value = (value * scale).astype("float32")
    if role == "bn_variance":
        value = np.abs(value) * 5 + 0.5
    elif role == "bn_scale":
        value = value + 0.5
    return value.astype("float32")


def make_feature_batch(step: int, inputs: dict):
    """One batch as the network sees it: a list of (rgb (T, D), audio (T, D), multi-hot label) a video."""
    rng = np.random.RandomState(1000 + step)
    lengths = inputs["num_frames"]
    videos = []
    for video in range(inputs["batch_size"]):
        length = inputs["seg_num"] or lengths[(video + step) % len(lengths)]
        label = np.zeros(inputs["num_classes"], "float32")
        label[rng.choice(inputs["num_classes"], 3, replace=False)] = 1
        rgb = rng.standard_normal((length, inputs["rgb_dim"])).astype("float32")
        audio = rng.standard_normal((length, inputs["audio_dim"])).astype("float32")
        videos.append((rgb, audio, label))
    return videos


def make_frame_batch(step: int, inputs: dict):
    """One batch as the network sees it: a list of (image (S, 3 * seglen, size, size), class id) a video."""
    rng = np.random.RandomState(2000 + step)
    shape = (inputs["seg_num"], 3 * inputs["seglen"], inputs["size"], inputs["size"])
    videos = []
    for _ in range(inputs["batch_size"]):
        image = rng.standard_normal(shape).astype("float32")
        videos.append((image, int(rng.randint(inputs["num_classes"]))))
    return videos


def make_prediction_batches(seed, batch_size, num_classes, max_labels, num_batches):
    """Batches of (loss, probs (N, C) float32, multi-hot labels (N, C)) for the YouTube-8M metrics."""
    rng = np.random.RandomState(seed)
    for _ in range(num_batches):
        labels = np.zeros((batch_size, num_classes), "float32")
        for row in labels:
            row[rng.choice(num_classes, rng.randint(1, max_labels + 1), replace=False)] = 1
        noise = rng.standard_normal(labels.shape) * 2
        logits = noise - 4 + 4 * labels * rng.uniform(size=labels.shape)
        probs = (1 / (1 + np.exp(-logits))).astype("float32")
        yield float(np.float32(rng.uniform(1, 20))), probs, labels


def make_score_batches(seed, batch_size, num_classes, num_batches):
    """Batches of (loss, probs (N, C) float32, class ids (N,) int64) for Kinetics; the last is half as long."""
    rng = np.random.RandomState(seed)
    for batch in range(num_batches):
        length = batch_size if batch < num_batches - 1 else batch_size // 2
        labels = rng.randint(num_classes, size=(length, 1)).astype("int64")[:, 0]
        probs = rng.uniform(size=(length, num_classes)).astype("float32")
        for row, label in zip(probs, labels, strict=True):
            row[label] += rng.uniform()
        probs /= probs.sum(axis=1, keepdims=True)
        yield float(np.float32(rng.uniform(0, 3))), probs, labels
