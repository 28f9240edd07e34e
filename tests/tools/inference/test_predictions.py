"""Predictions as files, and the ranks of classes."""

import json
import os
import pickle

import numpy as np

from tools.inference.predictions import (
    MergedSpans,
    VideoClasses,
    count_videos,
    describe_repeated,
    merge_spans,
    rank_classes,
    write_predictions,
)

SPANS = [  # of two videos with the same best class where one ends and the other begins
    VideoClasses("a", "a.mp4", None, [0.75, 0.25], [1, 0], 0.0, 2.5, (0, 9)),
    VideoClasses("a", "a.mp4", None, [0.5, 0.5], [1, 0], 1.25, 3.75, (5, 12)),
    VideoClasses("a", "a.mp4", None, [1.0, 0.0], [0, 1], 2.5, 4.125, (9, 15)),
    VideoClasses("b", "b.mp4", None, [0.5, 0.25], [0, 1], 0.0, 2.0, (0, 4)),
]


def test_an_id_that_is_no_valid_text_does_not_keep_results_from_being_written(tmp_path):
    results = [
        VideoClasses("a \udcff", "x/a \udcff.mp4", 1, [0.75], [1]),
        VideoClasses("打太极", "打太极.mp4", None, [0.5], [0]),
    ]
    paths = write_predictions(tmp_path / "x", results, ["one", "two"])
    assert pickle.loads(paths[0].read_bytes()) == [("a \udcff", [0.75], [1]), ("打太极", [0.5], [0])]
    read = json.loads(paths[1].read_text())
    assert [video["id"] for video in read] == ["a \udcff", "打太极"]
    assert os.fsencode(read[0]["path"]) == b"x/a \xff.mp4"
    rows = [r"a \udcff,1,1,two,0.75,x/a \udcff.mp4,1", "打太极,1,0,one,0.5,打太极.mp4,"]
    assert paths[2].read_text().splitlines()[1:] == rows


def test_ids_that_repeat_are_counted_and_one_is_named():
    def results(*ids):
        return [VideoClasses(video_id, "", None, [1.0], [0]) for video_id in ids]

    assert describe_repeated(results("a", "b")) is None
    line = describe_repeated(results("a", "0001", "b", "0001", "a", "0001"))
    assert line.startswith("5 of 6 videos share their id with another (0001: 3 of them)")


def test_equal_probabilities_rank_the_lower_class_first():
    assert rank_classes(np.array([0.2, 0.5, 0.5, 0.1]), 3) == ([0.5, 0.5, 0.2], [1, 2, 0])


def test_spans_of_a_video_have_their_times_in_every_file(tmp_path):
    paths = write_predictions(tmp_path / "x", SPANS, ["one", "two"])
    assert [path.name for path in paths] == ["x", "x.json", "x.csv", "x_merged.json", "x_merged.csv"]
    assert [name for name, *_ in pickle.loads(paths[0].read_bytes())] == [
        "a#t=0,2.5",
        "a#t=1.25,3.75",
        "a#t=2.5,4.125",
        "b#t=0,2",
    ]
    first, *_ = json.loads(paths[1].read_text())
    assert list(first) == ["id", "path", "line", "classes", "start_sec", "end_sec"]
    assert (first["id"], first["start_sec"], first["end_sec"]) == ("a", 0.0, 2.5)
    table = paths[2].read_text().splitlines()
    assert table[0] == "id,rank,class_id,name,probability,path,line,start_sec,end_sec"
    assert table[3] == "a,1,1,two,0.5,a.mp4,,1.25,3.75"
    assert len(table) == 9


def test_neighbouring_spans_of_one_best_class_are_merged_video_by_video(tmp_path):
    assert merge_spans(SPANS) == [
        MergedSpans("a", "a.mp4", None, 1, 0.625, 0.0, 3.75, 2),
        MergedSpans("a", "a.mp4", None, 0, 1.0, 2.5, 4.125, 1),
        MergedSpans("b", "b.mp4", None, 0, 0.5, 0.0, 2.0, 1),
    ]
    *_, nested, table = write_predictions(tmp_path / "x", SPANS, None)
    assert table.read_text().splitlines()[:2] == [
        "id,class_id,name,probability,path,line,start_sec,end_sec,spans",
        "a,1,,0.625,a.mp4,,0.0,3.75,2",
    ]
    assert json.loads(nested.read_text())[2]["end_sec"] == 2.0


def test_spans_with_a_gap_between_them_are_not_merged_over_it():
    spans = [VideoClasses("a", "a.mp4", None, [1.0], [3], start, start + 1.0) for start in (0.0, 1.0, 5.0)]
    assert [(part.start_sec, part.end_sec) for part in merge_spans(spans)] == [(0.0, 2.0), (5.0, 6.0)]


def test_merged_spans_of_an_earlier_run_go_with_its_results(tmp_path):
    write_predictions(tmp_path / "x", SPANS, None)
    whole = [VideoClasses("a", "a.mp4", None, [1.0], [3])]
    assert write_predictions(tmp_path / "x", whole, None) == [tmp_path / name for name in ("x", "x.json", "x.csv")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "x.csv", "x.json", "x_run.json"]


def test_a_video_in_spans_counts_as_one():
    assert count_videos(SPANS) == 2
    assert describe_repeated(SPANS) is None
    assert describe_repeated(SPANS + SPANS).startswith("4 of 4 videos share their id with another (a: 2 of them)")
