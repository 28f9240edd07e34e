"""What the loader, the scripts and the doctor need of a data set: the written contract.

A reader, registered by name, opens the data set of a config's section:
``reader(config, section, *, training: bool, skip_broken: int) -> Dataset``. It raises DataError for a list that cannot
be used, and for more than ``skip_broken`` records that are known to be broken.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np

from datareader.labels import RecordLabels
from datareader.lists import ListEntry


@dataclass(frozen=True)
class Span:
    """A part of a video, from start_sec up to end_sec, counted from its first frame.

    frames: the numbers in the video of those that the network sees, in its order.
    """

    start_sec: Fraction
    end_sec: Fraction
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """What the networks, metrics and results need of N records.

    ids: the videos' names. sources: file and record of each, for messages. entries: the line of the list that each
    comes from.
    inputs: arrays for the network's ``forward``, N first where they are not ragged.
    labels: (N, num_classes) float32 multi-hot or (N,) int64, -1 of a record that has none; None when no record has one,
    and of multi-hot ones when not all have some.
    views: how often each record is in the inputs, one after another, for a result averaged over them.
    numbers: (N,) int64 of the records, in whose order results are written; None where they come in that order.
    spans: where the records are parts of one video, which; they come in order. begins: its first part is among them,
    also where it came before and damage makes the video be read again. ends: so is its last, and all are well.
    """

    ids: list[str]
    sources: list[str]
    entries: list[ListEntry]
    inputs: tuple[np.ndarray, ...]
    labels: np.ndarray | None
    views: int = 1
    numbers: np.ndarray | None = None
    spans: list[Span] | None = None
    begins: bool = True
    ends: bool = True

    def __len__(self) -> int:
        return len(self.ids)


@runtime_checkable
class Dataset(Protocol):
    """The usable records of a list, numbered in list order. Methods may be called from several threads.

    name: what messages call it, such as the path of its list. protocol: how its videos are scored, "" where there is
    one way only. notices: lines worth logging once. broken: what is wrong with each record that was skipped so far.
    on_broken: called with such a text for every record that is skipped while reading; callers set it.
    """

    name: str
    protocol: str
    notices: Sequence[str]
    broken: Sequence[str]
    on_broken: Callable[[str], None]

    def __len__(self) -> int:
        """The number of records."""

    def checksum(self) -> int:
        """A number that changes when the files, their order, or what the order of an epoch depends on does."""

    def order(self, seed: int, epoch: int, count: int) -> np.ndarray:
        """(records,) int64 numbers of the records of an epoch in order, shuffled in training.

        count: how many of them will be read, from the first on; the others may be left out.
        One that comes again, as with balanced classes, has its number plus a multiple of ``len(record_labels())``;
        all that takes numbers takes those too, and chooses anew what is random.
        """

    def arrange_batches(self, order: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
        """The order in which records are read, which may put similar ones together.

        In training ``order`` is the shard of a process; else all records, and each process reads some of the batches.
        """

    def class_counts(self) -> np.ndarray | None:
        """(num_classes,) int64: how many of the records have each class. None where labels are not needed."""

    def record_labels(self) -> RecordLabels:
        """The class ids of each record, by its number; none of a record, or of a number, that is not used.

        Made when asked for, which may take memory and time.
        """

    def files_of(self, records: np.ndarray) -> np.ndarray:
        """Numbers of the files that hold these records, in the order of their first use."""

    def open(self, batches: list[np.ndarray], seed: int, epoch: int) -> AbstractContextManager[Callable[[int], Batch]]:
        """Give ``fetch(i) -> Batch`` for these batches of record numbers, while it is open.

        The random choices of a record depend on seed, epoch and its number alone. ``fetch`` raises DataError for a
        broken record that may not be skipped.
        """

    def pictures(self, entry: ListEntry, count: int) -> dict[int, np.ndarray]:
        """Number -> (H, W, 3) uint8 RGB of up to ``count`` frames of an entry, all over it; none of what has no frames.

        For people to look at. Raises DataError for an entry that cannot be read.
        """

    def pictures_at(self, entry: ListEntry, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """(number, (H, W, 3) uint8 RGB) of these frames of an entry, as far as it has them, in any order.

        Of a damaged file a frame may come again; the last one of a number counts. Raises DataError.
        """

    def to_float(self, batch: Batch) -> Batch:
        """The batch with what is stored as uint8 made into what a network computes with, for the CPU."""


class ClipViews(Dataset, Protocol):
    """What a data set of clips has besides, for a network whose backbone describes each clip once."""

    def freeze(self, open_set: Callable | None, num_views: int, seed: int, width: int) -> None:
        """From the next epoch on give batches of clips with what is known of them; see ``ClipDataset``.

        The random choices of a clip depend on seed, the epoch's turn of num_views, and its path as the list has it.
        """

    def unfreeze(self) -> None:
        """From the next epoch on give batches of frames again."""
