"""File lists: every file once, by class and share, and never in two lists."""

import os
import pickle

import numpy as np
import pytest

from datareader.lists import load_list
from dataset import make_list
from dataset.youtube8m import tf2pkl
from tests.dataset.kinetics.annotated_videos import CLASSES, HEADER, IN_ORDER, clip_id, csv_line
from tests.dataset.programs import contents, load, start
from tools.errors import DataError


@pytest.fixture
def many(tmp_path):
    """A folder of 40 files that are called videos: 3 classes of 20, 15 and 5."""
    folder = tmp_path / "many 视频"
    for name, count in (("b c", 20), ("a", 15), ("it's", 5)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            (folder / name / f"clip {i}.mp4").touch()
    return folder


def read_lists(folder, *names):
    """{list: [(path below its class's parent, label)]}"""
    found = {}
    for name in names:
        entries = load_list(str(folder / f"{name}.list"), labelled=True)
        found[name] = [("/".join(entry.path.split("/")[-2:]), entry.label) for entry in entries]
    return found


def test_lists_hold_every_file_once_with_its_class_and_each_class_by_share(many, monkeypatch, tmp_path, capsys):
    shares = ["train=0.6", "val=1/5", "infer=0.2"]
    start(monkeypatch, make_list, many, "--output", tmp_path / "out", "--split", *shares)
    lists = read_lists(tmp_path / "out", "train", "val", "infer")
    assert sorted(path for part in lists.values() for path, _ in part) == sorted(
        f"{path.parent.name}/{path.name}" for path in many.rglob("*.mp4")
    )
    assert (tmp_path / "out" / "class_names.txt").read_text() == "a\nb c\nit's\n"
    for name, counts in {"train": (9, 12, 3), "val": (3, 4, 1), "infer": (3, 4, 1)}.items():
        classes = [path.split("/")[0] for path, _ in lists[name]]
        assert tuple(classes.count(each) for each in ("a", "b c", "it's")) == counts
        assert lists[name] == sorted(lists[name])
        expected = [None if name == "infer" else ("a", "b c", "it's").index(each) for each in classes]
        assert [label for _, label in lists[name]] == expected
    assert "train.list: 24 files of 3 classes" in capsys.readouterr().out


def test_the_seed_decides_the_lists_wherever_the_files_are(many, monkeypatch, tmp_path):
    moved = tmp_path / "elsewhere" / "moved"
    options = ["--split", "train=0.5", "val=0.25"]
    runs = {}
    start(monkeypatch, make_list, many, "--output", tmp_path / "1", *options, "--seed=1")
    runs["first"] = read_lists(tmp_path / "1", "train", "val")
    start(monkeypatch, make_list, many, "--output", tmp_path / "2", *options, "--seed=2")
    runs["other seed"] = read_lists(tmp_path / "2", "train", "val")
    start(monkeypatch, make_list, many, "--output", tmp_path / "3", *options, "--seed=1", "--shuffle", "--absolute")
    runs["shuffled"] = read_lists(tmp_path / "3", "train", "val")
    assert (tmp_path / "3" / "train.list").read_text().startswith("/")
    moved.parent.mkdir()
    many.rename(moved)
    start(monkeypatch, make_list, moved, "--output", tmp_path / "4", *options, "--seed=1")
    runs["moved"] = read_lists(tmp_path / "4", "train", "val")
    assert runs["moved"] == runs["first"] != runs["other seed"]
    assert runs["shuffled"]["train"] != runs["first"]["train"]
    assert {name: sorted(part) for name, part in runs["shuffled"].items()} == runs["first"]
    assert sum(map(len, runs["first"].values())) == 30  # a quarter is in no list


def test_lists_that_are_there_are_replaced_by_force_only(many, monkeypatch, tmp_path):
    start(monkeypatch, make_list, many, "--output", tmp_path, "--split", "train=0.5")
    before = (tmp_path / "train.list").read_text()
    with pytest.raises(DataError, match=r"train\.list is there already; --force"):
        start(monkeypatch, make_list, many, "--output", tmp_path, "--split", "train=0.7")
    assert (tmp_path / "train.list").read_text() == before
    start(monkeypatch, make_list, many, "--output", tmp_path, "--split", "train=0.5")  # the same again replaces nothing
    assert (tmp_path / "train.list").read_text() == before
    start(monkeypatch, make_list, many, "--output", tmp_path, "--split", "train=0.7", "--force")
    assert len((tmp_path / "train.list").read_text().splitlines()) == 28


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_file_with_two_names_is_refused(many, monkeypatch, tmp_path, link):
    link(many / "a" / "clip 0.mp4", many / "a" / "twin.mp4")
    with pytest.raises(DataError, match=r"twin\.mp4 is the same file as .*clip 0\.mp4"):
        start(monkeypatch, make_list, many, "--output", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.list"))


def test_a_file_of_another_list_is_refused_however_its_path_is_spelt(many, monkeypatch, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "link").symlink_to(many)
    out.mkdir()
    (out / "val.list").write_text(f"{tmp_path}/./link/../link/a/clip 3.mp4 0\n")
    with pytest.raises(DataError, match=r"clip 3\.mp4 is the same file as .*val\.list line 1; leave it out"):
        start(monkeypatch, make_list, many, "--output", out, "--split", "train")
    start(monkeypatch, make_list, many, "--output", out, "--split", "train=0.5", "val=0.5", "--force")
    with pytest.raises(DataError, match="is the same file as"):
        start(monkeypatch, make_list, many, tmp_path / "link", "--output", tmp_path / "new")


def test_lists_made_one_after_another_number_the_classes_alike(many, monkeypatch, tmp_path):
    (tmp_path / "second" / "b c").mkdir(parents=True)
    (tmp_path / "second" / "b c" / "x.mp4").touch()
    start(monkeypatch, make_list, many, "--output", tmp_path / "out", "--split", "train")
    start(monkeypatch, make_list, tmp_path / "second", "--output", tmp_path / "out", "--split", "val")
    assert read_lists(tmp_path / "out", "val") == {"val": [("b c/x.mp4", 1)]}
    (tmp_path / "third" / "new").mkdir(parents=True)
    (tmp_path / "third" / "new" / "x.mp4").touch()
    with pytest.raises(DataError, match=r"'new' is not among the 3 names in .*class_names\.txt"):
        start(monkeypatch, make_list, tmp_path / "third", "--output", tmp_path / "out", "--split", "test")


def test_class_names_that_differ_from_those_in_the_folder_are_refused(many, monkeypatch, tmp_path):
    out = tmp_path / "out"
    start(monkeypatch, make_list, many, "--output", out, "--split", "train=0.5")
    written = (out / "class_names.txt").read_text()
    before = contents(out)
    (tmp_path / "other.txt").write_text("\n".join(reversed(written.splitlines())))
    again = [many, "--output", out, "--split", "train=0.5", "--force", "--class-names"]
    with pytest.raises(DataError, match=r"other\.txt does not number the classes as .*class_names\.txt does"):
        start(monkeypatch, make_list, *again, tmp_path / "other.txt")
    assert contents(out) == before
    (tmp_path / "same.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(written.splitlines())))
    start(monkeypatch, make_list, *again, tmp_path / "same.txt")
    assert contents(out) == before


def test_a_csv_names_classes_and_splits(kinetics, pickles, monkeypatch, tmp_path, capsys):
    splits = ["train", "validate", "test", "train"]
    lines = [
        csv_line(name, clip_id(i), split=split) for i, (name, split) in enumerate(zip(CLASSES, splits, strict=True))
    ]
    (tmp_path / "all.csv").write_text(HEADER + "".join(lines) + csv_line("growing", "gone"))
    for folder, with_label in ((kinetics / "videos", True), (pickles[0], False)):
        out = tmp_path / folder.name
        start(monkeypatch, make_list, folder, "--csv", tmp_path / "all.csv", "--output", out)
        lists = read_lists(out, "train", "val", "test")
        assert {name: len(part) for name, part in lists.items()} == {"train": 2, "val": 1, "test": 1}
        label = IN_ORDER.index(CLASSES[1]) if with_label else None
        assert [found for _, found in lists["val"]] == [label]
        assert (out / "class_names.txt").read_text().splitlines() == IN_ORDER
        assert "1 videos of the CSV are not there" in capsys.readouterr().out


def test_pickles_of_clips_are_stratified_by_the_class_in_them(pickles, monkeypatch, tmp_path):
    start(monkeypatch, make_list, pickles[0], "--output", tmp_path, "--split", "train=0.5", "val=0.5")
    for part in read_lists(tmp_path, "train", "val").values():
        labels = [load(pickles[0] / path.split("/")[-1])[1] for path, _ in part]
        assert sorted(labels) == [0, 1, 2, 3]
        assert {label for _, label in part} == {None}


def test_files_of_youtube8m_are_shared_out_whole(monkeypatch, tmp_path):
    record = {"video": "x", "feature": np.zeros((3, 4), np.uint8), "label": [1], "nframes": 3}
    for i in range(6):
        (tmp_path / f"train{i}.pkl").write_bytes(pickle.dumps([record, record] if i else record, protocol=4))
        (tmp_path / ("more.tfrecord" if i == 5 else f"more.tfrecord-0000{i}-of-00005")).touch()
    (tmp_path / "more.tfrecord.part").touch()
    start(monkeypatch, make_list, tmp_path, "--output", tmp_path / "out", "--split", "train=0.5", "val=0.5")
    lists = [load_list(str(tmp_path / "out" / f"{name}.list")) for name in ("train", "val")]
    assert [len(part) for part in lists] == [6, 6]
    assert not (tmp_path / "out" / "class_names.txt").exists()


def test_odd_names_are_read_back_or_refused(monkeypatch, tmp_path):
    folder = tmp_path / "x"
    for name in ("#1 best", " lead", "7"):
        (folder / name).mkdir(parents=True)
        (folder / name / "# 8 .mp4").touch()
    start(monkeypatch, make_list, folder, "--output", folder, "--split", "infer")
    assert {path.split("/")[0] for path, _ in read_lists(folder, "infer")["infer"]} == {"#1 best", " lead", "7"}
    with pytest.raises(DataError, match=r"' lead' cannot be a class name"):
        start(monkeypatch, make_list, folder, "--output", folder / "out", "--split", "train")
    (folder / "7" / "end.mp4 ").write_bytes(b"\x1a\x45\xdf\xa3" + bytes(9))
    with pytest.raises(DataError, match=r"end\.mp4 ' cannot stand in a list; rename it"):
        start(monkeypatch, make_list, folder, "--output", folder / "out", "--split", "infer")
    (folder / "7" / "end.mp4 ").unlink()
    (folder / "7" / "new\nline.mp4").touch()
    with pytest.raises(DataError, match=r"cannot stand in a list; rename it"):
        start(monkeypatch, make_list, folder, "--output", folder / "out", "--split", "infer")
    assert not (folder / "out").exists()


def test_a_line_that_would_be_read_as_another_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.mp4").touch()
    (tmp_path / "a" / "x.mp4 0").touch()
    with pytest.raises(DataError, match="would be read as"):
        start(monkeypatch, make_list, tmp_path, "--output", tmp_path, "--split", "train")
    assert not (tmp_path / "train.list").exists()


def test_videos_without_a_class_serve_the_list_to_infer_from_alone(monkeypatch, tmp_path):
    (tmp_path / "x.mp4").touch()
    with pytest.raises(DataError, match=r"x\.mp4 has no class; have one folder for each class"):
        start(monkeypatch, make_list, tmp_path, "--output", tmp_path, "--split", "train")
    start(monkeypatch, make_list, tmp_path, "--output", tmp_path, "--split", "infer")
    assert (tmp_path / "infer.list").read_text() == "x.mp4\n"


def test_pickles_beside_the_videos_they_were_made_of_are_not_listed_twice(kinetics, pickles, monkeypatch, tmp_path):
    video = next((kinetics / "videos").rglob("*.mp4"))
    both = tmp_path / "both" / video.parent.name
    both.mkdir(parents=True)
    (both / video.name).symlink_to(video)
    (both / f"{video.stem}.pkl").symlink_to(next(pickles[0].rglob("*.pkl")))
    with pytest.raises(DataError, match=r"\.pkl has the name of .*\.mp4, as if made of it.*folder of its own"):
        start(monkeypatch, make_list, tmp_path / "both", "--output", tmp_path / "out", "--split", "all")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("shard", ["x.tfrecord", "x.TFRECORD", "x.tfrecord-00000-of-00002"])
def test_a_pickle_beside_its_shard_is_known_by_the_name_that_conversion_gives_it(monkeypatch, tmp_path, shard):
    folder = tmp_path / "both"
    folder.mkdir()
    (folder / shard).touch()
    (made,) = tf2pkl.find_shards([folder])
    (folder / made).write_bytes(pickle.dumps({"video": "x"}))
    arguments = [folder, "--output", tmp_path / "out", "--split", "all"]
    with pytest.raises(DataError, match=f"{made} has the name of .*{shard}, as if made of it"):
        start(monkeypatch, make_list, *arguments)
    (folder / made).rename(folder / "y.pkl")
    start(monkeypatch, make_list, *arguments)
    listed = [entry.path.split("/")[-1] for entry in load_list(str(tmp_path / "out" / "all.list"))]
    assert listed == [shard, "y.pkl"]
