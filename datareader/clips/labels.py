"""The class id of each clip of a list, where the list itself does not give it."""

import io

import numpy as np

from datareader.clips.files import check_label, open_clip, read_pickle_head
from datareader.clips.settings import ClipSettings
from datareader.lists import ListEntry
from tools.errors import DataError
from tools.files.pickles import DAMAGED
from tools.runtime.cpu import usable_cores
from tools.runtime.workers import map_in_order

_HEAD = 1024  # bytes; a clip's id and label stand in the first hundred
_AT_ONCE = 64  # files handed over to a thread together
_READERS_AT_LEAST = 4  # threads; a disk, and more so a file server, serves several at once


def read_labels(entries: list[ListEntry], settings: ClipSettings) -> np.ndarray:
    """(N,) int64 class ids, -1 where there is none, such as in a broken pickle.

    Of a pickle without a label in the list it reads the first bytes.
    """

    def read(start: int) -> list[int]:
        return [_read_label(entry, settings) for entry in entries[start : start + _AT_ONCE]]

    parts = map_in_order(read, range(0, len(entries), _AT_ONCE), max(_READERS_AT_LEAST, usable_cores()))
    return np.array([label for part in parts for label in part], np.int64)


def _read_label(entry: ListEntry, settings: ClipSettings) -> int:
    label = entry.label
    try:
        if label is None:
            label = _label_of_pickle(entry, settings)
        label = check_label(label, settings, entry.path)
    except DataError:
        label = None  # a broken clip: reading it says so
    return -1 if label is None else label


def _label_of_pickle(entry: ListEntry, settings: ClipSettings) -> int | None:
    try:
        with open(entry.path, "rb") as file:
            start = read_pickle_head(io.BytesIO(file.read(_HEAD)))
    except (OSError, *DAMAGED):
        start = None
    return start[1] if start and start[1] is not None else open_clip(entry, settings).label
