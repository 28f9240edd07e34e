"""File lists: one path a line, blank lines and lines that start with # aside."""

from dataclasses import dataclass
from pathlib import Path

from tools.errors import DataError


@dataclass(frozen=True)
class ListEntry:
    """One line of a list. ``where`` names list and line for messages."""

    path: str
    where: str


def load_list(list_path: str) -> list[ListEntry]:
    """The files of a list, in its order.

    Paths are relative to the working directory, as in 2019, or else to the list's own folder.
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
            entries.append(_find(line, Path(list_path), number))
    if not entries:
        raise DataError(f"file list {list_path} names no files; it takes one path a line")
    return entries


def _find(line: str, list_path: Path, number: int) -> ListEntry:
    where = f"{list_path} line {number}"
    for candidate in (Path(line), list_path.parent / line):
        try:
            found = candidate.is_file()
        except (OSError, ValueError) as error:  # a name that no file can have, a folder that is closed to us
            raise DataError(f"{where}: {line[:80]!r} cannot be looked up: {error}") from None
        if found:
            return ListEntry(str(candidate), where)
    beside = list_path.parent / line
    raise DataError(f"{where}: no file {line}; looked for {Path(line).absolute()} and {beside.absolute()}")
