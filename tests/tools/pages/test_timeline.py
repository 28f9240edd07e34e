"""Timelines of films: which class has which lane, and where its stretches lie."""

import json
import re

from tools.pages.timeline import HEIGHT, LANES, WIDTH, Stretch, Timeline


def bars_of(path):
    return [tuple(map(float, bar)) for bar in re.findall(r"M([\d.]+) 20V([\d.]+)H([\d.]+)V20Z", path)]


def test_each_name_has_a_lane_that_of_the_longest_time_first():
    stretches = [Stretch(0, 5, "b", 1), Stretch(5, 20, "a", 0.5), Stretch(20, 25, "b", 0)]
    film = Timeline("t", stretches, 30)
    assert [(lane.name, lane.about) for lane in film.lanes] == [("a", "0:15 of 0:30"), ("b", "0:10 of 0:30")]
    assert bars_of(film.lanes[0].path) == [(166.7, HEIGHT / 2, 666.7)]
    assert bars_of(film.lanes[1].path) == [(0, 0, 166.7), (666.7, HEIGHT - 3, 833.3)]
    assert json.loads(film.values) == {
        "end": 30, "names": ["b", "a"], "stretches": [[0, 5, 0, 100], [5, 20, 1, 50], [20, 25, 0, 0]],
    }  # fmt: skip
    assert [*film.ticks, film.last] == ["0:00", "0:08", "0:15", "0:22", "0:30"]


def test_more_names_than_lanes_share_the_last_one():
    stretches = [Stretch(i, i + 1, f"n{i % 12}", 1) for i in range(30)]
    lanes = Timeline("t", stretches, 30).lanes
    assert [lane.name for lane in lanes[:6]] == [f"n{i}" for i in range(6)]
    assert (len(lanes), lanes[-1].name) == (LANES + 1, "4 others")
    assert sum(len(bars_of(lane.path)) for lane in lanes) == 30
    exactly = Timeline("t", stretches[: LANES + 1], 30).lanes
    assert [lane.name for lane in exactly] == [f"n{i}" for i in range(LANES + 1)]


def test_short_films_and_short_stretches_are_still_told_and_seen():
    film = Timeline("t", [Stretch(0, 0.04, "a", 1)], 0.04)
    assert [*film.ticks, film.last] == ["0:00", "0:00.01", "0:00.02", "0:00.03", "0:00.04"]
    ((left, top, right),) = bars_of(Timeline("t", [Stretch(50_000, 50_000.5, "a", 1)], 86_400).lanes[0].path)
    assert (top, right - left) == (0, 1)
    ((left, _, right),) = bars_of(Timeline("t", [Stretch(0, 9, "a", 1)], 8.9).lanes[0].path)
    assert (left, right) == (0, WIDTH)
