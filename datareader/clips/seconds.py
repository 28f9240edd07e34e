"""The frames of a video at whole seconds, as YouTube-8M takes them."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np

from datareader.clips.times import FrameTimes
from datareader.clips.video import VideoSource


@dataclass(frozen=True)
class Pace:
    """Frames at 0, every_sec, 2 * every_sec and so on, at most ``most`` of a video, None for all."""

    every_sec: Fraction = Fraction(1)
    most: int | None = None

    def describe(self) -> str:
        most = f", at most {self.most:,}" if self.most else ""
        return f"a frame every {float(self.every_sec):g} s{most}"


def choose_frames(times: FrameTimes, pace: Pace) -> np.ndarray:
    """(rows,) int64: the numbers of the frames nearest to the times of a pace that lie before the video's end.

    Of two that are as near, the later one. A frame may serve several times, as where few are shown.
    """
    rows = ceil(times.sure_end_sec / pace.every_sec)
    ticks, step = times.ticks.tolist(), pace.every_sec / times.tick_sec
    wanted = (row * step for row in range(min(rows, pace.most or rows)))
    return np.array([_nearest(ticks, tick) for tick in wanted], np.int64)


def _nearest(rising: list[int], value: Fraction) -> int:
    """Where the number nearest to a value stands."""
    place = bisect_left(rising, value)
    if place == 0:
        return 0
    if place == len(rising) or value - rising[place - 1] < rising[place] - value:
        return place - 1
    return place


def read_at_pace(source: VideoSource, pace: Pace) -> Iterator[tuple[range, np.ndarray]]:
    """(the rows that it serves, (H, W, 3) uint8 RGB) of the frames of a pace, in one pass over the file.

    Raises RestartError where all that came so far is void, and reading may begin again; DataError.
    """
    chosen = choose_frames(source.times, pace)
    numbers, first, counts = np.unique(chosen, return_index=True, return_counts=True)
    rows = {number: range(start, start + count) for number, start, count in zip(numbers, first, counts, strict=True)}
    for number, frame in source.frames_once(numbers):
        yield rows[number], frame
