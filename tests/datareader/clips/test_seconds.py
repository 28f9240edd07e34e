"""Frames at whole seconds: which ones, of what rates, and each with the rows that it serves."""

from fractions import Fraction

import numpy as np
import pytest

from datareader.clips import decoding
from datareader.clips.seconds import Pace, choose_frames, read_at_pace
from datareader.clips.times import FrameTimes
from tests.datareader.clips.videos import Clip, make_clip, read_number


def at_rate(rate, num_frames, tick_sec=Fraction(1, 90000)):
    ticks = np.array([round(number / Fraction(rate) / tick_sec) for number in range(num_frames)], np.int64)
    return FrameTimes(ticks, tick_sec)


@pytest.mark.parametrize(
    ("rate", "num_frames", "wanted"),
    [
        ("25", 128, [0, 25, 50, 75, 100, 125]),
        ("30", 180, [0, 30, 60, 90, 120, 150]),
        ("30000/1001", 91, [0, 30, 60, 90]),
        ("24000/1001", 75, [0, 24, 48, 72]),
        ("10", 40, [0, 10, 20, 30]),
        ("25", 10, [0]),  # 0.4 s
        ("1/2", 3, [0, 1, 1, 2, 2, 2]),  # of 1 s, frames 0 and 1 are as near: the later one
        ("60", 60, [0]),
        ("60", 61, [0, 60]),
    ],
)
def test_the_frame_nearest_to_each_second_is_taken_up_to_the_end(rate, num_frames, wanted):
    assert choose_frames(at_rate(rate, num_frames), Pace()).tolist() == wanted


@pytest.mark.parametrize("rate", ["24", "25", "30", "24000/1001", "30000/1001", "50", "60"])
def test_times_in_milliseconds_give_no_row_more(rate):
    whole = round(6 * Fraction(rate))
    for num_frames in (whole - 1, whole, whole + 1):
        exact = choose_frames(at_rate(rate, num_frames), Pace())
        assert choose_frames(at_rate(rate, num_frames, Fraction(1, 1000)), Pace()).tolist() == exact.tolist()


def test_frames_serve_all_seconds_that_they_are_nearest_to():
    times = FrameTimes(np.array([0, 40, 3040, 3080, 4500]), Fraction(1, 1000))
    assert choose_frames(times, Pace()).tolist() == [0, 1, 2, 2, 4]


def test_a_pace_says_how_often_and_how_many_at_most():
    times = at_rate("30", 3000)
    assert choose_frames(times, Pace(Fraction(1, 2))).tolist() == list(range(0, 3000, 15))
    assert choose_frames(times, Pace(Fraction("2.5"), most=3)).tolist() == [0, 75, 150]
    assert len(choose_frames(at_rate("1", 400), Pace(most=300))) == 300
    assert Pace(Fraction("2.5"), most=300).describe() == "a frame every 2.5 s, at most 300"


@pytest.mark.parametrize(
    "clip",
    [
        Clip("even.mp4", "libx264", num_frames=90, b_frames=2),
        Clip("even.mkv", "libx264", num_frames=90, gop=250),
        Clip("sequential.avi", "mpeg4", planned=False, num_frames=90),
        Clip("gap.mp4", "libx264", num_frames=20, ticks=[*range(10), *range(100, 110)]),
    ],
    ids=lambda clip: clip.name,
)
def test_each_frame_comes_once_with_its_rows(folder, clip):
    source = decoding.open_video(make_clip(folder, clip))
    found = [(rows, read_number(frame)) for rows, frame in read_at_pace(source, Pace(Fraction(1, 2)))]
    numbers = [number for rows, number in found for _ in rows]
    assert numbers == choose_frames(source.times, Pace(Fraction(1, 2))).tolist()
    assert [row for rows, _ in found for row in rows] == list(range(len(numbers)))
    assert len({number for _, number in found}) == len(found)
