"""python -m tools.extract with made networks: what it writes, goes on with, refuses, and how parts come together."""

import json
import pickle
import sys
from functools import partial

import numpy as np
import pytest

from datareader.clips.decoding import open_video
from datareader.clips.seconds import choose_frames
from datareader.extraction import backbone
from datareader.extraction.youtube8m import PACE, Silent
from datareader.features.dataset import FeatureDataset
from datareader.features.inputs import SegmentFrames
from datareader.features.records import Expected, load_records
from datareader.lists import ListEntry
from tests.datareader.clips.talkies import make_talkie
from tests.datareader.clips.videos import Clip, make_clip
from tests.tools.extract.networks import Networks
from tools.errors import DataError
from tools.extract import __main__ as program
from tools.extract import run
from tools.extract.groups import plan_groups
from tools.extract.inputs import Video
from tools.files.sums import sums_beside


@pytest.fixture
def networks(monkeypatch):
    networks = Networks()
    monkeypatch.setattr(run, "open_kind", networks.open)
    return networks


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "videos"
    (folder / "deeper").mkdir(parents=True)
    for number, count in enumerate((30, 75, 95, 40)):
        make_clip(folder / "deeper" if number == 2 else folder, Clip(f"{number}.mp4", "libx264", num_frames=count))
    make_talkie(folder / "talkie.mp4", ticks=range(100), sound_sec=3.3, flash_sec=100)  # no number can be read in it
    (folder / "notes.txt").write_text("no video")
    return folder


def extract(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["tools.extract", "--features", "youtube8m", *map(str, arguments)])
    program.main()


def records_of(folder):
    names = (folder / "features.list").read_text().split()
    return [record for name in names for record in load_records(str(folder / name))]


def contents_of(folder):
    names = sorted(path for path in folder.iterdir() if not path.name.startswith(".lock"))
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns * path.name.endswith(".pkl")) for path in names}


@pytest.mark.parametrize("form", ["pickle", "tfrecord"])
def test_videos_of_a_folder_become_records(networks, monkeypatch, videos, tmp_path, capsys, form):
    extract(monkeypatch, "--video", videos, "--output", tmp_path / "out", "--format", form, "--videos-per-file", 2)
    records = records_of(tmp_path / "out")
    paths = [videos / name for name in ("0.mp4", "1.mp4", "3.mp4", "talkie.mp4", "deeper/2.mp4")]
    assert [record["video"] for record in records] == [str(path) for path in paths]
    for record, path in zip(records, paths, strict=True):
        numbers = choose_frames(open_video(str(path)).times, PACE)[: 2 if path.stem == "talkie" else None]
        wanted = np.rint((numbers * (path.stem != "talkie") / 64 + 1) * 255 / 4)
        np.testing.assert_array_equal(record["feature"], np.repeat(wanted, 1024, axis=1))
        sound = int((0.5 + 2) * 255 / 4) if path.stem == "talkie" else 0
        np.testing.assert_array_equal(record["audio"], np.full((len(numbers), 128), sound))
        assert record["nframes"] == len(numbers)
    said = capsys.readouterr().out
    assert "left out: 1 x text (notes.txt)" in said
    assert f"{paths[0]} has no sound: its audio is 0 in every byte" in said
    assert "talkie.mp4: its sound ends 2 s before its picture, of which 2 s are taken" in said


def test_labels_stand_behind_the_paths_of_a_list_and_the_index_is_made(networks, monkeypatch, videos, tmp_path):
    lines = ["0.mp4 7", "1.mp4 3;3861;5", "deeper/2.mp4  0"]
    (videos / "own.list").write_text("# path and classes\n" + "\n".join(lines) + "\n")
    extract(monkeypatch, "--filelist", videos / "own.list", "--output", tmp_path)
    assert [record["label"] for record in records_of(tmp_path)] == [[7], [3, 5, 3861], [0]]
    monkeypatch.setattr("datareader.features.dataset.scan_file", None)  # all is known by the index
    dataset = FeatureDataset(
        str(tmp_path / "features.list"),
        Expected(("rgb", "audio"), (1024, 128), 3862),
        SegmentFrames(4),
        training=True,
        skip_broken=0,
    )
    assert dataset.class_counts().sum() == 5
    (videos / "own.list").unlink()


def test_videos_with_class_ids_are_dealt_out_over_the_files():
    def videos(count, labels):
        return [Video(ListEntry(str(place)), labels(place), (1, 1)) for place in range(count)]

    def files(*arguments):
        return [[int(video.entry.path) for video in group.videos] for group in plan_groups(*arguments)]

    by_class = videos(10, lambda place: (place // 5,))
    assert files(by_class, 4) == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
    assert files(by_class, 16) == [[*range(10)]]
    assert files(videos(10, lambda place: None), 4) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_silent_videos_have_bytes_of_the_mean_or_no_record(networks, monkeypatch, videos, tmp_path, capsys):
    extract(monkeypatch, "--video", videos, "--output", tmp_path / "mean", "--audio", "mean")
    assert (records_of(tmp_path / "mean")[0]["audio"] == 127).all()
    extract(monkeypatch, "--video", videos, "--output", tmp_path / "skip", "--audio", "skip")
    assert [record["video"] for record in records_of(tmp_path / "skip")] == [str(videos / "talkie.mp4")]
    assert f"left out: {videos / '0.mp4'} has no sound" in capsys.readouterr().out
    with pytest.raises(DataError, match="none of 1 video has a record"):
        extract(monkeypatch, "--video", videos / "0.mp4", "--output", tmp_path / "none", "--audio", "skip")


def test_what_is_finished_is_not_made_again_and_what_has_changed_is(networks, monkeypatch, videos, tmp_path):
    flags = ["--video", videos, "--output", tmp_path, "--videos-per-file", 2]
    extract(monkeypatch, *flags)
    whole, described = contents_of(tmp_path), networks.described
    extract(monkeypatch, *flags)
    assert networks.opened == 1
    assert contents_of(tmp_path) == whole
    (tmp_path / "features-00001.pkl").write_bytes(b"damaged")
    sums_beside(tmp_path / "features-00002.pkl").unlink()
    networks.described = 0
    extract(monkeypatch, *flags)
    assert contents_of(tmp_path) == whole
    assert 0 < networks.described < described


def test_parts_are_disjoint_and_complete_and_give_what_one_run_gives(networks, monkeypatch, videos, tmp_path, capsys):
    flags = ["--video", videos, "--videos-per-file", 1]
    extract(monkeypatch, *flags, "--output", tmp_path / "whole")
    networks.described = 0
    for number in (2, 1):
        extract(monkeypatch, *flags, "--output", tmp_path / "parts", "--part", f"{number}/3")
    with pytest.raises(
        DataError, match=r"1 of 5 files are not there or are not of these videos \(features-00002.pkl\)"
    ):
        extract(monkeypatch, *flags, "--output", tmp_path / "parts", "--merge")
    assert not (tmp_path / "parts" / "features.list").exists()
    extract(monkeypatch, *flags, "--output", tmp_path / "parts", "--part", "3/3")
    assert "part 3/3 is done" in capsys.readouterr().out
    extract(monkeypatch, *flags, "--output", tmp_path / "parts", "--merge")
    assert contents_of(tmp_path / "parts") == contents_of(tmp_path / "whole")


def test_a_broken_video_stops_the_run_unless_it_may_be_skipped(networks, monkeypatch, videos, tmp_path, capsys):
    (tmp_path / "broken.mp4").write_bytes((videos / "1.mp4").read_bytes()[:1000])
    flags = ["--video", videos / "0.mp4", tmp_path / "broken.mp4", videos / "1.mp4", "--videos-per-file", 1]
    flags += ["--output", tmp_path / "out"]
    with pytest.raises(DataError, match=r"broken.mp4 .*; --skip-broken 1 leaves out such videos"):
        extract(monkeypatch, *flags)
    assert (tmp_path / "out" / "features-00000.pkl").exists()
    extract(monkeypatch, *flags, "--skip-broken", 1)
    assert f"left out: {tmp_path / 'broken.mp4'}" in capsys.readouterr().out
    assert (tmp_path / "out" / "features.list").read_text().split() == ["features-00000.pkl", "features-00002.pkl"]
    with pytest.raises(DataError, match=r"broken.mp4 .*; --skip-broken 1 leaves"):
        extract(monkeypatch, *flags)  # what an earlier run left out does not pass in silence


def test_a_video_that_was_broken_is_tried_again(networks, monkeypatch, videos, tmp_path, capsys):
    flags = ["--video", videos / "0.mp4", videos / "1.mp4", "--videos-per-file", 1, "--output", tmp_path]
    networks.fails_at = 60  # a frame of the second
    extract(monkeypatch, *flags, "--skip-broken", 1)
    assert f"left out: {videos / '1.mp4'}: its features came out infinite" in capsys.readouterr().out
    assert [record["video"] for record in records_of(tmp_path)] == [str(videos / "0.mp4")]
    networks.fails_at, networks.described = None, 0
    extract(monkeypatch, *flags)
    assert networks.described == 3  # of the second alone
    assert [record["video"] for record in records_of(tmp_path)] == [str(videos / f"{name}.mp4") for name in "01"]


def test_a_merge_counts_what_all_parts_have_left_out(networks, monkeypatch, videos, tmp_path, capsys):
    (tmp_path / "bad.mp4").write_bytes((videos / "1.mp4").read_bytes()[:1000])
    (tmp_path / "worse.mp4").write_bytes((videos / "1.mp4").read_bytes()[:900])
    paths = [tmp_path / "bad.mp4", videos / "0.mp4", videos / "1.mp4", tmp_path / "worse.mp4"]
    flags = ["--video", *paths, "--videos-per-file", 2, "--output", tmp_path / "out", "--skip-broken"]
    for number in (1, 2):
        extract(monkeypatch, *flags, 1, "--part", f"{number}/2")
    with pytest.raises(
        DataError, match=r"bad.mp4 .*left it out, as .*features-00000.pkl.sums.json says; .* --merge --skip-broken 2"
    ):
        extract(monkeypatch, *flags, 1, "--merge")
    assert not (tmp_path / "out" / "features.list").exists()
    extract(monkeypatch, *flags, 2, "--merge")
    assert len(records_of(tmp_path / "out")) == 2


@pytest.mark.parametrize("kind", ["youtube8m", "backbone"])
def test_a_video_whose_record_cannot_be_made_is_broken(networks, monkeypatch, videos, tmp_path, capsys, kind):
    networks.fails_at = 60
    if kind == "backbone":
        networks.make = partial(backbone.make_record, store=backbone.Store.FLOAT16)
    flags = ["--video", videos / "0.mp4", videos / "1.mp4", videos / "3.mp4", "--output", tmp_path]
    with pytest.raises(DataError, match=r"1.mp4: its features came out infinite .*; --skip-broken 1 leaves out such"):
        extract(monkeypatch, *flags)
    extract(monkeypatch, *flags, "--skip-broken", 1)
    assert [record["video"] for record in records_of(tmp_path)] == [str(videos / f"{name}.mp4") for name in "03"]


def test_features_of_other_weights_or_settings_do_not_come_into_one_folder(networks, monkeypatch, videos, tmp_path):
    flags = ["--video", videos, "--output", tmp_path, "--videos-per-file", 1]
    extract(monkeypatch, *flags, "--part", "1/2")
    networks.digest = "other weights"
    sums_beside(tmp_path / "features-00000.pkl").unlink()
    with pytest.raises(DataError, match="holds features of other weights"):
        extract(monkeypatch, *flags, "--part", "1/2")
    with pytest.raises(DataError, match="was made with --audio zero, not mean"):
        extract(monkeypatch, *flags, "--audio", "mean")


def test_finished_features_of_other_weights_are_not_passed_off_as_those_that_are_given(
    networks, monkeypatch, videos, tmp_path
):
    """Of another path, or of the same where it has been trained again."""
    flags = ["--features", "backbone", "--weights", "TSN_best", "--video", videos, "--videos-per-file", 1]
    flags += ["--output", tmp_path]
    extract(monkeypatch, *flags)
    before = contents_of(tmp_path)
    extract(monkeypatch, *flags)
    extract(monkeypatch, *flags, "--merge")
    assert contents_of(tmp_path) == before
    networks.digest = "trained again"
    for more in ([], ["--merge"], ["--part", "1/2"]):
        with pytest.raises(DataError) as error:
            extract(monkeypatch, *flags, *more)
        assert str(error.value) == (
            f"{tmp_path} holds features of other weights, which no model can read beside those of --weights TSN_best "
            "as they are now; take an empty folder"
        )
    assert contents_of(tmp_path) == before


def test_pickles_and_folders_of_frames_are_refused_in_a_line(networks, monkeypatch, tmp_path):
    (tmp_path / "clip.pkl").write_bytes(pickle.dumps(("a", 0, [b"\xff\xd8\xff"]), 4))
    with pytest.raises(DataError, match=r"clip.pkl is a pickle of frames, which does not say when they are shown"):
        extract(monkeypatch, "--video", tmp_path / "clip.pkl", "--output", tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "give --video or --filelist, one of them"),
        (["--video", "a", "--filelist", "b"], "give --video or --filelist, one of them"),
        (["--video", "a", "--part", "0/3"], "'0/3' is not a part such as 3/8, the third of eight"),
        (["--video", "a", "--part", "4/3"], "'4/3' is not a part"),
        (["--video", "a", "--part", "1/2", "--merge"], "leave out --part"),
        (["--video", "a", "--vidoe", "b"], "did you mean --video?"),
        (["--video", "a", "--every", "0.5"], "--every has no effect here: it is of features of a backbone, which"),
        (["--video", "a", "--segments", "4"], "--segments has no effect here"),
        (["--video", "a", "--store", "float16"], "--store has no effect here"),
        (["--video", "a", "--model-name", "TSN"], "--model-name has no effect here"),
        (["--video", "a", "--config", "tsn.txt"], "--config has no effect here"),
        (["--video", "a", "--set", "MODEL.seglen=1"], "--set has no effect here"),
        (["--video", "a", "--self-test"], "--video has no effect here: --self-test looks at the published files alone"),
    ],
)
def test_wrong_flags_are_told_in_a_line(monkeypatch, capsys, arguments, text):
    with pytest.raises(SystemExit):
        extract(monkeypatch, *arguments, "--output", "out")
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["--audio", "zero"],
            "--audio has no effect here: features of a backbone, which --weights names, hear",
        ),
        (["--every", "0.00001"], "--every 1e-05: 0.01 s is the least from one row to the next"),
        (["--every", "1", "--segments", "4"], "give --every or --segments, one of them"),
        (["--format", "tfrecord"], "--format tfrecord holds YouTube-8M's features alone"),
    ],
)
def test_wrong_flags_with_a_backbone_are_told_in_a_line(monkeypatch, capsys, arguments, text):
    command = ["tools.extract", "--weights", "TSN_best", "--video", "a", "--output", "out", *arguments]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit):
        program.main()
    assert text in capsys.readouterr().err


def test_flags_that_are_not_said_mean_what_the_help_says(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tools.extract", "--features", "youtube8m", "--video", "a", "--output", "out"])
    options = program.parse_args()
    assert (options.silent, options.backbone) == (Silent.ZERO, None)
    monkeypatch.setattr(sys, "argv", ["tools.extract", "--weights", "w", "--video", "a", "--output", "out"])
    assert program.parse_args().backbone.settings() == {"--every": "1", "--segments": None, "--store": "float16"}


def test_notes_tell_all_that_was_said(networks, monkeypatch, videos, tmp_path):
    extract(monkeypatch, "--video", videos / "0.mp4", "--output", tmp_path, "--threads", 1)
    note = json.loads(sums_beside(tmp_path / "features-00000.pkl").read_bytes())
    assert note["videos"] == [
        {"frames": 1, "labels": None, "remark": f"{videos / '0.mp4'} has no sound: its audio is 0 in every byte"}
    ]
    assert (note["silent"], note["broken"], note["weights"]) == ([], [], "some weights")
    assert (note["device"], note["threads"]) == ("cpu", 1)
