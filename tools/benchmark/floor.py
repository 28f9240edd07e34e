"""The arithmetic floor: how long the multiply-adds of a network take at the best speed of matrix products here."""

from collections.abc import Iterator, Sequence
from functools import partial
from math import prod

import numpy as np

from tools.benchmark.workers import Tasks, Worker

SIDE = 2048  # of square matrices, large enough for the best speed
PASSES = {"inference": 1, "training": 3}  # a step multiplies once forward, and for the gradients of inputs and weights
LIBRARIES = ("NumPy", "Paddle")


def make_products() -> Tasks:
    """A product of float32 matrices in each of LIBRARIES. Imports Paddle."""
    import paddle

    arrays = np.random.default_rng(0).random((2, SIDE, SIDE), np.float32)
    pairs = dict(zip(LIBRARIES, (tuple(arrays), tuple(map(paddle.to_tensor, arrays))), strict=True))
    return {f"product, {library}": partial(multiply, *pair) for library, pair in pairs.items()}


def multiply(one, other) -> None:
    one @ other


def measure_speed(worker: Worker, repeat: int) -> float:
    """Multiply-adds in a CPU second, of the fastest product of any library. worker: with ``make_products()``."""
    products = [worker(f"product, {library}") for library in LIBRARIES]
    return SIDE**3 / min(product() for _ in range(repeat + 1) for product in products)


def split_videos(inputs: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
    """The inputs of one video after another, of a batch. Lengths come first where the frames of all are in one row."""
    if inputs[0].ndim == 1:
        lengths, *streams = inputs
        ends = np.cumsum(lengths)
        for i, (length, end) in enumerate(zip(lengths, ends, strict=True)):
            yield lengths[i : i + 1], *(stream[end - length : end] for stream in streams)
    else:
        for i in range(len(inputs[0])):
            yield tuple(x[i : i + 1] for x in inputs)


def count_multiply_adds(network, inputs: Sequence[np.ndarray]) -> float:
    """Of matrix products and convolutions of a network of PyTorch on a batch: the mean of its videos, without padding.

    Each video is run by itself.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # Of oneDNN, which PyTorch does not count itself.
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.mkldnn_rnn_layer: count_lstm})
    videos = list(split_videos(inputs))
    with torch.no_grad(), counter:
        for video in videos:
            network(*map(torch.from_numpy, video))
    return counter.get_total_flops() / 2 / len(videos)


def count_lstm(x, input_weight, hidden_weight, *_, **__) -> int:
    """Operations, two for a multiply-add, by shapes: x (T, N, D), input_weight (4H, D), hidden_weight (4H, H)."""
    return 2 * prod(x[:2]) * (prod(input_weight) + prod(hidden_weight))
