"""Epochs in which every class comes equally often, however rare it is in the list. NumPy functions without files."""

import zlib

import numpy as np

from datareader.labels import RecordLabels
from tools.errors import DataError


class BalancedDraws:
    """Which records an epoch holds, and how often, so that all classes come equally often.

    A record counts for one class, of several the rarest, and is drawn in inverse proportion to the number of those
    that count for the same. That is Madow's systematic sampling ("On the Theory of Systematic Sampling, II", Ann. Math.
    Statist. 20, 1949): one whose share of an epoch is 2.3 comes two or three times, and classes differ by at most one
    record. Records without a class are never drawn.

    labels: of all records, by number. At least one of them has a class.
    """

    def __init__(self, labels: RecordLabels, num_classes: int):
        self._total = len(labels)
        self._records = np.flatnonzero(np.diff(labels.starts))  # those with a class
        self._rarest = find_rarest(labels, num_classes)
        self._weights = 1 / np.bincount(self._rarest)[self._rarest]
        self._checksum = zlib.crc32(labels.class_ids.tobytes(), zlib.crc32(labels.starts.tobytes()))

    def checksum(self, start: int) -> int:
        """A number that changes when ``start`` or the labels do."""
        return zlib.crc32(f"balanced {self._checksum}".encode(), start)

    def draw(self, count: int, seed: int, epoch: int) -> np.ndarray:
        """(count,) int64 numbers of the records of an epoch in ascending order, each as often as it is drawn."""
        rng = np.random.default_rng(np.random.SeedSequence([seed, epoch], spawn_key=(1,)))
        order = rng.permutation(len(self._records))
        order = order[np.argsort(self._rarest[order], kind="stable")]  # class by class
        edges = np.floor(np.cumsum(self._shares(count)[order]) + rng.random())
        edges[-1] = count
        times = np.empty(len(order), np.int64)
        times[order] = np.diff(edges, prepend=0)
        return np.repeat(self._records, times)

    def tell_apart(self, order: np.ndarray) -> np.ndarray:
        """The same, with ``len(labels)`` added to a number for each time that it came before.

        So what is chosen at random for a record, by its number, is another choice each time.
        """
        places = np.argsort(order, kind="stable")
        numbers = order[places]
        firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
        before = np.arange(len(numbers)) - np.repeat(firsts, np.diff(firsts, append=len(numbers)))
        apart = np.empty_like(order)
        apart[places] = numbers + before * self._total
        return apart

    def describe(self, num_usable: int) -> str:
        """A line for the log on epochs of so many records, as many as can be used."""
        shares = self._shares(num_usable)
        left_out = num_usable - len(self._records)
        without = f"; {left_out} without a class are never drawn" if left_out else ""
        return (
            f'sampling = "balanced": all classes come as often, of a record with several its rarest; a record comes '
            f"{shares.min():.2g} to {shares.max():.2g} times in an epoch, on average{without}"
        )

    def _shares(self, count: int) -> np.ndarray:
        """How often each record comes in an epoch, on average."""
        return self._weights * (count / self._weights.sum())


def find_rarest(labels: RecordLabels, num_classes: int) -> np.ndarray:
    """(records with a class,) int64: the class of each that the fewest records have, the lower one of equals."""
    counts = labels.count(num_classes)
    keys = counts[labels.class_ids] * num_classes + labels.class_ids
    return np.minimum.reduceat(keys, labels.starts[:-1][np.diff(labels.starts) > 0]) % num_classes


def make_draws(dataset, num_classes: int) -> BalancedDraws:
    """Those of a data set. Raises DataError where no record has a class."""
    labels = dataset.record_labels()
    if not len(labels.class_ids):
        raise DataError(f'{dataset.name}: no record has a class, by which sampling = "balanced" could go')
    return BalancedDraws(labels, num_classes)
