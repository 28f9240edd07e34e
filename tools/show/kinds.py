"""Which kind of data a file holds, by its content."""

import pickletools
from pathlib import Path
from typing import Literal

from datareader.clips.decoding import read_facts
from datareader.clips.files import is_pickle
from datareader.features.tfrecord import HEADER, is_tfrecord
from datareader.lists import ListEntry
from tools.errors import DataError
from tools.files.pickles import DAMAGED

KINDS = "a video, a pickle of JPEG frames, a pickle of YouTube-8M records, or a .tfrecord shard"
# What a pickle may do before its first value that is no list.
_OPENINGS = {"PROTO", "FRAME", "MARK", "EMPTY_LIST", "LIST", "EMPTY_TUPLE", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}


def recognise(path: str) -> Literal["clips", "features"]:
    """The kind of data in a file, as specs call it. Raises DataError for what is neither."""
    if Path(path).is_dir():
        raise DataError(f"{path} is a folder; name one file: {KINDS}")
    try:
        with open(path, "rb") as file:
            head = file.read(HEADER)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; expected {KINDS}") from None
    except ValueError as error:  # a name that no file can have
        raise DataError(f"{path!r} cannot be read: {error}") from None
    if not head:
        raise DataError(f"{path} is empty; fetch or copy it again")
    if is_tfrecord(head):
        return "features"
    if is_pickle(ListEntry(path)):
        return "features" if holds_records(path) else "clips"
    try:
        read_facts(path)
    except DataError as error:
        raise DataError(f"{error}; nor does it begin as a pickle or a TFRecord shard") from None
    return "clips"


def holds_records(path: str) -> bool:
    """Whether the first thing in a pickle is a dict, as in a list of records; in a clip's it is the video's name.

    Only the beginning is read. Nothing and what is damaged there count as records, whose reader says so.
    """
    try:
        with open(path, "rb") as file:
            for operation, _, _ in pickletools.genops(file):
                if operation.name not in _OPENINGS:
                    return operation.name in ("EMPTY_DICT", "DICT", "STOP")
    except DAMAGED:
        pass
    return True
