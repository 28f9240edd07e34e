"""How one line of a list is read: a path, and what may stand behind it."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_WITH_NUMBER = re.compile(r"(.*\S)\s+([+-]?[0-9]{1,9})")
_BETWEEN_IDS, _ID = re.compile(r"[\s,;]+"), re.compile(r"[+-]?[0-9]{1,9}")
_LONGEST_PATH = 4096  # characters; no system has longer ones, and a line may have millions


class Reading(NamedTuple):
    """One way to read a line. With num_frames it is that of a folder of frames. labels: where there may be several."""

    name: str
    label: int | None = None
    num_frames: int | None = None
    labels: tuple[int, ...] = ()


def list_readings(line: str, labelled: bool) -> Iterator[Reading]:
    """The line as a path; with ``labelled`` also with a class id, and with a number of frames and a class id."""
    yield Reading(line)
    if labelled and (match := _WITH_NUMBER.fullmatch(line)):
        name, label = match[1], int(match[2])
        yield Reading(name, label)
        if match := _WITH_NUMBER.fullmatch(name):
            yield Reading(match[1], label, int(match[2]))


def list_multilabel_readings(line: str) -> Iterator[Reading]:
    """The line as a path, then with 1, 2, ... class ids behind it, between which are semicolons, commas or spaces."""
    yield Reading(line)
    labels, end = [], len(line)
    for gap in reversed([*_BETWEEN_IDS.finditer(line)]):
        if not _ID.fullmatch(line, gap.end(), end):
            return
        labels.append(int(line[gap.end() : end]))
        end = gap.start()
        if 0 < end <= _LONGEST_PATH:
            yield Reading(line[:end], labels=tuple(labels))


def list_places(name: str, folder: str) -> list[str]:
    """Where a file is looked for: from the working directory, and from the list's folder."""
    beside = os.path.join(folder, name)  # noqa: PTH118 (a million of them: Path takes several times as long)
    return [name] if beside == name else [name, beside]


def find_path(readings: Iterable[Reading], folder: str) -> tuple[str, Reading, bool] | None:
    """(path, how the line is read, whether it is a folder) of what a line names; None where that is not there.

    readings: of the line, of which the first that fits counts; files go before folders. Raises OSError and ValueError
    for what cannot be looked up.
    """
    failed = in_folder = None
    for reading in readings:
        for path in list_places(reading.name, folder):
            try:
                mode = os.stat(path).st_mode  # noqa: PTH116
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:
                failed = failed or error
                continue
            if stat.S_ISREG(mode) and reading.num_frames is None:
                return str(Path(path)), reading, False
            if stat.S_ISDIR(mode) and in_folder is None:
                in_folder = str(Path(path)), reading, True
    if in_folder is None and failed is not None:
        raise failed
    return in_folder
