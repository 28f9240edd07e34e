"""How one line of a list is read: a path, and what may stand behind it.

A list may have millions of lines. Tuples without names, and paths that are put together as text, take a fraction of the
time that named tuples and Path do.
"""

import os
import re
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path

# One way to read a line: the path, the class id, or all where there may be several, and of a folder of frames their
# number; None for what is not there.
Reading = tuple[str, int | tuple[int, ...] | None, int | None]
# How a line is read, which of ``list_places`` has what it names, and what the disk says of that.
Found = tuple[Reading, int, os.stat_result]

_NUMBER, _BETWEEN_IDS = re.compile(r"[+-]?[0-9]{1,9}"), re.compile(r"[\s,;]+")
_NUMBERED = re.compile(r"[\s,;][+-]?[0-9]{1,9}(?:/|\Z)")  # of names: an end that may be read as a number behind one
_LONGEST_NUMBER = 10  # characters
KIND = 0o170000  # of the bits of a mode; a call of stat.S_ISREG takes ten times as long
_LONGEST_PATH = 4096  # characters; no system has longer ones, and a line may have millions
_FOLDERS = 1 << 14  # that are remembered at once: a few MB
# A folder is gone through after so many of its lines, and again after four times as many, up to so many names a line:
# of a folder of millions a list may name ten.
_FIRST_LOOK, _LOOKS_APART, _NAMES_A_LINE = 32, 4, 32


def list_readings(line: str, labelled: bool) -> list[Reading]:
    """The line as a path; with ``labelled`` also with a class id, and with a number of frames and a class id."""
    readings = [(line, None, None)]
    if labelled and (found := _split_number(line)):
        name, label = found
        readings.append((name, label, None))
        if found := _split_number(name):
            readings.append((found[0], label, found[1]))
    return readings


def list_multilabel_readings(line: str) -> list[Reading]:
    """The line as a path, then with 1, 2, ... class ids behind it, between which are semicolons, commas or spaces."""
    readings, labels, end = [(line, None, None)], [], len(line)
    for gap in reversed([*_BETWEEN_IDS.finditer(line)]):
        if not _NUMBER.fullmatch(line, gap.end(), end):
            break
        labels.append(int(line[gap.end() : end]))
        end = gap.start()
        if 0 < end <= _LONGEST_PATH:
            readings.append((line[:end], tuple(labels), None))
    return readings


def _split_number(line: str) -> tuple[str, int] | None:
    """What stands before a number at the end of a line, and the number; None where there is none."""
    words = line.rsplit(None, 1)  # a regex of the whole line would try every character of it
    if len(words) == 2 and line.endswith(words[1]) and (number := parse_number(words[1])) is not None:
        return words[0], number
    return None


def parse_number(word: str) -> int | None:
    """A number as it may stand behind a path; None for any other word."""
    return _parse_short(word) if len(word) <= _LONGEST_NUMBER else None  # a longer one is not worth its memory


@lru_cache(1 << 14)  # of class ids there are few
def _parse_short(word: str) -> int | None:
    return int(word) if _NUMBER.fullmatch(word) else None


def list_places(name: str, folder: str) -> list[str]:
    """Where a file is looked for: from the working directory, and from the list's folder."""
    if name.startswith("/") or folder == ".":
        return [name]
    return [name, f"{folder.removesuffix('/')}/{name}"]


class _Folder:
    """The folder of some paths: where it is, and whether a name in it may end as if a number stood behind it.

    places: (number, what stands before a path there) of those of ``list_places`` where it is. only: that of a folder
    which is at one of them alone, else None. name: as the paths have it. is_plain: it is known that no name in it does.
    """

    __slots__ = ("_name", "_num_lines", "_pause", "is_plain", "only", "places")

    def __init__(self, name: str, places: list[tuple[int, str]]):
        self.places, self._name = places, name
        self.only = places[0] if len(places) == 1 else None
        self.is_plain = False
        self._num_lines, self._pause = 0, _FIRST_LOOK  # lines so far, and at the next look; 0 where none will come

    def look(self) -> None:
        """Go through its names, where it has had lines enough for that. Call once a line."""
        if self._pause:
            self._num_lines += 1
            if self._num_lines >= self._pause:
                most, self._pause = self._pause * _NAMES_A_LINE, self._pause * _LOOKS_APART
                self._look(most)

    def _look(self, most: int) -> None:
        """most: names in it at one place; more are left for later."""
        for _, before in self.places:
            try:
                with os.scandir(before + self._name or ".") as found:
                    names = "/".join([item.name for item in islice(found, most)])
                    if next(found, None):
                        return
            except (OSError, ValueError):  # a folder may be closed to us, and its files open
                self._pause = 0
                return
            if (len(names.split(None, 1)) > 1 or "," in names or ";" in names) and _NUMBERED.search(names):
                self._pause = 0
                return
        self.is_plain, self._pause = True, 0


class PathFinder:
    """Finds what the lines of a list name, with as few questions to the disk as the answers need.

    folder: the list's. list_readings: of a line, of which the first that fits counts. Use one as long as one list is
    read, in as many threads as you like: it remembers which folders are at which of the two places, as mostly one of
    these does not even have the folder of a path; and of those with many lines, whether a whole line with a number
    at its end can be a path.
    """

    def __init__(self, folder: str, list_readings: Callable[[str], Sequence[Reading]]):
        self.folder, self._list_readings = folder, list_readings
        self.find_folder = lru_cache(_FOLDERS)(self._look_for_folder)

    def find(self, line: str) -> Found | None:
        """What a line names, None where that is not there. Files go before folders.

        Raises OSError and ValueError for what cannot be looked up.
        """
        in_folder = None
        readings = self._list_readings(line)
        likely = readings[-1]
        folder = self.find_folder(line[: line.rfind("/") + 1])  # of all readings: there is no / behind a path
        if len(readings) > 1:
            folder.look()
        for reading in readings[-1:] if folder.is_plain else readings:
            for place, before in folder.places:
                if not (status := _look_up(before + reading[0], reading is likely)):
                    continue
                if stat.S_ISREG(status.st_mode) and reading[2] is None:
                    return reading, place, status
                if stat.S_ISDIR(status.st_mode) and in_folder is None:
                    in_folder = reading, place, status
        if in_folder is None:
            self._refuse_closed(readings)
        return in_folder

    def _look_for_folder(self, name: str) -> _Folder:
        """name: with / at its end, "" for none."""
        places = list_places(name, self.folder)
        return _Folder(
            name,
            [
                (place, path.removesuffix(name))
                for place, path in enumerate(places)
                if len(places) == 1 or os.path.isdir(path or ".")  # noqa: PTH112
            ],
        )

    def _refuse_closed(self, readings: Sequence[Reading]) -> None:
        """Raise what hinders that files are looked up, where it is not just that they are not there."""
        for name, _, _ in readings:
            for path in list_places(name, self.folder):
                with suppress(FileNotFoundError, NotADirectoryError):
                    os.stat(path)  # noqa: PTH116


def _look_up(path: str, is_likely: bool) -> os.stat_result | None:
    """What the disk says of a file, None for one that is not there or cannot be looked up.

    is_likely: it mostly is there. For others access takes half as long as the exception of stat.
    """
    try:
        return os.stat(path) if is_likely or os.access(path, os.F_OK) else None  # noqa: PTH116
    except (OSError, ValueError):
        return None


def tidy_path(path: str) -> str:
    """As ``str(Path(path))``, which most paths of lists are already."""
    is_tidy = path[0] != "." and path[-1] != "/" and "//" not in path and "/." not in path
    return path if is_tidy else str(Path(path))
