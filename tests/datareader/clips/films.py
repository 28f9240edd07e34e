"""Videos whose frames are shown at known times, and what a window of one shows, worked out the slow way."""

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np

from datareader.clips.files import Clip as OpenedClip
from datareader.clips.settings import ClipSettings
from datareader.clips.video import distinct_numbers
from datareader.clips.views import decode_views
from tests.datareader.clips.synthetic import TINY
from tests.datareader.clips.videos import CLIPS, UNEVEN, Clip

SETTINGS = ClipSettings(**{**TINY, "labels_needed": False})
FILMS = [  # those of CLIPS that differ in how times are told, and more
    *[clip for clip in CLIPS if clip.name.startswith(("short-groups", "open-groups", "uneven", "vp9", "mpeg4"))],
    *[clip for clip in CLIPS if clip.name in ("h264.avi", "mjpeg.avi", "one-frame.mp4")],
    Clip("gaps.mp4", "libx264", ticks=[*range(10), *range(100, 110), *range(400, 410)], b_frames=2),
    Clip("uneven.avi", "mpeg4", planned=False, ticks=[tick - UNEVEN[0] for tick in UNEVEN]),
    Clip("uneven-mpeg4.mp4", "mpeg4", planned=False, ticks=UNEVEN, b_frames=2),
    Clip("b.ts", "libx264", planned=False, b_frames=2),
    Clip("b.h264", "libx264", planned=False),
]
READ_BY_PYAV = {"b.ts"}  # alone


def times_of(clip):
    """(num_frames,) seconds, as the clip was made."""
    ticks = np.array(clip.ticks or range(clip.num_frames))
    return (ticks - ticks[0]) / (25 if clip.name.endswith(".h264") else 30)  # it says no rate, and 25 is FFmpeg's guess


@dataclass(frozen=True)
class Frames:
    """A source of frames that are there already."""

    images: np.ndarray

    @property
    def num_frames(self):
        return len(self.images)

    def frames(self, numbers):
        return ((number, self.images[number]) for number in distinct_numbers(numbers, len(self.images)))


def see_clip(images, settings=SETTINGS):
    """The views (views, S, 3 * L, H, W) of a clip of these frames alone."""
    out = np.empty((settings.num_clips * settings.num_crops, *settings.shape), np.uint8)
    decode_views(out, OpenedClip("", None, "", Frames(images)), settings, None)
    return out


def cut_windows(seconds, length, stride):
    """(start, end, numbers of frames) of each window of frames that are shown at ``seconds``, one after another."""
    seconds = [Fraction(second) for second in seconds]
    gaps = sorted(later - earlier for earlier, later in pairwise(seconds))
    last = gaps[(len(gaps) - 1) // 2]
    end, windows, number = seconds[-1] + last, [], 0
    while number * stride < end - min(Fraction(2, 1000), last / 2):
        start, number = number * stride, number + 1
        stop = start + length
        shown = [i for i, second in enumerate(seconds) if start <= second < stop]
        before = [i for i, second in enumerate(seconds) if second < stop]
        windows.append((start, min(stop, end), shown or before[-1:]))
        if stop >= end - min(Fraction(2, 1000), last / 2):
            break
    return windows


def of_several_views(**settings):
    return replace(SETTINGS, **settings)
