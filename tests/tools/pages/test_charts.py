"""What charts draw: scales, ticks, curves of many points as few."""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tools.pages.charts import BOTTOM, LEFT, RIGHT, STYLES, TOP, BarChart, DotChart, LineChart, Series
from tools.pages.scales import Scale, choose_ticks, format_number, format_ticks, make_scale
from tools.pages.thinning import MOST_POINTS, thin

NUMBERS = st.floats(-1e12, 1e12, allow_nan=False)


@given(NUMBERS, st.floats(1e-9, 1e12), st.integers(2, 10))
@example(5.1, 4.1, 2)  # multiples of 5 lie outside
@example(6.0, 4e9 + 1, 2)
def test_ticks_are_round_in_order_and_inside(low, length, most):
    high = low + length
    if not high > low or length < 1e-6 * max(abs(low), 1):
        return
    ticks = choose_ticks(low, high, most)
    assert 1 <= len(ticks) <= most + 1
    assert ticks == sorted(set(ticks))
    slack = 1e-6 * length
    assert low - slack <= ticks[0] <= ticks[-1] <= high + slack


def test_ticks_of_what_is_counted_are_whole():
    assert choose_ticks(0, 1, 6, whole=True) == [0, 1]
    assert choose_ticks(0, 49, 6, whole=True) == [0, 10, 20, 30, 40]
    assert choose_ticks(0, 3, 6, whole=True) == [0, 1, 2, 3]


def test_numbers_are_written_as_short_as_they_can_be_told_apart():
    assert format_ticks([0, 20_000, 40_000]) == ["0", "20k", "40k"]
    assert format_ticks([0, 0.5, 1]) == ["0", "0.5", "1"]
    assert format_number(1234567) == "1,234,567"
    assert format_number(0.1 + 0.2) == "0.3"
    assert [format_number(value) for value in (math.nan, math.inf)] == ["-", "-"]


def test_values_far_apart_are_drawn_by_powers_of_ten():
    scale = make_scale(np.array([1e-5, 1e-2]), 200, 0, is_log=True)
    assert scale.is_log
    places = scale.place([1e-5, 1e-4, 1e-3, 1e-2])
    np.testing.assert_allclose(np.diff(places), np.diff(places)[0])
    assert [text for _, text in scale.ticks(6)] == ["1e-05", "0.0001", "0.001", "0.01"]
    assert not make_scale(np.array([0.0, 1.0]), 200, 0, is_log=True).is_log
    assert Scale(0, 10, 100, 0).place(5) == 50


def test_an_axis_leaves_no_room_where_no_value_can_be():
    ends = [
        (scale.low, scale.high)
        for values in ([0.0, 100.0], [50.0, 60.0], [100.0, 100.0])
        for scale in [make_scale(np.array(values), 200, 0, floor=0, ceiling=100)]
    ]
    assert ends == [(0, 100), (49.6, 60.4), (95, 100)]


def test_a_curve_of_many_points_keeps_its_peaks_and_says_how_many_are_one():
    y = np.zeros(100_000)
    y[54_321] = 9
    y[7] = np.nan
    curve = thin(np.arange(len(y)), y)
    assert len(curve.x) <= MOST_POINTS
    assert curve.of_each == math.ceil(len(y) / MOST_POINTS)
    assert np.nanmax(curve.high) == 9
    assert curve.x[curve.high.argmax()] == pytest.approx(54_321, abs=curve.of_each)
    assert (curve.low <= curve.y).all()
    assert (curve.y <= curve.high).all()
    chart = LineChart("loss", "step", [Series("training", np.arange(len(y)), y)])
    drawing = chart.drawing
    assert f"mean of up to {curve.of_each} at a time" in drawing.note
    assert "greatest 9." in drawing.about
    assert len(drawing.values) + len(drawing.lines[0].path) < 30_000


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=700))
def test_means_and_ends_of_a_thinned_curve_are_those_of_all_points(values):
    y = np.array([math.nan if value is None else value for value in values])
    curve = thin(np.arange(len(y)), y)
    if np.isfinite(y).any():
        assert (np.nanmin(curve.low), np.nanmax(curve.high)) == (np.nanmin(y), np.nanmax(y))
    if curve.of_each == 1:
        np.testing.assert_array_equal(curve.y, y)


def test_all_that_is_drawn_lies_inside_the_axes_and_gaps_stay_gaps():
    y = [0.5, math.nan, 3, 1, math.inf, -2]
    drawing = LineChart("t", "epoch", [Series("a", range(6), y)]).drawing
    (line,) = drawing.lines
    assert line.path.count("M") == 3
    numbers = line.path.replace("M", " ").replace("L", " ").split()
    assert all(LEFT <= float(x) <= RIGHT for x in numbers[::2])
    assert all(TOP <= float(y) <= BOTTOM for y in numbers[1::2])
    assert line.dots.count("h0") == 4
    assert json.loads(drawing.values)["series"][0]["y"] == [0.5, None, 3, 1, None, -2]


def test_lines_keep_their_looks_where_others_have_no_values():
    nothing = Series("none", [0, 1], [math.nan, math.nan])
    some = Series("some", [0, 1], [1, 2])
    drawing = LineChart("t", "epoch", [nothing, some, *[some] * STYLES]).drawing
    assert [line.style for line in drawing.lines[:2]] == [1, 2]
    assert drawing.lines[-1].style == 1
    assert LineChart("t", "epoch", [nothing]).drawing is None
    assert LineChart("t", "epoch", []).drawing is None


def test_one_point_is_a_dot_in_the_middle_and_equal_ones_a_level_line():
    drawing = LineChart("t", "epoch", [Series("a", [3], [0.5])]).drawing
    assert drawing.lines[0].dots
    assert drawing.about == "a: 0.5 at epoch 3; least 0.5, greatest 0.5."
    level = LineChart("t", "epoch", [Series("a", range(100), [0] * 100)]).drawing
    assert len({point.split()[1] for point in level.lines[0].path[1:].split("L")}) == 1


def test_charts_of_things_and_of_counts_say_what_they_show():
    dots = DotChart("t", "clips", "top-1", ["a", "b", "c"], [1, 10, 1000], [0, 50, 100], " %").drawing
    assert dots.about.startswith("3 dots. clips: 1 to 1,000. top-1: 0 % to 100 %, half of them at 50 % or more.")
    assert dots.lines[0].dots.count("h0") == 3
    bars, about = BarChart("t", "top-1", "classes", ["0", "50"], [3, 0]).drawing
    assert about == "0: 3; 50: 0"
    assert bars[0].height > bars[1].height == 0
    assert BarChart("t", "x", "y", [], []).drawing is None
    assert DotChart("t", "x", "y", [], [], []).drawing is None
