"""The order in which records are read."""

import numpy as np


def shuffle_files(usable: np.ndarray, first: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Records in an order that goes file by file: the files shuffled, and the records in each.

    usable: (records,) numbers in ascending order, one perhaps several times. first: (files + 1,) the number of each
    file's first record.
    """
    rng = np.random.default_rng([seed, epoch])
    edges = np.searchsorted(usable, first)
    files = [usable[edges[i] : edges[i + 1]] for i in rng.permutation(len(first) - 1)]
    return np.concatenate([rng.permutation(records) for records in files])


def group_by_length(
    order: np.ndarray, num_frames: np.ndarray, batch_size: int, rng: np.random.Generator, window: int = 16
) -> np.ndarray:
    """Reorder records so that the videos of a batch have similar lengths.

    Among ``window`` batches at a time the records are sorted by length and the batches shuffled. Every
    whole batch's worth of records stays ahead of the partial last one, so an epoch holds what it held.
    order: numbers, those past the records' as in ``Dataset.order``. num_frames: (records,).
    """
    whole = len(order) // batch_size * batch_size
    batches = []
    for start in range(0, whole, window * batch_size):
        part = order[start : min(start + window * batch_size, whole)]
        part = part[np.argsort(num_frames.take(part, mode="wrap"), kind="stable")]
        batches.append(rng.permutation(part.reshape(-1, batch_size)).ravel())
    return np.concatenate([*batches, order[whole:]])
