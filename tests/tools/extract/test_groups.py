"""Files of records and their list: what an index made by a training says once labels were corrected."""

import os

import numpy as np
import pytest

from datareader.extraction.youtube8m import Made
from datareader.features.dataset import FeatureDataset
from datareader.features.inputs import SegmentFrames
from datareader.features.records import Expected
from tools.extract.groups import Format, is_finished, plan_groups, write_group, write_list
from tools.extract.inputs import load_videos

EXPECTED = Expected(("rgb",), (4,), num_classes=8)


@pytest.fixture
def write(tmp_path):
    """Write features for a list of two videos with these labels, as of a backbone, and give the list of the files."""
    for name in "ab":
        (tmp_path / f"{name}.mp4").write_bytes(b"x")

    def write(*labels):
        (tmp_path / "own.list").write_text("".join(map("{}.mp4 {}\n".format, "ab", labels)))
        (group,) = plan_groups(load_videos(str(tmp_path / "own.list")), 16)
        path = group.path(tmp_path, Format.PICKLE)
        assert not is_finished(group, path)
        records = [
            {"video": video.entry.written, "feature": np.full((3, 4), 0.5, np.float16), "nframes": 3, "label": [*label]}
            for video in group.videos
            for label in [video.labels]
        ]
        write_group(group, path, Format.PICKLE, [Made(record, {}, "") for record in records], {"weights": "some"})
        assert is_finished(group, path)
        return write_list(tmp_path, [path], lambda labelled: None)

    return write


def classes_of(list_path, labelled=True):
    expected = Expected(("rgb",), (4,), num_classes=8, labels_needed=labelled)
    dataset = FeatureDataset(str(list_path), expected, SegmentFrames(2), training=labelled, skip_broken=0)
    return np.flatnonzero(dataset.class_counts()).tolist() if labelled else len(dataset)


@pytest.mark.parametrize("whole_seconds", [False, True])
def test_corrected_labels_are_those_that_a_training_sees(write, tmp_path, monkeypatch, whole_seconds):
    if whole_seconds:  # as some file systems have it
        utime = os.utime
        monkeypatch.setattr(os, "utime", lambda file, ns: utime(file, ns=tuple(time - time % 10**9 for time in ns)))
    path = write(1, 2)
    own = tmp_path / "train.list"  # a list of one's own, which this program does not know
    own.write_text(path.read_text())
    assert classes_of(path) == classes_of(own) == [1, 2]
    assert classes_of(path, labelled=False) == 2
    assert write(5, 6) == path
    assert classes_of(path) == [5, 6]
    assert classes_of(path, labelled=False) == 2
    if not whole_seconds:
        assert classes_of(own) == [5, 6]


def test_the_time_of_a_file_goes_by_its_records_alone(write, tmp_path):
    times = [write(*labels).with_name("features-00000.pkl").stat().st_mtime_ns for labels in ((1, 2), (5, 6), (1, 2))]
    assert times[0] == times[2] != times[1]
    newest = max((tmp_path / f"{name}.mp4").stat().st_mtime_ns for name in "ab")
    assert {time // 10**9 for time in times} == {newest // 10**9}
