"""Windows of a video: what they show against the frames cut out one by one, and how often the file is read."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datareader.clips import decoding, opencv, pyav
from datareader.clips.timeline import Timeline, Windows, read_windows
from datareader.clips.times import FrameTimes
from tests.datareader.clips.films import (
    FILMS,
    READ_BY_PYAV,
    SETTINGS,
    cut_windows,
    of_several_views,
    see_clip,
    times_of,
)
from tests.datareader.clips.videos import (
    Clip,
    cut_packet,
    decode_everything,
    make_clip,
    read_sequential,
    rewrite,
    stamp_anew,
)
from tools.errors import DataError


def seconds(length, stride=None):
    length = Fraction(length)
    return Windows(length, length if stride is None else Fraction(stride))


@pytest.mark.pyav
@pytest.mark.parametrize("clip", FILMS, ids=lambda clip: clip.name)
def test_every_way_tells_the_same_times(folder, clip):
    path = make_clip(folder, clip)
    ways = [decoding.open_video, pyav.SequentialVideo, *[opencv.Video] * (clip.name not in READ_BY_PYAV)]
    for way in ways:
        times = way(path).times
        found = times.ticks * float(times.tick_sec)
        np.testing.assert_allclose(found, times_of(clip), rtol=0, atol=0.0011)  # Matroska has milliseconds
        assert times.ticks.dtype == np.int64


@pytest.mark.pyav
@pytest.mark.parametrize("clip", FILMS, ids=lambda clip: clip.name)
def test_a_window_shows_what_a_clip_of_its_frames_shows(folder, clip):
    path = make_clip(folder, clip)
    everything = decode_everything(path)
    for way in (decoding.open_video, *[opencv.Video] * (clip.name not in READ_BY_PYAV)):
        source = way(path)
        shown = source.times.ticks * source.times.tick_sec if clip.num_frames > 1 else [0, Fraction(1, 30)]
        for length, stride in (("0.5", "0.2"), ("0.4", None), ("0.1", "0.3"), ("1000", None)):
            windows = [*read_windows(source, seconds(length, stride), SETTINGS)]
            cut = cut_windows(shown, Fraction(length), Fraction(stride or length))[: len(everything) + 999]
            assert [(window.number, window.count) for window in windows] == [(i, len(cut)) for i in range(len(cut))]
            for window, (start, end, numbers) in zip(windows, cut, strict=True):
                if clip.num_frames > 1:
                    assert (window.span.start_sec, window.span.end_sec) == (start, end)
                    assert set(window.span.frames) <= set(numbers)
                    assert np.array_equal(window.views, see_clip(everything[numbers])), (clip.name, start)


def test_several_views_of_a_window_are_those_of_a_clip(h264):
    settings = of_several_views(num_clips=2, num_crops=3)
    everything = decode_everything(h264)
    window, *_ = read_windows(decoding.open_video(h264), seconds("0.5"), settings)
    assert np.array_equal(window.views, see_clip(everything[:15], settings))


@pytest.mark.pyav
def test_an_edit_list_and_times_below_zero_shift_no_window(folder, h264):
    shift = -5 * 512  # ticks of a frame
    options = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    edited = rewrite(h264, folder / "edited.mp4", lambda i, packet: (bytes(packet), shift), options=options)
    late = rewrite(h264, folder / "late.mkv", lambda i, packet: (bytes(packet), 100 * 512))
    for path, num_frames in ((edited, 25), (late, 30)):
        everything = decode_everything(path)
        assert len(everything) == num_frames
        for video in (decoding.open_video(path), opencv.Video(path)):
            first, second, *_ = read_windows(video, seconds("0.2"), SETTINGS)
            assert np.array_equal(first.views, see_clip(everything[:6])), path
            assert np.array_equal(second.views, see_clip(everything[6:12])), path


@pytest.mark.pyav
def test_a_video_is_opened_twice_and_no_picture_is_decoded_or_converted_twice(folder, monkeypatch):
    path = make_clip(folder, Clip("long.mp4", "libx264", num_frames=300, b_frames=2))
    decoded, converted, opened = [], [], []
    decode_run, to_rgb, open_container = pyav._decode_run, pyav._to_rgb, pyav.open_container

    def decode(*arguments):
        for frame in decode_run(*arguments):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(pyav, "_decode_run", decode)
    monkeypatch.setattr(pyav, "_to_rgb", lambda frame, *rest: converted.append(frame.pts) or to_rgb(frame, *rest))
    monkeypatch.setattr(pyav, "open_container", lambda path: opened.append(path) or open_container(path))
    windows = [*read_windows(decoding.open_video(path), seconds("1", "0.25"), SETTINGS)]
    assert len(windows) == 37
    assert len(decoded) == len(set(decoded)) <= 300
    assert len(converted) == len({number for window in windows for number in window.span.frames})
    assert len(opened) == 2


@pytest.mark.pyav
@pytest.mark.parametrize("number", [3, 40, 70])
def test_windows_of_a_damaged_video_are_those_of_the_frames_that_decode(folder, number):
    source = make_clip(folder, Clip("whole.mp4", "libx264", num_frames=90, b_frames=2))
    path = cut_packet(source, folder / f"cut-{number}.mkv", number)
    frames, num_frames = read_sequential(path, np.arange)
    everything, times = np.array(frames), pyav.SequentialVideo(path).times
    assert num_frames < 90
    cut = cut_windows(times.ticks * times.tick_sec, Fraction("0.3"), Fraction("0.1"))
    results, beginnings = [], 0
    for window in read_windows(decoding.open_video(path), seconds("0.3", "0.1"), SETTINGS):
        if window.number == 0:
            results, beginnings = [], beginnings + 1
        results.append(window)
    assert beginnings == (1 if number == 3 else 2)  # the damage is seen before the first window, or behind it
    assert len(results) == len(cut) == results[-1].count
    for window, (start, _, numbers) in zip(results, cut, strict=True):
        assert window.span.start_sec == start
        assert np.array_equal(window.views, see_clip(everything[numbers]))


rising = st.lists(st.integers(1, 40), min_size=1, max_size=30).map(lambda gaps: np.cumsum([0, *gaps]))


@given(rising, st.sampled_from([1, 30, 90, 1000]), st.integers(2, 200), st.integers(2, 200))
def test_windows_are_those_of_the_rule(ticks, ticks_a_second, length, stride):
    tick_sec = Fraction(1, ticks_a_second)
    length, stride = length * tick_sec / 3, stride * tick_sec * 2 / 3  # on frames and between them
    timeline = Timeline(FrameTimes(ticks, tick_sec), Windows(length, stride), SETTINGS)
    cut = cut_windows(ticks * tick_sec, length, stride)
    assert len(timeline) == len(cut)
    for number in {0, len(cut) // 2, len(cut) - 1}:
        start, end, numbers = cut[number]
        span = timeline[number]
        assert (span.start_sec, span.end_sec) == (start, end)
        assert set(span.frames) <= set(numbers)
        assert (numbers[0], numbers[-1]) == (min(numbers), max(numbers))
        assert start < end


@pytest.mark.parametrize(
    ("num_frames", "rate", "length", "stride", "spans"),
    [
        (200, 10, 10, 10, [(0, 10), (10, 20)]),
        (200, 10, 10, 5, [(0, 10), (5, 15), (10, 20)]),
        (201, 10, 10, 10, [(0, 10), (10, 20), (20, Fraction("20.1"))]),
        (200, 10, 60, 60, [(0, 20)]),
        (200, 10, 4, 9, [(0, 4), (9, 13), (18, 20)]),
        (190, 10, 4, 9, [(0, 4), (9, 13), (18, 19)]),
        (180, 10, 4, 9, [(0, 4), (9, 13)]),
    ],
)
def test_the_last_window_is_the_first_that_reaches_the_end(num_frames, rate, length, stride, spans):
    times = FrameTimes(np.arange(num_frames), Fraction(1, rate))
    timeline = Timeline(times, seconds(length, stride), SETTINGS)
    assert [(span.start_sec, span.end_sec) for span in map(timeline.__getitem__, range(len(timeline)))] == spans


def test_times_rounded_to_milliseconds_add_no_window():
    ticks = np.round((np.arange(14_400) + 0.2) / 24 * 1000).astype(int)
    times = FrameTimes(ticks - ticks[0], Fraction(1, 1000))
    assert times.end_sec == Fraction("600.001")
    timeline = Timeline(times, seconds(10, 5), SETTINGS)
    assert (len(timeline), timeline[118].end_sec) == (119, 600)


@pytest.mark.pyav
def test_a_still_picture_of_an_hour_has_the_windows_of_an_hour(folder):
    path = stamp_anew(make_clip(folder, Clip("one.mp4", "libx264", num_frames=1)), folder / "hour.mp4", [0], 3600)
    video = decoding.open_video(path)
    assert video.times.end_sec == 3600
    assert [window.span.end_sec for window in read_windows(video, seconds("1800"), SETTINGS)] == [1800, 3600]


@pytest.mark.pyav
def test_far_more_windows_than_frames_are_refused_before_any_is_planned(folder, monkeypatch):
    source = make_clip(folder, Clip("near.mkv", "libx264"))
    path = stamp_anew(source, folder / "far.mkv", [*range(29), 9_000_000])
    monkeypatch.setattr(Timeline, "count_uses", None)
    text = (
        r"far\.mkv would have 900,001 windows of 1 s every 1 s with 30 frames in 900,000 s; give a longer --window-sec"
    )
    with pytest.raises(DataError, match=text):
        next(read_windows(decoding.open_video(path), seconds("1"), SETTINGS))


def test_opencv_refuses_uneven_times_that_it_does_not_tell_to_the_end(h264):
    video = opencv.Video(h264)
    video._stamps = type(video._stamps)("q", [0, 10**9, 2 * 10**9, 0])
    with pytest.raises(DataError, match=r"h264\.mp4 has frames at uneven times, .*install PyAV"):
        _ = video.times
