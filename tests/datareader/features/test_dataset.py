"""Lists, pickles, records, their index, sampling and batches of YouTube-8M features."""

import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datareader.features.dataset import FeatureDataset
from datareader.features.index import FileIndex, build_index
from datareader.features.inputs import SegmentFrames
from datareader.features.records import Expected, load_records, parse_record
from datareader.lists import load_list
from datareader.loader import EvaluationLoader, TrainingLoader
from datareader.sampling import sample_span_frames
from datareader.transforms import dequantize
from tests.conftest import make_record, write_pickles
from tests.golden_inputs import GOLDEN
from tools.errors import DataError
from tools.runtime.workers import map_in_order

EXPECTED = Expected(("rgb", "audio"), (1024, 128), num_classes=12)


def open_list(path, training=False, skip_broken=0, expected=EXPECTED):
    return FeatureDataset(str(path), expected, SegmentFrames(8), training=training, skip_broken=skip_broken)


def batches_of(dataset, batch_size=8, num_workers=0, epoch=0, start=0, seed=0):
    options = {"num_workers": num_workers, "as_float": False, "seed": seed}
    if not dataset.training:
        return list(EvaluationLoader(dataset, batch_size, **options).epoch())
    steps = TrainingLoader(dataset, batch_size, **options).epoch(epoch, start)
    return [batch for (batch,) in steps]


def ids_of(batches):
    return [video for batch in batches for video in batch.ids]


def error_of(function, *arguments, **options):
    with pytest.raises(DataError) as error:
        function(*arguments, **options)
    return str(error.value)


# Golden values


def test_python_2_pickles_read_to_the_values_of_the_2019_readers(tmp_path):
    """The golden pickle's records are made again: RandomState(8), bytes keys, protocol 2."""
    golden = np.load(GOLDEN / "yt8m.npz")
    records = load_records(str(GOLDEN / "yt8m_bytes_keys.pkl"))
    expected = Expected(("rgb", "audio"), (1024, 128), num_classes=3862)
    assert len(records) == 4
    for i, raw in enumerate(records):
        record = parse_record(raw, expected, "golden")
        rgb, audio = map(dequantize, record.streams)
        values = np.concatenate([rgb[:5, ::97].ravel(), audio[:5, ::13].ravel()])
        np.testing.assert_array_equal(values, golden[f"ATTENTIONLSTM_{i}"])
        assert [*rgb.shape, *audio.shape] == golden[f"ATTENTIONLSTM_{i}_shape"].tolist()
        assert record.labels.tolist() == golden[f"ATTENTIONCLUSTER_{i}_label"].tolist()
        rgb, audio = SegmentFrames(100)([record], None)
        assert [*rgb.shape[1:], *audio.shape[1:]] == golden[f"ATTENTIONCLUSTER_{i}_shape"].tolist()


def test_dequantized_batches_begin_where_paddle_can_share_their_memory():
    for rows in range(1, 20):
        assert dequantize(np.zeros((rows, 7), np.uint8)).ctypes.data % 64 == 0


# Lists


def test_a_list_skips_blank_lines_and_comments_and_keeps_spaces_inside_paths(tmp_path):
    for name in ("a b.pkl", "c.pkl"):
        (tmp_path / name).touch()
    (tmp_path / "x.list").write_text("# train\n\n a b.pkl \nc.pkl\n")
    entries = load_list(str(tmp_path / "x.list"))
    assert [entry.path for entry in entries] == [str(tmp_path / "a b.pkl"), str(tmp_path / "c.pkl")]
    assert entries[1].where.endswith("x.list line 4")


def test_paths_are_relative_to_the_working_directory_first(tmp_path, monkeypatch):
    (tmp_path / "lists").mkdir()
    for place in (tmp_path / "a.pkl", tmp_path / "lists" / "a.pkl"):
        place.touch()
    (tmp_path / "lists" / "x.list").write_text("a.pkl\n")
    monkeypatch.chdir(tmp_path)
    assert load_list("lists/x.list")[0].path == "a.pkl"


def test_missing_and_empty_lists_and_missing_files_are_named(tmp_path):
    assert "file list nowhere.list does not exist" in error_of(load_list, "nowhere.list")
    (tmp_path / "x.list").write_text("# nothing\n\n")
    assert "x.list names no files" in error_of(load_list, str(tmp_path / "x.list"))
    (tmp_path / "x.list").write_text("\ngone.pkl\n")
    message = error_of(load_list, str(tmp_path / "x.list"))
    assert "x.list line 2: no file gone.pkl; looked for " in message


# Records


@pytest.mark.parametrize("as_bytes", [False, True])
def test_keys_may_be_text_or_bytes_and_a_file_may_hold_one_record(tmp_path, as_bytes):
    record = make_record(np.random.default_rng(0), "one")
    if as_bytes:
        record = {key.encode(): value for key, value in record.items()} | {b"video": b"one"}
    (tmp_path / "one.pkl").write_bytes(pickle.dumps(record, protocol=2))
    (raw,) = load_records(str(tmp_path / "one.pkl"))
    assert parse_record(raw, EXPECTED, "one.pkl").video_id == "one"


def test_nframes_caps_the_frames_and_may_be_missing():
    record = make_record(np.random.default_rng(0), "v", frames=9)
    assert len(parse_record(record | {"nframes": np.int32(4)}, EXPECTED, "x").streams[1]) == 4
    del record["nframes"]
    assert len(parse_record(record, EXPECTED, "x").streams[0]) == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature": np.zeros((9, 1000), np.uint8)}, "feature is 1000 wide, but the config says 1024"),
        (
            {"feature": np.zeros((9, 1024))},
            "feature is a (9, 1024) float64 array, expected a (frames, 1024) uint8 array",
        ),
        ({"feature": None}, "feature is of type NoneType, expected a (frames, 1024) uint8 array"),
        ({"audio": np.zeros(128, np.uint8)}, "audio is a (128,) uint8 array, expected a (frames, 128) uint8 array"),
        ({"audio": np.zeros((0, 128), np.uint8)}, "audio has no frames"),
        ({"nframes": 10}, "nframes is 10, but there are 9 rows; expected 1 to 9"),
        ({"nframes": 0}, "nframes is 0, but there are 9 rows; expected 1 to 9"),
        ({"nframes": "9"}, "nframes is '9', but there are 9 rows; expected 1 to 9"),
        ({"label": [5000]}, "label 5000 is not in 0 to 11 (num_classes)"),
        ({"label": [-1]}, "label -1 is not in 0 to 11 (num_classes)"),
        ({"label": [0.5]}, "label is of type list, expected a list of class ids"),
        ({"label": None}, "label is of type NoneType, expected a list of class ids"),
        ({"video": 3}, "video is of type int, expected a name"),
    ],
)
def test_what_is_wrong_with_a_record_is_said_with_its_place(change, message):
    record = make_record(np.random.default_rng(0), "abc", frames=9) | change
    text = error_of(parse_record, record, EXPECTED, "train0.pkl record 3")
    assert text.startswith("train0.pkl record 3")
    assert text.endswith(message)


def test_a_record_without_a_key_is_named_with_the_keys_it_has():
    record = make_record(np.random.default_rng(0), "abc")
    del record["audio"]
    message = error_of(parse_record, record, EXPECTED, "x.pkl record 0")
    assert message == "x.pkl record 0 has no audio; its keys are ['video', 'feature', 'label', 'nframes']"


def test_labels_are_not_needed_for_inference():
    expected = Expected(("rgb", "audio"), (1024, 128), num_classes=12, labels_needed=False)
    record = make_record(np.random.default_rng(0), "abc", labels=[5000])
    assert parse_record(record, expected, "x").labels is None
    del record["label"]
    assert parse_record(record, expected, "x").labels is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty; fetch or copy it again"),
        (pickle.dumps([1, 2]), "holds of type list; expected a list of records or one record"),
        (pickle.dumps("text"), "holds of type str; expected a list of records or one record"),
        (pickle.dumps(os.getcwd), "is not a data file and was not loaded: it names posix.getcwd"),
    ],
)
def test_files_that_hold_no_records_are_named(tmp_path, data, message):
    (tmp_path / "bad.pkl").write_bytes(data)
    assert f"bad.pkl {message}" in error_of(load_records, str(tmp_path / "bad.pkl"))


def test_a_pickle_cut_at_any_place_is_an_error(tmp_path):
    whole = pickle.dumps([make_record(np.random.default_rng(0), "v", frames=2)], protocol=4)
    for size in range(1, len(whole), 97):
        (tmp_path / "cut.pkl").write_bytes(whole[:size])
        assert "cut.pkl is not a whole pickle" in error_of(load_records, str(tmp_path / "cut.pkl"))


# Sampling


@given(num_frames=st.integers(1, 1000), seg_num=st.integers(1, 300), seed=st.integers(0, 100))
def test_every_frame_lies_in_its_own_span(num_frames, seg_num, seed):
    span = num_frames / seg_num
    for rng in (None, np.random.default_rng(seed)):
        frames = sample_span_frames(num_frames, seg_num, rng)
        assert frames.shape == (seg_num,)
        assert frames.min() >= 0
        assert frames.max() < num_frames
        places = np.arange(seg_num) * span
        assert (frames >= np.floor(places - 1e-6)).all()
        assert (frames <= places + span + 1e-6).all()


def test_evaluation_takes_the_middle_of_each_span_and_training_draws():
    assert sample_span_frames(100, 4).tolist() == [12, 37, 62, 87]
    assert sample_span_frames(3, 6).tolist() == [0, 0, 1, 1, 2, 2]
    rng = np.random.default_rng(0)
    seen = {tuple(sample_span_frames(100, 4, rng)) for _ in range(20)}
    assert len(seen) > 10


# Order and batches


def test_an_epoch_holds_every_record_once_and_files_stay_together(tiny):
    dataset = open_list(tiny / "data/train.list", training=True)
    in_order = ids_of(batches_of(open_list(tiny / "data/train.list")))
    for epoch in (0, 1):
        shuffled = ids_of(batches_of(dataset, epoch=epoch))
        assert sorted(shuffled) == sorted(in_order)
        files = [name.split("_")[0] for name in shuffled]
        assert len([1 for a, b in pairwise(files) if a != b]) == 2


def test_the_order_changes_with_seed_and_epoch_and_with_nothing_else(tiny):
    dataset = open_list(tiny / "data/train.list", training=True)
    orders = {ids: (seed, epoch) for seed in (0, 1) for epoch in (0, 1) if (ids := tuple(dataset.order(seed, epoch)))}
    assert len(orders) == 4
    again = open_list(tiny / "data/train.list", training=True)
    np.testing.assert_array_equal(again.order(1, 1), dataset.order(1, 1))


@pytest.mark.parametrize("training", [False, True])
def test_batches_do_not_depend_on_the_number_of_workers(tiny, training):
    dataset = open_list(tiny / "data/train.list", training=training)
    alone = batches_of(dataset, batch_size=7, num_workers=0, epoch=3)
    for num_workers in (1, 4):
        for one, other in zip(alone, batches_of(dataset, 7, num_workers, epoch=3), strict=True):
            assert one.ids == other.ids
            np.testing.assert_array_equal(one.labels, other.labels)
            for left, right in zip(one.inputs, other.inputs, strict=True):
                np.testing.assert_array_equal(left, right)


def test_the_frames_of_a_record_depend_on_seed_epoch_and_record_not_on_its_batch(tiny):
    dataset = open_list(tiny / "data/train.list", training=True)

    def frames(batch_size, epoch):
        batches = batches_of(dataset, batch_size, epoch=epoch)
        return dict(zip(ids_of(batches), np.concatenate([batch.inputs[0] for batch in batches]), strict=True))

    one, other, later = frames(3, 0), frames(8, 0), frames(8, 1)
    assert all((one[name] == other[name]).all() for name in one)
    assert any((one[name] != later[name]).any() for name in one)


def test_training_drops_the_last_partial_batch_and_evaluation_none(tiny):
    path = tiny / "data/val.list"
    assert len(ids_of(batches_of(open_list(path), 8))) == 21
    assert len(ids_of(batches_of(open_list(path, training=True), 8))) == 16


def test_an_epoch_can_start_in_its_middle_with_the_same_batches(tiny):
    dataset = open_list(tiny / "data/train.list", training=True)
    whole = batches_of(dataset, epoch=2)
    rest = batches_of(dataset, epoch=2, start=3)
    assert [batch.ids for batch in rest] == [batch.ids for batch in whole[3:]]


def test_a_batch_larger_than_the_data_is_refused_in_training_with_what_would_work(tiny):
    dataset = open_list(tiny / "data/val.list", training=True)
    message = error_of(TrainingLoader, dataset, 64, num_workers=0, as_float=True)
    assert "has 21 records, which do not fill one training batch of 64" in message


def test_labels_are_multi_hot_and_batches_name_their_records(tiny):
    batch = batches_of(open_list(tiny / "data/val.list"))[0]
    raw = load_records(str(tiny / "data/val0.pkl"))[2]
    assert np.flatnonzero(batch.labels[2]).tolist() == sorted(raw["label"])
    assert batch.sources[2].endswith("val0.pkl record 2 (video val0_2)")


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


# Threads


def test_results_come_in_order_whatever_finishes_first():
    def slow_first(i):
        time.sleep(0.02 if i % 3 == 0 else 0)
        return i

    assert list(map_in_order(slow_first, range(20), 4)) == list(range(20))


def test_no_more_is_read_ahead_than_was_said():
    started = []
    results = map_in_order(lambda i: started.append(i) or i, range(100), 2)
    next(results)
    time.sleep(0.05)
    assert len(started) <= 4
    results.close()


@pytest.mark.parametrize("num_workers", [0, 3])
def test_an_exception_comes_in_its_place_with_its_own_type_and_text(num_workers):
    def fail_at_five(i):
        if i == 5:
            raise DataError("clip 5 is broken")
        return i

    results = map_in_order(fail_at_five, range(10), num_workers)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(DataError, match="clip 5 is broken"):
        next(results)


# Broken data and the index


def break_record(path, position, **change):
    records = pickle.loads(path.read_bytes())
    records[position] |= change
    path.write_bytes(pickle.dumps(records, protocol=4))


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


def test_a_file_that_changes_while_in_use_is_an_error(tiny):
    dataset = open_list(tiny / "data/val.list")
    records = pickle.loads((tiny / "data/val0.pkl").read_bytes())
    (tiny / "data/val0.pkl").write_bytes(pickle.dumps(records[:3], protocol=4))
    assert "val0.pkl is not what it was when" in error_of(batches_of, dataset)


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
