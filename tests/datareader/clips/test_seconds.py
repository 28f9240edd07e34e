"""Frames at whole seconds: which ones, of what rates, and each with the rows that it serves."""

from fractions import Fraction

import numpy as np
import pytest

from datareader.clips import decoding
from datareader.clips.seconds import Pace, choose_frames, read_at_pace
from datareader.clips.times import FrameTimes
from datareader.sampling import sample_segment_frames
from tests.datareader.clips.videos import Clip, make_clip, read_number


def numbers_of(times, pace):
    """Of the frames, in a pace that has one a row."""
    return choose_frames(times, pace).ravel().tolist()


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
    assert numbers_of(at_rate(rate, num_frames), Pace()) == wanted


@pytest.mark.parametrize("rate", ["24", "25", "30", "24000/1001", "30000/1001", "50", "60"])
def test_times_in_milliseconds_give_no_row_more(rate):
    whole = round(6 * Fraction(rate))
    for num_frames in (whole - 1, whole, whole + 1):
        exact = numbers_of(at_rate(rate, num_frames), Pace())
        assert numbers_of(at_rate(rate, num_frames, Fraction(1, 1000)), Pace()) == exact


def test_frames_serve_all_seconds_that_they_are_nearest_to():
    times = FrameTimes(np.array([0, 40, 3040, 3080, 4500]), Fraction(1, 1000))
    assert numbers_of(times, Pace()) == [0, 1, 2, 2, 4]


def test_a_pace_says_how_often_and_how_many_at_most():
    times = at_rate("30", 3000)
    assert numbers_of(times, Pace(Fraction(1, 2))) == list(range(0, 3000, 15))
    assert numbers_of(times, Pace(Fraction("2.5"), most=3)) == [0, 75, 150]
    assert len(choose_frames(at_rate("1", 400), Pace(most=300))) == 300


def test_rows_may_have_neighbours_on_both_sides_as_far_as_there_are_any():
    times = at_rate("30", 62)
    assert choose_frames(times, Pace(length=5)).tolist() == [
        [0, 1, 2, 3, 4],
        [28, 29, 30, 31, 32],
        [57, 58, 59, 60, 61],
    ]
    assert choose_frames(at_rate("30", 3), Pace(length=5)).tolist() == [[0, 1, 2, 0, 1]]


def test_rows_may_be_those_of_equal_parts():
    times = at_rate("30", 62)
    assert choose_frames(times, Pace(segments=3)).tolist() == sample_segment_frames(62, 3, 1).tolist()
    assert choose_frames(times, Pace(segments=3, length=5)).tolist() == sample_segment_frames(62, 3, 5).tolist()


@pytest.mark.parametrize(
    ("pace", "rows"), [(Pace(), 4), (Pace(most=3), 3), (Pace(Fraction(1, 2)), 7), (Pace(segments=9), 9)]
)
def test_a_pace_tells_about_how_many_rows_there_will_be(pace, rows):
    assert pace.count_rows(3.2) == rows


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
@pytest.mark.parametrize("pace", [Pace(Fraction(1, 2)), Pace(Fraction(1, 10), length=5), Pace(segments=4, length=3)])
def test_rows_come_with_their_frames_in_one_pass(folder, clip, pace):
    source = decoding.open_video(make_clip(folder, clip))
    rows, order = {}, []
    for places, frames in read_at_pace(source, pace):
        order += places
        rows |= {place: [read_number(frame) for frame in frames] for place in places}
    assert [rows[place] for place in sorted(rows)] == choose_frames(source.times, pace).tolist()
    assert len(order) == len(set(order))
