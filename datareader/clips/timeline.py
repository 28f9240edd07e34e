"""Long videos in parts: windows of time that follow one another and may overlap, in one pass over the file."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np

from datareader.clips.settings import ClipSettings
from datareader.clips.times import FrameTimes
from datareader.clips.video import RestartError, VideoSource
from datareader.clips.views import join_views, sample_clips, see_frame
from datareader.dataset import Span
from tools.errors import DataError, DataIssue

_MANY, _MANY_OF_A_FRAME = 10_000, 100  # windows of a video, nearly three hours at one a second; the latter of a frame


@dataclass(frozen=True)
class Windows:
    """Windows of length_sec, which begin at 0, stride_sec, 2 * stride_sec and so on."""

    length_sec: Fraction
    stride_sec: Fraction

    def describe(self) -> str:
        return f"{float(self.length_sec):g} s every {float(self.stride_sec):g} s"


class Timeline:
    """The windows of one video, in order; the last is the first to reach its end.

    A window holds the frames that appear in it, or else the one that is on the screen then.
    end_sec: of the video.
    """

    def __init__(self, times: FrameTimes, windows: Windows, settings: ClipSettings):
        self._times, self._windows, self._settings = times, windows, settings
        self.end_sec = times.end_sec
        end = times.sure_end_sec
        reaching = ceil((end - windows.length_sec) / windows.stride_sec)
        begun = ceil(end / windows.stride_sec) - 1  # with a long stride none may reach it
        self._last = max(0, min(reaching, begun))

    def __len__(self) -> int:
        return self._last + 1

    def __getitem__(self, number: int) -> Span:
        """A window, clipped to the video, with the frames that a clip of its frames alone would show."""
        start = number * self._windows.stride_sec
        end = start + self._windows.length_sec
        first, stop = self._times.count_before(start), self._times.count_before(end)
        first = min(first, stop - 1)
        frames = first + sample_clips(stop - first, self._settings, None)
        return Span(start, min(end, self.end_sec), tuple(frames.ravel().tolist()))

    def count_uses(self) -> np.ndarray:
        """(num_frames,) uint32: how many windows show each frame."""
        uses = np.zeros(len(self._times.ticks), np.uint32)
        for number in range(len(self)):
            uses[list(set(self[number].frames))] += 1
        return uses


@dataclass(frozen=True)
class Window:
    """Number ``number``, from 0, of ``count`` windows. views: (views, S, 3 * L, H, W) uint8, as of a clip."""

    number: int
    count: int
    span: Span
    views: np.ndarray


def read_windows(source: VideoSource, windows: Windows, settings: ClipSettings) -> Iterator[Window]:
    """The windows of a video in order, from the first one again where damage makes it be read again.

    Raises DataError.
    """
    while True:
        try:
            timeline = Timeline(source.times, windows, settings)
            _require_sense(source.path, timeline, windows, len(source.times.ticks))
            yield from _read_once(source, timeline, settings)
            return
        except RestartError:
            continue


def _require_sense(path: str, timeline: Timeline, windows: Windows, num_frames: int) -> None:
    """Raise DataError for far more windows than frames: nearly all would show the same, as behind one wrong time."""
    if len(timeline) > max(_MANY, _MANY_OF_A_FRAME * num_frames):
        raise DataError(
            f"{path} would have {len(timeline):,} windows of {windows.describe()} with {num_frames:,} frames in "
            f"{float(timeline.end_sec):,.0f} s; give a longer --window-sec and --stride-sec or, where it is not so "
            "long, convert it",
            DataIssue.FORMAT,
        )


def _read_once(source: VideoSource, timeline: Timeline, settings: ClipSettings) -> Iterator[Window]:
    """A frame is cropped once, and kept until the last window that shows it is given. Raises RestartError."""
    uses, seen, upcoming = timeline.count_uses(), {}, 0
    span = timeline[upcoming]
    for number, frame in source.frames_once(np.flatnonzero(uses)):
        seen[number] = see_frame(frame, settings)
        while span is not None and seen.keys() >= set(span.frames):
            views = join_views([seen[shown] for shown in span.frames], settings)
            yield Window(upcoming, len(timeline), span, views)
            for shown in set(span.frames):
                uses[shown] -= 1
                if not uses[shown]:
                    del seen[shown]
            upcoming += 1
            span = timeline[upcoming] if upcoming < len(timeline) else None
