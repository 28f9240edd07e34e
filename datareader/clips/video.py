"""What a video gives, whichever library decodes it, and what is said of one that gives nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tools.errors import DataError, DataIssue


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


class FrameCountError(Exception):
    """A damaged video has another number of frames than its packets say; sample of ``num_frames`` again."""


@dataclass(frozen=True)
class VideoFacts:
    """What a file says of itself, which may be wrong. "" and None where it does not say.

    size: width and height in pixels, before the file's rotation.
    """

    container: str
    codec: str
    size: tuple[int, int]
    frames_per_sec: float | None
    duration_sec: float | None


def plausible(number: float) -> float | None:
    """A rate or a duration, or None for what can be neither."""
    return number if 0 < number < 1e6 else None


def check_file(path: str) -> None:
    """Raise DataError for a file that cannot be read or is empty."""
    try:
        with open(path, "rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}; expected a video such as an mp4", DataIssue.UNREADABLE
        ) from None
    if empty:
        raise DataError(f"{path} is empty; fetch or copy it again", DataIssue.EMPTY)


def not_a_video(path: str, why: str) -> DataError:
    """The error of a file that a library cannot open."""
    return DataError(f"{path} is not a video ({why}); expected a whole file such as an mp4", DataIssue.NOT_A_VIDEO)


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
