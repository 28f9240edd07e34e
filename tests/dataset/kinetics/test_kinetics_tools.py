"""Kinetics: class names, videos to pickles, and lists."""

import csv
import json
import os
import pickle
import subprocess
import sys
from fractions import Fraction

import cv2
import numpy as np
import paddle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datareader.clips import decoding
from datareader.clips.decoding import read_frame_rate, read_frames
from datareader.lists import load_list
from dataset import make_list
from dataset.kinetics import generate_label, make_demo, video2pkl
from dataset.kinetics.annotations import VIDEO_SUFFIXES, VideoFolder, load_annotations, load_class_list
from dataset.youtube8m import tf2pkl
from models.tsn.tsn import TSN
from tests.conftest import PROJECT, run_script
from tests.datareader.clips.test_dataset import MEAN, STD, open_dataset, read_all
from tests.test_clip_scripts import CONFIG
from tools.errors import DataError
from tools.inference.predictions import load_class_names

CLASSES = ['playing "air" guitar', "growing", "打太极", "bee's keeping"]  # not in order
IN_ORDER = ["bee's keeping", "growing", 'playing "air" guitar', "打太极"]
DRAWINGS = ["rising", "growing", "stripes", "checkers"]
HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"


def clip_id(label, i=0):
    return f"-v{label}_{i}_NA"


def csv_line(name, youtube_id, start=7, split="train"):
    return '"{}",{},{},{},{},0\n'.format(name.replace('"', '""'), youtube_id, start, start + 10, split)


@pytest.fixture(scope="module")
def kinetics(tmp_path_factory):
    """A CSV and the videos of four classes, two of each, in a folder with a space and Chinese characters."""
    folder = tmp_path_factory.mktemp("data") / "视频 of Bob's"
    lines = []
    for i in range(2):
        for label, (name, drawing) in enumerate(zip(CLASSES, DRAWINGS, strict=True)):
            place = folder / "videos" / name / f"{clip_id(label, i)}_000007_000017.mp4"
            place.parent.mkdir(parents=True, exist_ok=True)
            frames = make_demo.draw_clip(drawing, np.random.default_rng([label, i]))[:30]
            place.write_bytes(make_demo.encode_h264(frames))
            lines.append(csv_line(name, clip_id(label, i)))
    (folder / "train.csv").write_text(HEADER + "".join(lines))
    return folder


def start(monkeypatch, program, *arguments):
    monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
    program.main()


def run(script, *arguments):
    command = [sys.executable, PROJECT / "dataset" / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def load(path):
    return pickle.loads(path.read_bytes())


@pytest.fixture(scope="module")
def pickles(kinetics, tmp_path_factory):
    """The folder that video2pkl.py makes of ``kinetics``, and what it printed."""
    target = tmp_path_factory.mktemp("target") / "pkl 文件's"
    result = run("kinetics/video2pkl.py", kinetics / "train.csv", kinetics / "videos", target, 2)
    assert (result.returncode, result.stderr) == (0, "")
    return target, result.stdout


@pytest.fixture
def in_this_process(monkeypatch):
    """video2pkl.py starts no processes."""
    monkeypatch.setattr(video2pkl, "map_in_processes", lambda convert, jobs, *_: ((job, convert(job)) for job in jobs))


# Class names


def test_class_names_are_sorted_and_serve_infer_py(kinetics, monkeypatch, tmp_path, capsys):
    start(monkeypatch, generate_label, kinetics / "train.csv", tmp_path / "names.txt")
    assert load_class_names(str(tmp_path / "names.txt"), 4) == IN_ORDER
    assert "4 class names" in capsys.readouterr().out
    start(monkeypatch, generate_label, kinetics / "train.csv", tmp_path / "names.txt")  # nothing is lost by it


def test_class_names_replace_no_other_file_unless_told_to(kinetics, monkeypatch, tmp_path):
    csv = kinetics / "train.csv"
    before = csv.read_bytes()
    with pytest.raises(DataError, match="is there already and holds something else; --force replaces it"):
        start(monkeypatch, generate_label, csv, csv)
    assert csv.read_bytes() == before
    (tmp_path / "names.txt").write_text("other\n")
    start(monkeypatch, generate_label, csv, tmp_path / "names.txt", "--force")
    assert load_class_names(str(tmp_path / "names.txt"), 4) == IN_ORDER


def test_names_with_their_ids_as_in_2019_are_read_too(kinetics, monkeypatch, tmp_path):
    start(monkeypatch, generate_label, kinetics / "train.csv", tmp_path / "label.txt", "--ids")
    lines = (tmp_path / "label.txt").read_text().splitlines()
    assert lines == [f"{name} {class_id}" for class_id, name in enumerate(IN_ORDER)]
    assert load_class_list(str(tmp_path / "label.txt")) == IN_ORDER
    assert load_class_names(str(tmp_path / "label.txt"), 4) == IN_ORDER


def test_names_that_are_told_apart_by_their_numbers_alone_keep_them(tmp_path):
    (tmp_path / "names.txt").write_text("class 0\nclass 1\n")
    for names in (load_class_list(str(tmp_path / "names.txt")), load_class_names(str(tmp_path / "names.txt"), 2)):
        assert names == ["class 0", "class 1"]


def test_ids_that_look_like_numbers_or_nothing_are_text(tmp_path):
    (tmp_path / "a.csv").write_text(HEADER + "NA,NA,1,11,train,0\n\nnull,0012,2,12,train,0\n1e5,1e5,3,13,train,0\n")
    found = [(item.class_name, item.name) for item in load_annotations(str(tmp_path / "a.csv"))]
    assert found == [("NA", "NA_000001_000011"), ("null", "0012_000002_000012"), ("1e5", "1e5_000003_000013")]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is not a CSV"),
        ("label,video\na,b\n", "no column youtube_id"),
        (HEADER, "names no videos"),
        (HEADER + "a,b,1,2,train,0,more\n", "more values than columns"),
        (HEADER + "a,b,1,2,train,0\na,b,1,2,train,0,more\n", "is not a CSV"),
        (HEADER + "a,../b,1,2,train,0\n", "line 2: youtube_id '../b'"),
        (HEADER + "a,b,1,2,train,0\na,b,x,2,train,0\n", "line 3: time_start 'x'"),
        (HEADER + '"a\nb",b,1,2,train,0\n', "more than one line"),
    ],
)
def test_a_csv_that_cannot_be_used_is_told_in_one_line(tmp_path, text, part):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        load_annotations(str(path))
    assert str(error.value).startswith(str(path))
    assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_an_error_ends_a_program_with_one_line(tmp_path):
    result = run("kinetics/generate_label.py", tmp_path / "none.csv", tmp_path / "out")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith(f"error: {tmp_path / 'none.csv'} cannot be read: No such file or directory; ")


# Videos to pickles


def test_pickles_hold_the_frames_of_the_videos_up_to_jpeg(kinetics, pickles):
    target, printed = pickles
    assert "converted 8 videos" in printed
    assert sorted(path.suffix for path in target.iterdir()) == ["", ".json", *[".pkl"] * 8]
    for label, name in enumerate(CLASSES):
        path = target / f"{clip_id(label)}_000007_000017.pkl"
        assert path.read_bytes()[:2] == b"\x80\x04"
        video_id, class_id, jpegs = load(path)
        assert (video_id, class_id) == (path.stem, IN_ORDER.index(name))
        frames, count = read_frames(str(kinetics / "videos" / name / f"{path.stem}.mp4"), np.arange)
        assert len(jpegs) == count == 30
        for frame, jpeg in zip(frames, jpegs, strict=True):
            found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            assert np.abs(found.astype(int) - frame).mean() < 5  # noise, of which JPEG keeps colour at half the size


def test_tsn_gives_pickles_and_videos_the_same_probabilities(kinetics, pickles, monkeypatch, tmp_path):
    lists = {"videos": kinetics / "videos", "pickles": pickles[0]}
    probs = {}
    paddle.seed(0)
    network = TSN(50, 4, seglen=1, image_mean=MEAN, image_std=STD)
    for name, tensor in network.state_dict().items():
        if name.endswith("norm.weight"):
            tensor.set_value(tensor * 0.5)  # or fifty layers on random weights overflow into one class
    network.eval()
    for kind, folder in lists.items():
        start(monkeypatch, make_list, folder, "--output", tmp_path / kind, "--split", "test")
        settings = {"num_classes": 4, "seglen": 1}
        (batch,) = read_all(open_dataset(tmp_path / kind / "test.list", **settings), batch_size=8)
        with paddle.no_grad():
            rows = network(paddle.to_tensor(batch.inputs[0])).numpy()
        probs[kind] = {
            video: (label, row) for video, label, row in zip(batch.ids, batch.labels.tolist(), rows, strict=True)
        }
    assert probs["videos"].keys() == probs["pickles"].keys()
    spread = np.stack([row for _, row in probs["videos"].values()])
    assert np.ptp(spread, axis=0).max() > 0.02  # the videos are told apart
    for video, (label, row) in probs["videos"].items():
        assert probs["pickles"][video][0] == label
        assert np.abs(probs["pickles"][video][1] - row).max() < 0.02


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


@pytest.mark.slow
def test_the_scripts_score_pickles_as_they_score_the_videos(kinetics, pickles, monkeypatch, tmp_path):
    """TSN trained on the videos by train.py; then test.py and infer.py on both kinds."""
    config = CONFIG.replace("num_classes = 6", "num_classes = 4").replace("= 40", "= 64").replace("= 32", "= 56")
    (tmp_path / "tsn.txt").write_text(config)
    for kind, folder in (("videos", kinetics / "videos"), ("pickles", pickles[0])):
        start(monkeypatch, make_list, folder, "--output", tmp_path / kind, "--split", "all")
    flags = ("--model-name=TSN", "--config=tsn.txt")
    run_script("train", *flags, "--set=TRAIN.filelist=videos/all.list", "--valid-interval=0", cwd=tmp_path)
    flags += ("--weights=checkpoints/TSN_epoch0", "--engine=dygraph")
    scores, probs = {}, {}
    for kind in ("videos", "pickles"):
        run_script("test", *flags, f"--set=TEST.filelist={kind}/all.list", f"--output={kind}.json", cwd=tmp_path)
        scores[kind] = json.loads((tmp_path / f"{kind}.json").read_text())["scores"]
        options = (f"--set=INFER.filelist={kind}/all.list", "--infer-topk=0", f"--save-dir={kind}")
        run_script("infer", *flags, *options, cwd=tmp_path)
        with open(tmp_path / kind / "TSN_infer_result.csv", newline="") as file:
            probs[kind] = {(row["id"], row["class_id"]): float(row["probability"]) for row in csv.DictReader(file)}
    assert scores["videos"].pop("loss") == pytest.approx(scores["pickles"].pop("loss"), abs=0.02)
    assert scores["videos"] == scores["pickles"]
    assert len(probs["videos"]) == 8 * 4
    assert probs["pickles"] == pytest.approx(probs["videos"], abs=0.02)


def test_the_frame_rate_is_the_same_without_pyav(kinetics, monkeypatch, tmp_path):
    path = str(next((kinetics / "videos").rglob("*.mp4")))
    monkeypatch.setattr(decoding, "av", None)
    assert read_frame_rate(path) == pytest.approx(25)
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"x\.mp4 is not a video"):
        read_frame_rate(str(tmp_path / "x.mp4"))


def test_frames_are_thinned_and_scaled_down_and_never_more_or_larger(kinetics):
    path = str(next((kinetics / "videos").rglob("*.mp4")))
    height, width = read_frames(path, lambda count: np.arange(1))[0][0].shape[:2]

    def shapes(**encoding):
        jpegs = video2pkl.encode_video(path, video2pkl.Encoding(**encoding))
        return [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape[:2] for jpeg in jpegs]

    assert read_frame_rate(path) == 25
    assert shapes(fps=5) == [(height, width)] * 6
    assert shapes(fps=100, short_size=1000) == [(height, width)] * 30
    short = min(height, width) // 2
    (small,) = shapes(fps=0.1, short_size=short)
    assert min(small) == short
    assert max(small) / short == pytest.approx(max(height, width) / min(height, width), rel=0.03)
    sizes = [len(video2pkl.encode_video(path, video2pkl.Encoding(1, None, quality))[0]) for quality in (20, 95)]
    assert sizes[0] < sizes[1] / 2


@given(num_frames=st.integers(1, 1000), rate=st.floats(1, 120), fps=st.floats(0.1, 240))
def test_thinned_frames_are_spread_evenly(num_frames, rate, fps):
    frames = video2pkl.thin_frames(num_frames, rate, fps)
    assert 1 <= len(frames) <= num_frames
    assert frames.min() >= 0
    assert frames.max() < num_frames
    steps = np.diff(frames)
    assert len(steps) == 0 or (steps.min() >= 1 and np.ptp(steps) <= 1)
    if fps >= rate:
        np.testing.assert_array_equal(frames, np.arange(num_frames))


@pytest.mark.parametrize(
    "name",
    [
        "a b/x_1_y_000007_000017.mp4",
        "a_b/x_1_y_7_17.webm",
        "x_1_y_000007_000017.MKV",
        "deep/er/x_1_y.avi",
        "x_1_y.mp4",
    ],
)
def test_videos_are_found_in_the_usual_layouts(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    for other in (name, "x_1_y_8_18.mp4", "x.mp4", "x_1_y_000007_000017.txt"):
        (tmp_path / other).touch()
    (tmp_path / "a.csv").write_text(HEADER + csv_line("a b", "x_1_y"))
    (item,) = load_annotations(str(tmp_path / "a.csv"))
    assert VideoFolder([tmp_path], VIDEO_SUFFIXES).find(item) == tmp_path / name


def test_of_two_videos_of_a_name_that_of_the_class_is_taken(tmp_path):
    for folder in ("a", "b", "z"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.mp4").touch()
    (tmp_path / "a.csv").write_text("youtube_id,label\nx,b\n")
    (item,) = load_annotations(str(tmp_path / "a.csv"))
    assert VideoFolder([tmp_path], VIDEO_SUFFIXES).find(item) == tmp_path / "b" / "x.mp4"


def test_missing_and_broken_videos_are_counted_and_listed_and_repeated_lines_passed_over(
    kinetics, in_this_process, monkeypatch, tmp_path, capsys
):
    good = next((kinetics / "videos" / "growing").iterdir())
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / good.name).write_bytes(good.read_bytes())
    (tmp_path / "videos" / "cut off_7_17.mp4").write_bytes(good.read_bytes()[:60])
    (tmp_path / "videos" / "empty.mp4").touch()
    good_line = csv_line("growing", good.stem.removesuffix("_000007_000017"))
    rest = [csv_line("growing", name) for name in ("gone", "cut off", "empty", "gone too")]
    (tmp_path / "x.csv").write_text(HEADER + good_line + "".join(rest) + good_line)
    target = tmp_path / "target"
    for again in range(2):
        start(monkeypatch, video2pkl, tmp_path / "x.csv", tmp_path / "videos", target)
        output = capsys.readouterr().out
        assert f"converted {1 - again} videos to {target}; {again} were there already" in output
        assert "2 videos are missing" in output
        assert "2 videos are broken" in output
        assert "1 lines of the CSV repeat" in output
        assert [path.stem for path in target.glob("*.pkl")] == [good.stem]
        missing = [line.split("\t")[0] for line in (target / "missing.txt").read_text().splitlines()]
        assert missing == ["gone_000007_000017", "gone too_000007_000017"]
        broken = dict(line.split("\t") for line in (target / "broken.txt").read_text().splitlines())
        assert list(broken) == ["cut off_000007_000017", "empty_000007_000017"]
        assert "empty.mp4 is empty" in broken["empty_000007_000017"]


def test_pickles_are_made_anew_when_their_label_or_their_video_has_changed(
    kinetics, in_this_process, monkeypatch, tmp_path, capsys
):
    videos, target = tmp_path / "videos", tmp_path / "target"
    videos.mkdir()
    for name, source in zip("abcd", sorted((kinetics / "videos").rglob("*.mp4")), strict=False):
        (videos / f"{name}.mp4").write_bytes(source.read_bytes())
        os.utime(videos / f"{name}.mp4", (1e9, 1e9))

    def convert(*labels):
        lines = [f"{label},{name}\n" for label, name in zip(labels, "abcd", strict=True)]
        (tmp_path / "x.csv").write_text("label,youtube_id\n" + "".join(lines))
        start(monkeypatch, video2pkl, tmp_path / "x.csv", videos, target)
        return capsys.readouterr().out.splitlines()

    assert convert(*"stst") == [f"converted 4 videos to {target}; 0 were there already"]
    first = contents(target)
    (videos / "b.mp4").write_bytes((videos / "c.mp4").read_bytes())
    for name in "bd":  # of the time of d.mp4, and older than b.mp4
        os.utime(target / f"{name}.pkl", (1e9, 1e9))
    second = convert(*"ttst")
    assert second[0] == f"converted 2 videos to {target}; 2 were there already"
    assert second[1] == "2 of the converted ones replace pickles with another label or of an older video"
    assert [load(target / f"{name}.pkl")[1] for name in "abcd"] == [1, 1, 0, 1]
    assert load(target / "b.pkl")[2] == load(target / "c.pkl")[2]
    assert [name for name, data in contents(target).items() if first[name] != data] == ["a.pkl", "b.pkl"]


def test_a_pickle_of_a_video_that_has_since_been_broken_does_not_stay(
    kinetics, in_this_process, monkeypatch, tmp_path, capsys
):
    (tmp_path / "x.csv").write_text("label,youtube_id\ns,a\n")
    (tmp_path / "videos").mkdir()
    video, target = tmp_path / "videos" / "a.mp4", tmp_path / "target"
    video.write_bytes(next((kinetics / "videos").rglob("*.mp4")).read_bytes())
    os.utime(video, (1e9, 1e9))
    start(monkeypatch, video2pkl, tmp_path / "x.csv", tmp_path / "videos", target)
    video.write_bytes(video.read_bytes()[:60])
    os.utime(video, (2e9, 2e9))
    start(monkeypatch, video2pkl, tmp_path / "x.csv", tmp_path / "videos", target)
    assert not (target / "a.pkl").exists()
    output = capsys.readouterr().out
    assert "1 videos are broken" in output
    assert "replace" not in output


def test_a_folder_without_any_of_the_videos_is_an_error(kinetics, monkeypatch, tmp_path):
    with pytest.raises(DataError, match=r"none of the 8 videos .* expected names such as -v0_0_NA_000007_000017\.mp4"):
        start(monkeypatch, video2pkl, kinetics / "train.csv", tmp_path, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_other_settings_or_classes_do_not_mix_in_one_folder(kinetics, pickles, monkeypatch, tmp_path):
    before = contents(pickles[0])
    (tmp_path / "part.csv").write_text(HEADER + csv_line("growing", clip_id(1)))
    (tmp_path / "names.txt").write_text("\n".join(IN_ORDER))
    videos, target = kinetics / "videos", pickles[0]
    with pytest.raises(DataError, match="made with --quality 95, not 50"):
        start(monkeypatch, video2pkl, kinetics / "train.csv", videos, target, "--quality=50")
    with pytest.raises(DataError, match=r"made with --class-names .* not .*; give the same"):
        start(monkeypatch, video2pkl, tmp_path / "part.csv", videos, target)
    start(monkeypatch, video2pkl, tmp_path / "part.csv", videos, target, f"--class-names={tmp_path / 'names.txt'}")
    assert contents(target) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.pkl").touch()
    with pytest.raises(DataError, match="made otherwise"):
        start(monkeypatch, video2pkl, kinetics / "train.csv", videos, tmp_path / "other")


def test_a_class_that_is_not_among_the_names_is_an_error_with_its_line(kinetics, monkeypatch, tmp_path):
    (tmp_path / "names.txt").write_text("growing\n")
    with pytest.raises(DataError, match=r"line 2: 'playing \"air\" guitar' is not among the 1 class names"):
        start(
            monkeypatch,
            video2pkl,
            kinetics / "train.csv",
            kinetics / "videos",
            tmp_path / "target",
            f"--class-names={tmp_path / 'names.txt'}",
        )


# Lists


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


@given(
    sizes=st.lists(st.integers(0, 40), max_size=60),
    weights=st.lists(st.integers(1, 20), min_size=1, max_size=5),
)
def test_every_class_and_the_whole_are_shared_out_as_evenly_as_files_allow(sizes, weights):
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    rows = make_list.share_out(sizes, shares)
    assert [sum(row) for row in rows] == sizes
    for size, row in zip(sizes, rows, strict=True):
        assert all(abs(count - size * share) < 1 for count, share in zip(row, shares, strict=True))
    for column, share in enumerate(shares):
        assert abs(sum(row[column] for row in rows) - sum(sizes) * share) <= len(shares)


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


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("label", [0, 7, 399, 70000, -1, np.int64(3), True])
def test_the_class_of_a_pickle_is_read_from_its_beginning(tmp_path, protocol, label):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(("视频 id", label, [b"jpeg"] * 3), protocol=protocol))
    assert make_list.read_label(tmp_path / "x.pkl") == label


def test_a_file_that_is_no_pickle_or_has_no_class_is_told_apart(tmp_path):
    for name, content in {"text": ("id", "no number", []), "record": {"video": "x"}}.items():
        (tmp_path / name).write_bytes(pickle.dumps(content))
    assert [make_list.read_label(tmp_path / name) for name in ("text", "record")] == [None, None]
    (tmp_path / "broken").write_bytes(b"no pickle")
    with pytest.raises(DataError, match=r"broken is not a whole pickle \("):
        make_list.read_label(tmp_path / "broken")


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
    (folder / "7" / "new\nline.mp4").touch()
    with pytest.raises(DataError, match=r"cannot stand in a list; rename it"):
        start(monkeypatch, make_list, folder, "--output", folder / "out", "--split", "infer")
    assert not list((folder / "out").iterdir())


def test_a_line_that_would_be_read_as_another_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.mp4").touch()
    (tmp_path / "a" / "x.mp4 0").touch()
    with pytest.raises(DataError, match="would be read as"):
        start(monkeypatch, make_list, tmp_path, "--output", tmp_path, "--split", "train")
    assert not (tmp_path / "train.list").exists()


@pytest.mark.parametrize(
    ("split", "part"),
    [
        (["train=0.8", "val=0.3"], "more than 1"),
        (["train=x"], "'x' is not a share"),
        (["train=1/0"], "not a share"),
        (["train=0"], "above 0"),
        (["train=0.5", "train=0.5"], "not come twice"),
        (["a/b=0.5"], "a name such as train"),
    ],
)
def test_shares_that_make_no_sense_are_told(split, part):
    with pytest.raises(DataError, match=part):
        make_list.parse_shares(split)


def test_videos_without_a_class_serve_the_list_to_infer_from_alone(monkeypatch, tmp_path):
    (tmp_path / "x.mp4").touch()
    with pytest.raises(DataError, match=r"x\.mp4 has no class; have one folder for each class"):
        start(monkeypatch, make_list, tmp_path, "--output", tmp_path, "--split", "train")
    start(monkeypatch, make_list, tmp_path, "--output", tmp_path, "--split", "infer")
    assert (tmp_path / "infer.list").read_text() == "x.mp4\n"
