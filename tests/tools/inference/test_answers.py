"""The table of answers: what it says, and that it keeps its columns whatever the names are."""

import pytest

from tests.tools.inference.test_predictions import SPANS
from tools.inference.answers import describe_answers
from tools.inference.predictions import VideoClasses
from tools.runtime.text import display_width


def videos(*paths):
    return [VideoClasses("x", path, None, [0.75, 0.125, 0.0625], [2, 0, 1]) for path in paths]


def test_a_video_has_a_line_for_each_of_its_best_classes_and_its_name_once():
    table = describe_answers(videos("a.mp4", "bb.mp4"), ["one", "two", "three"], 2, 80)
    assert table.splitlines() == [
        "file    class  probability",
        "a.mp4   three       75.0 %",
        "        one         12.5 %",
        "bb.mp4  three       75.0 %",
        "        one         12.5 %",
    ]
    assert len(describe_answers(videos("a.mp4"), None, 0, 80).splitlines()) == 4
    assert "class 2" in describe_answers(videos("a.mp4"), None, 1, 80)


def test_a_class_without_a_name_is_shown_by_its_id():
    assert "a.mp4  class 2       75.0 %" in describe_answers(videos("a.mp4"), ["one", "two", ""], 1, 80)


def test_nothing_is_cut_where_there_are_no_columns():
    path, name = "videos/" * 30 + "a.mp4", "a class with a long name " * 9
    assert describe_answers(videos(path), [name, "two", name], 1).splitlines()[1] == f"{path}  {name}       75.0 %"


def test_spans_are_shown_merged_with_their_times():
    assert describe_answers(SPANS, ["one", "two"], 5, 80).splitlines() == [
        "file                time  class  probability",
        "a.mp4     0:00 - 0:03.75  two         62.5 %",
        "       0:02.5 - 0:04.125  one        100.0 %",
        "b.mp4        0:00 - 0:02  one         50.0 %",
    ]


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("videos/" * 30 + "clip.mp4", "playing the triangle"),
        ("clip.mp4", "a class with a name " * 20),
        ("视频/" * 30 + "太极.mp4", "打太极" * 30),
        ("سباق.mp4", "سباق الخيل"),
        ("café e\u0301.mp4", "a\nb\x1b[31m\u202e"),
    ],
)
def test_no_line_is_wider_than_the_terminal_and_the_columns_stand_below_one_another(columns, path, name):
    table = describe_answers(videos(path, "other.mp4"), [name, "two", "three"], 3, columns)
    lines = table.splitlines()
    assert len(lines) == 7
    assert table.replace("\n", "").replace("\u2068", "").replace("\u2069", "").isprintable()
    assert {display_width(line) for line in lines} == {display_width(lines[0])}
    assert display_width(lines[0]) <= columns
    assert "other.mp4" in lines[4]
    assert ".mp4" in lines[1]


def test_text_from_right_to_left_is_kept_apart_from_the_figures_beside_it():
    race = "\u0633\u0628\u0627\u0642 10"
    line = describe_answers(videos("a.mp4"), ["one", "two", race], 1, 80).splitlines()[1]
    assert line == f"a.mp4  \u2068{race}\u2069       75.0 %"
    joined = "می\u200cدود"  # a joiner is part of the word
    assert f"\u2068{joined}\u2069" in describe_answers(videos("a.mp4"), ["one", "two", joined], 1, 80)


def test_hours_are_shown_where_there_are_some():
    long = [VideoClasses("a", "a.mp4", None, [1.0], [0], start, start + 10.0) for start in (0.0, 3600.0)]
    long[1:] = [VideoClasses("a", "a.mp4", None, [1.0], [1], 3600.0, 36_610.5)]
    table = describe_answers(long, None, 5, 80)
    assert "0:00 - 0:10" in table
    assert "1:00:00 - 10:10:10.5" in table
