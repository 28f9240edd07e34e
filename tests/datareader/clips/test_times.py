"""When frames are shown, where files say it wrongly or not at all."""

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datareader.clips import decoding
from datareader.clips.pyav import SequentialVideo
from datareader.clips.times import NO_TIME, find_times
from tests.datareader.clips.test_copies import copy
from tests.datareader.clips.videos import Clip, make_clip, stamp_anew
from tools.errors import DataError

EVENLY_THEN_SLOWLY = [*range(0, 4000, 40), *range(4000, 104_001, 5000)]  # ms


def times_ms(stamps, pace=(25.0, None)):
    times = find_times("x.mkv", stamps, Fraction(1, 1000), lambda: pace)
    return [float(ticks * times.tick_sec * 1000) for ticks in times.ticks]


@pytest.mark.parametrize(
    ("place", "said", "mended"),
    [
        (50, [1960], [2000]),  # as the frame before
        (50, [NO_TIME], [2000]),
        (50, [10], [2000]),
        (50, [90_000_000], [2000]),
        (50, [2040, 2000], [1980, 2000]),  # exchanged
        (0, [NO_TIME], [0]),
        (101, [NO_TIME], [9000]),
        (101, [NO_TIME, NO_TIME], [4040, 11520]),
        (120, [NO_TIME], [99_040]),
        (120, [4000], [99_040]),
    ],
)
def test_wrong_times_of_single_frames_leave_those_of_all_others(place, said, mended):
    stamps, expected = EVENLY_THEN_SLOWLY.copy(), EVENLY_THEN_SLOWLY.copy()
    stamps[place : place + len(said)] = said
    expected[place : place + len(said)] = mended
    assert times_ms(stamps) == expected


def test_a_film_that_begins_anew_goes_on_at_its_own_pace():
    first = [*range(0, 2000, 50)]
    assert times_ms([*first, *range(0, 4000, 100)]) == [*first, *range(1990, 5990, 100)]


@given(st.lists(st.one_of(st.just(NO_TIME), st.integers(-50, 50)), min_size=2, max_size=30), st.integers(1, 100))
def test_times_rise_whatever_a_file_says(stamps, rate):
    times = find_times("x.mkv", stamps, Fraction(1, 10), lambda: (float(rate), None))
    assert times.ticks[0] == 0
    assert (np.diff(times.ticks) > 0).all()
    assert len(times.ticks) == len(stamps)


def test_where_most_times_are_wrong_or_missing_the_rate_tells_them():
    for stamps in ([5, 7, 7], [5, 7, 6], [NO_TIME, NO_TIME, 9], [1, 3, 4, 2, 6, 7, 5]):  # the last of h264 in AVI
        times = find_times("x.avi", stamps, Fraction(1, 100), lambda: (29.97002997, None))
        assert (times.ticks.tolist(), times.tick_sec) == ([*range(len(stamps))], Fraction(1001, 30000))
    with pytest.raises(DataError, match=r"^x\.avi does not say when its frames are shown, nor how many a second$"):
        find_times("x.avi", [1, 1], Fraction(1, 100), lambda: (None, None))


@pytest.mark.parametrize(
    ("stamps", "pace"),
    [([0, 1, 10**9], (25.0, None)), ([0, NO_TIME, 10**9], (25.0, None)), ([NO_TIME] * 99, (1e-5, None))],
)
def test_times_that_no_video_has_are_refused(stamps, pace):
    with pytest.raises(DataError, match=r"^x\.mp4 says that its frames are shown for 1\d\d days; convert it$"):
        find_times("x.mp4", stamps, Fraction(1, 100), lambda: pace)


@pytest.mark.parametrize("seconds", [Fraction(1, 1_000_000), Fraction(1, 25), 1, 1000, 1001, 1500, 2000, 3000, 10_800])
def test_a_single_frame_is_shown_as_long_as_the_file_or_its_rate_says(seconds):
    for pace in ((25.0, float(seconds)), (None, float(seconds)), (float(1 / Fraction(seconds)), None)):
        assert find_times("x.mp4", [7], Fraction(1, 100), lambda pace=pace: pace).end_sec == seconds
    two = find_times("x.mp4", [NO_TIME] * 2, Fraction(1, 100), lambda: (float(1 / Fraction(seconds)), None))
    assert two.end_sec == 2 * seconds
    assert find_times("x.mp4", [7], Fraction(1, 100), lambda: (None, 1e-9)).end_sec == Fraction(1, 1_000_000)


@pytest.mark.pyav
def test_made_up_times_are_told_once_of_each_video(folder, caplog):
    source = make_clip(folder, Clip("even.mkv", "libx264"))
    path = stamp_anew(source, folder / "equal.mkv", [*range(9), 8, *range(10, 30)])
    caplog.set_level("INFO")
    for _ in range(2):
        times = decoding.open_video(path).times
        assert [ticks * times.tick_sec for ticks in times.ticks] == [Fraction(i, 10) for i in range(30)]
    decoding.open_video(source).times  # noqa: B018
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: some frames do not say when they are shown, or not in order; their times are made up from those "
        "beside them"
    ]
    caplog.clear()
    raw = make_clip(folder, Clip("raw.h264", "libx264", planned=False))
    for _ in range(2):
        decoding.open_video(raw).times  # noqa: B018
    assert [record.getMessage() for record in caplog.records] == [
        f"{raw}: it does not say when its frames are shown, which are taken for 25 a second"
    ]


@pytest.mark.pyav
@pytest.mark.parametrize("wrong", [{9: 8}, {9: 2}, {9: 11, 10: 9}, {29: 28}])
def test_wrong_times_of_frames_are_made_up_as_those_of_windows_are(tmp_path, wrong):
    source = make_clip(tmp_path, Clip("even.mkv", "libx264", size=(96, 64)))
    path = stamp_anew(source, tmp_path / "a.mkv", [wrong.get(i, i) for i in range(30)])
    times = SequentialVideo(path).times
    drawn_at = []
    target, _ = copy(path, tmp_path, lambda planes, time_sec: drawn_at.append(time_sec))
    assert drawn_at == [float(ticks * times.tick_sec) for ticks in times.ticks]
    with av.open(target) as container:
        np.testing.assert_allclose([frame.time for frame in container.decode(video=0)], drawn_at, atol=1e-3)


@pytest.mark.pyav
def test_a_still_picture_of_an_hour_is_copied(tmp_path):
    source = make_clip(tmp_path, Clip("one.mp4", "libx264", num_frames=1, size=(96, 64)))
    target, said = copy(stamp_anew(source, tmp_path / "a.mp4", [0], 3600), tmp_path)
    assert said == []
    with av.open(target) as container:
        assert container.duration == pytest.approx(3600 * av.time_base, rel=1e-3)
