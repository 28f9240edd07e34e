"""Predictions as files, and the ranks of classes."""

import json
import pickle

import numpy as np

from tools.inference.predictions import VideoClasses, describe_repeated, rank_classes, write_predictions


def test_an_id_that_is_no_valid_text_does_not_keep_results_from_being_written(tmp_path):
    results = [
        VideoClasses("a \ud800", "x/a \ud800.mp4", 1, [0.75], [1]),
        VideoClasses("打太极", "打太极.mp4", None, [0.5], [0]),
    ]
    paths = write_predictions(tmp_path / "x", results, ["one", "two"])
    assert pickle.loads(paths[0].read_bytes()) == [("a \ud800", [0.75], [1]), ("打太极", [0.5], [0])]
    assert [video["id"] for video in json.loads(paths[1].read_text())] == ["a ?", "打太极"]
    rows = ["a ?,1,1,two,0.75,x/a ?.mp4,1", "打太极,1,0,one,0.5,打太极.mp4,"]
    assert paths[2].read_text().splitlines()[1:] == rows


def test_ids_that_repeat_are_counted_and_one_is_named():
    def results(*ids):
        return [VideoClasses(video_id, "", None, [1.0], [0]) for video_id in ids]

    assert describe_repeated(results("a", "b")) is None
    line = describe_repeated(results("a", "0001", "b", "0001", "a", "0001"))
    assert line.startswith("5 of 6 videos share their id with another (0001: 3 of them)")


def test_equal_probabilities_rank_the_lower_class_first():
    assert rank_classes(np.array([0.2, 0.5, 0.5, 0.1]), 3) == ([0.5, 0.5, 0.2], [1, 2, 0])
