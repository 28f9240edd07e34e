"""Predictions as files, and the ranks of classes."""

import json
import pickle

import numpy as np

from tools.inference.predictions import rank_classes, write_predictions


def test_an_id_that_is_no_valid_text_does_not_keep_results_from_being_written(tmp_path):
    results = [("a \ud800", [0.75], [1]), ("打太极", [0.5], [0])]
    paths = write_predictions(tmp_path / "x", results, ["one", "two"])
    assert pickle.loads(paths[0].read_bytes()) == results
    assert [video["id"] for video in json.loads(paths[1].read_text())] == ["a ?", "打太极"]
    assert paths[2].read_text().splitlines()[1:] == ["a ?,1,1,two,0.75", "打太极,1,0,one,0.5"]


def test_equal_probabilities_rank_the_lower_class_first():
    assert rank_classes(np.array([0.2, 0.5, 0.5, 0.1]), 3) == ([0.5, 0.5, 0.2], [1, 2, 0])
