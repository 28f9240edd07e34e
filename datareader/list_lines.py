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
from pathlib import Path

# One way to read a line: the path, the class id, or all where there may be several, and of a folder of frames their
# number; None for what is not there.
Reading = tuple[str, int | tuple[int, ...] | None, int | None]
# How a line is read, which of ``list_places`` has what it names, and whether that is a folder.
Found = tuple[Reading, int, bool]

_NUMBER, _BETWEEN_IDS = re.compile(r"[+-]?[0-9]{1,9}"), re.compile(r"[\s,;]+")
_LONGEST_PATH = 4096  # characters; no system has longer ones, and a line may have millions
_FOLDERS = 1 << 14  # that are remembered at once: a few MB


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
    if len(words) == 2 and _NUMBER.fullmatch(words[1]) and line.endswith(words[1]):
        return words[0], int(words[1])
    return None


def list_places(name: str, folder: str) -> list[str]:
    """Where a file is looked for: from the working directory, and from the list's folder."""
    if name.startswith("/") or folder == ".":
        return [name]
    return [name, f"{folder.removesuffix('/')}/{name}"]


class PathFinder:
    """Finds what the lines of a list name, with as few questions to the disk as the answers need.

    folder: the list's. list_readings: of a line, of which the first that fits counts. Use one as long as one list is
    read: it remembers which folders are at which of the two places, as mostly one of these does not even have the
    folder of a path.
    """

    def __init__(self, folder: str, list_readings: Callable[[str], Sequence[Reading]]):
        self.folder, self._list_readings = folder, list_readings
        self._places_of = lru_cache(_FOLDERS)(self._find_places)

    def find(self, line: str) -> Found | None:
        """What a line names, None where that is not there. Files go before folders.

        Raises OSError and ValueError for what cannot be looked up.
        """
        in_folder = None
        readings = self._list_readings(line)
        likely = readings[-1]
        places = self._places_of(line[: line.rfind("/") + 1])  # of all readings: there is no / behind a path
        for reading in readings:
            for place, before in places:
                if not (mode := _look_up(before + reading[0], reading is likely)):
                    continue
                if stat.S_ISREG(mode) and reading[2] is None:
                    return reading, place, False
                if stat.S_ISDIR(mode) and in_folder is None:
                    in_folder = reading, place, True
        if in_folder is None:
            self._refuse_closed(readings)
        return in_folder

    def _find_places(self, folder: str) -> list[tuple[int, str]]:
        """(number, what stands before a path there) of those of ``list_places`` where a folder is, given with /."""
        places = list_places(folder, self.folder)
        return [
            (place, path.removesuffix(folder))
            for place, path in enumerate(places)
            if len(places) == 1 or os.path.isdir(path or ".")  # noqa: PTH112
        ]

    def _refuse_closed(self, readings: Sequence[Reading]) -> None:
        """Raise what hinders that files are looked up, where it is not just that they are not there."""
        for name, _, _ in readings:
            for path in list_places(name, self.folder):
                with suppress(FileNotFoundError, NotADirectoryError):
                    os.stat(path)  # noqa: PTH116


def _look_up(path: str, is_likely: bool) -> int:
    """The mode of a file, 0 for one that is not there or cannot be looked up.

    is_likely: it mostly is there. For others access takes half as long as the exception of stat.
    """
    try:
        return os.stat(path).st_mode if is_likely or os.access(path, os.F_OK) else 0  # noqa: PTH116
    except (OSError, ValueError):
        return 0


def tidy_path(path: str) -> str:
    """As ``str(Path(path))``, which most paths of lists are already."""
    is_tidy = path[0] != "." and path[-1] != "/" and "//" not in path and "/." not in path
    return path if is_tidy else str(Path(path))
