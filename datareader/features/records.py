"""YouTube-8M frame features: records of ``{video, feature, audio, label, nframes}``.

A file is a pickle with a list of records, or one record, or a TFRecord shard as YouTube-8M publishes
them; its content says which. Keys are str, or bytes where Python 2 wrote the pickle.
``feature`` and ``audio`` are (rows, width) uint8, ``label`` a list of class ids, and ``nframes``, where
given, says how many rows count. Bytes stand for -2 to 2 as in YouTube-8M, or for the two numbers of ``feature_range``
or ``audio_range``; float16 stands for itself.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datareader.features.other_files import refuse_other_kind
from datareader.features.tfrecord import HEADER, Problem, is_tfrecord, read_tfrecord
from datareader.labels import check_class_ids, is_whole
from tools.errors import ConfigError, DataError, DataIssue
from tools.files.pickles import load_data_pickle
from tools.files.recognise import FileKind
from tools.runtime.text import decode_text, printable, short_repr

# The inverse of datareader.transforms.DEQUANTIZED.
QUANTISE = "quantise it as YouTube-8M is: np.clip(np.rint((x + 2) * 255 / 4), 0, 255).astype(np.uint8)"
VIDEO_LEVEL = ("mean_rgb", "mean_audio")
_LARGEST = 1e30  # of a range, which float32 has
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
    """One video. labels: (labels,) int64 or None.

    streams: one (T, D) a feature, T frames each, uint8 as YouTube-8M has them, float32 of what is stored otherwise.
    """

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
        if error.issue in (DataIssue.DAMAGED, DataIssue.UNSAFE):  # a ZIP archive begins as an operation does
            refuse_other_kind(path, FileKind.PICKLE)
        hint = "; nor does it begin as a TFRecord shard does" if "tfrecord" in Path(path).name else ""
        raise DataError(f"{error}{hint}", error.issue) from None
    records = [content] if isinstance(content, dict) else content
    if _is_clip(content):
        raise DataError(
            f"{path} holds a clip, (video_id, label, frames); expected a list of records or one record. TSN and STNET "
            "are the models that read clips",
            DataIssue.STRUCTURE,
        )
    if not isinstance(records, list | tuple) or not all(isinstance(record, dict) for record in records):
        raise DataError(f"{path} holds {_kind(content)}; expected a list of records or one record", DataIssue.STRUCTURE)
    return [{_decode(key): value for key, value in record.items()} for record in records]


def _is_clip(content) -> bool:
    """Whether a pickle holds a clip of JPEG frames, as the models on clips read it."""
    is_triple = isinstance(content, list | tuple) and len(content) == 3 and isinstance(content[0], str | bytes)
    return is_triple and isinstance(content[2], list | tuple)


def parse_record(raw: dict, expected: Expected, where: str) -> Record:
    """Check one record of ``load_records``. Raises DataError naming ``where`` and the key at fault."""
    keys = [RECORD_KEYS[name] for name in expected.feature_names]
    if missing := [key for key in ("video", *keys) if key not in raw]:
        if any(name in raw for name in VIDEO_LEVEL):
            raise DataError(
                f"{where} is of video-level features ({' or '.join(VIDEO_LEVEL)}); the networks need frame-level ones",
                DataIssue.FORMAT,
            )
        raise DataError(f"{where} has no {', '.join(missing)}; its keys are {short_repr(list(raw))}", DataIssue.KEYS)
    video_id = _decode(raw["video"])
    if not isinstance(video_id, str) or not video_id:
        raise DataError(f"{where}: video is {_kind(raw['video'])}, expected a name", DataIssue.NAME)
    where = f"{where} (video {printable(video_id)})"
    values = [raw[key] for key in keys]
    _refuse_swapped(values, keys, expected, where)
    streams = [
        _check_stream(value, key, width, raw.get(f"{key}_range"), where)
        for value, key, width in zip(values, keys, expected.feature_dims, strict=True)
    ]
    rows = min(len(stream) for stream in streams)
    num_frames = raw.get("nframes", rows)
    if not is_whole(num_frames) or not 1 <= num_frames <= rows:
        raise DataError(
            f"{where}: nframes is {short_repr(num_frames)}, but there are {rows} rows; expected 1 to {rows}",
            DataIssue.FRAME_COUNT,
        )
    streams = tuple(stream[: int(num_frames)] for stream in streams)
    return Record(video_id, where, streams, _check_labels(raw.get("label"), expected, where))


def _refuse_swapped(values: list, keys: list[str], expected: Expected, where: str) -> None:
    """Two features of which each has the other's width would else be called too wide and too narrow."""
    widths = [value.shape[-1] if isinstance(value, np.ndarray) and value.ndim == 2 else 0 for value in values]
    dims = [*expected.feature_dims]
    if len(dims) == 2 and widths == dims[::-1] != dims:
        raise DataError(
            f"{where}: {keys[0]} is {widths[0]} wide and {keys[1]} {widths[1]}, but the config says {dims[0]} and "
            f"{dims[1]}; they are swapped, in the record or in the config's feature_dims",
            DataIssue.SHAPE,
        )


def _check_stream(value, key: str, width: int, value_range, where: str) -> np.ndarray:
    """(rows, width) uint8 of YouTube-8M's range, or float32."""
    is_bytes = isinstance(value, np.ndarray) and value.dtype == np.uint8
    is_float16 = isinstance(value, np.ndarray) and value.dtype == np.float16 and not _holds_bytes(value)
    if not (is_bytes or is_float16) or value.ndim != 2:
        raise DataError(
            f"{where}: {key} is {_kind(value)}, expected a (frames, {width}) uint8 array{_hint_at_array(value)}",
            DataIssue.SHAPE if is_bytes or is_float16 else DataIssue.DTYPE,
        )
    if value.shape[1] != width:
        hint = f"; it is {len(value)} high, so it may be transposed ({key}.T)" if len(value) == width else ""
        hint = f"; 4 bytes a value may be float32, {QUANTISE}" if value.shape[1] == 4 * width else hint
        raise DataError(f"{where}: {key} is {value.shape[1]} wide, but the config says {width}{hint}", DataIssue.SHAPE)
    if not len(value):
        raise DataError(f"{where}: {key} has no frames", DataIssue.NO_FRAMES)
    value = value.view(np.ndarray)
    if is_float16:
        if not np.isfinite(value).all():
            raise DataError(f"{where}: {key} holds values that are infinite or no numbers", DataIssue.DTYPE)
        return value.astype(np.float32)
    return value if value_range is None else spread(value, *_check_range(value_range, key, where))


def _check_range(value, key: str, where: str) -> tuple[float, float]:
    """The values that bytes of 0 and 255 stand for."""
    pair = value.tolist() if isinstance(value, np.ndarray) else value
    is_pair = isinstance(pair, list | tuple) and len(pair) == 2 and all(type(bound) in (int, float) for bound in pair)
    if not is_pair or not -_LARGEST < pair[0] < pair[1] < _LARGEST:
        raise DataError(
            f"{where}: {key}_range is {short_repr(value)}, expected what bytes of 0 and 255 stand for, two numbers of "
            "which the second is larger",
            DataIssue.STRUCTURE,
        )
    return float(pair[0]), float(pair[1])


def spread(stored: np.ndarray, low: float, high: float) -> np.ndarray:
    """Bytes that stand for a range, of any shape, to float32."""
    return np.linspace(low, high, 256).astype(np.float32)[stored]


def _hint_at_array(value) -> str:
    """What would make uint8 features of an array of another kind."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        return ""
    if value.dtype == np.uint8:
        return "; one row is a video-level feature, of which the networks cannot learn" if value.ndim == 1 else ""
    return "; it holds bytes already: x.astype(np.uint8)" if _holds_bytes(value) else f"; {QUANTISE}"


def _holds_bytes(value: np.ndarray) -> bool:
    return bool(np.isfinite(value).all() and (value == np.clip(np.rint(value), 0, 255)).all())


def _check_labels(value, expected: Expected, where: str) -> np.ndarray | None:
    try:
        return check_class_ids(value, expected.num_classes)
    except DataError as error:
        if not expected.labels_needed:
            return None  # the labels of another set of classes do not stop inference
        raise DataError(f"{where}: {error.text}", error.issue) from None


def _decode(value):
    """Text of Python 2 or 3 as ``decode_text`` gives it, anything else as it is."""
    return decode_text(value) if isinstance(value, str | bytes) else value


def _kind(value) -> str:
    if isinstance(value, np.ndarray):
        return f"a {value.shape} {value.dtype} array"
    return f"of type {type(value).__name__}"


def expect_records(config, section: str) -> Expected:
    """What a config says of the records of a section. INFER needs no labels."""
    model = config.MODEL
    names = tuple(model.feature_names)
    if unknown := [name for name in names if name not in RECORD_KEYS]:
        known = ", ".join(RECORD_KEYS)
        raise ConfigError(f"{config.where('MODEL')}: feature_names has {unknown[0]!r}; records hold {known}")
    return Expected(names, tuple(model.feature_dims), model.num_classes, labels_needed=section != "INFER")
