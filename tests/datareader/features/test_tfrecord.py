"""TFRecord shards: read by hand, made by Google's protobuf library, damaged."""

import random
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datareader.features import tfrecord
from datareader.features.index import check_record
from datareader.features.tfrecord import Problem, read_tfrecord
from tests.datareader.features.small_records import SMALL, assert_same, flip, small_record, small_records
from tests.sequence_examples import frame, masked_crc, message_class, serialize, write_shard
from tools.errors import DataIssue
from tools.files.checksums import masked_crc32c

# What an independent writer wrote


@given(
    frames=st.integers(1, 12),
    widths=st.tuples(st.integers(1, 200), st.integers(1, 40)),
    labels=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9),
    id_key=st.sampled_from(["id", "video_id"]),
    packed=st.booleans(),
    seed=st.integers(0, 99),
)
def test_what_protobuf_wrote_reads_to_the_same_arrays(
    tmp_path_factory, frames, widths, labels, name, id_key, packed, seed
):
    rng = np.random.default_rng(seed)
    feature, audio = (rng.integers(0, 256, (frames, width), dtype=np.uint8) for width in widths)
    record = {"video": name, "feature": feature, "audio": audio, "label": labels, "nframes": frames}
    if not labels:
        del record["label"]
    path = tmp_path_factory.mktemp("shard") / "one"
    path.write_bytes(frame(serialize(record, id_key, packed)))
    assert_same(list(read_tfrecord(str(path))), [record])


def test_the_checksum_is_the_published_one():
    """RFC 3720, B.4, and TensorFlow's masking of it."""
    for data, crc in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)):
        mask = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        assert masked_crc32c(data) == masked_crc(data) == mask


def test_at_most_300_frames_count():
    record = small_record(np.random.default_rng(0), "long", frames=310)
    found = tfrecord._parse_video(serialize(record))
    assert (len(found["feature"]), found["nframes"]) == (310, 300)


def test_all_frames_at_once_or_one_by_one_gives_the_same(monkeypatch):
    data = [serialize(record) for record in small_records(5)]
    at_once = [tfrecord._parse_video(one) for one in data]
    monkeypatch.setattr(tfrecord, "_read_equal_frames", lambda frames: None)
    assert_same([tfrecord._parse_video(one) for one in data], at_once)


def raw_frames(*bodies):
    """A FeatureList of these Features, as bytes."""
    return b"".join(b"\x0a" + bytes([len(body)]) + body for body in bodies)


def test_frames_of_equal_size_but_different_build_are_read_one_by_one():
    """The second frame is as long as the others with shorter data and an unknown field behind it."""
    plain = b"\x0a\x08\x0a\x06abcdef"
    other = b"\x0a\x05\x0a\x03xyz" + b"\x4a\x01\x00"
    assert len(other) == len(plain)
    assert tfrecord._read_equal_frames(memoryview(raw_frames(plain, other))) is None
    with pytest.raises(ValueError, match="frame 1 of rgb has 3 bytes, but frame 0 has 6"):
        tfrecord._parse_frames(memoryview(raw_frames(plain, other, plain)), "rgb")
    both = tfrecord._parse_frames(memoryview(raw_frames(other, other)), "rgb")
    assert both.tobytes() == b"xyzxyz"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video": None}, "a record has no id"),
        ({"video": ""}, "a record has no id"),
        ({"feature": None, "audio": None}, "a record has neither rgb nor audio frames"),
        ({"feature": np.zeros((2, 0), np.uint8)}, "rgb has no bytes"),
        ({"feature": [np.zeros(3, np.uint8), np.zeros(4, np.uint8)]}, "frame 1 of rgb has 4 bytes, but frame 0 has 3"),
    ],
)
def test_what_a_record_lacks_is_a_problem_with_its_place(tmp_path, change, message):
    first, second, third = small_records(3)
    second = {key: value for key, value in (second | change).items() if value is not None}
    offsets = write_shard(tmp_path / "x", [first, second, third])
    found = list(read_tfrecord(str(tmp_path / "x")))
    assert found[1] == Problem(str(tmp_path / "x"), offsets[1], message)
    assert str(found[1]) == f"{tmp_path / 'x'} at byte {offsets[1]}: {message}"
    assert_same([found[0], found[2]], [first, third])


def test_frames_of_numbers_are_a_problem():
    example = message_class("SequenceExample")()
    example.feature_lists.feature_list["rgb"].feature.add().float_list.value.extend([0.5, 1.0])
    with pytest.raises(ValueError, match=r"frame 0 of rgb holds floats \(a FloatList\), expected bytes, one a value"):
        tfrecord._parse_video(example.SerializeToString())


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("float_list", [1.0], "label is [1.0], expected a list of class ids, each once, such as [1]"),
        ("float_list", [0, 0, 1, 0], "label looks like a one-hot or multi-hot vector (4 numbers, each 0 or 1)"),
        ("int64_list", [0, 0, 1, 0], "label looks like a one-hot or multi-hot vector (4 numbers, each 0 or 1)"),
        ("int64_list", [7, 7], "label is [7, 7], with 7 2 times"),
        ("bytes_list", [b"cat"], "label is ['cat'], expected a list of class ids"),
    ],
)
def test_labels_of_another_convention_are_no_labels(tmp_path, kind, values, message):
    """They are told, and do not stop inference."""
    (record,) = small_records(1)
    example = message_class("SequenceExample")()
    example.ParseFromString(serialize({key: value for key, value in record.items() if key != "label"}))
    getattr(example.context.feature["labels"], kind).value.extend(values)
    (tmp_path / "x").write_bytes(frame(example.SerializeToString()))
    (found,) = read_tfrecord(str(tmp_path / "x"))
    assert found["label"] == [value.decode() if isinstance(value, bytes) else value for value in values]
    problem = check_record(found, SMALL, "x", 0)
    assert f"x record 0 (video v0): {message}" in problem.text
    assert problem.issue is DataIssue.LABEL_TYPE
    assert check_record(found, replace(SMALL, labels_needed=False), "x", 0).labels is None


# Damage


def test_a_flipped_byte_of_data_costs_one_record(tmp_path):
    records, path = small_records(4), tmp_path / "x"
    offsets = write_shard(path, records)
    for at in (offsets[1] + 12, offsets[1] + 40, offsets[2] - 1):  # data, data, its checksum
        whole = path.read_bytes()
        flip(path, at)
        found = list(read_tfrecord(str(path)))
        assert found[1] == Problem(str(path), offsets[1], "the data of a record does not match its checksum")
        assert_same([found[0], *found[2:]], [records[0], *records[2:]])
        path.write_bytes(whole)


@pytest.mark.parametrize("at", [0, 7, 8, 11])
def test_a_flipped_byte_of_a_length_costs_the_rest(tmp_path, at):
    records, path = small_records(4), tmp_path / "x"
    offsets = write_shard(path, records)
    flip(path, offsets[2] + at)
    *found, problem = read_tfrecord(str(path))
    assert_same(found, records[:2])
    rest = path.stat().st_size - offsets[2]
    assert problem.offset == offsets[2]
    assert problem.text == (
        f"the length of a record does not match its checksum; the last {rest} bytes of the shard cannot be read"
    )


def test_a_shard_cut_anywhere_gives_the_whole_records_and_one_problem(tmp_path):
    records, path = small_records(3), tmp_path / "x"
    offsets = write_shard(path, records)
    whole = path.read_bytes()
    for size in range(1, len(whole), 3):
        path.write_bytes(whole[:size])
        found = list(read_tfrecord(str(path)))
        complete = sum(offset <= size for offset in [*offsets[1:], len(whole)])
        problems = [item for item in found if isinstance(item, Problem)]
        assert len(found) - len(problems) == complete
        assert [problem.offset for problem in problems] == [offsets[complete]] * (size not in offsets)
        assert all("cut short" in problem.text for problem in problems)
    path.write_bytes(b"")
    assert list(read_tfrecord(str(path))) == [Problem(str(path), 0, "the shard is empty")]


def test_a_length_of_any_size_asks_for_no_memory(tmp_path):
    length = struct.pack("<Q", 1 << 62)
    (tmp_path / "x").write_bytes(length + struct.pack("<I", masked_crc(length)) + b"data")
    (problem,) = read_tfrecord(str(tmp_path / "x"))
    assert problem.text == f"cut short in a record of {1 << 62} bytes; the last 16 bytes of the shard cannot be read"


def test_no_change_of_bytes_gives_anything_but_records_and_problems(tmp_path, monkeypatch):
    """Shards and, with checksums ignored, messages are changed in one to four places at random."""
    rng, path = random.Random(0), tmp_path / "x"
    write_shard(path, small_records(3))
    whole, message = path.read_bytes(), serialize(small_records(1)[0])

    def changed(data):
        data = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            kind = rng.randrange(4)
            if kind == 0:
                data[at] = rng.randrange(256)
            elif kind == 1:
                data[at : at + rng.randint(1, 9)] = b""
            elif kind == 2:
                data[at:at] = rng.randbytes(rng.randint(1, 9))
            else:
                data[at : at + 8] = b"\xff" * 8
            data = data or bytearray(1)
        return bytes(data)

    for _ in range(400):
        path.write_bytes(changed(whole))
        for item in read_tfrecord(str(path)):
            assert isinstance(item, dict | Problem)
    for _ in range(2000):
        try:
            record = tfrecord._parse_video(changed(message))
        except tfrecord._MalformedError:
            continue
        assert isinstance(record["video"], str)
        assert record["nframes"] >= 1
        check_record(record, SMALL, "x", 0)
