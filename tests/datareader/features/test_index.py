"""The index of a list: cached, refreshed, made once by runs that start together."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from datareader.features.dataset import FeatureDataset
from datareader.features.index import FileIndex, build_index
from datareader.features.records import Expected
from datareader.lists import load_list
from tests.datareader.features.reading import break_record, open_list


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


def test_a_cache_that_cannot_be_written_is_a_notice_not_an_error(tiny, monkeypatch):
    def full_disk(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("datareader.features.index.np.savez", full_disk)
    dataset = open_list(tiny / "data/val.list")
    assert len(dataset) == 21
    assert "No space left on device" in dataset.notices[0]
    assert not list((tiny / "data").glob("*.tmp"))


def test_of_runs_that_start_together_one_scans_the_files_and_the_others_use_what_it_found(tiny):
    list_path = str(tiny / "data/train.list")
    scanned = []

    def scan(path):
        scanned.append(path)
        time.sleep(0.1)
        return FileIndex(np.array([3, 4], np.int32))

    def index(_):
        return build_index(list_path, load_list(list_path), "any", scan, f"{list_path}.index.npz")[0]

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(index, range(3)))
    assert len(scanned) == len(set(scanned)) == 3
    assert all(file.num_frames.tolist() == [3, 4] for files in found for file in files)
