"""Features that are stored as float16, or as bytes of another range than YouTube-8M's: read, mixed, and refused."""

import pickle

import numpy as np
import pytest

from datareader.features.dataset import FeatureDataset
from datareader.features.inputs import RaggedFrames, SegmentFrames
from datareader.features.records import Expected, parse_record
from datareader.loader import EvaluationLoader
from datareader.transforms import DEQUANTIZED, DEQUANTIZED_UNBIASED
from tools.errors import DataError

EXPECTED = Expected(("rgb",), (16,), num_classes=3)
RNG = np.random.default_rng(0)
VALUES = RNG.normal(scale=3, size=(5, 16)).astype(np.float16)
BYTES = RNG.integers(0, 256, (4, 16), dtype=np.uint8)


def make_record(feature, **others):
    return {"video": "v", "feature": feature, "label": [1], **others}


def stream_of(record):
    return parse_record(record, EXPECTED, "made").streams[0]


def test_float16_stands_for_itself():
    found = stream_of(make_record(VALUES))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, VALUES.astype(np.float32))


@pytest.mark.parametrize("bounds", [(0, 6.5), [-1, 1.0], np.array([0.25, 8])])
def test_bytes_with_a_range_stand_for_it(bounds):
    found = stream_of(make_record(BYTES, feature_range=bounds))
    assert found.dtype == np.float32
    low, high = bounds
    np.testing.assert_allclose(found, low + BYTES * (high - low) / 255, rtol=1e-6, atol=1e-6)


def test_bytes_without_a_range_stay_as_they_are():
    assert stream_of(make_record(BYTES)).dtype == np.uint8


@pytest.mark.parametrize(
    "bounds", [3, (1,), (1, 2, 3), (2, 1), (1, 1), (0, np.nan), (0, np.inf), ("0", "1"), (True, 2), (0, 1e39)]
)
def test_what_is_no_range_is_refused(bounds):
    with pytest.raises(DataError, match=r"feature_range is .*, expected what bytes of 0 and 255 stand for"):
        stream_of(make_record(BYTES, feature_range=bounds))


@pytest.mark.parametrize(
    ("feature", "text"),
    [
        (np.full((3, 16), np.nan, np.float16), "infinite or no numbers"),
        (BYTES.astype(np.float16), r"it holds bytes already: x.astype\(np.uint8\)"),
        (VALUES.astype(np.float32), "quantise it"),
        (VALUES[:, :8], "feature is 8 wide, but the config says 16"),
        (VALUES[0], r"expected a \(frames, 16\) uint8 array"),
    ],
)
def test_other_numbers_are_refused(feature, text):
    with pytest.raises(DataError, match=text):
        stream_of(make_record(feature))


@pytest.fixture
def dataset(tmp_path):
    """Opens a list of a record of each form, in one file."""
    records = [make_record(VALUES), make_record(BYTES, feature_range=(0, 5)), make_record(BYTES)]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(records, 4))
    (tmp_path / "a.list").write_text("a.pkl\n")
    return lambda arrange: FeatureDataset(str(tmp_path / "a.list"), EXPECTED, arrange, training=False, skip_broken=0)


@pytest.mark.parametrize("as_float", [False, True])
@pytest.mark.parametrize("table", [DEQUANTIZED, DEQUANTIZED_UNBIASED])
def test_forms_may_be_mixed_in_a_batch(dataset, table, as_float):
    loader = EvaluationLoader(dataset(RaggedFrames([table])), 3, num_workers=0, as_float=as_float)
    ((lengths, frames),) = [batch.inputs for batch in loader.epoch()]
    assert lengths.tolist() == [5, 4, 4]
    assert frames.dtype == np.float32
    np.testing.assert_array_equal(frames[:5], VALUES.astype(np.float32))
    np.testing.assert_allclose(frames[5:9], BYTES / 51, rtol=1e-6)
    np.testing.assert_array_equal(frames[9:], table[BYTES])


def test_batches_of_one_form_are_of_it(dataset):
    loader = EvaluationLoader(dataset(SegmentFrames(2)), 1, num_workers=0, as_float=False)
    assert [batch.inputs[0].dtype for batch in loader.epoch()] == [np.float32, np.float32, np.uint8]
    loader = EvaluationLoader(dataset(SegmentFrames(2)), 1, num_workers=0, as_float=True)
    assert [batch.inputs[0].shape for batch in loader.epoch()] == [(1, 2, 16)] * 3
