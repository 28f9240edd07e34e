"""What a video gives, whichever library decodes it, and what is said of one that gives nothing."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np

from datareader.clips.pictures import MOST_PIXELS
from datareader.clips.times import FrameTimes
from tools.errors import DataError, DataIssue
from tools.files.recognise import VIDEOS, FileKind, recognise_file

log = logging.getLogger(__name__)

# By the numbers of ITU-T H.273, which all codecs and containers share.
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
_WIDE_PRIMARIES = {8: "film", 9: "BT.2020", 10: "XYZ", 11: "DCI-P3", 12: "Display P3"}
# Brands of HEIF, an mp4 that holds a picture. Those of its films, such as "avis", are others.
_PICTURE_BRANDS = {b"avif", b"heic", b"heix", b"mif1"}


class FrameSource(Protocol):
    """The frames of a clip, by number, whatever file holds them."""

    @property
    def num_frames(self) -> int:
        """How many there are, 1 or more."""

    def frames(self, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Give (number, (H, W, 3) uint8 RGB) for each distinct one of ``numbers``, in the order of decoding.

        numbers: ints of any shape, from 0 to ``num_frames - 1``.
        Where damage makes a file be read again from its start, the frames given before come again; the last
        one of a number counts.
        Raises DataError, and FrameCountError once ``num_frames`` has turned out to be another.
        """


class VideoSource(FrameSource, Protocol):
    """The frames of a video, which are shown at known times."""

    path: str

    @property
    def times(self) -> FrameTimes:
        """When each frame is shown. Raises DataError where the file does not say."""

    def frames_once(self, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """As ``frames``, in one pass over the file in which no frame comes again.

        Raises RestartError where damage makes the file be read again from its start.
        """


class FrameCountError(Exception):
    """A damaged video has another number of frames than its packets say; sample of ``num_frames`` again."""


class RestartError(Exception):
    """Of a damaged video, the number of frames, their times and pictures may be others than they were so far."""


class NoFilmError(DataError):
    """A file that can be opened holds sound, subtitles or a cover, and no video stream."""


@dataclass(frozen=True)
class VideoFacts:
    """What a file says of itself, which may be wrong. "" and None where it does not say.

    size: width and height in pixels, before the file's rotation. colours: as ``describe_colours`` has them.
    stream: which of several video streams is decoded.
    """

    container: str
    codec: str
    size: tuple[int, int]
    frames_per_sec: float | None
    duration_sec: float | None
    colours: str = ""
    stream: str = ""

    @property
    def pace(self) -> tuple[float | None, float | None]:
        """Frames a second, and seconds."""
        return self.frames_per_sec, self.duration_sec


def plausible(number: float) -> float | None:
    """A rate or a duration, or None for what can be neither."""
    return number if 0 < number < 1e6 else None


def describe_colours(primaries: int, transfer: int) -> str:
    """What sets colours apart from those of ordinary video, or "". By their numbers in ITU-T H.273."""
    hdr, wide = _HDR_TRANSFERS.get(transfer), _WIDE_PRIMARIES.get(primaries)
    if hdr:
        return f"HDR ({', '.join(filter(None, (hdr, wide)))})"
    return f"of a wide gamut ({wide})" if wide else ""


@cache
def note_colours(colours: str) -> None:
    """Log, once a process, that there are such videos."""
    log.info(
        f"some videos are {colours}: their colours are taken as they are stored, not tone-mapped, so that weights "
        "trained on ordinary videos may score them worse"
    )


def check_file(path: str) -> None:
    """Raise DataError for a file that cannot be read, is empty or a picture in an mp4."""
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}; expected a video such as an mp4", DataIssue.UNREADABLE
        ) from None
    if not head:
        raise DataError(f"{path} is empty; fetch or copy it again", DataIssue.EMPTY)
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS:
        raise not_a_video(path, f"it is {FileKind.HEIF}")


def describe_stranger(path: str) -> str:
    """What a file is that is of a known kind and no video, or ""."""
    kind = recognise_file(path)
    return "" if kind is None or kind in VIDEOS else f"it is {kind}"


def not_a_video(path: str, why: str) -> DataError:
    """The error of a file that a library cannot open."""
    return DataError(f"{path} is not a video ({why}); expected a whole file such as an mp4", DataIssue.NOT_A_VIDEO)


def check_frame_size(path: str, width: int, height: int) -> None:
    """Raise DataError for a video whose frames would take much memory."""
    if width * height > MOST_PIXELS:
        raise DataError(
            f"{path} says that its frames have {width} x {height} px; at most {MOST_PIXELS:,} px are decoded",
            DataIssue.FRAME,
        )


def no_film(path: str, held: str = "") -> NoFilmError:
    """The error of a file without a video stream. held: what it holds instead, where that is known."""
    return NoFilmError(
        f"{path} has no video stream{f' ({held})' * bool(held)}; expected a video such as an mp4", DataIssue.NOT_A_VIDEO
    )


def no_frames(path: str, what: str) -> DataError:
    """The error of a stream, or of one place in it, that a library cannot decode."""
    return DataError(
        f"{path}: no frame of {what} can be decoded; fetch it again, or convert it to h264 in mp4", DataIssue.NO_FRAMES
    )


def distinct_numbers(numbers: np.ndarray, num_frames: int) -> list[int]:
    """Each of the numbers once, in the order of ``ravel()``; asserts that there are such frames."""
    distinct = list(dict.fromkeys(np.asarray(numbers).ravel().tolist()))
    assert all(0 <= number < num_frames for number in distinct), f"frames {distinct} chosen of {num_frames}"
    return distinct


def rising_numbers(numbers: np.ndarray, num_frames: int) -> np.ndarray:
    """(N,) int64: each of the numbers once, in the order of the film; asserts that there are such frames."""
    rising = np.array(sorted(set(np.ravel(numbers).tolist())), np.int64)  # np.unique imports numpy.ma, for 0.2 s
    assert not len(rising) or 0 <= rising[0] <= rising[-1] < num_frames, f"frames {rising} chosen of {num_frames}"
    return rising
