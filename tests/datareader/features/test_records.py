"""Records of pickles and shards: what they hold, and what is said of those that cannot be used."""

import os
import pickle
from dataclasses import replace
from types import FunctionType

import numpy as np
import pytest

from datareader.features.inputs import SegmentFrames
from datareader.features.records import QUANTISE, Expected, load_records, parse_record
from datareader.transforms import DEQUANTIZED, dequantize
from tests.conftest import make_record
from tests.datareader.features.reading import EXPECTED, error_of
from tests.datareader.features.small_records import assert_same, flip, open_small, small_records
from tests.golden_inputs import GOLDEN
from tests.sequence_examples import write_shard
from tools.errors import DataError


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


IDS = "expected a list of class ids, each once"


WRONG = [
    ({"feature": np.zeros((9, 1000), np.uint8)}, "feature is 1000 wide, but the config says 1024"),
    (
        {"feature": np.full((9, 1024), 0.5)},
        f"feature is a (9, 1024) float64 array, expected a (frames, 1024) uint8 array; {QUANTISE}",
    ),
    (
        {"feature": np.full((9, 1024), np.nan, np.float32)},
        f"feature is a (9, 1024) float32 array, expected a (frames, 1024) uint8 array; {QUANTISE}",
    ),
    (
        {"feature": np.full((9, 1024), 255)},
        "expected a (frames, 1024) uint8 array; it holds bytes already: x.astype(np.uint8)",
    ),
    (
        {"feature": np.zeros((9, 4096), np.uint8)},
        f"feature is 4096 wide, but the config says 1024; 4 bytes a value may be float32, {QUANTISE}",
    ),
    (
        {"feature": np.zeros((1024, 9), np.uint8)},
        "feature is 9 wide, but the config says 1024; it is 1024 high, so it may be transposed (feature.T)",
    ),
    (
        {"feature": np.zeros((9, 128), np.uint8), "audio": np.zeros((9, 1024), np.uint8)},
        "feature is 128 wide and audio 1024, but the config says 1024 and 128; they are swapped, in the record or "
        "in the config's feature_dims",
    ),
    (
        {"feature": np.zeros((1, 9, 1024), np.uint8)},
        "feature is a (1, 9, 1024) uint8 array, expected a (frames, 1024) uint8 array",
    ),
    ({"feature": None}, "feature is of type NoneType, expected a (frames, 1024) uint8 array"),
    (
        {"audio": np.zeros(128, np.uint8)},
        "audio is a (128,) uint8 array, expected a (frames, 128) uint8 array; one row is a video-level feature, of "
        "which the networks cannot learn",
    ),
    ({"audio": np.zeros((0, 128), np.uint8)}, "audio has no frames"),
    ({"nframes": 10}, "nframes is 10, but there are 9 rows; expected 1 to 9"),
    ({"nframes": 0}, "nframes is 0, but there are 9 rows; expected 1 to 9"),
    ({"nframes": "9"}, "nframes is '9', but there are 9 rows; expected 1 to 9"),
    ({"label": [5000]}, "label 5000 is not in 0 to 11 (num_classes)"),
    ({"label": [-1]}, "label -1 is not in 0 to 11 (num_classes)"),
    (
        {"label": [12]},
        "label 12 is not in 0 to 11 (num_classes); ids count from 0: if yours count from 1, subtract 1",
    ),
    ({"label": [0.5]}, f"label is [0.5], {IDS}, such as [3, 17]"),
    ({"label": [1.0]}, f"label is [1.0], {IDS}, such as [1]"),
    ({"label": ["cat"]}, f"label is ['cat'], {IDS}, such as [3, 17]"),
    ({"label": [True]}, f"label is [True], {IDS}, such as [3, 17]"),
    ({"label": 7}, f"label is 7, {IDS}, such as [7]"),
    (
        {"label": np.ones((1, 12), int)},
        f"label is a (1, 12) int64 array, {IDS}, such as [3, 17]",
    ),
    ({"label": [3, 5, 3]}, f"label is [3, 5, 3], with 3 2 times; {IDS}"),
    ({"label": None}, f"there is no label, {IDS}"),
    ({"video": 3}, "video is of type int, expected a name"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_what_is_wrong_with_a_record_is_said_with_its_place(change, message):
    record = make_record(np.random.default_rng(0), "abc", frames=9) | change
    text = error_of(parse_record, record, EXPECTED, "train0.pkl record 3")
    assert text.startswith("train0.pkl record 3")
    assert text.endswith(message)


HOT = np.zeros(12, int)
HOT[[3, 10]] = 1


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (HOT, "here [3, 10]"),
        (HOT.tolist(), "here [3, 10]"),
        (HOT.astype(bool), "here [3, 10]"),
        (HOT.astype(np.float32), "here [3, 10]"),
        (
            HOT[:11].astype(float).tolist(),
            "here [3, 10]",
        ),
        ([0] * 12, "here []"),
        ([1, 1], "here [0, 1]"),
        (np.arange(3862) % 2, "here [1, 3, 5, 7, 9, 11, "),
    ],
)
def test_a_multi_hot_vector_is_no_list_of_class_ids(label, said):
    record = make_record(np.random.default_rng(0), "abc") | {"label": label}
    text = error_of(parse_record, record, EXPECTED, "x")
    assert (
        f"label looks like a one-hot or multi-hot vector ({len(label)} numbers, each 0 or 1); expected a list" in text
    )
    assert said in text
    assert len(text) < 240
    unlabelled = replace(EXPECTED, labels_needed=False)
    assert parse_record(record, unlabelled, "x").labels is None


@pytest.mark.parametrize("label", [[0], [1], [0, 1], [1, 0], (1,), np.array([0, 1]), []])
def test_zeros_and_ones_that_stand_once_are_class_ids(label):
    record = make_record(np.random.default_rng(0), "abc") | {"label": label}
    assert parse_record(record, EXPECTED, "x").labels.tolist() == list(label)


def test_a_record_without_a_key_is_named_with_the_keys_it_has():
    record = make_record(np.random.default_rng(0), "abc")
    del record["audio"]
    message = error_of(parse_record, record, EXPECTED, "x.pkl record 0")
    assert message == "x.pkl record 0 has no audio; its keys are ['video', 'feature', 'label', 'nframes']"


def test_a_record_of_video_level_features_is_called_so():
    record = {"video": "v", "mean_rgb": np.zeros(1024), "label": [1]}
    text = "x record 0 is of video-level features (mean_rgb or mean_audio); the networks need frame-level ones"
    assert error_of(parse_record, record, EXPECTED, "x record 0") == text


def test_the_advice_on_quantising_is_the_inverse_of_reading():
    formula = QUANTISE.partition(": ")[2]
    code = compile(formula, "advice", "eval")
    found = FunctionType(code, {"np": np, "x": DEQUANTIZED})()
    np.testing.assert_array_equal(found, np.arange(256, dtype=np.uint8), strict=True)


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
        (
            pickle.dumps(("v", 1, [b"jpeg"])),
            "holds a clip, (video_id, label, frames); expected a list of records or one record. TSN and STNET",
        ),
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


def test_a_shard_is_known_by_its_content_and_a_list_may_mix_kinds(tmp_path):
    records = small_records(4)
    write_shard(tmp_path / "shard.pkl", records[:2])
    (tmp_path / "pickle.tfrecord").write_bytes(pickle.dumps(records[2:], protocol=4))
    assert_same(load_records(str(tmp_path / "shard.pkl")), records[:2])
    (tmp_path / "x.list").write_text("shard.pkl\npickle.tfrecord\n")
    assert len(open_small(tmp_path / "x.list")) == 4


def test_a_file_that_is_neither_is_said_to_be_neither(tmp_path):
    path = tmp_path / "x.tfrecord"
    write_shard(path, small_records(2))
    flip(path, 9)
    with pytest.raises(DataError, match=r"is not a whole pickle: .*; nor does it begin as a TFRecord shard does"):
        load_records(str(path))
