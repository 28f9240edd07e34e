"""Videos to pickles of their frames, which the networks score alike."""

import csv
import json
import os

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datareader.clips import decoding
from datareader.clips.decoding import read_frame_rate
from dataset import make_list
from dataset.kinetics import video2pkl
from tests.conftest import run_script
from tests.datareader.clips.synthetic import MEAN, STD, open_dataset, read_all
from tests.datareader.clips.videos import read_frames
from tests.dataset.kinetics.annotated_videos import CLASSES, HEADER, IN_ORDER, clip_id, csv_line
from tests.dataset.programs import contents, load, start
from tests.test_clip_scripts import CONFIG
from tools.errors import DataError


@pytest.fixture
def paddle():
    """For the one test of this room that needs it."""
    from tests.tuned_paddle import paddle

    return paddle


@pytest.fixture
def in_this_process(monkeypatch):
    """video2pkl.py starts no processes."""
    monkeypatch.setattr(video2pkl, "map_in_processes", lambda convert, jobs, *_: ((job, convert(job)) for job in jobs))


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


def test_tsn_gives_pickles_and_videos_the_same_probabilities(kinetics, pickles, paddle, monkeypatch, tmp_path):
    from models.tsn.tsn import TSN

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


def test_missing_and_broken_videos_are_counted_and_listed_and_repeated_lines_skipped(
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
        assert "1 lines of the CSV repeat a video and were skipped" in output
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
