"""The videos to extract features of: those that a command line names, or those of a list, with their labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datareader.lists import ListEntry, MultilabelFinder, read_lines
from datareader.named_clips import find_clips
from tools.errors import DataError, DataIssue


@dataclass(frozen=True)
class Video:
    """One of them. labels: class ids, None where there are none. fingerprint: size in bytes and time of change."""

    entry: ListEntry
    labels: tuple[int, ...] | None
    fingerprint: tuple[int, int]


def find_videos(names: Sequence[str]) -> tuple[list[Video], list[str]]:
    """The videos that paths, folders and patterns name, and lines on what was left out. Raises DataError."""
    clips = find_clips(names)
    return [_fingerprinted(entry, None) for entry in clips.entries], clips.notices


def load_videos(list_path: str) -> list[Video]:
    """The videos of a list: a path a line, and behind it class ids, as ``clip.mp4 3`` or ``clip.mp4 3;17;52``.

    Commas and spaces serve as semicolons do, and -1 alone is no class. Raises DataError as ``datareader.lists`` does.
    """
    finder = MultilabelFinder(list_path)
    return [_fingerprinted(*_read_line(line, number, finder)) for number, line in read_lines(list_path)]


def _read_line(line: str, number: int, finder: MultilabelFinder) -> tuple[ListEntry, tuple[int, ...] | None]:
    entry, labels = finder.find(line, number)
    if labels in ((), (-1,)):
        return entry, None
    if (lowest := min(labels)) < 0:
        text = f"{entry.written} has the class id {lowest}; ids count from 0, and -1 alone says that none is known"
        raise DataError(text, DataIssue.LABEL_RANGE, entry.where)
    return entry, tuple(sorted(set(labels)))


def _fingerprinted(entry: ListEntry, labels: tuple[int, ...] | None) -> Video:
    try:
        status = Path(entry.path).stat()
    except OSError as error:
        raise DataError(f"{entry.path} cannot be read: {error}", DataIssue.UNREADABLE, entry.where) from None
    return Video(entry, labels, (status.st_size, status.st_mtime_ns))
