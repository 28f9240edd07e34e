"""Lists and pickles of what is in folders: videos whatever they are called, folders of frames; what is left out."""

import io
import pickle
import shutil

import pytest
from PIL import Image

from datareader.lists import load_list
from dataset import make_list
from dataset.kinetics import video2pkl
from tests.datareader.clips.synthetic import encode_jpeg, make_frames, open_dataset, read_all
from tests.datareader.clips.test_frame_folders import write_folder
from tests.datareader.clips.test_look import CONTAINERS, write_container
from tests.dataset.programs import load, start
from tools.errors import DataError

ODD = {"clip0.mp4": "a.mp4", "clip1.ts": "a.ts", "clip2.MTS": "a.ts", "clip3.gif": "a.gif", "clip4.h264": "a.h264"}
ODD |= {"clip5.y4m": "a.y4m", "clip6": "a.mkv", "clip7.dat": "a.flv"}


@pytest.fixture(scope="module")
def odd_videos(tmp_path_factory):
    """A folder of one class with videos whose names do not say that they are videos, and a CSV that names them."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "videos/dance").mkdir(parents=True)
    for name, kind in ODD.items():
        write_container(folder / "videos/dance" / name, *CONTAINERS[kind])
    rows = [f"dance,{name.split('.')[0]}\n" for name in ODD]
    (folder / "clips.csv").write_text("label,youtube_id\n" + "".join(rows))
    return folder


def test_lists_hold_videos_whatever_they_are_called(odd_videos, monkeypatch, tmp_path, capsys):
    start(monkeypatch, make_list, odd_videos / "videos", "--output", tmp_path, "--split", "train")
    entries = load_list(str(tmp_path / "train.list"), labelled=True)
    assert [(entry.path.rsplit("/", 1)[1], entry.label) for entry in entries] == [(name, 0) for name in ODD]
    assert "left out" not in capsys.readouterr().out
    named = ["--csv", odd_videos / "clips.csv"]
    start(monkeypatch, make_list, odd_videos, *named, "--output", tmp_path / "csv", "--split", "a")
    assert len(load_list(str(tmp_path / "csv/a.list"), labelled=True)) == len(ODD)


@pytest.mark.pyav
def test_videos_are_converted_whatever_they_are_called(odd_videos, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(video2pkl, "map_in_processes", lambda convert, jobs, *_: ((job, convert(job)) for job in jobs))
    (odd_videos / "videos/dance/clip1.json").write_text("{}")
    start(monkeypatch, video2pkl, odd_videos / "clips.csv", odd_videos / "videos", tmp_path / "pkl")
    (odd_videos / "videos/dance/clip1.json").unlink()
    assert f"converted {len(ODD)} videos" in capsys.readouterr().out
    assert {len(load(path)[2]) for path in (tmp_path / "pkl").glob("*.pkl")} == {8}


def test_what_is_left_out_is_counted_and_named_by_kind(odd_videos, monkeypatch, tmp_path, capsys):
    source = shutil.copytree(odd_videos / "videos", tmp_path / "videos")
    for name, data in {
        "page.mp4": b"<html>404</html>",
        "notes.txt": b"text",
        "b.vtt": b"WEBVTT\n",
        "a.json": b'{"a": 1}',
        "thumb1.jpg": encode_jpeg(make_frames(1)[0]),
        "clip9.mp4.part": (source / "dance/clip0.mp4").read_bytes(),
        "weights.bin": pickle.dumps([1, 2]),
        ".hidden": b"",
    }.items():
        (source / "dance" / name).write_bytes(data)
    Image.fromarray(make_frames(1)[0]).save(source / "dance/logo.gif")
    start(monkeypatch, make_list, source, "--output", tmp_path / "out", "--split", "train")
    assert len(load_list(str(tmp_path / "out/train.list"), labelled=True)) == len(ODD)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "left out: 1 x GIF picture (logo.gif)",
        "left out: 1 x JSON text (a.json)",
        "left out: 1 x pickle (weights.bin)",
        "left out: 1 x picture beside videos (thumb1.jpg)",
        "left out: 2 x text (b.vtt, notes.txt)",
        "left out: 1 x web page (HTML) (page.mp4)",
        "left out: 1 x unfinished download (clip9.mp4.part)",
    ]


def test_a_folder_with_nothing_to_list_says_what_is_there(monkeypatch, tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.txt").write_text("text")
    with pytest.raises(DataError, match=r"no video, .*; left out: 5 x text \(0\.txt, 1\.txt, 2\.txt and 2 more\)"):
        start(monkeypatch, make_list, tmp_path, "--output", tmp_path / "out")


@pytest.fixture
def frame_folders(tmp_path):
    """Two classes with two folders of frames each, one with a file beside them, and a folder of optical flow."""
    source = tmp_path / "frames"
    for i, name in enumerate(("dance/v1", "dance/v.2", "jump/v 3", "jump/v4")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        write_folder(source / name, make_frames(6 + i, seed=i), "{}.png" if i == 3 else "img_{:05d}.jpg")
    (source / "dance/v1/notes.txt").write_text("text")
    write_folder(source / "jump/v4_flow", make_frames(2), "flow_x_{}.jpg")
    (tmp_path / "clips.csv").write_text("label,youtube_id\ndance,v1\ndance,v.2\njump,v 3\njump,v4\n")
    return source


def test_folders_of_frames_are_listed_with_their_number(frame_folders, monkeypatch, tmp_path, capsys):
    start(monkeypatch, make_list, frame_folders, "--output", tmp_path, "--split", "train")
    assert (tmp_path / "train.list").read_text() == (
        "frames/dance/v.2 7 0\nframes/dance/v1 6 0\nframes/jump/v 3 8 1\nframes/jump/v4 9 1\n"
    )
    assert capsys.readouterr().out.splitlines()[1:] == [
        "left out: 2 x picture of optical flow (flow_x_1.jpg, flow_x_2.jpg)",
        "left out: 1 x text (notes.txt)",
    ]
    start(monkeypatch, make_list, frame_folders, "--output", tmp_path / "plain", "--split", "infer")
    assert (tmp_path / "plain/infer.list").read_text().splitlines()[3] == "../frames/jump/v4"
    start(monkeypatch, make_list, frame_folders / "jump/v4", "--output", tmp_path / "one", "--split", "infer")
    assert (tmp_path / "one/infer.list").read_text() == "../frames/jump/v4\n"


def test_folders_of_frames_become_pickles_of_the_same_pixels(frame_folders, monkeypatch, tmp_path):
    monkeypatch.setattr(video2pkl, "map_in_processes", lambda convert, jobs, *_: ((job, convert(job)) for job in jobs))
    arguments = [tmp_path / "clips.csv", frame_folders]
    start(monkeypatch, video2pkl, *arguments, tmp_path / "pkl")
    start(monkeypatch, make_list, frame_folders, "--output", tmp_path, "--split", "train")
    start(monkeypatch, make_list, tmp_path / "pkl", "--output", tmp_path / "pkl", "--split", "train")
    (folders,) = read_all(open_dataset(tmp_path / "train.list"))
    (pickled,) = read_all(open_dataset(tmp_path / "pkl/train.list"))
    order = [pickled.ids.index(name) for name in folders.ids]
    assert folders.labels.tolist() == pickled.labels[order].tolist() == [0, 0, 1, 1]
    views = pickled.inputs[0].reshape(4, -1, *pickled.inputs[0].shape[1:])[order]
    assert (folders.inputs[0].reshape(views.shape) == views).all()
    start(monkeypatch, video2pkl, *arguments, tmp_path / "small", "--short-size", "20")
    assert {Image.open(frame).size for frame in map(io.BytesIO, load(tmp_path / "small/v1.pkl")[2])} == {(26, 20)}


def test_a_folder_with_a_broken_frame_or_without_a_rate_is_listed_as_broken(frame_folders, monkeypatch, tmp_path):
    monkeypatch.setattr(video2pkl, "map_in_processes", lambda convert, jobs, *_: ((job, convert(job)) for job in jobs))
    (frame_folders / "dance/v1/img_00003.jpg").write_bytes(b"\xff\xd8")
    start(monkeypatch, video2pkl, tmp_path / "clips.csv", frame_folders, tmp_path / "pkl")
    assert f"v1\t{frame_folders}/dance/v1/img_00003.jpg is a JPEG " in (tmp_path / "pkl/broken.txt").read_text()
    start(monkeypatch, video2pkl, tmp_path / "clips.csv", frame_folders, tmp_path / "fps", "--fps", "5")
    assert (
        "a folder of frames does not say how many a second they are; leave out --fps"
        in (tmp_path / "fps/broken.txt").read_text()
    )
