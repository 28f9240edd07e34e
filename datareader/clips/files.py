"""What is on disk of a clip: a pickle of JPEG frames, a folder of frames or a video, told apart by their content.

A pickle holds ``(video_id, label, [JPEG bytes, ...])``. A video's id is its file's stem, a folder's its name, and
their label stands behind their path in the list.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datareader.clips.decoding import open_video
from datareader.clips.frame_folders import FrameFiles, list_frames
from datareader.clips.frame_pickles import find_frames
from datareader.clips.pictures import decode_image
from datareader.clips.settings import ClipSettings
from datareader.clips.video import FrameSource, distinct_numbers
from datareader.kinds import explain_refused, refuse_stranger
from datareader.labels import check_class_id, describe_range
from datareader.lists import ListEntry
from tools.errors import DataError, DataIssue
from tools.files.pickles import load_data_pickle
from tools.files.recognise import (
    ARCHIVES,
    COMPRESSED,
    HEAD_SIZE,
    PICTURES,
    TEXTS,
    FileKind,
    describe_content,
    recognise_file,
)
from tools.runtime.text import decode_text

PICKLE_STARTS = (b"\x80", b"(", b"]")
MAYBE_STILLS = PICTURES | {FileKind.GIF}  # kinds of one picture or of many
_NO_CLIPS = TEXTS | COMPRESSED | ARCHIVES
_PICKLE_SUFFIXES = {".pkl", ".pickle"}
_PLAYLISTS = (b"#EXTM3U", b"ffconcat")  # texts that name parts of a video


@dataclass(frozen=True)
class JpegFrames:
    """The frames of a pickle or a folder. data: a JPEG or PNG each. name: number -> what messages call it."""

    data: Sequence[bytes]
    settings: ClipSettings
    name: Callable[[int], str]

    @property
    def num_frames(self) -> int:
        return len(self.data)

    def frames(self, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """As of every source, in the order of ``numbers.ravel()``."""
        for number in distinct_numbers(numbers, self.num_frames):
            reduced = self.settings.short_size if self.settings.fast_decode else None
            yield number, decode_image(self.data[number], self.name(number), reduced)


@dataclass(frozen=True)
class Clip:
    """One video before its frames are decoded. label: class id, -1 for none known, or None.

    jpegs: the frames of a pickle or a folder; None for a video.
    """

    video_id: str
    label: int | None
    path: str
    jpegs: JpegFrames | None = None

    def open(self) -> FrameSource:
        """Its frames, counted. Raises DataError as ``open_video``, and for a picture, which decoders take as one."""
        if self.jpegs is not None:
            return self.jpegs
        try:
            video = open_video(self.path)
        except DataError as error:
            raise explain_refused(self.path, error) from None
        if video.num_frames == 1 and (kind := describe_content(read_head(self.path))) in MAYBE_STILLS:
            raise refuse_stranger(self.path, kind)
        return video


def read_head(path: str) -> bytes | None:
    """The first bytes of a file, at most HEAD_SIZE; None for a folder. Raises DataError, also for an empty file."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_SIZE)
    except IsADirectoryError:
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}", DataIssue.UNREADABLE) from None
    if not head:
        raise DataError(f"{path} is empty; fetch or copy it again", DataIssue.EMPTY)
    return head


def open_clip(entry: ListEntry, settings: ClipSettings) -> Clip:
    """The clip of a list entry. Raises DataError naming the file."""
    head = read_head(entry.path)
    if head is not None and head.startswith(PICKLE_STARTS):  # every video container begins otherwise
        try:
            return _open_pickle(entry, settings)
        except DataError as error:
            raise explain_refused(entry.path, error) from None
    if entry.label is None and settings.labels_needed:
        raise _no_label(entry)
    label = check_label(entry.label, settings, entry.path)
    if head is None:
        return _open_folder(entry, settings, label)
    return _open_film(entry, head, label)


def open_film(entry: ListEntry) -> Clip:
    """The clip of a list entry that is a video, whose frames have times, without a label. Raises DataError."""
    require_film(entry, "features are made of videos")
    return _open_film(entry, read_head(entry.path), None)


def require_film(entry: ListEntry, wanted: str) -> None:
    """Raise DataError, which ends with what is wanted, for a pickle or a folder of frames."""
    head = read_head(entry.path)
    if head is None or head.startswith(PICKLE_STARTS):
        kind = "folder of frames" if head is None else "pickle of frames"
        raise DataError(
            f"{entry.path} is a {kind}, which does not say when they are shown; {wanted}",
            DataIssue.FORMAT,
            entry.where,
        )


def _open_film(entry: ListEntry, head: bytes, label: int | None) -> Clip:
    # FFmpeg draws some texts as pictures, and finds the first video of an archive that is not compressed.
    if describe_content(head) in _NO_CLIPS and not head.startswith(_PLAYLISTS):
        raise refuse_stranger(entry.path, recognise_file(entry.path))
    return Clip(Path(entry.path).stem, label, entry.path)


def _open_folder(entry: ListEntry, settings: ClipSettings, label: int | None) -> Clip:
    files = FrameFiles(entry.path, list_frames(entry.path, entry.num_frames))
    return Clip(
        Path(entry.path).absolute().name, label, entry.path, JpegFrames(files, settings, files.paths.__getitem__)
    )


def _open_pickle(entry: ListEntry, settings: ClipSettings) -> Clip:
    where = entry.path
    video_id, label, frames = find_frames(where) or _read_whole(where)
    label = check_label(label if entry.label is None else entry.label, settings, where)
    name = lambda number: f"{where} frame {number}"  # noqa: E731
    return Clip(decode_text(video_id), label, entry.path, JpegFrames(frames, settings, name))


def _read_whole(where: str) -> tuple[object, object, Sequence[bytes]]:
    """The three things in a clip's pickle, with at least one frame. Raises DataError."""
    content = load_data_pickle(where)
    if not isinstance(content, list | tuple) or len(content) != 3:
        count = f" of {len(content)}" if isinstance(content, list | tuple) else ""
        raise DataError(
            f"{where} holds a {type(content).__name__}{count}; expected (video_id, label, [JPEG bytes, ...])",
            DataIssue.STRUCTURE,
        )
    video_id, label, frames = content
    if not isinstance(frames, list | tuple) or not all(isinstance(frame, bytes) for frame in frames):
        raise DataError(f"{where}: its frames are {_describe_frames(frames)}", DataIssue.DTYPE)
    if not frames:
        raise DataError(f"{where} holds no frames", DataIssue.NO_FRAMES)
    return video_id, label, frames


def _describe_frames(frames) -> str:
    """What stands where frames should, and what would work."""
    others = [frame for frame in frames if not isinstance(frame, bytes)] if isinstance(frames, list | tuple) else []
    odd = others[0] if others else frames
    is_array = isinstance(odd, np.ndarray)
    name = "NumPy array" if is_array else type(odd).__name__
    held = f"a {type(frames).__name__} of {name}s" if others else f"a {name}"
    advice = '; encode each as JPEG: cv2.imencode(".jpg", frame)[1].tobytes()' if is_array else ""
    return f"{held}; expected a list of JPEG bytes{advice}"


def check_line(entry: ListEntry, settings: ClipSettings) -> None:
    """What can be known of a line without opening a pickle. Raises DataError, which no ``skip_broken`` covers."""
    if entry.label is not None and not -1 <= entry.label < settings.num_classes and settings.labels_needed:
        raise DataError(
            f"label {entry.label} of {entry.path} {describe_range(entry.label, settings.num_classes)}",
            DataIssue.LABEL_RANGE,
        )
    if entry.label is None and settings.labels_needed and Path(entry.path).suffix not in _PICKLE_SUFFIXES:
        head = read_head(entry.path)
        if head is None or not head.startswith(PICKLE_STARTS):
            raise _no_label(entry)


def _no_label(entry: ListEntry) -> DataError:
    line = "a video's line is its path and its class id"
    if Path(entry.path).is_dir():
        line = "the line of a folder of frames is its path, their number if you like, and its class id"
    return DataError(f"{entry.path} has no label; {line}", DataIssue.NO_LABEL)


def check_label(label, settings: ClipSettings, where: str) -> int | None:
    """The label of a line or in a pickle, or None where one is neither right nor needed. Raises DataError."""
    try:
        return check_class_id(label, settings.num_classes)
    except DataError as error:
        if not settings.labels_needed:
            return None
        raise DataError(f"{where}: {error.text}", error.issue) from None
