"""A first look at every clip of a list, so that what is broken is known before a run begins and not hours later.

The beginning of a file says most, and its end where that is cheap to reach. Where they are not as those of a healthy
clip, its reader decides, so that nothing is called broken that training would read. What was found well is remembered
beside the list, by the file's number on the disk, size and time of change; what is broken is looked at again.
"""

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from datareader.caches import load_cache, lock_beside
from datareader.clips.decoding import opencv_decodes, read_facts
from datareader.clips.files import (
    PICKLE_STARTS,
    Clip,
    check_label,
    is_cut_off,
    open_clip,
    read_head,
    read_pickle_head,
)
from datareader.clips.frame_folders import FrameFiles, list_frames
from datareader.clips.settings import ClipSettings
from datareader.lists import ListEntry
from tools.errors import DataError
from tools.files.atomic import atomic_write
from tools.files.pickles import DAMAGED
from tools.files.recognise import HEAD_SIZE, PICTURES, FileKind, describe_content
from tools.runtime.workers import QUICK, map_files

REMEMBERED_AT_LEAST = 100  # clips in a list; fewer are looked at in a moment
FORMAT = "1"
UNKNOWN = -1 << 62  # the class id of a file that has none, or was not asked for it
_SMALL = 1024  # bytes of a pickle that is read wholly as fast as it is looked at
_MORE = 1 << 16  # bytes in which a Matroska file has named its streams, and an MPEG one has begun with a picture
_STOP = b"."  # how every pickle ends
_MP4_TABLE = b"moov"
_MPEG_PICTURES = re.compile(rb"\x00\x00\x01[\xb3\xe0-\xef]")  # a sequence's header, or a packet of a video stream
_VIDEO_STREAM = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")  # in a Windows Media file


# One clip


class Ends(NamedTuple):
    """What the beginning of a healthy clip says of itself; None for what it does not say."""

    video_id: str | bytes | None = None
    label: int | None = None


def look_at_ends(entry: ListEntry, label_needed: bool) -> Ends | None:
    """What a clip's beginning says; None where it, or the end, is not as that of a healthy clip.

    label_needed: the class id in a pickle is asked for. Raises DataError for a folder without the frames that its line
    says.
    """
    try:
        with open(entry.path, "rb", buffering=0) as file:
            head, size = file.read(HEAD_SIZE), os.fstat(file.fileno()).st_size
            if head.startswith(PICKLE_STARTS):
                return _look_at_pickle(file, head, size, label_needed)
            return Ends() if _looks_whole(file, head, size) else None
    except IsADirectoryError:
        return Ends() if _has_whole_frames(entry) else None
    except OSError:
        return None


def _look_at_pickle(file: BinaryIO, head: bytes, size: int, label_needed: bool) -> Ends | None:
    try:
        start = read_pickle_head(io.BytesIO(head)) if size > _SMALL else None
    except DAMAGED:
        return None
    if start is None or (label_needed and start[1] is None):
        return None
    file.seek(-1, os.SEEK_END)
    return Ends(*start) if file.read(1) == _STOP else None


def _has_whole_frames(entry: ListEntry) -> bool:
    frames = FrameFiles(entry.path, list_frames(entry.path, entry.num_frames))
    ends = (frames[0], frames[len(frames) - 1])
    return all(describe_content(data[:HEAD_SIZE]) in PICTURES and not is_cut_off(data) for data in ends)


def _looks_whole(file: BinaryIO, head: bytes, size: int) -> bool:
    """Whether a file looks as whole videos of common kinds do, and names a video stream."""
    match describe_content(head):
        case FileKind.MP4:
            return _has_whole_boxes(file, size)
        case FileKind.AVI:
            return int.from_bytes(head[4:8], "little") + 8 <= size and b"vids" in head
        case FileKind.MATROSKA:
            return b"V_" in head or b"V_" in file.read(_MORE)
        case FileKind.WMV:
            return _VIDEO_STREAM in head
        case FileKind.OGG:
            return b"theora" in head
        case FileKind.FLV:
            return bool(head[4] & 1)
        case FileKind.MPEG_PS | FileKind.MPEG_TS:
            return bool(_MPEG_PICTURES.search(head + file.read(_MORE)))
        case FileKind.GIF | FileKind.Y4M | FileKind.IVF:
            return True
    return False


def _has_whole_boxes(file: BinaryIO, size: int) -> bool:
    """Whether an mp4's boxes end with the file and one of them is the table of a video's frames."""
    at, has_table = 0, False
    while at < size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        elif length == 0:
            length = size - at  # up to the end
        if length < 8 or at + length > size:
            return False
        if header[4:8] == _MP4_TABLE:
            file.seek(at)
            has_table |= b"vide" in file.read(length)
        at += length
    return has_table


def look(entry: ListEntry, settings: ClipSettings) -> int:
    """The class id in a clip's file, UNKNOWN where it has none. Raises DataError for what the reader refuses too."""
    ends = look_at_ends(entry, settings.labels_needed and entry.label is None)
    if ends is not None and not (ends == Ends() and opencv_decodes()):  # which refuses more videos than their ends tell
        return _as_number(ends.label)
    clip = open_clip(entry, settings)
    if clip.jpegs is None:
        _open_video(clip)
    elif Path(entry.path).is_dir():
        for _ in clip.jpegs.frames(np.array([0, clip.jpegs.num_frames - 1])):
            pass
    return _as_number(clip.label if entry.label is None else None)


def _open_video(clip: Clip) -> None:
    """Raise DataError where its decoder cannot open a video; none of its frames is decoded unless it is odd."""
    if describe_content(read_head(clip.path)) in PICTURES:
        clip.open()  # which tells a picture from many
        return
    try:
        read_facts(clip.path)
    except DataError:
        clip.open()  # what training does


def _as_number(label: int | None) -> int:
    return UNKNOWN if label is None or not -1 << 60 < label < 1 << 60 else label


# All clips of a list


@dataclass(frozen=True)
class Looked:
    """What the first look at N clips gives.

    labels: (N,) int64 class ids, of the list or else of the pickles; -1 for none and for broken clips.
    broken: what is wrong, by number. notices: lines worth logging.
    """

    labels: np.ndarray
    broken: dict[int, DataError]
    notices: list[str]


def look_over(entries: list[ListEntry], settings: ClipSettings, name: str, cache: str | None) -> Looked:
    """Look at all clips, those that are not remembered as they are. cache: where that is; None remembers nothing.

    name: what a bar calls them.
    """
    shown = len(entries) >= REMEMBERED_AT_LEAST
    stamps = np.array(list(map_files(_stamp, entries, f"looking up {name}", QUICK, shown)), np.uint64).reshape(-1, 4)
    listed = np.array([UNKNOWN if entry.label is None else entry.label for entry in entries], np.int64)
    asked = (listed == UNKNOWN) & settings.labels_needed
    path = Path(cache) if cache is not None and shown else None

    def look_up() -> tuple[np.ndarray, np.ndarray]:
        """The class ids in files as they are remembered, and the numbers of clips to look at."""
        known, labels = _recall(path, stamps)
        return labels, np.flatnonzero(~known | (asked & (labels == UNKNOWN)))

    def find(number: int) -> int | DataError:
        try:
            return look(entries[number], settings)
        except DataError as error:
            return error

    labels, new = look_up()
    broken, notices = {}, []
    if len(new) and path:
        with lock_beside(path):
            labels, new = look_up()  # once more: another process may have looked meanwhile
            broken = _look_at_new(find, new, labels, name, shown)
            if len(new) > len(broken):
                notices = _remember(path, stamps, labels, broken)
    elif len(new):
        broken = _look_at_new(find, new, labels, name, shown)
    labels = np.where(listed == UNKNOWN, labels, listed)
    is_class = (labels >= -1) & (labels < settings.num_classes)
    for number in np.flatnonzero(~is_class & (labels != UNKNOWN)).tolist() if settings.labels_needed else []:
        try:
            check_label(int(labels[number]), settings, entries[number].path)
        except DataError as error:
            broken.setdefault(number, error)
    labels[~is_class] = -1
    labels[list(broken)] = -1
    return Looked(labels, dict(sorted(broken.items())), notices)


def _look_at_new(
    find: Callable[[int], int | DataError], new: np.ndarray, labels: np.ndarray, name: str, shown: bool
) -> dict[int, DataError]:
    """Look at these clips, and note the class ids in ``labels``; what is broken."""
    broken, numbers = {}, new.tolist()
    for number, found in zip(numbers, map_files(find, numbers, f"looking at {name}", QUICK, shown), strict=True):
        if isinstance(found, DataError):
            broken[number] = found
        else:
            labels[number] = found
    return broken


# What is remembered


def _stamp(entry: ListEntry) -> tuple[int, int, int, int]:
    """Which file it is, how large, of when, and how many frames its line asks for; zeros for one that is not there."""
    try:
        status = os.stat(entry.path)  # noqa: PTH116 (a million of them: Path takes twice as long)
    except OSError:
        return 0, 0, 0, 0
    numbers = status.st_ino, status.st_size, status.st_mtime_ns, entry.num_frames or 0
    return tuple(number % (1 << 64) for number in numbers)  # those of times before 1970 have a sign


def _recall(path: Path | None, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each file is remembered as it is, and the class id in it, UNKNOWN where that is not known."""
    labels = np.full(len(stamps), UNKNOWN, np.int64)
    stored = load_cache(path, _parse) if path else None
    if stored is None or not len(stored[0]):
        return np.zeros(len(stamps), bool), labels
    known, known_labels = stored
    sums, known_sums = _mix(stamps), _mix(known)
    order = np.argsort(known_sums)
    rows = order[np.minimum(np.searchsorted(known_sums, sums, sorter=order), len(order) - 1)]
    found = (known[rows] == stamps).all(axis=1)
    labels[found] = known_labels[rows[found]]
    return found, labels


def _mix(stamps: np.ndarray) -> np.ndarray:
    """(N,) one number a row; two different rows that share one are looked at again."""
    return (stamps * np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 1, 0x165667B19E3779F9], np.uint64)).sum(axis=1)


def _parse(table: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    stamps, labels = table["stamps"], table["labels"]
    right = stamps.dtype == np.uint64 and labels.dtype == np.int64 and stamps.shape == (len(labels), 4)
    return (stamps, labels) if str(table["format"]) == FORMAT and right else None


def _remember(path: Path, stamps: np.ndarray, labels: np.ndarray, broken: dict[int, DataError]) -> list[str]:
    """Write what is well; lines worth logging."""
    well = stamps.any(axis=1)
    well[list(broken)] = False
    try:
        with atomic_write(path) as file:
            np.savez(file, format=FORMAT, stamps=stamps[well], labels=labels[well])
    except OSError as error:
        return [f"{path} cannot be written ({error}); the next run will look at the files again"]
    return []
