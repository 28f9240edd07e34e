"""The index of a list: cached, refreshed, made once by runs that start together."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from datareader.features.dataset import FeatureDataset
from datareader.features.index import build_index, index_records
from datareader.features.records import Expected
from datareader.lists import load_list
from tests.datareader.features.reading import break_record, open_list
from tools.errors import DataError


def test_the_index_is_read_from_its_cache_and_refreshed_for_changed_files(tiny, monkeypatch):
    path = tiny / "data/val.list"
    assert len(open_list(path)) == 21
    assert (tiny / "data/val.list.index.npz").is_file()
    scanned = []
    scan = FeatureDataset._scan
    monkeypatch.setattr(FeatureDataset, "_scan", lambda self, name: scanned.append(name) or scan(self, name))
    assert len(open_list(path)) == 21
    assert not scanned
    break_record(tiny / "data/val1.pkl", 4, label=[5000])
    assert len(open_list(path, skip_broken=1)) == 20
    assert scanned == [str(tiny / "data/val1.pkl")]
    assert len(open_list(path, skip_broken=1)) == 20
    assert len(scanned) == 1
    open_list(path, expected=Expected(("rgb", "audio"), (1024, 128), num_classes=6000))
    assert len(scanned) == 3


@pytest.mark.parametrize("damage", [b"", b"not a zip", None])
def test_a_damaged_cache_is_made_again(tiny, damage):
    path, cache = tiny / "data/val.list", tiny / "data/val.list.index.npz"
    open_list(path)
    cache.write_bytes(cache.read_bytes()[:200] if damage is None else damage)
    assert len(open_list(path)) == 21


def test_labels_are_read_from_the_cache_when_they_are_asked_for_alone(tiny, monkeypatch):
    path, cache = tiny / "data/val.list", tiny / "data/val.list.index.npz"
    made = open_list(path)
    read = open_list(path)
    assert made._labels is None
    assert read._labels is None
    break_record(tiny / "data/val1.pkl", 4, label=[3])  # one file is scanned again, the labels of the other stay
    changed = open_list(path)
    monkeypatch.setattr(FeatureDataset, "_scan", None)
    labels = changed.record_labels()
    assert labels.count(12).tolist() == changed.class_counts().tolist()
    assert labels.class_ids[labels.starts[14] : labels.starts[15]].tolist() == [3]
    monkeypatch.undo()
    cache.unlink()
    assert changed.record_labels().class_ids.tolist() == labels.class_ids.tolist()


@pytest.mark.parametrize("name", ["label_ids", "label_counts"])
def test_labels_that_do_not_fit_the_records_are_made_again(tiny, name):
    path, cache = tiny / "data/val.list", tiny / "data/val.list.index.npz"
    expected = open_list(path).record_labels()
    with np.load(cache) as file:
        table = {key: file[key] for key in file.files}
    for damaged in (table[name] + 1, table[name][1:], table[name].astype(float)):
        np.savez(cache, **table | {name: damaged})
        assert open_list(path).record_labels().class_ids.tolist() == expected.class_ids.tolist()


def test_labels_of_files_that_change_while_in_use_are_an_error(tiny):
    dataset = open_list(tiny / "data/val.list")
    (tiny / "data/val1.pkl").write_bytes((tiny / "data/val0.pkl").read_bytes())
    with pytest.raises(DataError, match=r"val1\.pkl is not what it was when"):
        dataset.record_labels()


def test_a_cache_that_cannot_be_written_is_a_notice_not_an_error(tiny, monkeypatch):
    def full_disk(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("datareader.features.index.np.savez", full_disk)
    dataset = open_list(tiny / "data/val.list")
    assert len(dataset) == 21
    assert "No space left on device" in dataset.notices[0]
    monkeypatch.setattr(FeatureDataset, "_scan", None)
    assert dataset.record_labels().count(12).tolist() == dataset.class_counts().tolist()
    assert not list((tiny / "data").glob("*.tmp"))


def test_of_runs_that_start_together_one_scans_the_files_and_the_others_use_what_it_found(tiny):
    list_path = str(tiny / "data/train.list")
    scanned = []

    def scan(path):
        scanned.append(path)
        time.sleep(0.1)
        return index_records([3, 4], [[0], [1, 2]])

    def index(_):
        return build_index(list_path, load_list(list_path), "any", scan, f"{list_path}.index.npz")[0]

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(index, range(3)))
    assert len(scanned) == len(set(scanned)) == 3
    assert all(file.num_frames.tolist() == [3, 4] for files in found for file in files)
