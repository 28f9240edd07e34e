"""The records of a list as a data set, and the readers of the models on frame features."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from datareader.balancing import make_draws
from datareader.dataset import Batch
from datareader.features.index import FileIndex, build_index, cache_of, scan_file
from datareader.features.inputs import FeatureInputs, RaggedFrames, SegmentFrames, choose_inputs
from datareader.features.order import group_by_length, shuffle_files, sort_by_length, warn_of_sorted_files
from datareader.features.records import Expected, Record, expect_records, load_records, parse_record
from datareader.labels import RecordLabels, describe_classes, join_labels, warn_of_classes
from datareader.lists import load_list
from tools.errors import DataError
from tools.registry import READERS


class FeatureDataset(FeatureInputs):
    """All usable records of a list, in list order.

    arrange: makes the network's inputs, as SegmentFrames and RaggedFrames do.
    sort_by_length: batches hold videos of similar length; see ``group_by_length``, and of a test ``sort_by_length``.
    balanced: epochs of training have all classes equally often.
    skip_broken: how many broken records or files may be skipped; each is listed in ``broken``.
    Raises DataError for the first broken record past that number.
    """

    def __init__(
        self,
        list_path: str,
        expected: Expected,
        arrange: "SegmentFrames | RaggedFrames",
        *,
        training: bool,
        skip_broken: int,
        sort_by_length: bool = False,
        balanced: bool = False,
    ):
        self.name = list_path
        self.expected = expected
        self.arrange = arrange
        self.training = training
        self.sort_by_length = sort_by_length
        self.entries = load_list(list_path)
        self.on_broken = lambda text: None  # all broken records are known from here on
        self.cache = cache_of(list_path, expected)
        index, self.notices = self._build_index()
        self.broken = [problem.text for file in index for problem in file.problems]
        any_usable = any(file.num_frames.any() for file in index)
        self._refuse_broken(skip_broken, f"; --skip-broken {len(self.broken)} would skip such" if any_usable else "")
        counts = [len(file.num_frames) for file in index]
        self.num_frames = np.concatenate([file.num_frames for file in index])  # (records,)
        self.first = np.concatenate([[0], np.cumsum(counts)])  # number of each file's first record
        self.usable = np.flatnonzero(self.num_frames)
        if not len(self.usable):
            raise DataError(f"none of the {len(self.entries)} files of {list_path} holds a usable record")
        self._class_counts = np.zeros(expected.num_classes, np.int64)
        for file in index:
            self._class_counts[file.class_counts[:, 0]] += file.class_counts[:, 1]
        if expected.labels_needed:
            self.notices += [describe_classes(self._class_counts), *warn_of_classes(self._class_counts)]
            if training:
                in_files = [file.class_counts for file in index]
                self.notices += warn_of_sorted_files(list_path, in_files, counts)
        self._labels = join_labels([file.labels for file in index]) if index[0].labels else None
        self._draws = make_draws(self, expected.num_classes) if balanced else None
        if self._draws:
            self.notices.append(self._draws.describe(len(self)))

    def __len__(self) -> int:
        return len(self.usable)

    def checksum(self) -> int:
        """A number that changes when the files, their order or their records' lengths do; balanced, also by labels."""
        paths = "\n".join(entry.path for entry in self.entries).encode()
        checksum = zlib.crc32(self.num_frames.tobytes(), zlib.crc32(paths))
        return self._draws.checksum(checksum) if self._draws else checksum

    def order(self, seed: int, epoch: int, count: int) -> np.ndarray:
        """Numbers of the records of one epoch, balanced ``count`` of them. Training shuffles the files, and in each."""
        if self._draws:
            drawn = self._draws.draw(count, seed, epoch)
            return self._draws.tell_apart(shuffle_files(drawn, self.first, seed, epoch))
        return shuffle_files(self.usable, self.first, seed, epoch) if self.training else self.usable

    def arrange_batches(self, order: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
        """The order that records are read in: as it is, or with batches of similar length."""
        if not self.sort_by_length:
            return order
        if not self.training:
            return sort_by_length(order, self.num_frames, batch_size)
        rng = np.random.default_rng([seed, epoch, batch_size])
        return group_by_length(order, self.num_frames, batch_size, rng)

    @contextmanager
    def open(self, batches: list[np.ndarray], seed: int, epoch: int) -> Iterator[Callable[[int], Batch]]:
        """Give ``fetch(i) -> Batch`` for these batches of record numbers; safe to call from threads."""
        cv2.setNumThreads(0)  # the reading threads are as many as they should be
        files_of = [self.files_of(batch) for batch in batches]
        with ThreadPoolExecutor(1, thread_name_prefix="files") as pool:
            files = _OpenFiles(self._load, files_of, pool)

            def fetch(i: int) -> Batch:
                loaded = files.borrow(i)
                try:
                    return self._make_batch(batches[i], loaded, seed, epoch)
                finally:
                    files.give_back(i)

            try:
                yield fetch
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def class_counts(self) -> np.ndarray | None:
        """(num_classes,) int64: how many usable records have each class; None where labels are not needed."""
        return self._class_counts if self.expected.labels_needed else None

    def record_labels(self) -> RecordLabels:
        """The class ids of each record, read from the index; none of a broken record."""
        if self._labels is not None:  # there is no index on the disk
            return self._labels
        index, _ = self._build_index(with_labels=True)
        for entry, file, count in zip(self.entries, index, np.diff(self.first), strict=True):
            if len(file.num_frames) != count:
                raise self._changed(entry.path)
        return join_labels([file.labels for file in index])

    def files_of(self, records: np.ndarray) -> np.ndarray:
        """Numbers of the files that hold these records, in the order of their first use."""
        files = self._file_numbers(records)
        return files[np.sort(np.unique(files, return_index=True)[1])]

    def _file_numbers(self, records: np.ndarray) -> np.ndarray:
        """The number of the file that holds each record."""
        return np.searchsorted(self.first, records % self.first[-1], side="right") - 1

    def _make_batch(self, numbers: np.ndarray, loaded: dict, seed: int, epoch: int) -> Batch:
        files = self._file_numbers(numbers).tolist()
        places = (numbers % self.first[-1]).tolist()
        records = [self._record(file, place, loaded[file]) for file, place in zip(files, places, strict=True)]
        drawn = numbers if self.training and self.arrange.is_random else []  # each takes as long as its record
        generators = [np.random.default_rng([seed, epoch, number]) for number in drawn]
        return Batch(
            ids=[record.video_id for record in records],
            sources=[record.where for record in records],
            entries=[self.entries[file] for file in files],
            inputs=self.arrange(records, generators),
            labels=self._multi_hot(records),
            numbers=numbers,
        )

    def _record(self, file: int, place: int, loaded: list[dict]) -> Record:
        """The record at a place in the list, of all that its file holds."""
        path, first = self.entries[file].path, int(self.first[file])
        if len(loaded) != self.first[file + 1] - first:
            raise self._changed(path)
        return parse_record(loaded[place - first], self.expected, f"{path} record {place - first}")

    def _changed(self, path: str) -> DataError:
        Path(self.cache).unlink(missing_ok=True)
        return DataError(f"{path} is not what it was when {self.cache} was made (now removed); start again")

    def _multi_hot(self, records: list[Record]) -> np.ndarray | None:
        if any(record.labels is None for record in records):
            return None
        labels = np.zeros((len(records), self.expected.num_classes), dtype=np.float32)
        for row, record in zip(labels, records, strict=True):
            row[record.labels] = 1
        return labels

    def _build_index(self, *, with_labels: bool = False) -> tuple[list[FileIndex], list[str]]:
        expected = repr(self.expected)
        return build_index(self.name, self.entries, expected, self._scan, self.cache, with_labels=with_labels)

    def _load(self, file: int) -> list | DataError:
        """The records of a file, or what is wrong with it, without the frames that it went through."""
        try:
            return load_records(self.entries[file].path)
        except DataError as error:
            return DataError(error.text, error.issue)

    def _scan(self, path: str) -> FileIndex:
        return scan_file(path, self.expected)

    def _refuse_broken(self, skip_broken: int, hint: str) -> None:
        if len(self.broken) > skip_broken:
            more = len(self.broken) - 1
            others = f" (and {more} more in {self.name})" if more else ""
            raise DataError(f"{self.broken[0]}{others}{hint}")


class _OpenFiles:
    """The loaded files that the batches in flight need, and the next one; nothing else stays in memory."""

    def __init__(self, load: Callable[[int], list | DataError], files_of: list[np.ndarray], pool: ThreadPoolExecutor):
        self._load = load
        self._files_of = [files.tolist() for files in files_of]
        self._pool = pool
        self._uses = Counter(file for files in self._files_of for file in files)  # batches yet to come
        self._sequence = list(self._uses)  # files in the order of their first use
        self._place = {file: place for place, file in enumerate(self._sequence)}
        self._started = 0  # how many of the sequence have been started
        self._futures: dict[int, Future] = {}
        self._lock = Lock()

    def borrow(self, i: int) -> dict[int, list]:
        """The files of batch i, loaded: file -> records. Also starts one file past them.

        Raises DataError for a file that cannot be read, to each thread that asks for it an error of its own.
        """
        needed = self._files_of[i]
        with self._lock:
            wanted = max(self._place[file] for file in needed) + 2
            for file in self._sequence[self._started : wanted]:
                self._futures[file] = self._pool.submit(self._load, file)
            self._started = max(self._started, wanted)
            futures = {file: self._futures[file] for file in needed}
        loaded = {file: future.result() for file, future in futures.items()}
        for found in loaded.values():
            if isinstance(found, DataError):
                raise DataError(found.text, found.issue)
        return loaded

    def give_back(self, i: int) -> None:
        with self._lock:
            for file in self._files_of[i]:
                self._uses[file] -= 1
                if not self._uses[file]:
                    del self._futures[file]


def _open(reader: str, config, section: str, *, training: bool, skip_broken: int) -> FeatureDataset:
    """The records of ``[section] filelist`` as the inputs of a reader."""
    return FeatureDataset(
        config[section].filelist,
        expect_records(config, section),
        choose_inputs(reader, config),
        training=training,
        skip_broken=skip_broken,
        sort_by_length=config.TRAIN.sort_by_length if training else reader != "feature_segments",
        balanced=training and config.TRAIN.sampling == "balanced",
    )


for _name in ("feature_segments", "feature_frames", "feature_frames_unbiased_rgb"):
    READERS.register(_name)(partial(_open, _name))
