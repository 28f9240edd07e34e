"""File lists: one path a line, blank lines and lines that start with # aside."""

import os
import stat
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from datareader.kinds import refuse_folder
from datareader.list_lines import (
    KIND,
    Found,
    PathFinder,
    list_multilabel_readings,
    list_places,
    list_readings,
    parse_number,
    tidy_path,
)
from datareader.missing_files import explain_missing
from tools.errors import DataError, DataIssue
from tools.files.recognise import TEXTS, VIDEOS, FileKind, recognise_file
from tools.files.texts import NotTextError, read_utf8
from tools.runtime.cpu import usable_cores
from tools.runtime.text import printable, shorten
from tools.runtime.workers import READERS_AT_LEAST, map_in_order

# Of an entry: where in the bytes of the list its path stands, and what is found of it.
_ROW = np.dtype(
    [
        ("stamp", np.int64),  # as of ``make_stamp``
        ("start", np.int64),
        ("line", np.int32),
        ("label", np.int32),
        ("num_frames", np.int32),
        ("length", np.uint16),  # no system opens longer ones
        ("place", np.int8),  # of those of ``list_places``
    ]
)
_pack_row = struct.Struct("=qqiiiHb").pack
_NONE = -1 << 31  # a label or a number of frames that is not there; lines have none of ten digits
_AT_ONCE = 1024  # entries made together where all are gone through
_PART = 1 << 16  # bytes of a list that are read together
_SLOW_SEC = 200e-6  # a line, of a disk that several threads should wait for


@dataclass(frozen=True)
class ListEntry:
    """One line of a list, or a file alone.

    where: names list and line, "" for a file alone. label: None where there is none. written: the path as the line
    has it. line: its number from 1, None for a file alone. num_frames: of a folder of frames, how many of them count,
    None for all.
    """

    path: str
    where: str = ""
    label: int | None = None
    written: str = ""
    line: int | None = None
    num_frames: int | None = None

    @property
    def source(self) -> str:
        """The file, and the line that names it."""
        return f"{self.path} ({self.where})" if self.where else self.path


class ListEntries(Sequence[ListEntry]):
    """The entries of a list in its order, each made anew when it is asked for: as objects a million take 300 MB.

    text: of the list, in UTF-8. rows: (N,) of the fields above.
    """

    def __init__(self, list_path: str, text: bytes, rows: np.ndarray):
        self._list_path, self._text, self._rows = list_path, text, rows
        self._folder = str(Path(list_path).parent)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int | slice) -> ListEntry | list[ListEntry]:
        rows = self._rows[place].tolist()
        return [self._make(*row) for row in rows] if isinstance(place, slice) else self._make(*rows)

    def __iter__(self) -> Iterator[ListEntry]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self[start : start + _AT_ONCE]

    def stamps(self) -> np.ndarray:
        """(N,) int64, ``make_stamp`` of each file as it was when the list was read."""
        return self._rows["stamp"]

    def labels(self, none: int) -> np.ndarray:
        """(N,) int64, ``none`` for an entry without one."""
        labels = self._rows["label"].astype(np.int64)
        labels[labels == _NONE] = none
        return labels

    def _make(
        self, _stamp: int, start: int, line: int, label: int, num_frames: int, length: int, place: int
    ) -> ListEntry:
        written = self._text[start : start + length].decode()
        return ListEntry(
            tidy_path(list_places(written, self._folder)[place]),
            _name_line(self._list_path, line),
            None if label == _NONE else label,
            written,
            line,
            None if num_frames == _NONE else num_frames,
        )


def make_stamp(status: os.stat_result, num_frames: int | None) -> int:
    """A number of 64 bits of which file it is, how large, of when, and of how many frames a line asks for; never 0.

    It is the same in every process. That one of a million files, when all of them change, gets the number that another
    had is as likely as 1 in 18 million.
    """
    return hash((status.st_ino, status.st_size, status.st_mtime_ns, num_frames or 0)) or 1


def load_list(list_path: str, labelled: bool = False) -> ListEntries:
    """The files of a list, in its order.

    Paths may hold spaces. They are relative to the working directory, as in 2019, or else to the list's
    own folder. labelled: the list is one of clips, so that a path may be that of a folder of frames, and behind it may
    stand a class id, of a folder also the number of its frames and a class id, unless the whole line is a path.
    Raises DataError for a list that is missing, unreadable or empty, and for a file that is not there.
    """
    text, finder = _read_list(list_path), _FileFinder(list_path, labelled)
    parts = _split(text)

    def read(part: tuple[int, int, bytes]) -> bytes:
        return _read_rows(*part, finder)

    rows = bytearray()
    for part in parts:
        began = time.perf_counter()
        rows += read(part)
        if time.perf_counter() - began > _SLOW_SEC * (part[2].count(b"\n") + 1):
            break  # each thread waits for the disk in turn; of one that answers at once they only hinder one another
    for read_rows in map_in_order(read, parts, max(READERS_AT_LEAST, usable_cores())):
        rows += read_rows
    if not rows:
        raise _no_files(list_path)
    return ListEntries(list_path, text, np.frombuffer(rows, _ROW))


def _split(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(number of its first line from 1, where it starts, some lines) of each part of a list."""
    start, number = 0, 1
    while start <= len(text):
        end = text.find(b"\n", start + _PART)
        part = text[start : end if end >= 0 else len(text)]
        yield number, start, part
        start, number = start + len(part) + 1, number + part.count(b"\n") + 1


def _read_rows(number: int, start: int, part: bytes, finder: "_FileFinder") -> bytes:
    """A row of each line that names a file. number, start, part: as of ``_split``.

    Most lines name a file in the one folder that the line before had, with at most one class id. Those are looked up
    here, in half the time of ``finder.find``, which reads all others: each call and each tuple counts.
    """
    labelled, find_folder, rows, folder_name = finder.labelled, finder.paths.find_folder, [], None
    for whole, text in zip(part.split(b"\n"), part.decode().split("\n"), strict=True):
        line = text.strip()
        if line and line[0] != "#":
            name, label, num_frames, status = line, None, None, None
            if labelled:
                words = line.rsplit(None, 1)
                if len(words) == 2 and (label := parse_number(words[1])) is not None:
                    name = words[0]
            cut = name.rfind("/") + 1
            if name[:cut] != folder_name:
                folder_name = name[:cut]
                folder = find_folder(folder_name)
            if folder.only and (label is None or folder.is_plain):
                place, before = folder.only
                try:
                    status = os.stat(before + name)  # noqa: PTH116
                except (OSError, ValueError):  # which suppress would take as long for as the line
                    status = None
            if status is None or status.st_mode & KIND != stat.S_IFREG:
                (name, label, num_frames), place, status = finder.find(line, number)
            rows.append(
                _pack_row(
                    make_stamp(status, num_frames),
                    start if line == text else start + whole.index(line.encode()),
                    number,
                    _NONE if label is None else label,
                    _NONE if num_frames is None else num_frames,
                    len(name) if len(text) == len(whole) else len(name.encode()),
                    place,
                )
            )
        start += len(whole) + 1
        number += 1
    return b"".join(rows)


def read_lines(list_path: str) -> list[tuple[int, str]]:
    """(number from 1, text) of each line that names a file. Raises DataError as ``load_list`` for the list."""
    lines = enumerate(map(str.strip, read_list_text(list_path).split("\n")), start=1)
    if not (named := [(number, line) for number, line in lines if line and line[0] != "#"]):
        raise _no_files(list_path)
    return named


def _no_files(list_path: str) -> DataError:
    return DataError(f"file list {list_path} names no files; it takes one path a line", DataIssue.LIST)


def read_list_text(list_path: str) -> str:
    """All of a list. Raises DataError as ``load_list`` for the list."""
    return _read_list(list_path).decode()


def _read_list(list_path: str) -> bytes:
    """As ``read_list_text``, in UTF-8."""
    if not list_path:
        raise DataError("no file list is given; set filelist in the section of the config", DataIssue.LIST)
    try:
        return read_utf8(list_path)
    except FileNotFoundError:
        text = "does not exist; dataset/README.md says how to make one"
    except IsADirectoryError:
        text = f"is a folder; a list is a text with one path a line, and dataset/make_list.py {list_path} makes one"
    except NotTextError as error:
        kind = recognise_file(list_path)
        is_data = kind in VIDEOS or kind in (FileKind.PICKLE, FileKind.TFRECORD)
        more = "put its path into a text file, and name that" if is_data else "a list has one path a line"
        text = str(error) if kind in TEXTS else f"{error}; {more}"
    except (OSError, ValueError) as error:
        text = f"cannot be read: {error}"
    raise DataError(f"file list {list_path} {text}", DataIssue.LIST)


class EntryFinder:
    """Makes the entries of a list line by line; use one for all of them, in as many threads as you like.

    labelled: as of ``load_list``.
    """

    def __init__(self, list_path: str, labelled: bool):
        self._files = _FileFinder(list_path, labelled)

    def find(self, line: str, number: int) -> ListEntry:
        """The entry of one line. Raises DataError as ``load_list`` for the file."""
        (name, label, num_frames), place, _ = self._files.find(line, number)
        return self._files.make_entry(name, place, number, label, num_frames)


class MultilabelFinder:
    """As ``EntryFinder`` of lines behind whose path stand any number of class ids."""

    def __init__(self, list_path: str):
        self._files = _FileFinder(list_path, labelled=True, multilabel=True)

    def find(self, line: str, number: int) -> tuple[ListEntry, tuple[int, ...]]:
        """The entry of one line, without a label, and its class ids as they stand.

        Raises DataError as ``load_list`` for the file.
        """
        (name, labels, _), place, _ = self._files.find(line, number)
        return self._files.make_entry(name, place, number), labels or ()


class _FileFinder:
    """What the lines of a list name, or the error of one that names nothing."""

    def __init__(self, list_path: str, labelled: bool, multilabel: bool = False):
        self._list_path, self.labelled = list_path, labelled
        readings = list_multilabel_readings if multilabel else partial(list_readings, labelled=labelled)
        self.paths = PathFinder(str(Path(list_path).parent), readings)

    def find(self, line: str, number: int) -> Found:
        """What a line names. Raises DataError as ``load_list`` for the file."""
        try:
            found = self.paths.find(line)
        except (OSError, ValueError) as error:  # a name that no file can have, a folder that is closed to us
            name = shorten(printable(line), 80)
            reason = error.strerror if isinstance(error, OSError) else error  # without the name, however long
            text = f"{name!r} cannot be looked up: {reason}"
            raise DataError(text, DataIssue.UNREADABLE, _name_line(self._list_path, number)) from None
        if found is None:
            text = explain_missing(line, self._list_path, self.labelled)
            raise DataError(text, DataIssue.MISSING, _name_line(self._list_path, number))
        if not self.labelled and stat.S_ISDIR(found[2].st_mode):
            (name, _, _), place, _ = found
            raise refuse_folder(self._path(name, place)).at(_name_line(self._list_path, number))
        return found

    def make_entry(
        self, name: str, place: int, number: int, label: int | None = None, num_frames: int | None = None
    ) -> ListEntry:
        where = _name_line(self._list_path, number)
        return ListEntry(self._path(name, place), where, label, name, number, num_frames)

    def _path(self, name: str, place: int) -> str:
        return tidy_path(list_places(name, self.paths.folder)[place])


def _name_line(list_path: str, number: int) -> str:
    return f"{list_path} line {number}"
