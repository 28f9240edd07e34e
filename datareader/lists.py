"""File lists: one path a line, blank lines and lines that start with # aside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from datareader.kinds import refuse_folder
from datareader.list_lines import (
    Found,
    PathFinder,
    list_multilabel_readings,
    list_places,
    list_readings,
    tidy_path,
)
from datareader.missing_files import explain_missing
from tools.errors import DataError, DataIssue
from tools.files.recognise import TEXTS, VIDEOS, FileKind, recognise_file
from tools.files.texts import NotTextError, read_text
from tools.runtime.text import printable, shorten

# Of an entry: where in the text of the list its path stands, and what is found of it.
_ROW = np.dtype(
    [
        ("start", np.int64),
        ("end", np.int64),
        ("line", np.int32),
        ("place", np.int8),  # of those of ``list_places``
        ("label", np.int32),
        ("num_frames", np.int32),
    ]
)
_NONE = -1 << 31  # a label or a number of frames that is not there; lines have none of ten digits
_AT_ONCE = 1024  # entries made together where all are gone through


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

    text: of the list. rows: (N,) of the fields above.
    """

    def __init__(self, list_path: str, text: str, rows: np.ndarray):
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

    def _make(self, start: int, end: int, line: int, place: int, label: int, num_frames: int) -> ListEntry:
        written = self._text[start:end]
        return ListEntry(
            tidy_path(list_places(written, self._folder)[place]),
            _name_line(self._list_path, line),
            None if label == _NONE else label,
            written,
            line,
            None if num_frames == _NONE else num_frames,
        )


def load_list(list_path: str, labelled: bool = False) -> ListEntries:
    """The files of a list, in its order.

    Paths may hold spaces. They are relative to the working directory, as in 2019, or else to the list's
    own folder. labelled: the list is one of clips, so that a path may be that of a folder of frames, and behind it may
    stand a class id, of a folder also the number of its frames and a class id, unless the whole line is a path.
    Raises DataError for a list that is missing, unreadable or empty, and for a file that is not there.
    """
    text = read_list_text(list_path)
    finder = PathFinder(str(Path(list_path).parent), partial(list_readings, labelled=labelled))

    def find_rows() -> Iterator[tuple]:
        for number, start, line in _split(text):
            (name, label, num_frames), place, _ = _find(line, list_path, number, finder, labelled)
            yield (
                start,
                start + len(name),
                number,
                place,
                _NONE if label is None else label,
                _NONE if num_frames is None else num_frames,
            )

    rows = np.fromiter(find_rows(), _ROW)
    if not len(rows):
        raise _no_files(list_path)
    return ListEntries(list_path, text, rows)


def read_lines(list_path: str) -> list[tuple[int, str]]:
    """(number from 1, text) of each line that names a file. Raises DataError as ``load_list`` for the list."""
    lines = [(number, line) for number, _, line in _split(read_list_text(list_path))]
    if not lines:
        raise _no_files(list_path)
    return lines


def _split(text: str) -> Iterator[tuple[int, int, str]]:
    """(number from 1, where it starts in the text, the line) of each line that names a file, without spaces around."""
    end, number = -1, 0
    while end < len(text):
        number, start = number + 1, end + 1
        end = text.find("\n", start)  # one by one, as all lines at once take more memory than the text
        end = len(text) if end < 0 else end
        whole = text[start:end]
        line = whole.strip()
        if line and line[0] != "#":
            yield number, start if line == whole else start + whole.index(line), line


def _no_files(list_path: str) -> DataError:
    return DataError(f"file list {list_path} names no files; it takes one path a line", DataIssue.LIST)


def read_list_text(list_path: str) -> str:
    """All of a list. Raises DataError as ``load_list`` for the list."""
    if not list_path:
        raise DataError("no file list is given; set filelist in the section of the config", DataIssue.LIST)
    try:
        return read_text(list_path)
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


def find_file(line: str, list_path: str, number: int, labelled: bool) -> ListEntry:
    """The entry of one line. Raises DataError as ``load_list`` for the file."""
    finder = PathFinder(str(Path(list_path).parent), partial(list_readings, labelled=labelled))
    (name, label, num_frames), place, _ = _find(line, list_path, number, finder, labelled)
    return ListEntry(_path(name, place, finder), _name_line(list_path, number), label, name, number, num_frames)


def find_multilabel_file(line: str, list_path: str, number: int) -> tuple[ListEntry, tuple[int, ...]]:
    """The entry of one line behind whose path stand any number of class ids, without a label, and these as they stand.

    Raises DataError as ``load_list`` for the file.
    """
    finder = PathFinder(str(Path(list_path).parent), list_multilabel_readings)
    (name, labels, _), place, _ = _find(line, list_path, number, finder, labelled=True)
    return ListEntry(_path(name, place, finder), _name_line(list_path, number), None, name, number), labels or ()


def _find(line: str, list_path: str, number: int, finder: PathFinder, labelled: bool) -> Found:
    """What a line names. Raises DataError as ``load_list`` for the file."""
    try:
        found = finder.find(line)
    except (OSError, ValueError) as error:  # a name that no file can have, a folder that is closed to us
        name = shorten(printable(line), 80)
        reason = error.strerror if isinstance(error, OSError) else error  # without the name, however long
        text = f"{name!r} cannot be looked up: {reason}"
        raise DataError(text, DataIssue.UNREADABLE, _name_line(list_path, number)) from None
    if found is None:
        text = explain_missing(line, list_path, labelled)
        raise DataError(text, DataIssue.MISSING, _name_line(list_path, number))
    (name, _, _), place, is_folder = found
    if is_folder and not labelled:
        raise refuse_folder(_path(name, place, finder)).at(_name_line(list_path, number))
    return found


def _path(name: str, place: int, finder: PathFinder) -> str:
    return tidy_path(list_places(name, finder.folder)[place])


def _name_line(list_path: str, number: int) -> str:
    return f"{list_path} line {number}"
