"""The predictions of one run, from a file of --save-probs or from the pickle that infer.py leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from datareader.labels import is_whole
from tools.errors import DataError, DataIssue
from tools.files.arrays import NoArrayError
from tools.files.pickles import load_data_pickle
from tools.files.recognise import FileKind, recognise_file
from tools.files.row_files import Rows, list_arrays, load_arrays, open_rows
from tools.inference.probs_file import TEXTS
from tools.runtime.text import count_of, decode_text, short_repr, some_of

_TAKES = "give a file of --save-probs (.npz), or the result of infer.py that has no suffix"
_ROUNDING = 1e-3  # by which float16 may exceed 1
_ARRAYS = (
    "ids", "paths", "lines", "start_sec", "end_sec", "labels", "label_starts", "label_ids", "class_names", "topk",
    *TEXTS,
)  # fmt: skip
Labels = tuple[int, ...] | None  # the class ids of a video; None where they are not known


class Probabilities(Protocol):
    """The probabilities of all videos of a run, of which some at a time are read."""

    def __len__(self) -> int:
        """The number of videos."""

    def take(self, places: np.ndarray) -> np.ndarray:
        """(len(places), num_classes) float of these videos. Raises OSError."""

    def close(self) -> None:
        """Close the file, where one is open."""


@dataclass(frozen=True)
class Input:
    """What one file says of N videos.

    ids: as in the pickle of infer.py. places: where the list names each, (path, line or None); none of a pickle.
    spans: (start_sec, end_sec) of each; none of whole videos. labels: of each; empty where none are known. metrics: the
    kind of its scores, "" where it is not said. num_classes: of a pickle, one more than the highest class id in it.
    topk: for GAP. entries: of a pickle, the most classes of a video; None where there are all.
    """

    path: Path
    ids: list[str]
    probs: Probabilities
    num_classes: int
    places: Sequence[tuple[str, int | None]] = ()
    spans: Sequence[tuple[float, float]] = ()
    labels: Sequence[Labels] = ()
    model: str = ""
    metrics: str = ""
    topk: int = 0
    class_names: Sequence[str] | None = None
    entries: int | None = None

    def __len__(self) -> int:
        return len(self.ids)


def open_input(path: Path) -> Input:
    """The predictions in a file, all of which are looked at. Raises DataError."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; {_TAKES}")
    if not path.exists():
        raise DataError(f"{path} does not exist; {_TAKES}", DataIssue.MISSING)
    try:
        kind = recognise_file(str(path))
        with open(path, "rb") as file:
            is_archive = file.read(4) == b"PK\x03\x04"
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}", DataIssue.UNREADABLE) from None
    if is_archive:
        return _open_npz(path)
    if kind != FileKind.PICKLE:
        raise DataError(f"{path} is {kind or 'of no kind that is known'}; {_TAKES}", DataIssue.FORMAT)
    return _open_pickle(path)


# Files of --save-probs


def _open_npz(path: Path) -> Input:
    try:
        names = list_arrays(path)
        if missing := [name for name in ("ids", "probs") if name not in names]:
            held = f"it holds {some_of(list(map(short_repr, names)), 5)}" if names else "it is empty"
            raise DataError(f"{path} has no array {' and no array '.join(missing)}: {held}; {_TAKES}", DataIssue.FORMAT)
        arrays = load_arrays(path, _ARRAYS)
        ids = _read_ids(path, arrays["ids"])
        rows = open_rows(path, "probs", lambda start, part: _check_probs(path, ids, start, part))
    except NoArrayError as error:
        raise DataError(f"{path} is damaged, or no file of --save-probs: {error}", DataIssue.DAMAGED) from None
    try:
        return _describe_npz(path, arrays, ids, rows)
    except DataError:
        rows.close()
        raise


def _describe_npz(path: Path, arrays: dict[str, np.ndarray], ids: list[str], rows: Rows) -> Input:
    if len(rows) != len(ids) or len(rows.shape) != 1:
        shape = (len(rows), *rows.shape)
        raise DataError(
            f"{path} has {count_of(len(ids), 'id')} and probs of shape {shape}; expected ({len(ids)}, classes)"
        )
    num_classes = rows.shape[0]
    labels = _read_labels(path, arrays, ids, num_classes)
    others = _read_places(path, arrays, len(ids)) | _read_facts(path, arrays, num_classes)
    return Input(path, ids, rows, num_classes, labels=labels, **others)


def _read_ids(path: Path, array: np.ndarray) -> list[str]:
    if array.ndim != 1 or array.dtype.kind not in "US" or not len(array):
        raise DataError(f"{path}: ids are {array.dtype} of shape {array.shape}, expected a text for each video")
    return [decode_text(one) if array.dtype.kind == "S" else one for one in array.tolist()]


def _check_probs(path: Path, ids: list[str], start: int, part: np.ndarray) -> None:
    """Raise DataError for rows, from number ``start`` on, that hold anything but probabilities."""
    if part.dtype.kind != "f":
        raise DataError(f"{path}: probs are {part.dtype}; expected floating-point numbers")
    wrong = ~((part >= 0) & (part <= 1 + _ROUNDING))  # NaN too
    if wrong.any():
        row = int(np.flatnonzero(wrong.reshape(len(part), -1).any(axis=1))[0])
        value = part[row].ravel()[int(np.flatnonzero(wrong[row].ravel())[0])]
        name = short_repr(ids[start + row]) if start + row < len(ids) else "without an id"
        raise DataError(f"{path}: video {name} (row {start + row}) has the probability {value}; expected 0 to 1")


def _read_places(path: Path, arrays: dict[str, np.ndarray], count: int) -> dict:
    """Where the videos stand, and which times they are of."""
    wanted = {"paths": "U", "lines": "iu", "start_sec": "f", "end_sec": "f"}
    for key, kinds in wanted.items():
        array = arrays.get(key)
        if array is not None and (array.shape != (count,) or array.dtype.kind not in kinds):
            raise DataError(
                f"{path}: {key} is {array.dtype} of shape {array.shape}, expected one for each of {count} ids"
            )
    found = {}
    if "paths" in arrays:
        lines = arrays["lines"].tolist() if "lines" in arrays else [0] * count
        found["places"] = [(text, line or None) for text, line in zip(arrays["paths"].tolist(), lines, strict=True)]
    if {"start_sec", "end_sec"} <= arrays.keys():
        found["spans"] = list(zip(arrays["start_sec"].tolist(), arrays["end_sec"].tolist(), strict=True))
    return found


def _read_facts(path: Path, arrays: dict[str, np.ndarray], num_classes: int) -> dict:
    facts = {key: str(arrays[key]) for key in ("model", "metrics") if key in arrays and not arrays[key].shape}
    if "topk" in arrays and not arrays["topk"].shape and arrays["topk"].dtype.kind in "iu":
        facts["topk"] = int(arrays["topk"])
    names = arrays.get("class_names")
    if names is not None:
        if names.shape != (num_classes,) or names.dtype.kind != "U":
            raise DataError(f"{path}: class_names is of shape {names.shape}, but there are {num_classes} classes")
        facts["class_names"] = names.tolist()
    return facts


def _read_labels(path: Path, arrays: dict[str, np.ndarray], ids: list[str], num_classes: int) -> list[Labels]:
    """The class ids of each video, in either form; empty where the file has none."""
    if "labels" in arrays:
        labels = arrays["labels"]
        if labels.shape != (len(ids),) or labels.dtype.kind not in "iu":
            raise DataError(
                f"{path}: labels are {labels.dtype} of shape {labels.shape}, expected a class id for each id"
            )
        _check_class_ids(path, labels, -1, num_classes)
        return [(label,) if label >= 0 else None for label in labels.tolist()]
    if not {"label_starts", "label_ids"} <= arrays.keys():
        return []
    starts, class_ids = arrays["label_starts"], arrays["label_ids"]
    whole = starts.dtype.kind in "iu" and class_ids.dtype.kind in "iu" and starts.shape == (len(ids) + 1,)
    if not whole or starts[0] != 0 or (np.diff(starts) < 0).any() or class_ids.shape != (starts[-1],):
        raise DataError(f"{path}: label_starts do not tell which of label_ids belong to each of {len(ids)} ids")
    _check_class_ids(path, class_ids, 0, num_classes)
    edges, numbers = starts.tolist(), class_ids.tolist()
    return [tuple(numbers[edges[i] : edges[i + 1]]) for i in range(len(ids))]


def _check_class_ids(path: Path, class_ids: np.ndarray, least: int, num_classes: int) -> None:
    wrong = class_ids[(class_ids < least) | (class_ids >= num_classes)]
    if len(wrong):
        raise DataError(f"{path}: label {wrong[0]} is no class; {num_classes} classes take 0 to {num_classes - 1}")


# Results of infer.py


class BestClasses:
    """The best classes of each video, as rows of all classes in which those that are not there count 0."""

    def __init__(self, items: list[tuple[list[int], list[float]]], num_classes: int):
        self._items, self.num_classes = items, num_classes

    def __len__(self) -> int:
        return len(self._items)

    def widen(self, num_classes: int) -> "BestClasses":
        """The same of at least as many classes."""
        return BestClasses(self._items, num_classes)

    def take(self, places: np.ndarray) -> np.ndarray:
        rows = np.zeros((len(places), self.num_classes), np.float32)
        for row, place in zip(rows, places.tolist(), strict=True):
            class_ids, probs = self._items[place]
            row[class_ids] = probs
        return rows

    def close(self) -> None:
        """All of it is in memory."""


def _open_pickle(path: Path) -> Input:
    content = load_data_pickle(str(path))
    if not isinstance(content, list | tuple) or not content:
        held = "an empty list" if isinstance(content, list | tuple) else f"a {type(content).__name__}"
        raise DataError(f"{path} holds {held}; {_TAKES}", DataIssue.STRUCTURE)
    ids, items, highest = [], [], 0
    for number, one in enumerate(content):
        video_id, class_ids, probs = _read_result(f"{path} item {number}", one)
        ids.append(video_id)
        items.append((class_ids, probs))
        highest = max(highest, *class_ids)
    entries = max(len(class_ids) for class_ids, _ in items)
    return Input(path, ids, BestClasses(items, highest + 1), highest + 1, entries=entries)


def _read_result(where: str, one) -> tuple[str, list[int], list[float]]:
    """Id, class ids and probabilities of one video."""
    if not isinstance(one, list | tuple) or len(one) != 3:
        raise DataError(
            f"{where} is {short_repr(one)}, expected (id, probabilities, class ids); {_TAKES}", DataIssue.STRUCTURE
        )
    video_id = decode_text(one[0]) if isinstance(one[0], str | bytes) else ""
    probs, class_ids = (part.tolist() if isinstance(part, np.ndarray) else part for part in one[1:])
    if not video_id or not isinstance(probs, list | tuple) or not isinstance(class_ids, list | tuple):
        raise DataError(
            f"{where} is {short_repr(one)}, expected (id, probabilities, class ids); {_TAKES}", DataIssue.STRUCTURE
        )
    if len(probs) != len(class_ids) or not probs:
        raise DataError(f"{where} ({short_repr(video_id)}) has {len(probs)} probabilities of {len(class_ids)} classes")
    if not all(is_whole(class_id) and 0 <= class_id < 1 << 20 for class_id in class_ids):
        raise DataError(f"{where} ({short_repr(video_id)}) has the class ids {short_repr(class_ids)}")
    if len(set(class_ids)) < len(class_ids):
        raise DataError(f"{where} ({short_repr(video_id)}) names a class twice: {short_repr(class_ids)}")
    if not all(isinstance(prob, int | float) and 0 <= prob <= 1 + _ROUNDING for prob in probs):
        raise DataError(f"{where} ({short_repr(video_id)}) has the probabilities {short_repr(probs)}; expected 0 to 1")
    return video_id, list(class_ids), list(probs)
