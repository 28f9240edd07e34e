"""TFRecord shards: read by hand, made by Google's protobuf library; converted, damaged, interrupted."""

import pickle
import random
import re
import resource
import struct
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datareader.features import tfrecord
from datareader.features.dataset import FeatureDataset, build_segment_reader, build_unbiased_frame_reader
from datareader.features.inputs import SegmentFrames
from datareader.features.records import Expected, load_records
from datareader.features.tfrecord import Problem, read_tfrecord
from datareader.loader import EvaluationLoader, TrainingLoader
from dataset.youtube8m import tf2pkl
from tests.conftest import PROJECT, clean_env, make_record
from tests.sequence_examples import frame, masked_crc, message_class, serialize, serialize_means, write_shard
from tools.errors import DataError

SCRIPT = PROJECT / "dataset" / "youtube8m" / "tf2pkl.py"
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


def convert(source, target, workers=1, **options):
    """What tf2pkl.py does, in this process if there is one worker."""
    tf2pkl.convert(tf2pkl.find_shards([source]), target, tf2pkl.Options(**options), workers)


def files(folder):
    """name -> bytes and time of change of everything in a folder."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns if path.suffix == ".pkl" else 0)
            for path in folder.iterdir()}  # fmt: skip


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
        assert tfrecord._masked_crc(data) == masked_crc(data) == mask


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
    with pytest.raises(ValueError, match="frame 0 of rgb has 0 strings of bytes, expected one"):
        tfrecord._parse_video(example.SerializeToString())


def test_video_level_files_are_named_as_such(tmp_path, capsys):
    path = tmp_path / "train00.tfrecord"
    path.write_bytes(frame(serialize_means(small_records(1)[0])))
    with pytest.raises(DataError, match=r"train00.tfrecord is a video-level file .* need the frame-level files"):
        list(read_tfrecord(str(path)))
    (tmp_path / "x.list").write_text(f"{path}\n")
    with pytest.raises(DataError, match="is a video-level file"):
        open_small(tmp_path / "x.list")
    with pytest.raises(DataError, match="1 of 1 shards could not be converted, as said above"):
        convert(path, tmp_path / "out")
    assert f"not converted: {path} is a video-level file" in capsys.readouterr().out


# Damage


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


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

    expected = Expected(("rgb", "audio"), (7, 3), num_classes=12)
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
        tf2pkl.check_record(record, expected, "x", 0)


# The reader


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


def config_of(filelist, build):
    model = (
        {"seg_num": 4, "feature_names": ["rgb", "audio"], "feature_dims": [7, 3]}
        if build is build_segment_reader
        else {"video_feature_size": 7, "audio_feature_size": 3}
    )
    section = SimpleNamespace(filelist=str(filelist), sort_by_length=True)
    return SimpleNamespace(MODEL=SimpleNamespace(num_classes=12, **model), TRAIN=section, VALID=section)


@pytest.fixture
def three_kinds(tmp_path):
    """Lists of the same videos as shards, as pickles that tf2pkl made, and as pickles of Python 2."""
    names = [f"train{i}" for i in range(3)]
    for kind in ("shards", "python2"):
        (tmp_path / kind).mkdir()
    for seed, name in enumerate(names):
        records = small_records(8, f"{name}_", seed)
        write_shard(tmp_path / "shards" / f"{name}.tfrecord", records, packed=seed > 0, id_key="video_id")
        old = [{key.encode(): value for key, value in r.items()} | {b"video": r["video"].encode()} for r in records]
        (tmp_path / "python2" / f"{name}.pkl").write_bytes(pickle.dumps(old, protocol=2))
    convert(tmp_path / "shards", tmp_path / "shards_pickled")
    (tmp_path / "shards" / "x.list").write_text("".join(f"{name}.tfrecord\n" for name in names))
    (tmp_path / "python2" / "x.list").write_text("".join(f"{name}.pkl\n" for name in names))
    return [tmp_path / "shards/x.list", tmp_path / "shards_pickled/shards.list", tmp_path / "python2/x.list"]


@pytest.mark.parametrize("build", [build_segment_reader, build_unbiased_frame_reader])
@pytest.mark.parametrize("section", ["TRAIN", "VALID"])
def test_shards_and_pickles_of_both_pythons_give_the_same_batches_bit_for_bit(three_kinds, build, section):
    training = section == "TRAIN"
    found = [
        batches_of(build(config_of(path, build), section, training=training, skip_broken=0), training)
        for path in three_kinds
    ]
    assert len(found[0]) == (12 if training else 6)
    for other in found[1:]:
        assert_same_batches(found[0], other)


def test_a_damaged_shard_gives_the_batches_of_the_pickle_that_is_made_of_it(tmp_path):
    path = tmp_path / "in" / "a.tfrecord"
    path.parent.mkdir()
    offsets = write_shard(path, small_records(13))
    for offset in (offsets[3], offsets[9]):
        flip(path, offset + 20)
    (tmp_path / "x.list").write_text(f"{path}\n")
    with pytest.raises(DataError, match=rf"a.tfrecord at byte {offsets[3]}: .*--skip-broken 2 would skip such"):
        open_small(tmp_path / "x.list")
    dataset = open_small(tmp_path / "x.list", skip_broken=2, training=True)
    assert len(dataset.broken) == 2
    convert(path.parent, tmp_path / "out")
    pickled = open_small(tmp_path / "out/shards.list", training=True)
    assert len(dataset) == len(pickled) == 11
    assert_same_batches(batches_of(dataset, True), batches_of(pickled, True))


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
    with pytest.raises(DataError, match=r"is not a whole pickle \(.*; nor does it begin as a TFRecord shard does"):
        load_records(str(path))


# Conversion


@pytest.fixture
def source(tmp_path):
    """A folder with four shards of 6 videos, and other files."""
    folder = tmp_path / "in put"
    folder.mkdir()
    for seed, name in enumerate(("a.tfrecord", "b.tfrecord", "c.tfrecord", "d.tfrecord-00000-of-00001")):
        write_shard(folder / name, small_records(6, f"{name[0]}", seed))
    (folder / "notes.txt").write_text("no shard")
    (folder / "e.tfrecord.part").write_text("no shard yet")
    return folder


def test_shards_become_pickles_a_list_and_an_index(source, tmp_path):
    command = [sys.executable, str(SCRIPT), str(source), str(tmp_path / "out"), "--workers=2"]
    result = subprocess.run(command, capture_output=True, text=True, env=clean_env(), check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"out: 24 videos, .* in 4 shards \(\d+\.\d s, \d+\.\d\d ms of one core a video\)\n", result.stdout)
    names = ["a.pkl", "b.pkl", "c.pkl", "d.tfrecord-00000-of-00001.pkl"]
    made = {".lock", "settings.json", "shards.jsonl", "shards.list", "shards.list.index.npz", *names}
    assert {path.name for path in (tmp_path / "out").iterdir()} == made
    assert (tmp_path / "out/shards.list").read_text().split() == names
    for seed, name in enumerate(names):
        assert_same(load_records(str(tmp_path / "out" / name)), small_records(6, name[0], seed))
        plain = pickle.loads((tmp_path / "out" / name).read_bytes())  # as everyone else loads it
        assert_same(plain, small_records(6, name[0], seed))
        assert (tmp_path / "out" / name).read_bytes()[:2] == b"\x80\x04"
    convert(source, tmp_path / "alone")
    assert files(tmp_path / "alone") == files(tmp_path / "out")  # how many processes there are changes nothing


def test_training_from_a_converted_list_scans_nothing(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    write_shard(tmp_path / "in/a.tfrecord", [make_record(rng, "one", frames=2), make_record(rng, "two", frames=3)])
    convert(tmp_path / "in", tmp_path / "out")
    monkeypatch.setattr(FeatureDataset, "_scan", None)
    monkeypatch.chdir(tmp_path)
    for path in ("out/shards.list", tmp_path / "out/shards.list"):  # however the path is written
        dataset = FeatureDataset(str(path), tf2pkl.EXPECTED, None, training=True, skip_broken=0)
        assert dataset.num_frames.tolist() == [2, 3]
    (tmp_path / "out").rename(tmp_path / "moved")
    assert len(FeatureDataset("moved/shards.list", tf2pkl.EXPECTED, None, training=True, skip_broken=0)) == 2


def test_the_index_of_a_conversion_is_what_a_scan_finds(source, tmp_path):
    """These widths are not those of the default configs, so all of the records are broken for them."""
    convert(source, tmp_path / "out")
    path = str(tmp_path / "out/shards.list")

    def indexed():
        with np.load(f"{path}.index.npz") as cache:
            return {name: cache[name] for name in cache.files if name != "problem_text"}

    written = indexed()
    (tmp_path / "out/shards.list.index.npz").unlink()
    with pytest.raises(DataError, match="feature is 7 wide"):
        FeatureDataset(path, tf2pkl.EXPECTED, None, training=True, skip_broken=0)
    for name, value in indexed().items():
        np.testing.assert_array_equal(written[name], value)


def test_damage_is_reported_with_shard_and_byte_and_the_rest_goes_on(source, tmp_path, capsys):
    offsets = write_shard(source / "b.tfrecord", small_records(6, "b", 1))
    flip(source / "b.tfrecord", offsets[2] + 30)
    flip(source / "b.tfrecord", offsets[5] + 1)
    (source / "c.tfrecord").write_bytes(b"")
    convert(source, tmp_path / "out")
    output = capsys.readouterr().out
    assert f"skipped: {source / 'b.tfrecord'} at byte {offsets[2]}: the data of a record does not match" in output
    assert f"skipped: {source / 'b.tfrecord'} at byte {offsets[5]}: the length of a record does not match" in output
    assert f"skipped: {source / 'c.tfrecord'} at byte 0: the shard is empty" in output
    assert ": 16 videos, " in output
    assert ", 3 broken records, " in output
    assert [r["video"] for r in load_records(str(tmp_path / "out/b.pkl"))] == ["b0", "b1", "b3", "b4"]
    assert (tmp_path / "out/shards.list").read_text().split() == ["a.pkl", "b.pkl", "d.tfrecord-00000-of-00001.pkl"]
    convert(source, tmp_path / "out")
    assert "4 of 4 shards were finished before" in capsys.readouterr().out


def test_a_limit_takes_the_first_videos(source, tmp_path):
    convert(source, tmp_path / "out", limit=8)
    assert (tmp_path / "out/shards.list").read_text().split() == ["a.pkl", "b.pkl"]
    ids = [r["video"] for name in "ab" for r in load_records(str(tmp_path / f"out/{name}.pkl"))]
    assert ids == ["a0", "a1", "a2", "a3", "a4", "a5", "b0", "b1"]


@pytest.mark.parametrize("as_file", [False, True])
def test_labels_choose_videos_and_what_is_kept_of_their_labels(source, tmp_path, as_file):
    (tmp_path / "labels.txt").write_text("# chosen\n3\n\n7\n")
    labels = tf2pkl.parse_labels(str(tmp_path / "labels.txt") if as_file else "7,3")
    convert(source, tmp_path / "out", labels=labels)
    expected = {}
    for seed, name in enumerate("abcd"):
        for record in small_records(6, name, seed):
            if kept := [label for label in record["label"] if label in (3, 7)]:
                expected[record["video"]] = kept
    names = (tmp_path / "out/shards.list").read_text().split()
    found = {r["video"]: r["label"] for name in names for r in load_records(str(tmp_path / "out" / name))}
    assert found == expected
    assert 0 < len(found) < 24


def test_a_rerun_converts_only_what_is_new_or_changed(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    convert(source, out)
    before = files(out)
    converted = []
    original = tf2pkl.convert_shard
    monkeypatch.setattr(tf2pkl, "convert_shard", lambda job: converted.append(job.shard.name) or original(job))
    convert(source, out)
    assert not converted
    assert files(out) == before
    (out / "d.tfrecord-00000-of-00001.pkl").unlink()
    write_shard(source / "e.tfrecord", small_records(2, "e"))
    convert(source, out)
    assert converted == ["d.tfrecord-00000-of-00001", "e.tfrecord"]
    assert {name: files(out)[name] for name in before if name.endswith(".pkl")} == {
        name: value for name, value in before.items() if name.endswith(".pkl")
    }


def test_ctrl_c_leaves_what_is_finished_and_says_how_to_go_on(source, tmp_path, monkeypatch, capsys):
    original = tf2pkl.convert_shard

    def interrupted(job):
        if job.shard.name == "b.tfrecord":
            raise KeyboardInterrupt
        return original(job)

    monkeypatch.setattr(tf2pkl, "convert_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "out")
    monkeypatch.undo()
    assert "what is finished stays; run this again to resume" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").glob("*.pkl")] == ["a.pkl"]
    convert(source, tmp_path / "out")
    assert "1 of 4 shards were finished before" in capsys.readouterr().out


def test_a_line_that_a_killed_run_did_not_finish_counts_for_nothing(source, tmp_path, capsys):
    convert(source, tmp_path / "out")
    before = files(tmp_path / "out")
    journal = tmp_path / "out/shards.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20] + b"\xff\0\n")
    convert(source, tmp_path / "out")
    assert "3 of 4 shards were finished before" in capsys.readouterr().out
    assert files(tmp_path / "out") == before


def test_a_full_disk_is_an_error_that_leaves_nothing_half_written(tmp_path):
    """The limit on the size of a file stands for the disk: it too ends a write in its middle."""
    rng, target = np.random.default_rng(0), tmp_path / "out"
    (tmp_path / "in").mkdir()
    for name, frames in (("a", 1), ("b", 60)):  # 1 and 70 kB a video
        write_shard(
            tmp_path / "in" / f"{name}.tfrecord", [make_record(rng, f"{name}{i}", frames=frames) for i in (0, 1)]
        )
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(DataError, match=r"out cannot be written: .*File too large; what is finished stays"):
            convert(tmp_path / "in", target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {path.name for path in target.iterdir()} == {".lock", "a.pkl", "settings.json", "shards.jsonl"}
    convert(tmp_path / "in", target)
    assert len(load_records(str(target / "b.pkl"))) == 2


def test_mistakes_are_named(source, tmp_path, monkeypatch):
    def message(*arguments):
        monkeypatch.setattr(sys, "argv", ["tf2pkl.py", *map(str, arguments), "--workers=1"])
        with pytest.raises(DataError) as error:
            tf2pkl.main()
        return str(error.value)

    assert "does not exist, or is no file" in message(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    assert "no shards in" in message(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'} cannot be a folder" in message(source, tmp_path / "file")
    convert(source, tmp_path / "out")
    assert "was made with --limit unset, not 3" in message(source, tmp_path / "out", "--limit=3")
    assert "holds 3 pickles of shards that are not among these (b.pkl)" in message(
        source / "a.tfrecord", tmp_path / "out"
    )
    write_shard(tmp_path / "a.tfrecord", small_records(1))
    with pytest.raises(DataError, match=r"would both become a.pkl"):
        tf2pkl.find_shards([source, tmp_path / "a.tfrecord"])
