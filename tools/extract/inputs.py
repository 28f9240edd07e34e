"""The videos to extract features of: those that a command line names, or those of a list, with their labels."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datareader.list_lines import find_path
from datareader.lists import ListEntry, find_file, read_lines
from datareader.named_clips import find_clips
from tools.errors import DataError, DataIssue

_WITH_LABELS = re.compile(r"(.*\S)[\s,]+([0-9]{1,9}(?:;[0-9]{1,9})*)")


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

    Raises DataError as ``datareader.lists`` does.
    """
    return [_fingerprinted(*_read_line(line, list_path, number)) for number, line in read_lines(list_path)]


def _read_line(line: str, list_path: str, number: int) -> tuple[ListEntry, tuple[int, ...] | None]:
    match = _WITH_LABELS.fullmatch(line)
    if match and find_path(line, str(Path(list_path).parent), labelled=False) is None:
        entry = find_file(match[1], list_path, number, labelled=True)
        labels = tuple(sorted({int(label) for label in match[2].split(";")}))
        return replace(entry, label=None), labels
    return find_file(line, list_path, number, labelled=True), None


def _fingerprinted(entry: ListEntry, labels: tuple[int, ...] | None) -> Video:
    try:
        status = Path(entry.path).stat()
    except OSError as error:
        raise DataError(f"{entry.path} cannot be read: {error}", DataIssue.UNREADABLE, entry.where) from None
    return Video(entry, labels, (status.st_size, status.st_mtime_ns))
