"""Records of narrow features as shards, damage to them, and the batches that they give."""

import numpy as np

from datareader.features.dataset import FeatureDataset
from datareader.features.inputs import SegmentFrames
from datareader.features.records import Expected
from datareader.loader import EvaluationLoader, TrainingLoader
from tests.conftest import make_record

SMALL = Expected(("rgb", "audio"), (7, 3), num_classes=12)


def small_record(rng, name, frames=None):
    """A record of widths 7 and 3, which a checksum byte by byte in Python is fast enough for."""
    record = make_record(rng, name, frames=frames or int(rng.integers(1, 6)))
    return record | {"feature": record["feature"][:, :7].copy(), "audio": record["audio"][:, :3].copy()}


def small_records(count, name="v", seed=0):
    rng = np.random.default_rng(seed)
    return [small_record(rng, f"{name}{i}") for i in range(count)]


def assert_same(found, expected):
    assert [record.keys() for record in found] == [record.keys() for record in expected]
    for one, other in zip(found, expected, strict=True):
        for key, value in other.items():
            assert isinstance(one[key], type(value))
            assert getattr(one[key], "dtype", None) == getattr(value, "dtype", None)
            np.testing.assert_array_equal(one[key], value)


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def open_small(path, skip_broken=0, training=False):
    return FeatureDataset(str(path), SMALL, SegmentFrames(4), training=training, skip_broken=skip_broken)


def batches_of(dataset, training):
    options = {"num_workers": 2, "as_float": True, "seed": 5}
    if not training:
        return list(EvaluationLoader(dataset, 4, **options).epoch())
    loader = TrainingLoader(dataset, 4, **options)
    return [batch for epoch in (0, 1) for (batch,) in loader.epoch(epoch)]


def assert_same_batches(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.ids == other.ids
        np.testing.assert_array_equal(one.labels, other.labels)
        for left, right in zip(one.inputs, other.inputs, strict=True):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
