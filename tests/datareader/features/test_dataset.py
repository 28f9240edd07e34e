"""Batches of YouTube-8M features: what they hold, what stays in memory, and what broken data do to them."""

import pickle
import time
from dataclasses import replace

import numpy as np

from datareader.dataset import Dataset
from datareader.features.records import load_records
from datareader.loader import EvaluationLoader
from tests.conftest import write_pickles
from tests.datareader.features.reading import EXPECTED, batches_of, break_record, error_of, ids_of, open_list


def test_it_has_every_member_of_the_contract(tiny):
    assert isinstance(open_list(tiny / "data/val.list"), Dataset)


def test_the_frames_of_a_record_depend_on_seed_epoch_and_record_not_on_its_batch(tiny):
    dataset = open_list(tiny / "data/train.list", training=True)

    def frames(batch_size, epoch):
        batches = batches_of(dataset, batch_size, epoch=epoch)
        return dict(zip(ids_of(batches), np.concatenate([batch.inputs[0] for batch in batches]), strict=True))

    one, other, later = frames(3, 0), frames(8, 0), frames(8, 1)
    assert all((one[name] == other[name]).all() for name in one)
    assert any((one[name] != later[name]).any() for name in one)


def test_labels_are_multi_hot_and_batches_name_their_records(tiny):
    batch = batches_of(open_list(tiny / "data/val.list"))[0]
    raw = load_records(str(tiny / "data/val0.pkl"))[2]
    assert np.flatnonzero(batch.labels[2]).tolist() == sorted(raw["label"])
    assert batch.sources[2].endswith("val0.pkl record 2 (video val0_2)")


def test_batches_of_a_test_hold_videos_of_similar_length_and_tell_their_place_in_the_list(tmp_path):
    write_pickles(tmp_path, "val", [10, 11])
    in_order = batches_of(open_list(tmp_path / "val.list"), batch_size=1)
    dataset = open_list(tmp_path / "val.list", sort_by_length=True)
    batches = batches_of(dataset, batch_size=4)
    numbers = np.concatenate([batch.numbers for batch in batches])
    assert sorted(numbers) == list(range(21))
    assert ids_of(batches) == [ids_of(in_order)[number] for number in numbers]
    lengths = dataset.num_frames[numbers]
    assert (np.diff(lengths) <= 0).all()  # all 21 are in the first window
    assert len(set(lengths.tolist())) > 1


def test_only_the_files_in_use_and_the_next_one_stay_in_memory(tmp_path, monkeypatch):
    path = write_pickles(tmp_path, "many", [4] * 10)
    dataset = open_list(path)
    loaded = []
    monkeypatch.setattr(
        "datareader.features.dataset.load_records", lambda name: loaded.append(name) or load_records(name)
    )
    loader = EvaluationLoader(dataset, 4, num_workers=0, as_float=False)
    batches = loader.epoch()
    for number in range(3):
        next(batches)
        time.sleep(0.05)
        assert len(loaded) <= number + 2
    batches.close()


def test_a_broken_record_stops_the_run_with_its_name(tiny):
    break_record(tiny / "data/val1.pkl", 4, label=[5000])
    message = error_of(open_list, tiny / "data/val.list")
    assert "val1.pkl record 4 (video val1_4): label 5000 is not in 0 to 11" in message
    assert message.endswith("--skip-broken 1 would skip such")


def test_broken_records_and_files_are_left_out_and_listed_up_to_a_number(tiny):
    break_record(tiny / "data/val1.pkl", 4, label=[5000])
    whole = (tiny / "data/val0.pkl").read_bytes()
    (tiny / "data/val0.pkl").write_bytes(whole[:1000])
    assert "and 1 more" in error_of(open_list, tiny / "data/val.list", skip_broken=1)
    dataset = open_list(tiny / "data/val.list", skip_broken=2)
    assert len(dataset.broken) == 2
    assert ids_of(batches_of(dataset)) == [f"val1_{i}" for i in range(11) if i != 4]


def test_nothing_usable_is_an_error_even_when_broken_files_may_be_skipped(tiny):
    for i in range(2):
        (tiny / f"data/val{i}.pkl").write_bytes(b"")
    assert "holds a usable record" in error_of(open_list, tiny / "data/val.list", skip_broken=9)
    assert error_of(open_list, tiny / "data/val.list").endswith(
        f"val0.pkl is empty; fetch or copy it again (and 1 more in {tiny}/data/val.list)"
    )


def test_a_file_that_changes_while_in_use_is_an_error(tiny):
    dataset = open_list(tiny / "data/val.list")
    records = pickle.loads((tiny / "data/val0.pkl").read_bytes())
    (tiny / "data/val0.pkl").write_bytes(pickle.dumps(records[:3], protocol=4))
    assert "val0.pkl is not what it was when" in error_of(batches_of, dataset)


def test_it_tells_the_classes_of_its_records_and_how_many_records_each_has(tiny):
    """Those of usable records, in the numbering of ``order``."""
    break_record(tiny / "data/val0.pkl", 3, nframes=0)
    dataset = open_list(tiny / "data/val.list", skip_broken=1)
    raws = [raw for name in ("val0.pkl", "val1.pkl") for raw in load_records(str(tiny / "data" / name))]
    expected = [sorted(raw["label"]) if i != 3 else [] for i, raw in enumerate(raws)]
    labels = dataset.record_labels()
    assert [ids.tolist() for ids in np.split(labels.class_ids, labels.starts[1:-1])] == expected
    counts = dataset.class_counts()
    assert counts.tolist() == [sum(i in ids for ids in expected) for i in range(12)]
    assert counts.dtype == np.int64
    assert labels.count(12).tolist() == counts.tolist()
    unlabelled = open_list(tiny / "data/val.list", skip_broken=1, expected=replace(EXPECTED, labels_needed=False))
    assert unlabelled.class_counts() is None
