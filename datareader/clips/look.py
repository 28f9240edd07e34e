"""A first look at every clip of a list, so that what is broken is known before a run begins and not hours later.

The beginning of a file says most, and its end where that is cheap to reach. Where they are not as those of a healthy
clip, its reader decides, so that nothing is called broken that training would read. What was found well is remembered
beside the list, by the file's number on the disk, size and time of change; what is broken or cut short is looked at
again.
"""

import io
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from datareader.caches import load_cache, lock_beside
from datareader.clips.boxes import walk_boxes
from datareader.clips.cuts import MP4_FRAMES, describe_cut, find_said_end
from datareader.clips.decoding import name_decoder, opencv_decodes, try_first_frame
from datareader.clips.files import (
    MAYBE_STILLS,
    PICKLE_STARTS,
    Clip,
    check_label,
    check_line,
    open_clip,
    read_head,
)
from datareader.clips.frame_folders import FrameFiles, list_frames
from datareader.clips.frame_pickles import MEMO, PickledFrames, read_pickle_head
from datareader.clips.headers import names_film
from datareader.clips.pictures import is_cut_off
from datareader.clips.settings import ClipSettings
from datareader.clips.video import FrameCountError, FrameSource
from datareader.lists import ListEntries, ListEntry, make_stamp
from tools.errors import DataError
from tools.files.atomic import atomic_write
from tools.files.pickles import DAMAGED
from tools.files.recognise import HEAD_SIZE, PICTURES, FileKind, describe_content
from tools.runtime.text import count_of
from tools.runtime.workers import QUICK, map_files

REMEMBERED_AT_LEAST = 100  # clips in a list; fewer are looked at in a moment
FORMAT = "3"
UNKNOWN = -1 << 62  # the class id of a file that has none, or was not asked for it
_MOST_NAMED = 3  # videos in a line
_SMALL = 1024  # bytes of a clip that is read wholly as fast as it is looked at
_MORE = 1 << 16  # bytes in which a Matroska file has named its streams
_MP4_TABLE = b"moov"
_MEMO = MEMO + rb"?"
# Behind a class id, the first JPEG or PNG of a list; the last frame of a list, and the end of a tuple.
_FIRST_FRAME = re.compile(
    _MEMO + rb"(?:\](?:q.|r.{4}|\x94)?|\(l)" + _MEMO + rb"\(?(?:\x95.{8})?"
    rb"(?:(?:B.{4}|\x8e.{8}|C.|T.{4}|U.)(?:\xff\xd8\xff|\x89PNG)|S'(?:\\xff\\xd8\\xff|\\x89PNG))",
    re.DOTALL,
)
_LAST_FRAME = re.compile(
    rb"(?:\xff\xd9|IEND\xaeB`\x82|(?:\\xff\\xd9|IEND\\xaeB`\\x82)'\n)" + _MEMO + rb"[ae](?:\x87|t)" + _MEMO + rb"\.$",
    re.DOTALL,
)
_LAST_BYTES = 64


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
    beginning = io.BytesIO(head)
    try:
        start = read_pickle_head(beginning) if size > _SMALL else None
    except DAMAGED:
        return None
    if start is None or (label_needed and start[1] is None) or not _FIRST_FRAME.match(head, beginning.tell()):
        return None
    file.seek(-_LAST_BYTES, os.SEEK_END)
    return Ends(*start) if _LAST_FRAME.search(file.read(_LAST_BYTES)) else None


def _has_whole_frames(entry: ListEntry) -> bool:
    frames = FrameFiles(entry.path, list_frames(entry.path, entry.num_frames))
    if _empty_frames(frames):
        return False
    ends = (frames[0], frames[len(frames) - 1])
    return all(describe_content(data[:HEAD_SIZE]) in PICTURES and not is_cut_off(data) for data in ends)


def _empty_frames(frames: Sequence[bytes]) -> list[int]:
    """The numbers of frames of no bytes, which a full disk leaves. Raises DataError."""
    sizes = frames.sizes() if isinstance(frames, FrameFiles | PickledFrames) else map(len, frames)
    return [number for number, size in enumerate(sizes) if not size]


def _looks_whole(file: BinaryIO, head: bytes, size: int) -> bool:
    """Whether a file looks as whole videos of the most common kinds do, and names a video stream."""
    if size < _SMALL:
        return False
    match kind := describe_content(head):
        case FileKind.MP4:
            return _has_whole_boxes(file, size)
        case FileKind.AVI:
            return 8 < find_said_end(file, head, size) <= size and names_film(kind, head)
        case FileKind.MATROSKA:
            end = find_said_end(file, head, size)
            return end is not None and end <= size and names_film(kind, head + file.read(_MORE))
    return False


def _has_whole_boxes(file: BinaryIO, size: int) -> bool:
    """Whether an mp4's boxes end with the file and hold frames, and the table of a video's."""
    end, has_film, has_frames = 0, False, False
    for name, at, length in walk_boxes(file, size):
        end = at + length
        if end > size:
            return False
        if name == _MP4_TABLE:
            file.seek(at)
            has_film |= names_film(FileKind.MP4, file.read(length))
        has_frames |= name == MP4_FRAMES
    return end == size and has_film and has_frames


class Found(NamedTuple):
    """What a clip's file says. label: the class id in it, UNKNOWN for none. cut: as ``describe_cut`` has it."""

    label: int
    cut: str = ""


def look(entry: ListEntry, settings: ClipSettings) -> Found:
    """Look at one clip. Raises DataError for what the reader refuses too."""
    ends = look_at_ends(entry, settings.labels_needed and entry.label is None)
    if ends is not None and not (ends == Ends() and opencv_decodes()):  # which refuses more videos than their ends tell
        return Found(_as_number(ends.label))
    clip = open_clip(entry, settings)
    if clip.jpegs is None:
        _open_video(clip)
        return Found(UNKNOWN, describe_cut(clip.path))
    _read_frames(clip.jpegs, 0, clip.jpegs.num_frames - 1, *_empty_frames(clip.jpegs.data))
    return Found(_as_number(clip.label if entry.label is None else None))


def _open_video(clip: Clip) -> None:
    """Raise DataError where its decoder gives no frame of a video; not all are decoded unless it is odd."""
    if describe_content(read_head(clip.path)) in MAYBE_STILLS:
        clip.open()  # which tells a picture from many
        return
    try:
        try_first_frame(clip.path)
    except DataError:
        with suppress(FrameCountError):  # there are others
            _read_frames(clip.open(), 0)  # what training does


def _read_frames(source: FrameSource, *numbers: int) -> None:
    for _ in source.frames(np.array(numbers)):
        pass


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


def look_over(entries: Sequence[ListEntry], settings: ClipSettings, name: str, cache: str | None) -> Looked:
    """Look at all clips, those that are not remembered as they are. cache: where that is; None remembers nothing.

    name: what a bar calls them. Raises DataError for the first line that ``check_line`` refuses.
    """
    shown = len(entries) >= REMEMBERED_AT_LEAST
    stamps, listed = _read_lines(entries, settings, name, shown)
    asked = (listed == UNKNOWN) & settings.labels_needed
    path = Path(cache) if cache is not None and shown else None

    def look_up() -> tuple[np.ndarray, np.ndarray]:
        """The class ids in files as they are remembered, and the numbers of clips to look at."""
        known, labels = _recall(path, stamps)
        return labels, np.flatnonzero(~known | (asked & (labels == UNKNOWN)))

    def find(number: int) -> Found | DataError:
        try:
            return look(entries[number], settings)
        except DataError as error:
            return error

    labels, new = look_up()
    broken, cut, notices = {}, {}, []
    if len(new) and path:
        with lock_beside(path):
            labels, new = look_up()  # once more: another process may have looked meanwhile
            broken, cut = _look_at_new(find, new, labels, name, shown)
            if len(new) > len(broken) + len(cut):
                notices = _remember(path, stamps, labels, [*broken, *cut])
    elif len(new):
        broken, cut = _look_at_new(find, new, labels, name, shown)
    if cut:
        notices.append(_describe_cuts({entries[number].path: text for number, text in cut.items()}))
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
    find: Callable[[int], Found | DataError], new: np.ndarray, labels: np.ndarray, name: str, shown: bool
) -> tuple[dict[int, DataError], dict[int, str]]:
    """Look at these clips, and note the class ids in ``labels``; what is broken, and what is cut short."""
    broken, cut, numbers = {}, {}, new.tolist()
    for number, found in zip(numbers, map_files(find, numbers, f"looking at {name}", QUICK, shown), strict=True):
        if isinstance(found, DataError):
            broken[number] = found
            continue
        labels[number] = found.label
        if found.cut:
            cut[number] = found.cut
    return broken, cut


def _describe_cuts(cuts: dict[str, str]) -> str:
    """A line on videos that are cut short. cuts: path -> how much there is."""
    named = [f"{path} ({text})" for path, text in islice(cuts.items(), _MOST_NAMED)]
    more = f" and {len(cuts) - _MOST_NAMED} more" if len(cuts) > _MOST_NAMED else ""
    return (
        f"{count_of(len(cuts), 'video')} cut short, of which what is there counts: {', '.join(named)}{more}; "
        "fetch or copy again what should be whole"
    )


# What is remembered


def _read_lines(
    entries: Sequence[ListEntry], settings: ClipSettings, name: str, shown: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) int64 each: stamps, 0 for a file that is not there; class ids, UNKNOWN for none. Raises as ``look_over``."""
    if isinstance(entries, ListEntries):
        stamps, labels = entries.stamps(), entries.labels(UNKNOWN)
    else:
        stamps = np.fromiter(map_files(_stamp, entries, f"looking up {name}", QUICK, shown), np.int64, len(entries))
        labels = np.array([UNKNOWN if entry.label is None else entry.label for entry in entries], np.int64)
    if settings.labels_needed:
        doubtful = np.flatnonzero((labels < -1) | (labels >= settings.num_classes)).tolist()
        for _ in map_files(lambda number: _check(entries[number], settings), doubtful, f"reading {name}", QUICK, shown):
            pass
    return stamps, labels


def _check(entry: ListEntry, settings: ClipSettings) -> None:
    """Raises DataError as ``check_line``."""
    try:
        check_line(entry, settings)
    except DataError as error:
        raise error.at(entry.where) from None


def _stamp(entry: ListEntry) -> int:
    try:
        return make_stamp(os.stat(entry.path), entry.num_frames)  # noqa: PTH116 (Path takes twice as long)
    except OSError:
        return 0


def _recall(path: Path | None, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each file is remembered as it is, and the class id in it, UNKNOWN where that is not known."""
    stored = load_cache(path, _parse) if path else None
    if stored is None or not len(stored[0]):
        return np.zeros(len(stamps), bool), np.full(len(stamps), UNKNOWN, np.int64)
    known, known_labels = stored
    if np.array_equal(known, stamps):
        return np.ones(len(stamps), bool), known_labels
    order = np.argsort(known)
    rows = order[np.minimum(np.searchsorted(known, stamps, sorter=order), len(order) - 1)]
    found = known[rows] == stamps
    return found, np.where(found, known_labels[rows], UNKNOWN)


def _parse(table: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    stamps, labels = table["stamps"], table["labels"]
    right = stamps.dtype == labels.dtype == np.int64 and stamps.shape == labels.shape == (len(labels),)
    return (stamps, labels) if str(table["format"]) == _identity() and right else None


def _identity() -> str:
    """Of what is remembered: which videos are well depends on the decoder."""
    return f"{FORMAT}, {name_decoder()}"


def _remember(path: Path, stamps: np.ndarray, labels: np.ndarray, others: list[int]) -> list[str]:
    """Write what is well, which others are not; lines worth logging."""
    well = stamps != 0
    well[others] = False
    try:
        with atomic_write(path) as file:
            np.savez(file, format=_identity(), stamps=stamps[well], labels=labels[well])
    except OSError as error:
        return [f"{path} cannot be written ({error}); the next run will look at the files again"]
    return []
