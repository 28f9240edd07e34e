"""Shards to pickles: converted, damaged, interrupted, and read to the batches that the shards give."""

import json
import pickle
import re
import resource
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from datareader.features.dataset import FeatureDataset
from datareader.features.records import load_records
from datareader.features.tfrecord import read_tfrecord
from dataset.youtube8m import tf2pkl
from tests.conftest import PROJECT, clean_env, make_record
from tests.datareader.features.small_records import (
    assert_same,
    assert_same_batches,
    batches_of,
    flip,
    open_small,
    small_records,
)
from tests.sequence_examples import frame, serialize_means, write_shard
from tools.config.load import Config
from tools.doctor.features import build_feature_inspector
from tools.doctor.inspection import inspect_list
from tools.errors import DataError
from tools.registry import READERS

SCRIPT = PROJECT / "dataset" / "youtube8m" / "tf2pkl.py"


def convert(source, target, workers=1, **selection):
    """What tf2pkl.py does, in this process if there is one worker."""
    tf2pkl.convert(tf2pkl.find_shards([source]), target, tf2pkl.Selection(**selection), workers)


def files(folder):
    """name -> bytes and time of change of everything in a folder."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns if path.suffix == ".pkl" else 0)
            for path in folder.iterdir()}  # fmt: skip


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
    assert {path.name for path in (tmp_path / "out").iterdir()} == made | {".shards.list.index.npz.lock"}
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
    scan = FeatureDataset._scan
    monkeypatch.setattr(FeatureDataset, "_scan", None)
    monkeypatch.chdir(tmp_path)
    for path in ("out/shards.list", tmp_path / "out/shards.list"):  # however the path is written
        dataset = FeatureDataset(str(path), tf2pkl.EXPECTED, None, training=True, skip_broken=0)
        assert dataset.num_frames.tolist() == [2, 3]
    (tmp_path / "out").rename(tmp_path / "moved")
    dataset = FeatureDataset("moved/shards.list", tf2pkl.EXPECTED, None, training=True, skip_broken=0)
    assert len(dataset) == len(dataset.record_labels()) == 2
    labels = dataset.record_labels()

    journal = tmp_path / "moved/shards.jsonl"  # as an earlier version wrote it
    line = json.loads(journal.read_text())
    del line["record_labels"]
    journal.write_text(json.dumps(line | {"usable_labels": {"1": 2}}) + "\n")
    changed = (tmp_path / "moved/a.pkl").stat().st_ino
    convert(tmp_path / "in", tmp_path / "moved")
    assert (tmp_path / "moved/a.pkl").stat().st_ino == changed
    monkeypatch.setattr(FeatureDataset, "_scan", scan)
    dataset = FeatureDataset("moved/shards.list", tf2pkl.EXPECTED, None, training=True, skip_broken=0)
    assert dataset.record_labels().class_ids.tolist() == labels.class_ids.tolist()


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


def test_labels_of_segments_are_left_out_with_a_word(tmp_path, capsys):
    """Those of YouTube-8M of 2019, by the conversion and by whoever reads the shard itself."""
    first, second, third = small_records(3)
    write_shard(tmp_path / "a.tfrecord", [first | {"segments": 5}, second, third | {"segments": 1}])
    line = "2 records have labels of segments (YouTube-8M of 2019), which are not used: a record has the labels of its "
    convert(tmp_path / "a.tfrecord", tmp_path / "out")
    assert f"\n{line}" in f"\n{capsys.readouterr().out}"
    assert_same(load_records(str(tmp_path / "out/a.pkl")), [first, second, third])
    convert(tmp_path / "a.tfrecord", tmp_path / "out")  # finished before
    assert line in capsys.readouterr().out
    (tmp_path / "x.list").write_text("a.tfrecord")
    for _ in range(2):  # scanned, and from the index
        assert open_small(tmp_path / "x.list").notices[0].startswith(line)
    settings = SimpleNamespace(feature_names=["rgb", "audio"], feature_dims=[7, 3], num_classes=12)
    for deep in (False, True):
        inspector = build_feature_inspector(SimpleNamespace(MODEL=settings), "TRAIN")
        reports, (notice,) = inspect_list(str(tmp_path / "x.list"), inspector, deep)
        assert notice.startswith(line)
        assert reports[0].num_usable == 3


def test_records_that_do_not_fit_the_default_configs_are_counted(tmp_path, capsys):
    rng = np.random.default_rng(0)
    write_shard(tmp_path / "a.tfrecord", [make_record(rng, name, labels=[0, 0, 1]) for name in "ab"])
    convert(tmp_path / "a.tfrecord", tmp_path / "out")
    begin = "2 records do not fit the default configs, such as a.pkl record 0 (video a): label looks like a one-hot or"
    assert begin in capsys.readouterr().out


def test_damage_is_reported_with_shard_and_byte_and_the_rest_is_converted(source, tmp_path, capsys):
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
def test_labels_select_videos_and_what_is_kept_of_their_labels(source, tmp_path, as_file):
    (tmp_path / "labels.txt").write_text("# selected\n3\n\n7\n")
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


def test_ctrl_c_leaves_what_is_finished_and_says_how_to_resume(source, tmp_path, monkeypatch, capsys):
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


def test_a_line_that_a_killed_run_did_not_finish_is_ignored(source, tmp_path, capsys):
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


# Read by the reader


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


def config_of(filelist):
    model = SimpleNamespace(num_classes=12, seg_num=4, feature_names=("rgb", "audio"), feature_dims=(7, 3))
    section = SimpleNamespace(filelist=str(filelist), sort_by_length=True, sampling=None)
    return Config("test", {"MODEL": model, "TRAIN": section, "VALID": section}, [])


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


@pytest.mark.parametrize("reader", ["feature_segments", "feature_frames_unbiased_rgb"])
@pytest.mark.parametrize("section", ["TRAIN", "VALID"])
def test_shards_and_pickles_of_both_pythons_give_the_same_batches_bit_for_bit(three_kinds, reader, section):
    training, build = section == "TRAIN", READERS.get(reader)
    found = [
        batches_of(build(config_of(path), section, training=training, skip_broken=0), training) for path in three_kinds
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
