"""Shards that are written: as Google's own library writes them, and read again."""

import numpy as np
import pytest

from datareader.features.records import load_records
from datareader.features.tfrecord_writing import write_record
from tests.sequence_examples import frame, message_class, serialize

RNG = np.random.default_rng(0)


def make_record(frames, labels, name="video a"):
    return {
        "video": name,
        "feature": RNG.integers(0, 256, (frames, 1024), dtype=np.uint8),
        "audio": RNG.integers(0, 256, (frames, 128), dtype=np.uint8),
        "label": labels,
        "nframes": frames,
    }


@pytest.mark.parametrize("name", ["a", "clips/Ünïcode 影片.mp4"])
@pytest.mark.parametrize("labels", [[], [0], [3861, 5, 300]])
@pytest.mark.parametrize("frames", [1, 3, 300])
def test_a_record_has_the_bytes_that_the_protobuf_library_writes(frames, labels, name):
    record = make_record(frames, labels, name)
    assert write_record(record, {}) == frame(serialize({**record, "label": sorted(labels)}))


def test_records_are_read_as_they_were_written(tmp_path):
    records = [make_record(3, [1, 7]), make_record(2, [], "b")]
    path = tmp_path / "a.tfrecord"
    path.write_bytes(b"".join(write_record(record, {}) for record in records))
    for read, record in zip(load_records(str(path)), records, strict=True):
        assert (read["video"], read["label"], read["nframes"]) == (record["video"], record["label"], record["nframes"])
        np.testing.assert_array_equal(read["feature"], record["feature"])
        np.testing.assert_array_equal(read["audio"], record["audio"])


def test_means_of_the_video_and_a_missing_stream_stand_as_they_should():
    record = make_record(2, [4])
    del record["audio"]
    mean = RNG.normal(size=1024).astype(np.float32)
    example = message_class("SequenceExample")()
    example.ParseFromString(write_record(record, {"mean_rgb": mean})[12:-4])
    assert sorted(example.context.feature) == ["id", "labels", "mean_rgb"]
    np.testing.assert_array_equal(example.context.feature["mean_rgb"].float_list.value, mean)
    assert list(example.feature_lists.feature_list) == ["rgb"]
