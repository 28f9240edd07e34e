"""The frames of a video at even times, such as one a second, as YouTube-8M takes them."""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np

from datareader.clips.times import FrameTimes
from datareader.clips.video import VideoSource
from datareader.sampling import sample_segment_frames


@dataclass(frozen=True)
class Pace:
    """Which frames stand for a video, a row each.

    Those at 0, every_sec, 2 * every_sec and so on, at most ``most`` of a video, None for all; or with ``segments``
    those of so many equal parts, as the networks on clips take them. length: neighbouring frames in a row.
    """

    every_sec: Fraction = Fraction(1)
    most: int | None = None
    segments: int | None = None
    length: int = 1

    def count_rows(self, duration_sec: float) -> int:
        """How many rows a video of a length will have, about."""
        rows = self.segments or max(1, ceil(duration_sec / float(self.every_sec)))
        return min(rows, self.most or rows)


def choose_frames(times: FrameTimes, pace: Pace) -> np.ndarray:
    """(rows, length) int64: the numbers of the frames of each row.

    At a time it is the nearest frame, of two that are as near the later one, and its neighbours on both sides, or as
    many as there are. A frame may serve several rows, as where few are shown.
    """
    num_frames = len(times.ticks)
    if pace.segments:
        return sample_segment_frames(num_frames, pace.segments, pace.length)
    rows = ceil(times.sure_end_sec / pace.every_sec)
    ticks, step = times.ticks.tolist(), pace.every_sec / times.tick_sec
    wanted = (row * step for row in range(min(rows, pace.most or rows)))
    middle = np.array([_nearest(ticks, tick) for tick in wanted], np.int64)
    first = np.clip(middle - (pace.length - 1) // 2, 0, max(num_frames - pace.length, 0))
    return (first[:, None] + np.arange(pace.length)) % num_frames


def _nearest(rising: list[int], value: Fraction) -> int:
    """Where the number nearest to a value stands."""
    place = bisect_left(rising, value)
    if place == 0:
        return 0
    if place == len(rising) or value - rising[place - 1] < rising[place] - value:
        return place - 1
    return place


def read_at_pace(source: VideoSource, pace: Pace) -> Iterator[tuple[list[int], list[np.ndarray]]]:
    """(the rows that they serve, their frames, each (H, W, 3) uint8 RGB), in one pass over the file.

    Raises RestartError where all that came so far is void, and reading may begin again; DataError.
    """
    chosen = choose_frames(source.times, pace)
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, numbers in enumerate(chosen.tolist()):
        groups.setdefault(tuple(numbers), []).append(row)
    waiting = deque(sorted(groups, key=max))
    uses = Counter(number for numbers in waiting for number in set(numbers))
    seen: dict[int, np.ndarray] = {}
    for number, frame in source.frames_once(np.unique(chosen)):
        seen[number] = frame
        while waiting and seen.keys() >= set(waiting[0]):
            numbers = waiting.popleft()
            yield groups[numbers], [seen[each] for each in numbers]
            for each in set(numbers):
                uses[each] -= 1
                if not uses[each]:
                    del seen[each]
