"""Files of YouTube-8M features: each planted fault is found, and the index of training is used."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from datareader.features.dataset import FeatureDataset
from datareader.features.index import FileIndex
from datareader.features.records import Expected
from tests.tools.doctor.planted_faults import PLANTED_FEATURES, plant_features
from tests.tools.doctor.reports import append_lines, examine, train_ends_with_an_error
from tools.doctor.features import FeatureInspector
from tools.doctor.inspection import FileReport


@pytest.mark.parametrize("deep", [(), ("--deep",)])
def test_every_fault_planted_in_features_is_found_and_nothing_else(features, deep):
    planted = plant_features(features / "data")
    assert len(planted) == PLANTED_FEATURES
    append_lines(features / "data/train.list", planted)
    report, _ = examine("tiny.txt", *deep)
    found = Counter((f["kind"], Path(f["path"]).name, f["section"]) for f in report["findings"])
    there = {
        (kind, name if (features / "data" / name[:100]).is_file() else "", "TRAIN") for name, kind in planted.items()
    }
    assert found == Counter(there)
    assert report["sections"]["TRAIN"]["entries"] == 3 + len(planted)
    assert report["sections"]["TRAIN"]["usable"] == 40
    assert report["verdict"]["fails"]


def test_without_deep_the_index_of_training_is_made_and_used(features, monkeypatch):
    plant_features(features / "data")
    append_lines(features / "data/train.list", ["narrow.pkl", "cut.pkl"])
    first, _ = examine("tiny.txt")
    monkeypatch.setattr("tools.doctor.features.scan_file", None)
    again, _ = examine("tiny.txt")
    for report in (first, again):
        report["sections"] = {name: part | {"reading": None} for name, part in report["sections"].items()}
    assert again["sections"] == first["sections"]
    assert again["findings"] == first["findings"]
    monkeypatch.setattr(FeatureDataset, "_scan", None)  # training scans nothing either
    assert train_ends_with_an_error("tiny.txt", 0)
    assert not train_ends_with_an_error("tiny.txt", 2)


@pytest.mark.parametrize(("dims", "seconds"), [((1024, 128), [5.0]), ((2048, 128), None)])
def test_only_features_of_youtube_8m_are_known_to_come_once_a_second(dims, seconds):
    file = FileIndex(np.array([5], np.int32), None, (), np.zeros((0, 2), np.int32), 0)
    report = FileReport(1, "x.pkl", "list line 1")
    FeatureInspector(Expected(("rgb", "audio"), dims, num_classes=4))._fill(report, file)
    assert report.num_frames == [5]
    assert report.seconds == seconds
