"""Pickles of JPEG frames, of which only the frames that are wanted are read.

Of 250 frames a network sees 3 to 35. Where all of them lie is known from the few bytes between them, which are read
anew for each clip: that takes a quarter of the time of reading all frames, and nothing has to be kept. A file that in
any place looks other than clips of protocols 3 to 5, or of Python 2, is left to the interpreter of whole pickles.
"""

import io
import os
import pickletools
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tools.errors import DataError, DataIssue
from tools.files.pickles import DAMAGED, load_pickle

MEMO = rb"(?:q.|r.{4}|\x94|p\d+\n)"  # what is on top of the stack is remembered
_FRAMING = rb"(?:\x95.{8})"  # the length of a part of a pickle, which has nothing to do with frames of a video
_HEAD = 1 << 16  # bytes in which an id and a label stand
_QUICK_HEAD = 512  # the same, of nearly all files
_BETWEEN = 64  # bytes, more than there are between two frames
_AHEAD = 1 << 17  # bytes; Linux fetches of longer parts only what it reads ahead of a disk, by default as much as this
_MOST_FRAMES = 100_000  # of a clip; interpreting a pickle takes no more objects than 1,000,000
_BOOKKEEPING = re.compile("PROTO|FRAME|MARK|MEMOIZE|.*PUT")  # a pickle's operations that put nothing on the stack
_BEHIND = rb"(?:%b|%b)*" % (MEMO, _FRAMING)
_FRAME = rb"%b?(?:[BT](.{4})|[CU](.)|\x8e(.{8}))" % _FRAMING  # how many bytes it has, which follow
_FIRST = re.compile(rb"%b\]%b(\()%b" % (_BEHIND, _BEHIND, _FRAME), re.DOTALL).match  # of a list, behind a class id
_NEXT = re.compile(rb"%b(?:e\()?%b" % (_BEHIND, _FRAME), re.DOTALL).match  # lists are filled 1,000 by 1,000
_END = re.compile(rb"%b(e%b?[\x87t]%b\.)" % (_BEHIND, _FRAMING, _BEHIND), re.DOTALL).fullmatch  # of list and tuple


class Fingerprint(NamedTuple):
    """By which a file is known to be as it was."""

    num_bytes: int
    changed_ns: int


class PickledFrames(Sequence[bytes]):
    """The bytes of frames, each read from its place in a file when it is asked for.

    places: where each begins, and how many bytes it has. Raises DataError where the file cannot be read, or is no
    longer as it was when these were found.
    """

    def __init__(self, path: str, fingerprint: Fingerprint, places: list[tuple[int, int]]):
        self.path = path
        self._fingerprint = fingerprint
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> bytes:
        start, size = self._places[number]
        try:
            file = os.open(self.path, os.O_RDONLY)  # open() takes as long again as all the rest
            try:
                is_same = _fingerprint(file) == self._fingerprint
                data = _read_at(file, start, size) if is_same else b""
            finally:
                os.close(file)
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}", DataIssue.UNREADABLE) from None
        if not is_same or len(data) < size:
            raise DataError(f"{self.path} was changed while it was read", DataIssue.DAMAGED)
        return data

    def sizes(self) -> Iterator[int]:
        """Bytes of each frame."""
        return (size for _, size in self._places)


class FoundFrames(NamedTuple):
    """What the pickle of a clip holds, as unpickling gives it but for the frames."""

    video_id: object
    label: object
    frames: PickledFrames


def find_frames(path: str) -> FoundFrames | None:
    """What a clip's pickle holds; None where only reading all of it tells, or what is wrong with it.

    All of the file is gone through from frame to frame, so that one that is cut short is not taken for a whole one.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            return _find_frames(path, file.fileno())
    except (OSError, *DAMAGED):
        return None


def _find_frames(path: str, file: int) -> FoundFrames | None:
    """Raises what ``DAMAGED`` holds."""
    fingerprint = _fingerprint(file)
    _read_ahead(file, fingerprint.num_bytes)
    data = os.pread(file, _QUICK_HEAD, 0)
    memory = io.BytesIO(data)
    if read_pickle_head(memory) is None:
        return None
    found, begin, places = _FIRST(data, memory.tell()), 0, []
    head = data[: found.end(1)] if found else b""
    while found and len(places) < _MOST_FRAMES:
        start, size = begin + found.end(), int.from_bytes(found[found.lastindex], "little")
        places.append((start, size))
        begin = start + size
        data = os.pread(file, _BETWEEN, begin)
        found = _NEXT(data)
    end = _END(data) if places else None
    if end is None or begin + len(data) != fingerprint.num_bytes:
        return None
    # The same pickle with an empty list: what stands around the frames is interpreted as in every pickle.
    video_id, label, _ = load_pickle(io.BytesIO(head + end[1]))
    return FoundFrames(video_id, label, PickledFrames(path, fingerprint, places))


def _read_ahead(file: int, num_bytes: int) -> None:
    """Have the system fetch a file at once. In small parts, each waited for, a disk takes nine times as long."""
    if sys.platform == "linux":
        for start in range(0, num_bytes, _AHEAD):
            os.posix_fadvise(file, start, _AHEAD, os.POSIX_FADV_WILLNEED)


def _fingerprint(file: int) -> Fingerprint:
    status = os.fstat(file)
    return Fingerprint(status.st_size, status.st_mtime_ns)


def _read_at(file: int, start: int, size: int) -> bytes:
    """So many bytes from there on, or as many as there are."""
    data = os.pread(file, size, start)
    while 0 < len(data) < size and (more := os.pread(file, size - len(data), start + len(data))):
        data += more
    return data


def read_file_head(path: str | Path) -> tuple[str | bytes, int | None] | None:
    """As ``read_pickle_head``, of a file. Raises OSError too."""
    with open(path, "rb") as file:
        return read_pickle_head(io.BytesIO(file.read(_HEAD)))  # of a file, genops asks for what a length says


def read_pickle_head(file: io.BytesIO) -> tuple[str | bytes, int | None] | None:
    """The video id and the class id of a clip's pickle, from its first bytes; None if it begins with no id.

    The file is then behind the class id, which is None where only unpickling tells it. Raises what ``DAMAGED`` holds.
    """
    # (video_id, label, ...): what is put on the stack first, aside from framing and memory
    steps = ((code.name, value) for code, value, _ in pickletools.genops(file))
    values = (value for name, value in steps if not _BOOKKEEPING.match(name))
    video_id = next(values, None)
    if not isinstance(video_id, str | bytes):
        return None
    label = next(values, None)
    return video_id, label if isinstance(label, int) and not isinstance(label, bool) else None
