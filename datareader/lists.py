"""File lists: one path a line, blank lines and lines that start with # aside."""

import re
from dataclasses import dataclass
from pathlib import Path

from tools.errors import DataError, DataIssue


@dataclass(frozen=True)
class ListEntry:
    """One line of a list, or a file alone.

    where: names list and line, "" for a file alone. label: None where there is none. written: the path as the line
    has it. line: its number from 1, None for a file alone.
    """

    path: str
    where: str = ""
    label: int | None = None
    written: str = ""
    line: int | None = None


def load_list(list_path: str, labelled: bool = False) -> list[ListEntry]:
    """The files of a list, in its order.

    Paths may hold spaces. They are relative to the working directory, as in 2019, or else to the list's
    own folder. labelled: a number may follow the path, unless the whole line is the name of a file.
    Raises DataError for a list that is missing, unreadable or empty, and for a file that is not there.
    """
    return [find_file(line, list_path, number, labelled) for number, line in read_lines(list_path)]


def read_lines(list_path: str) -> list[tuple[int, str]]:
    """(number from 1, text) of each line that names a file. Raises DataError as ``load_list`` for the list."""
    if not list_path:
        raise DataError("no file list is given; set filelist in the config or pass --filelist", DataIssue.LIST)
    try:
        text = Path(list_path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(
            f"file list {list_path} does not exist; dataset/README.md says how to make one", DataIssue.LIST
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"file list {list_path} cannot be read: {error}", DataIssue.LIST) from None
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise DataError(f"file list {list_path} names no files; it takes one path a line", DataIssue.LIST)
    return lines


def find_file(line: str, list_path: str, number: int, labelled: bool) -> ListEntry:
    """The entry of one line. Raises DataError as ``load_list`` for the file."""
    where, folder = f"{list_path} line {number}", Path(list_path).parent
    readings = [(line, None)]
    if labelled and (match := re.fullmatch(r"(.*\S)\s+([+-]?[0-9]{1,9})", line)):
        readings.append((match[1], int(match[2])))
    for name, label in readings:
        for candidate in (Path(name), folder / name):
            try:
                found = candidate.is_file()
            except (OSError, ValueError) as error:  # a name that no file can have, a folder that is closed to us
                raise DataError(f"{name[:80]!r} cannot be looked up: {error}", DataIssue.UNREADABLE, where) from None
            if found:
                return ListEntry(str(candidate), where, label, name, number)
    name = readings[-1][0]
    raise DataError(
        f"no file {name}; looked for {Path(name).absolute()} and {(folder / name).absolute()}",
        DataIssue.MISSING,
        where,
    )
