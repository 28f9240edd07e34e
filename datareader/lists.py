"""File lists: one path a line, blank lines and lines that start with # aside."""

import re
from dataclasses import dataclass
from pathlib import Path

from tools.errors import DataError


@dataclass(frozen=True)
class ListEntry:
    """One line of a list. ``where`` names list and line for messages. label: None where there is none."""

    path: str
    where: str
    label: int | None = None


def load_list(list_path: str, labelled: bool = False) -> list[ListEntry]:
    """The files of a list, in its order.

    Paths may hold spaces. They are relative to the working directory, as in 2019, or else to the list's
    own folder. labelled: a number may follow the path, unless the whole line is the name of a file.
    Raises DataError for a list that is missing, unreadable or empty, and for a file that is not there.
    """
    if not list_path:
        raise DataError("no file list is given; set filelist in the config or pass --filelist")
    try:
        text = Path(list_path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"file list {list_path} does not exist; dataset/README.md says how to make one") from None
    except (OSError, ValueError) as error:
        raise DataError(f"file list {list_path} cannot be read: {error}") from None
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if line and not line.startswith("#"):
            entries.append(_find(line, Path(list_path), number, labelled))
    if not entries:
        raise DataError(f"file list {list_path} names no files; it takes one path a line")
    return entries


def _find(line: str, list_path: Path, number: int, labelled: bool) -> ListEntry:
    where = f"{list_path} line {number}"
    readings = [(line, None)]
    if labelled and (match := re.fullmatch(r"(.*\S)\s+([+-]?[0-9]{1,9})", line)):
        readings.append((match[1], int(match[2])))
    for name, label in readings:
        for candidate in (Path(name), list_path.parent / name):
            try:
                found = candidate.is_file()
            except (OSError, ValueError) as error:  # a name that no file can have, a folder that is closed to us
                raise DataError(f"{where}: {name[:80]!r} cannot be looked up: {error}") from None
            if found:
                return ListEntry(str(candidate), where, label)
    name = readings[-1][0]
    beside = list_path.parent / name
    raise DataError(f"{where}: no file {name}; looked for {Path(name).absolute()} and {beside.absolute()}")
