"""YouTube-8M frame features: records of ``{video, feature, audio, label, nframes}``.

A file is a pickle with a list of records, or one record, or a TFRecord shard as YouTube-8M publishes
them; its content says which. Keys are str, or bytes where Python 2 wrote the pickle.
``feature`` and ``audio`` are (rows, width) uint8, ``label`` a list of class ids, and ``nframes``, where
given, says how many rows count.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

import numpy as np

from datareader.features.index import FileIndex, RecordProblem, build_index, count_pairs
from datareader.features.tfrecord import HEADER, Problem, is_tfrecord, read_tfrecord
from datareader.lists import load_list
from datareader.loader import Batch
from datareader.sampling import sample_span_frames
from datareader.transforms import DEQUANTIZED, DEQUANTIZED_UNBIASED, dequantize
from tools.errors import ConfigError, DataError, DataIssue
from tools.files.pickles import load_data_pickle
from tools.registry import READERS

RECORD_KEYS = {"rgb": "feature", "audio": "audio"}  # a config's feature name -> a record's key


@dataclass(frozen=True)
class Expected:
    """What a config says of every record. labels_needed: False when inferring."""

    feature_names: tuple[str, ...]
    feature_dims: tuple[int, ...]
    num_classes: int
    labels_needed: bool = True


@dataclass(frozen=True)
class Record:
    """One video. streams: one (T, D) uint8 a feature, T frames each. labels: (labels,) int64 or None."""

    video_id: str
    where: str
    streams: tuple[np.ndarray, ...]
    labels: np.ndarray | None

    def classes(self) -> set[int]:
        return set() if self.labels is None else set(self.labels.tolist())


def load_records(path: str) -> list[dict]:
    """The records of a pickle or a TFRecord shard, unchecked but for being dicts with str keys.

    Raises DataError naming the file. Nothing a pickle names is ever executed.
    """
    return load_file(path)[0]


def load_file(path: str) -> tuple[list[dict], list[str]]:
    """The records of a file as ``load_records`` gives them, and what is damaged in a TFRecord shard.

    What is damaged there has no number: records are numbered as in the pickle that tf2pkl.py makes.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEADER)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}", DataIssue.UNREADABLE) from None
    if not head:
        raise DataError(f"{path} is empty; fetch or copy it again", DataIssue.EMPTY)
    if not is_tfrecord(head):
        return _load_pickle_records(path), []
    records, problems = [], []
    for item in read_tfrecord(path):
        if isinstance(item, Problem):
            problems.append(str(item))
        else:
            records.append(item)
    return records, problems


def _load_pickle_records(path: str) -> list[dict]:
    try:
        content = load_data_pickle(path)
    except DataError as error:
        hint = "; nor does it begin as a TFRecord shard does" if "tfrecord" in Path(path).name else ""
        raise DataError(f"{error}{hint}", error.issue) from None
    records = [content] if isinstance(content, dict) else content
    if not isinstance(records, list | tuple) or not all(isinstance(record, dict) for record in records):
        raise DataError(f"{path} holds {_kind(content)}; expected a list of records or one record", DataIssue.STRUCTURE)
    return [{_text(key): value for key, value in record.items()} for record in records]


def parse_record(raw: dict, expected: Expected, where: str) -> Record:
    """Check one record of ``load_records``. Raises DataError naming ``where`` and the key at fault."""
    if missing := [key for key in ("video", *_stream_keys(expected)) if key not in raw]:
        raise DataError(f"{where} has no {', '.join(missing)}; its keys are {_shown(list(raw))}", DataIssue.KEYS)
    video_id = _text(raw["video"])
    if not isinstance(video_id, str) or not video_id:
        raise DataError(f"{where}: video is {_kind(raw['video'])}, expected a name", DataIssue.NAME)
    where = f"{where} (video {video_id if video_id.isprintable() else ascii(video_id)})"
    streams = [
        _check_stream(raw[key], key, width, where)
        for key, width in zip(_stream_keys(expected), expected.feature_dims, strict=True)
    ]
    rows = min(len(stream) for stream in streams)
    num_frames = raw.get("nframes", rows)
    if not _is_whole(num_frames) or not 1 <= num_frames <= rows:
        raise DataError(
            f"{where}: nframes is {_shown(num_frames)}, but there are {rows} rows; expected 1 to {rows}",
            DataIssue.FRAME_COUNT,
        )
    streams = tuple(stream[: int(num_frames)] for stream in streams)
    return Record(video_id, where, streams, _check_labels(raw.get("label"), expected, where))


def _stream_keys(expected: Expected) -> list[str]:
    return [RECORD_KEYS[name] for name in expected.feature_names]


def _check_stream(value, key: str, width: int, where: str) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.ndim != 2:
        is_bytes = isinstance(value, np.ndarray) and value.dtype == np.uint8
        raise DataError(
            f"{where}: {key} is {_kind(value)}, expected a (frames, {width}) uint8 array",
            DataIssue.SHAPE if is_bytes else DataIssue.DTYPE,
        )
    if value.shape[1] != width:
        raise DataError(f"{where}: {key} is {value.shape[1]} wide, but the config says {width}", DataIssue.SHAPE)
    if not len(value):
        raise DataError(f"{where}: {key} has no frames", DataIssue.NO_FRAMES)
    return value.view(np.ndarray)


def _check_labels(value, expected: Expected, where: str) -> np.ndarray | None:
    if value is None and not expected.labels_needed:
        return None
    items = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(items, list | tuple) or not all(_is_whole(item) for item in items):
        raise DataError(
            f"{where}: label is {_kind(value)}, expected a list of class ids",
            DataIssue.NO_LABEL if value is None else DataIssue.LABEL_TYPE,
        )
    for item in items:
        if not 0 <= item < expected.num_classes:
            if not expected.labels_needed:
                return None  # the labels of another set of classes do not stop inference
            raise DataError(
                f"{where}: label {_shown(item)} is not in 0 to {expected.num_classes - 1} (num_classes)",
                DataIssue.LABEL_RANGE,
            )
    return np.array(items, dtype=np.int64)


def _is_whole(value) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _text(value):
    """Text of Python 2 or 3; what is not valid UTF-8 becomes a question mark."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value.encode("utf-8", errors="replace").decode() if isinstance(value, str) else value


def _shown(value) -> str:
    """A value for a message: short, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # numbers of thousands of digits, lists in lists in lists
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _kind(value) -> str:
    if isinstance(value, np.ndarray):
        return f"a {value.shape} {value.dtype} array"
    return f"of type {type(value).__name__}"


class FeatureDataset:
    """All usable records of a list, in list order.

    arrange: makes the network's inputs, as SegmentFrames and RaggedFrames do.
    sort_by_length: training batches hold videos of similar length; see ``group_by_length``.
    skip_broken: how many broken records or files may be left out; each is listed in ``broken``.
    Raises DataError for the first broken record past that number.
    """

    protocol = ""  # there is one way only to score these

    def __init__(
        self,
        list_path: str,
        expected: Expected,
        arrange: "SegmentFrames | RaggedFrames",
        *,
        training: bool,
        skip_broken: int,
        sort_by_length: bool = False,
    ):
        self.name = list_path
        self.expected = expected
        self.arrange = arrange
        self.training = training
        self.sort_by_length = sort_by_length
        self.entries = load_list(list_path)
        self.cache = cache_of(list_path, expected)
        index, self.notices = build_index(list_path, self.entries, repr(expected), self._scan, self.cache)
        self.broken = [problem.text for file in index for problem in file.problems]
        self._refuse_broken(skip_broken)
        counts = [len(file.num_frames) for file in index]
        self.num_frames = np.concatenate([file.num_frames for file in index])  # (records,)
        self.first = np.concatenate([[0], np.cumsum(counts)])  # number of each file's first record
        self.usable = np.flatnonzero(self.num_frames)
        if not len(self.usable):
            raise DataError(f"none of the {len(self.entries)} files of {list_path} holds a usable record")

    def __len__(self) -> int:
        return len(self.usable)

    def checksum(self) -> int:
        """A number that changes when the files, their order or their records' lengths do."""
        paths = "\n".join(entry.path for entry in self.entries).encode()
        return zlib.crc32(self.num_frames.tobytes(), zlib.crc32(paths))

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Numbers of the records of one epoch. Training shuffles the files, and the records in each."""
        return shuffle_files(self.usable, self.first, seed, epoch) if self.training else self.usable

    def arrange_batches(self, order: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
        """The order that records are read in: as it is, or with batches of similar length."""
        if not self.sort_by_length:
            return order
        rng = np.random.default_rng([seed, epoch, batch_size])
        return group_by_length(order, self.num_frames, batch_size, rng)

    @contextmanager
    def open(self, batches: list[np.ndarray], seed: int, epoch: int) -> Iterator[Callable[[int], Batch]]:
        """Give ``fetch(i) -> Batch`` for these batches of record numbers; safe to call from threads."""
        files_of = [self.files_of(batch) for batch in batches]
        with ThreadPoolExecutor(1, thread_name_prefix="files") as pool:
            files = _OpenFiles(lambda file: load_records(self.entries[file].path), files_of, pool)

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

    def to_float(self, batch: Batch) -> Batch:
        """The batch with its features dequantised, for networks on the CPU."""
        return replace(batch, inputs=self.arrange.to_float(batch.inputs))

    def files_of(self, records: np.ndarray) -> np.ndarray:
        """Numbers of the files that hold these records, in the order of their first use."""
        files = np.searchsorted(self.first, records, side="right") - 1
        return files[np.sort(np.unique(files, return_index=True)[1])]

    def _make_batch(self, numbers: np.ndarray, loaded: dict, seed: int, epoch: int) -> Batch:
        records = [self._record(number, loaded) for number in numbers]
        generators = [np.random.default_rng([seed, epoch, n]) for n in numbers] if self.training else None
        return Batch(
            ids=[record.video_id for record in records],
            sources=[record.where for record in records],
            inputs=self.arrange(records, generators),
            labels=self._multi_hot(records),
        )

    def _record(self, number: int, loaded: dict) -> Record:
        file = int(np.searchsorted(self.first, number, side="right")) - 1
        path, position = self.entries[file].path, int(number - self.first[file])
        if len(loaded[file]) != self.first[file + 1] - self.first[file]:
            Path(self.cache).unlink(missing_ok=True)
            raise DataError(f"{path} is not what it was when {self.cache} was made (now removed); start again")
        return parse_record(loaded[file][position], self.expected, f"{path} record {position}")

    def _multi_hot(self, records: list[Record]) -> np.ndarray | None:
        if any(record.labels is None for record in records):
            return None
        labels = np.zeros((len(records), self.expected.num_classes), dtype=np.float32)
        for row, record in zip(labels, records, strict=True):
            row[record.labels] = 1
        return labels

    def _scan(self, path: str) -> FileIndex:
        return scan_file(path, self.expected)

    def _refuse_broken(self, skip_broken: int) -> None:
        if len(self.broken) > skip_broken:
            more = len(self.broken) - 1
            others = f" (and {more} more in {self.name})" if more else ""
            raise DataError(f"{self.broken[0]}{others}; --skip-broken {len(self.broken)} would skip such")


def cache_of(list_path: str, expected: Expected) -> str:
    """Where the index of a list is kept."""
    return f"{list_path}.{'index' if expected.labels_needed else 'unlabelled.index'}.npz"


def scan_file(path: str, expected: Expected, on_record: Callable[[Record], None] = lambda record: None) -> FileIndex:
    """What an index says of a file, all of whose records are checked. on_record: called with each usable one."""
    try:
        raws, damaged = load_file(path)
    except DataError as error:
        return FileIndex(np.zeros(0, np.int32), (RecordProblem(-1, error.issue, str(error)),))
    problems = [RecordProblem(-1, DataIssue.DAMAGED, text) for text in damaged]
    num_frames, classes = [], Counter()
    for i, raw in enumerate(raws):
        found = check_record(raw, expected, path, i)
        if isinstance(found, RecordProblem):
            problems.append(found)
            num_frames.append(0)
            continue
        on_record(found)
        num_frames.append(len(found.streams[0]))
        classes.update(found.classes())
    return FileIndex(np.array(num_frames, np.int32), tuple(problems), count_pairs(classes))


def check_record(raw: dict, expected: Expected, path: str, number: int) -> Record | RecordProblem:
    """One record of a file, or what is wrong with it."""
    try:
        return parse_record(raw, expected, f"{path} record {number}")
    except DataError as error:
        return RecordProblem(number, error.issue, str(error))


class _OpenFiles:
    """The loaded files that the batches in flight need, and the next one; nothing else stays in memory."""

    def __init__(self, load: Callable[[int], list], files_of: list[np.ndarray], pool: ThreadPoolExecutor):
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
        """The files of batch i, loaded: file -> records. Also starts one file past them."""
        needed = self._files_of[i]
        with self._lock:
            wanted = max(self._place[file] for file in needed) + 2
            for file in self._sequence[self._started : wanted]:
                self._futures[file] = self._pool.submit(self._load, file)
            self._started = max(self._started, wanted)
            futures = {file: self._futures[file] for file in needed}
        return {file: future.result() for file, future in futures.items()}

    def give_back(self, i: int) -> None:
        with self._lock:
            for file in self._files_of[i]:
                self._uses[file] -= 1
                if not self._uses[file]:
                    del self._futures[file]


def shuffle_files(usable: np.ndarray, first: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Records in an order that goes file by file: the files shuffled, and the records in each.

    usable: (records,) numbers in ascending order. first: (files + 1,) the number of each file's first record.
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
    """
    whole = len(order) // batch_size * batch_size
    batches = []
    for start in range(0, whole, window * batch_size):
        part = order[start : min(start + window * batch_size, whole)]
        part = part[np.argsort(num_frames[part], kind="stable")]
        batches.append(rng.permutation(part.reshape(-1, batch_size)).ravel())
    return np.concatenate([*batches, order[whole:]])


class SegmentFrames:
    """Inputs of AttentionCluster: seg_num frames a video, one a span."""

    def __init__(self, seg_num: int):
        self.seg_num = seg_num

    def __call__(self, records: list[Record], generators) -> tuple[np.ndarray, ...]:
        """One (N, seg_num, D) uint8 array a feature. generators: one a record in training, else None."""
        widths = [stream.shape[1] for stream in records[0].streams]
        batch = [np.empty((len(records), self.seg_num, width), np.uint8) for width in widths]
        for i, record in enumerate(records):
            rng = generators[i] if generators else None
            frames = sample_span_frames(len(record.streams[0]), self.seg_num, rng)
            for stream, out in zip(record.streams, batch, strict=True):
                np.take(stream, frames, axis=0, out=out[i])
        return tuple(batch)

    @staticmethod
    def to_float(inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        return tuple(dequantize(part) for part in inputs)


class RaggedFrames:
    """Inputs of the networks over all frames: lengths, then the frames of all videos one after another.

    tables: (256,) float32 a feature, the value of each stored byte.
    """

    def __init__(self, tables: list[np.ndarray]):
        self.tables = tables

    def __call__(self, records: list[Record], generators) -> tuple[np.ndarray, ...]:
        """(N,) int64 lengths and one (sum of lengths, D) uint8 array a feature. Nothing is random."""
        lengths = np.array([len(record.streams[0]) for record in records], dtype=np.int64)
        return lengths, *(np.concatenate(parts) for parts in zip(*(record.streams for record in records), strict=True))

    def to_float(self, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        lengths, *streams = inputs
        return lengths, *(dequantize(part, table) for part, table in zip(streams, self.tables, strict=True))


def expect_records(config, section: str) -> Expected:
    """What a config says of the records of a section. INFER needs no labels.

    A config has feature_names and feature_dims, or NeXtVLAD's names of the widths.
    """
    model = config.MODEL
    if hasattr(model, "video_feature_size"):
        names, widths = ("rgb", "audio"), (model.video_feature_size, model.audio_feature_size)
    else:
        names, widths = tuple(model.feature_names), tuple(model.feature_dims)
    if unknown := [name for name in names if name not in RECORD_KEYS]:
        known = ", ".join(RECORD_KEYS)
        raise ConfigError(f"{config.where('MODEL')}: feature_names has {unknown[0]!r}; records hold {known}")
    return Expected(names, widths, model.num_classes, labels_needed=section != "INFER")


@READERS.register("AttentionCluster")
def build_span_reader(config, section: str, *, training: bool, skip_broken: int) -> FeatureDataset:
    """The records of ``[section] filelist`` as AttentionCluster takes them."""
    expected = expect_records(config, section)
    list_path = getattr(config, section).filelist
    return FeatureDataset(
        list_path, expected, SegmentFrames(config.MODEL.seg_num), training=training, skip_broken=skip_broken
    )


@READERS.register("AttentionLSTM")
def build_ragged_reader(config, section: str, *, training: bool, skip_broken: int) -> FeatureDataset:
    """The records of ``[section] filelist`` with all their frames."""
    expected = expect_records(config, section)
    return _open_ragged(config, section, expected, [DEQUANTIZED] * len(expected.feature_dims), training, skip_broken)


@READERS.register("NEXTVLAD")
def build_whitened_reader(config, section: str, *, training: bool, skip_broken: int) -> FeatureDataset:
    """As ``build_ragged_reader``, for NeXtVLAD, which whitens its rgb itself."""
    tables = [DEQUANTIZED_UNBIASED, DEQUANTIZED]
    return _open_ragged(config, section, expect_records(config, section), tables, training, skip_broken)


def _open_ragged(config, section: str, expected: Expected, tables, training: bool, skip_broken: int) -> FeatureDataset:
    return FeatureDataset(
        getattr(config, section).filelist,
        expected,
        RaggedFrames(tables),
        training=training,
        skip_broken=skip_broken,
        sort_by_length=training and config.TRAIN.sort_by_length,
    )
