"""File lists: one path a line, blank lines and lines that start with # aside."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from datareader.kinds import refuse_folder
from datareader.list_lines import Reading, find_path, list_readings
from datareader.missing_files import explain_missing
from tools.errors import DataError, DataIssue
from tools.files.recognise import TEXTS, VIDEOS, FileKind, recognise_file
from tools.files.texts import NotTextError, read_text, split_lines
from tools.runtime.text import printable, shorten


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


def load_list(list_path: str, labelled: bool = False) -> list[ListEntry]:
    """The files of a list, in its order.

    Paths may hold spaces. They are relative to the working directory, as in 2019, or else to the list's
    own folder. labelled: the list is one of clips, so that a path may be that of a folder of frames, and behind it may
    stand a class id, of a folder also the number of its frames and a class id, unless the whole line is a path.
    Raises DataError for a list that is missing, unreadable or empty, and for a file that is not there.
    """
    return [find_file(line, list_path, number, labelled) for number, line in read_lines(list_path)]


def read_lines(list_path: str) -> list[tuple[int, str]]:
    """(number from 1, text) of each line that names a file. Raises DataError as ``load_list`` for the list."""
    lines = [(number, line.strip()) for number, line in enumerate(split_lines(read_list_text(list_path)), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise DataError(f"file list {list_path} names no files; it takes one path a line", DataIssue.LIST)
    return lines


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
    path, reading, is_folder = look_up(line, list_readings(line, labelled), list_path, number, labelled)
    where = f"{list_path} line {number}"
    if is_folder and not labelled:
        raise refuse_folder(path).at(where)
    return ListEntry(path, where, reading.label, reading.name, number, reading.num_frames)


def look_up(
    line: str, readings: Iterable[Reading], list_path: str, number: int, labelled: bool
) -> tuple[str, Reading, bool]:
    """What one line names, as ``find_path`` gives it. Raises DataError as ``load_list`` for the file."""
    where = f"{list_path} line {number}"
    try:
        found = find_path(readings, str(Path(list_path).parent))
    except (OSError, ValueError) as error:  # a name that no file can have, a folder that is closed to us
        name = shorten(printable(line), 80)
        reason = error.strerror if isinstance(error, OSError) else error  # without the name, however long
        raise DataError(f"{name!r} cannot be looked up: {reason}", DataIssue.UNREADABLE, where) from None
    if found is None:
        raise DataError(explain_missing(line, list_path, labelled), DataIssue.MISSING, where)
    return found
