"""infer.py --save-video: results first, then a copy of each video with what was answered drawn in."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise

import av
import numpy as np
import pytest

import tests.tuned_paddle  # noqa: F401
from tests.conftest import clean_env, run_script, script_command
from tests.datareader.clips.talkies import make_talkie, packets_of
from tests.datareader.clips.videos import decode_everything
from tests.test_video_flags import FLAGS, films, infer  # noqa: F401  (a fixture)

pytestmark = pytest.mark.pyav


@pytest.fixture
def folder(films, tmp_path):  # noqa: F811
    """A folder with TSN's weights and config, and a film with sound."""
    for name in ("tsn.pdparams", "tsn.txt", "names.txt"):
        (tmp_path / name).symlink_to(films / name)
    make_talkie(tmp_path / "film.mkv", ticks=range(90), flash_sec=9.0, sound_sec=3.0, size=(320, 240))
    return tmp_path


def difference(folder, name, target):
    """(T,) how far each frame of a copy is from that of its film, in grey levels of the part with the classes."""
    found, stored = (decode_everything(str(path)).astype(int) for path in (target, folder / name))
    assert len(found) == len(stored)
    assert np.abs(found[:, 150:] - stored[:, 150:]).mean() < 3
    return np.abs(found[:, :110, :140] - stored[:, :110, :140]).mean(axis=(1, 2, 3))


def test_a_copy_has_the_classes_of_its_video_and_its_sound(folder):
    shown = infer(folder, "out", "--video", "film.mkv", "--class-names=names.txt", "--save-video=copies").stdout
    lines = [line for line in shown.splitlines() if not line.startswith("no font here has ")]  # where none has Chinese
    assert lines[-1] == "film.mkv: copies/film.mp4"
    assert lines[-2].startswith("1 of 1 video; results in ")
    target = folder / "copies" / "film.mp4"
    assert difference(folder, "film.mkv", target).min() > 15
    assert packets_of(target) == packets_of(folder / "film.mkv")
    first = target.read_bytes()
    infer(folder, "out", "--video", "film.mkv", "--infer-topk=1", "--save-video=copies")
    assert target.read_bytes() != first  # an earlier copy is replaced
    assert [path.name for path in target.parent.iterdir()] == ["film.mp4"]


def test_copies_in_a_folder_that_is_searched_are_no_videos_of_the_next_run(folder):
    (folder / "films").mkdir()
    (folder / "film.mkv").rename(folder / "films" / "film.mkv")
    flags = ("--video", "films", "--save-video=films/out")
    infer(folder, "out", *flags)
    shown = infer(folder, "out", *flags).stdout
    assert "left out: 1 x copy with classes drawn in, of --save-video (film.mp4)" in shown
    assert "1 of 1 video; results in " in shown
    assert [path.name for path in (folder / "films" / "out").iterdir()] == ["film.mp4"]


def test_what_is_drawn_changes_with_the_windows(folder):
    infer(folder, "out", "--video", "film.mkv", "--window-sec=1", "--infer-topk=1", "--save-video=copies")
    spans = json.loads((folder / "out" / "TSN_infer_result.json").read_text())
    assert [span["start_sec"] for span in spans] == [0, 1, 2]
    frames = decode_everything(str(folder / "copies" / "film.mp4")).astype(int)
    stored = decode_everything(str(folder / "film.mkv"))
    drawn = (frames - stored)[:, 4:24, 4:70]
    within = [np.abs(np.diff(drawn[start : start + 30], axis=0)).mean() for start in (0, 30, 60)]
    between = [np.abs(drawn[at] - drawn[at - 1]).mean() for at in (30, 60)]
    written = [f"{100 * span['classes'][0]['probability']:.1f} {span['classes'][0]['class_id']}" for span in spans]
    for step, (one, other) in zip(between, pairwise(written), strict=True):
        assert (step > 2 * max(within)) == (one != other)


def test_copies_of_a_list_leave_out_what_is_no_video_and_tell_videos_of_one_name_apart(films, tmp_path):  # noqa: F811
    shutil.copytree(films, tmp_path / "films")
    (tmp_path / "films" / "more" / "one.mp4").write_bytes((films / "one.mp4").read_bytes())
    (tmp_path / "films" / "films.list").write_text("one.mp4\nmore/one.mp4\np.pkl\nframes\none.mp4\n")
    shown = infer(tmp_path / "films", "out", "--filelist=films.list", f"--save-video={tmp_path}/copies").stdout
    assert "--save-video leaves out 2 of 4 clips; only videos have copies, not pickles or folders of frames" in shown
    assert sorted(path.name for path in (tmp_path / "copies").iterdir()) == ["one.mp4", "one_2.mp4"]
    assert f"more/one.mp4: {tmp_path}/copies/one_2.mp4" in shown


BAD = [
    (["--video", "film.mp4", "--save-video=."], "--save-video .: film.mp4 is one of the videos, which its copy would"),
    (["--video", "film.mp4", "--save-video=tsn.txt"], "--save-video tsn.txt cannot be written: "),
    (
        ["--video", "film.mp4", "--save-video=.", "--nproc=2"],
        "--save-video .: film.mp4 is one of the videos, which its",
    ),
    (["--video", "p.pkl", "--save-video=out"], "--save-video: --video holds no videos; only videos have copies"),
]


@pytest.mark.parametrize(("flags", "message"), BAD, ids=[" ".join(flags) for flags, _ in BAD])
def test_a_copy_that_cannot_be_is_one_line_before_any_result(folder, films, flags, message):  # noqa: F811
    make_talkie(folder / "film.mp4")
    (folder / "p.pkl").symlink_to(films / "p.pkl")
    result = infer(folder, "results", *flags, check=False)
    assert result.returncode in (1, 2)
    (line,) = result.stderr.splitlines()
    assert message in line
    assert not (folder / "results").exists()


def test_a_model_of_features_has_no_videos_to_copy(tiny):
    result = run_script("infer", "--save-video=out", cwd=tiny, check=False)
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: --save-video: AttentionCluster looks at the features of a whole video, not at its")


def test_without_pyav_it_is_said_at_the_start(folder):
    (folder / "hidden").mkdir()
    (folder / "hidden" / "av.py").write_text("raise ModuleNotFoundError('PyAV is hidden', name='av')\n")
    command = [sys.executable, *script_command("infer", [*FLAGS, "--filelist=film.list", "--save-video=copies"])]
    env = clean_env() | {"PYTHONPATH": str(folder / "hidden")}
    result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: --save-video needs PyAV, which is not installed: python -m pip install av\n"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_ended_while_it_draws_leaves_no_half_copy_and_the_next_one_clears_up(folder, number):
    make_talkie(folder / "long.mkv", ticks=range(3000), sound_sec=100, flash_sec=99, size=(640, 480))
    flags = [*FLAGS, "--save-dir=out", "--video", "long.mkv", "--save-video=copies"]
    process = subprocess.Popen(
        [sys.executable, *script_command("infer", flags)],
        cwd=folder,
        env=clean_env(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    limit = time.monotonic() + 120
    while not any(path.stat().st_size > 100_000 for path in folder.glob("copies/.*")):
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.05)
    os.kill(process.pid, number)
    process.wait(timeout=60)
    assert not (folder / "copies" / "long.mp4").exists()
    assert (folder / "out" / "TSN_infer_result.csv").exists()  # results come first
    infer(folder, "out", *flags[len(FLAGS) + 1 :])
    assert [path.name for path in (folder / "copies").iterdir()] == ["long.mp4"]
    with av.open(str(folder / "copies" / "long.mp4")) as container:
        assert container.duration / 1e6 == pytest.approx(100, abs=0.1)
