"""The order in which records are read."""

from collections.abc import Sequence

import numpy as np

_ALIKE = 0.9  # of a file's records are of one class
_FEW = 4  # records in a file, which say nothing


def shuffle_files(usable: np.ndarray, first: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Records in an order that goes file by file: the files shuffled, and the records in each.

    usable: (records,) numbers in ascending order, one perhaps several times. first: (files + 1,) the number of each
    file's first record.
    """
    rng = np.random.default_rng([seed, epoch])
    edges = np.searchsorted(usable, first)
    files = [usable[edges[i] : edges[i + 1]] for i in rng.permutation(len(first) - 1)]
    return np.concatenate([rng.permutation(records) for records in files])


def warn_of_sorted_files(list_path: str, class_counts: Sequence[np.ndarray], records: Sequence[int]) -> list[str]:
    """A line where most files hold records of one class alone, so that batches do, as they are read file by file.

    class_counts: of each file, (classes, 2) class id and records of it. records: in each file.
    """
    files = [(counts[:, 1].max(), total) for counts, total in zip(class_counts, records, strict=True) if len(counts)]
    files = [most >= _ALIKE * total for most, total in files if total >= _FEW]
    ids, numbers = np.concatenate(class_counts).astype(np.int64).reshape(-1, 2).T
    largest = np.bincount(ids, numbers).max(initial=0)
    if len(files) < 2 or 2 * sum(files) <= len(files) or 2 * largest > sum(records):
        return []
    return [
        f"{sum(files):,} of {len(files):,} files of {list_path} hold records of one class alone; training reads file "
        "by file, so that its batches do too and little is learnt: write files that hold records of all classes"
    ]


def sort_by_length(order: np.ndarray, num_frames: np.ndarray, batch_size: int, window: int = 8) -> np.ndarray:
    """Reorder records so that the videos of a batch have similar lengths, the longest of ``window`` batches first.

    No record moves out of its window, so that few files are open at once. order, num_frames: as of ``group_by_length``.
    """
    windows = [order[start : start + window * batch_size] for start in range(0, len(order), window * batch_size)]
    return np.concatenate([part[np.argsort(-num_frames[part], kind="stable")] for part in windows])


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
