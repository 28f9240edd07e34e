"""The class ids of many records."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RecordLabels:
    """Class ids of N records, one record behind another; a record may have none.

    starts: (N + 1,) int64. class_ids: (labels,) int32; those of record n are ``class_ids[starts[n] : starts[n + 1]]``,
    each of them once.
    """

    starts: np.ndarray
    class_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def count(self, num_classes: int) -> np.ndarray:
        """(num_classes,) int64: how many records have each class."""
        return np.bincount(self.class_ids, minlength=num_classes).astype(np.int64)


def pack_labels(labels: Iterable[Iterable[int]]) -> RecordLabels:
    """The labels of records one by one, as one."""
    labels = [np.array([*ids], np.int32) for ids in labels]
    return label_rows([len(ids) for ids in labels], np.concatenate([np.zeros(0, np.int32), *labels]))


def label_rows(lengths: Sequence[int] | np.ndarray, class_ids: np.ndarray) -> RecordLabels:
    """lengths: (N,) how many of the class ids each record has."""
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    return RecordLabels(starts, class_ids)


def join_labels(parts: Sequence[RecordLabels]) -> RecordLabels:
    """The labels of the records of all parts, in their order. At least one part."""
    lengths = np.concatenate([np.diff(part.starts) for part in parts])
    return label_rows(lengths, np.concatenate([part.class_ids for part in parts]))
