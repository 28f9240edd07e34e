"""When the frames of a video are shown."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil

import numpy as np

from tools.errors import DataError, DataIssue

log = logging.getLogger(__name__)

_ROUNDING_SEC = Fraction(2, 1000)  # of times in milliseconds, as in Matroska, and of their differences
NO_TIME = -1 << 63  # of a frame, in ticks
_LONGEST_SEC = 1_000_000  # no film goes on for eleven days
_LARGEST_DENOMINATOR = 1001  # of frames a second, as in 30000/1001
_DURATION_DENOMINATOR = 1_000_000
_USUAL_RATE = 25  # frames a second, of a video that does not say
_BACK_SEC = 1  # a frame that is so much before another begins a film anew, as in one that was put together
MENDED = "some frames do not say when they are shown, or not in order; their times are made up from those beside them"
_noted: set[str] = set()  # paths


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

    @property
    def sure_end_sec(self) -> Fraction:
        """A time before the end by no more than the file's times may be wrong, and later than the last frame's."""
        return self.end_sec - min(_ROUNDING_SEC, self.last_sec / 2)

    def count_before(self, time_sec: Fraction) -> int:
        """How many frames appear before a time."""
        return int(np.searchsorted(self.ticks, ceil(time_sec / self.tick_sec)))


class Clock:
    """Tells when frames are shown that come one after another, so that their times rise.

    A frame is shown when it says. Where that is nothing, not after the frame before, or after a later frame, it is
    shown in the middle between its neighbours or, where the next one is no better, usual_ticks after the one before. A
    frame far before the one before begins a film anew, as in a file that was put together of several.
    start_ticks: of a first frame that does not say. num_made_up: of how many frames so far the file's time was not
    taken.
    """

    def __init__(self, tick_sec: Fraction, usual_ticks: int, start_ticks: int):
        self._usual, self._start = usual_ticks, start_ticks
        self._back_ticks = _BACK_SEC / tick_sec
        self._last: int | None = None
        self._moved_ticks = 0  # by which frames are shown later than they say
        self.num_made_up = 0

    def place(self, stamp: int | None, following: int | None) -> int:
        """The ticks of the next frame. stamp, following: what it and the one behind it say, None for nothing."""
        said, following = (None if each is None else each + self._moved_ticks for each in (stamp, following))
        ticks = said if self._last is None else self._place_after(self._last, said, following)
        if ticks is None:
            ticks = self._start if following is None else min(self._start, following - self._usual)
        self.num_made_up += ticks != said
        self._last = ticks
        return ticks

    def _place_after(self, last: int, said: int | None, following: int | None) -> int:
        rises = said is not None and said > last
        if rises and (following is None or not last < following < said):
            return said
        if following is not None and following > last + 1:
            return (last + following) // 2
        after = last + self._usual
        if said is not None and last - said > self._back_ticks:
            self._moved_ticks += after - said
        return after


def usual_rate(frames_per_sec: float | None) -> Fraction:
    """An average rate exactly, as 30000/1001, or for less than one frame a second the time of one; 25 for None."""
    if frames_per_sec is None:
        return Fraction(_USUAL_RATE)
    if frames_per_sec < 1:
        return 1 / Fraction(1 / frames_per_sec).limit_denominator(_LARGEST_DENOMINATOR)
    return Fraction(frames_per_sec).limit_denominator(_LARGEST_DENOMINATOR)


def usual_gap(frames_per_sec: float | None, tick_sec: Fraction) -> int:
    """The ticks from one frame to the next at an average rate, 1 or more."""
    return max(1, round(1 / (usual_rate(frames_per_sec) * tick_sec)))


def note_made_up(path: str, how: str) -> None:
    """Log, once a process of each video, that times are not those of the file."""
    if path not in _noted:
        _noted.add(path)
        log.info(f"{path}: {how}")


def find_times(
    path: str,
    stamps: Sequence[int],
    tick_sec: Fraction,
    read_pace: Callable[[], tuple[float | None, float | None]],
) -> FrameTimes:
    """The times that frames have in their file; where some of them are wrong, as ``Clock`` mends them.

    Where most are wrong, or none says anything, they are those of an average rate; a single frame is shown as long as
    the file says that it lasts. What is not the file's is logged.
    stamps: ticks, NO_TIME for a frame that has none. read_pace: gives frames a second and the video's seconds, None for
    what the file does not say. Raises DataError for a video without any of them, and for times that no video has.
    """
    stamps = np.asarray(stamps, np.int64)
    if len(stamps) > 1 and (stamps != NO_TIME).all() and (stamps[1:] > stamps[:-1]).all():
        times = FrameTimes(stamps - stamps[0], tick_sec)
    else:
        times = _make_up(path, stamps, tick_sec, *read_pace())
    if times.end_sec > _LONGEST_SEC:
        days = float(times.end_sec) / (24 * 3600)
        raise DataError(f"{path} says that its frames are shown for {days:,.0f} days; convert it", DataIssue.FORMAT)
    return times


def _make_up(
    path: str, stamps: np.ndarray, tick_sec: Fraction, rate: float | None, duration_sec: float | None
) -> FrameTimes:
    if len(stamps) == 1 and duration_sec is not None:
        duration = Fraction(duration_sec).limit_denominator(_DURATION_DENOMINATOR)
        return FrameTimes(np.zeros(1, np.int64), max(duration, Fraction(1, _DURATION_DENOMINATOR)))
    if len(stamps) > 1 and not _are_most_wrong(stamps):
        return _mend(path, stamps, tick_sec, rate)
    if rate is None:
        raise DataError(f"{path} does not say when its frames are shown, nor how many a second", DataIssue.FORMAT)
    if len(stamps) > 1:
        note_made_up(path, f"it does not say when its frames are shown, which are taken for {rate:g} a second")
    return FrameTimes(np.arange(len(stamps)), 1 / usual_rate(rate))


def _are_most_wrong(stamps: np.ndarray) -> bool:
    """Whether most are missing or part of a pair that does not rise, of which either can be the wrong one."""
    is_wrong = stamps == NO_TIME
    falls = ~is_wrong[1:] & ~is_wrong[:-1] & (stamps[1:] <= stamps[:-1])
    is_wrong[1:] |= falls
    is_wrong[:-1] |= falls
    return 2 * is_wrong.sum() > len(stamps)


def _mend(path: str, stamps: np.ndarray, tick_sec: Fraction, rate: float | None) -> FrameTimes:
    usual = usual_gap(rate, tick_sec)
    leading = int((stamps != NO_TIME).argmax())
    clock = Clock(tick_sec, usual, int(stamps[leading]) - leading * usual)
    said = [None if stamp == NO_TIME else stamp for stamp in stamps.tolist()]
    ticks = np.array([clock.place(*pair) for pair in pairwise([*said, None])], np.int64)
    note_made_up(path, MENDED)
    return FrameTimes(ticks - ticks[0], tick_sec)
