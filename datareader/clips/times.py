"""When the frames of a video are shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np

from tools.errors import DataError, DataIssue

NO_TIME = -1 << 63  # of a frame, in ticks
_LONGEST_SEC = 1_000_000  # no film goes on for eleven days
_LARGEST_DENOMINATOR = 1001  # of frames a second, as in 30000/1001


@dataclass(frozen=True)
class FrameTimes:
    """The times of N frames, counted from that of the first.

    ticks: (N,) int64, rising from 0. tick_sec: how long a tick is, exactly.
    """

    ticks: np.ndarray
    tick_sec: Fraction

    @property
    def last_sec(self) -> Fraction:
        """How long the last frame is shown: as long as most, the median, as not every file says it."""
        gaps = np.sort(np.diff(self.ticks))
        return self.tick_sec * (int(gaps[(len(gaps) - 1) // 2]) if len(gaps) else 1)

    @property
    def end_sec(self) -> Fraction:
        """When the video ends."""
        return int(self.ticks[-1]) * self.tick_sec + self.last_sec

    def count_before(self, time_sec: Fraction) -> int:
        """How many frames appear before a time."""
        return int(np.searchsorted(self.ticks, ceil(time_sec / self.tick_sec)))


def find_times(
    path: str, stamps: Sequence[int], tick_sec: Fraction, read_rate: Callable[[], float | None]
) -> FrameTimes:
    """The times that frames have in their file or, where those of several do not rise, such as an average rate gives.

    stamps: ticks, NO_TIME for a frame that has none. read_rate: gives frames a second, None where the file does not
    say. Raises DataError for a video without either, and for times that no video has.
    """
    stamps = np.asarray(stamps, np.int64)
    if len(stamps) > 1 and (stamps != NO_TIME).all() and (stamps[1:] > stamps[:-1]).all():
        times = FrameTimes(stamps - stamps[0], tick_sec)
        if times.end_sec > _LONGEST_SEC:
            days = float(times.end_sec) / (24 * 3600)
            raise DataError(f"{path} says that its frames are shown for {days:,.0f} days; convert it", DataIssue.FORMAT)
        return times
    if (rate := read_rate()) is None:
        raise DataError(f"{path} does not say when its frames are shown, nor how many a second", DataIssue.FORMAT)
    return FrameTimes(np.arange(len(stamps)), 1 / Fraction(rate).limit_denominator(_LARGEST_DENOMINATOR))
