"""infer.py on videos that are named in place of a list, and on windows of them."""

import csv
import json
import pickle

import numpy as np
import pytest

import tests.tuned_paddle  # noqa: F401
from tests.conftest import make_record, run_script
from tests.datareader.clips.synthetic import make_frames, write_pickle, write_video
from tests.datareader.clips.test_frame_folders import write_folder
from tests.datareader.clips.test_look import SOUNDS, write_sound
from tests.terminal import run_on_terminal
from tests.test_clip_scripts import CONFIG

FLAGS = ("--model-name=TSN", "--config=tsn.txt", "--weights=tsn.pdparams", "--engine=dygraph")
RESULTS = ("TSN_infer_result", "TSN_infer_result.json", "TSN_infer_result.csv")
MERGED = ("TSN_infer_result_merged.json", "TSN_infer_result_merged.csv")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A folder with random weights of TSN, its config, and videos of 1 to 4 seconds; to be read only."""
    import paddle

    from models.tsn.tsn import TSN

    folder = tmp_path_factory.mktemp("films")
    paddle.seed(0)
    network = TSN(50, 6, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    paddle.save(network.state_dict(), str(folder / "tsn.pdparams"))
    (folder / "tsn.txt").write_text(CONFIG)
    (folder / "names.txt").write_text("打太极拳\nrunning\nswimming\ndancing\nsleeping\neating\n")
    (folder / "more").mkdir()
    for i, name in enumerate(("one.mp4", "more/two.avi", "more/a three.mp4")):
        write_video(folder / name, make_frames(25 + 35 * i, seed=i))
    write_pickle(folder / "p.pkl", make_frames(6))
    write_folder(folder / "frames", make_frames(6))
    (folder / "films.list").write_text("one.mp4\nmore/a three.mp4\nmore/two.avi\np.pkl\nframes\n")
    return folder


def infer(folder, save_dir, *flags, check=True):
    return run_script("infer", *FLAGS, f"--save-dir={save_dir}", *flags, cwd=folder, check=check)


def read(save_dir, names=RESULTS):
    return [(save_dir / name).read_bytes() for name in names]


@pytest.fixture(scope="module")
def spans(films, tmp_path_factory):
    """Where the results of windows of a second, every half second, are, and what was printed."""
    save_dir = tmp_path_factory.mktemp("spans")
    flags = ("--window-sec=1", "--stride-sec=0.5", "--class-names=names.txt", f"--save-probs={save_dir}/p.npz")
    return save_dir, infer(films, save_dir, "--video", "one.mp4", "more", *flags).stdout


def test_named_videos_have_the_answers_of_a_list_and_only_the_line_is_left_out(films, tmp_path):
    listed = infer(films, tmp_path / "list", "--filelist=films.list").stdout
    named = infer(films, tmp_path / "named", "--video", "one.mp4", "more/", "p.pkl", "frames", "more/two.avi").stdout
    of_list, of_names = read(tmp_path / "list"), read(tmp_path / "named")
    assert of_list[0] == of_names[0]
    items = json.loads(of_list[1])
    assert [item.pop("line") for item in items] == [1, 2, 3, 4, 5]
    assert [{**item, "line": None} for item in items] == json.loads(of_names[1])
    rows = [list(csv.DictReader(part.decode().splitlines())) for part in (of_list[2], of_names[2])]
    assert [{**row, "line": ""} for row in rows[0]] == rows[1]
    assert not (tmp_path / "named" / MERGED[0]).exists()
    assert "[INFER] iter" in listed
    assert "[INFER] iter" not in named
    assert "named more than once, taken once: 1 x (more/two.avi)" in named
    lines = named.splitlines()
    table = lines[lines.index(next(line for line in lines if line.startswith("file "))) :]
    assert table[0].split() == ["file", "class", "probability"]
    assert len(table) == 1 + 5 * 5 + 1
    assert table[1].startswith("one.mp4           class ")
    assert table[1].endswith(" %")
    assert table[6].startswith("more/a three.mp4  class ")
    assert table[-1].startswith("5 of 5 videos; results in ")


def test_as_many_classes_as_asked_for_are_in_the_table_and_in_the_files(films, tmp_path):
    code, shown = run_on_terminal(
        "infer", *FLAGS, f"--save-dir={tmp_path}", "--infer-topk=2", "--class-names=names.txt",
        "--video", "m*", "*.mp4", cwd=films, columns=40,
    )  # fmt: skip
    assert code == 0
    assert [len(classes) for _, _, classes in pickle.loads(read(tmp_path)[0])] == [2, 2, 2]
    lines = shown.replace("\r", "\n").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("file"))
    assert len([line for line in lines[start + 1 :] if line.endswith(" %")]) == 6
    assert all(len(line) <= 40 for line in lines[start : start + 7])


def test_windows_have_their_times_in_the_files_and_neighbours_are_shown_merged(films, spans):
    save_dir, shown = spans
    names = [name for name, *_ in pickle.loads((save_dir / RESULTS[0]).read_bytes())]
    assert names[:3] == ["one#t=0,1", "a three#t=0,1", "a three#t=0.5,1.5"]
    assert names[-1] == "two#t=1.5,2.4"
    items = json.loads((save_dir / RESULTS[1]).read_text())
    assert [item["start_sec"] for item in items if item["id"] == "two"] == [0.0, 0.5, 1.0, 1.5]
    merged = json.loads((save_dir / MERGED[0]).read_text())
    assert sum(part["spans"] for part in merged) == len(items) == len(names)
    assert {part["id"] for part in merged} == {"one", "a three", "two"}
    rows = list(csv.DictReader((save_dir / MERGED[1]).read_text().splitlines()))
    assert [row["id"] for row in rows] == [part["id"] for part in merged]
    lines = shown.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("file"))
    assert lines[start].split() == ["file", "time", "class", "probability"]
    assert len(lines[start + 1 : -1]) == len(merged)
    assert f"3 of 3 videos, {len(items)} windows; results in " in lines[-1]


@pytest.mark.slow
def test_probabilities_of_windows_have_the_ids_and_times_of_the_results(spans):
    save_dir, _ = spans
    items = json.loads((save_dir / RESULTS[1]).read_text())
    with np.load(save_dir / "p.npz") as arrays:
        assert arrays["ids"].tolist() == [video for video, _, _ in pickle.loads((save_dir / RESULTS[0]).read_bytes())]
        for number, item in enumerate(items):
            assert [arrays[key][number] for key in ("paths", "start_sec", "end_sec")] == [
                item[key] for key in ("path", "start_sec", "end_sec")
            ]
            best = item["classes"][0]
            assert arrays["probs"][number].argmax() == best["class_id"]
            assert arrays["probs"][number].max() == np.float32(best["probability"])
        assert arrays["class_names"].tolist()[0] == "打太极拳"
        assert "labels" not in arrays


def test_two_processes_give_the_same_files(films, spans, tmp_path):
    flags = ("--window-sec=1", "--stride-sec=0.5", "--class-names=names.txt", "--nproc=2", "--threads=1")
    infer(films, tmp_path / "two", "--video", "one.mp4", "more", *flags)
    infer(films, tmp_path / "one", "--video", "one.mp4", "more", *flags[:3], "--threads=1")
    assert read(tmp_path / "one", RESULTS + MERGED) == read(tmp_path / "two", RESULTS + MERGED)


def test_a_list_has_windows_too_and_a_stride_may_leave_gaps(films, tmp_path):
    (tmp_path / "films.list").write_text(f"{films}/more/a three.mp4\n")
    flags = (f"--filelist={tmp_path}/films.list", "--window-sec=0.5", "--stride-sec=1.5", "--batch-size=9")
    shown = infer(films, tmp_path, *flags).stdout
    assert shown.count("--stride-sec is longer than --window-sec: 1 s behind each window are not looked at") == 1
    assert "[INFER] iter 0   , a three#t=3,3.5: class " in shown
    items = json.loads((tmp_path / RESULTS[1]).read_text())
    assert [(item["line"], item["start_sec"], item["end_sec"]) for item in items] == [
        (1, 0.0, 0.5),
        (1, 1.5, 2.0),
        (1, 3.0, 3.5),
    ]
    shown = infer(films, tmp_path, *flags[:1], "--window-sec=100").stdout
    assert "1 of 1 video, 1 window;" in shown


def test_broken_videos_are_skipped_as_far_as_allowed(films, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 5000)
    flags = ("--video", "one.mp4", f"{tmp_path}/broken.mp4", "--window-sec=1")
    stopped = infer(films, tmp_path, *flags, check=False)
    assert (stopped.returncode, "Traceback" in stopped.stderr) == (1, False)
    assert "broken.mp4 is not a video" in stopped.stderr.splitlines()[-1]
    shown = infer(films, tmp_path, *flags, "--skip-broken=1").stdout
    assert "[INFER] skipped: " in shown
    assert "1 of 2 videos, 1 window;" in shown


BAD = [
    (["--video", "gone.mp4"], "no file or folder gone.mp4; looked for "),
    (["--video", "*.mov"], "nothing matches *.mov"),
    (["--video", "empty"], "no clip is in empty"),
    (["--video", "text.mp4"], "text.mp4 is not a video (it is a text)"),
    (["--video", "sound.mp4"], "error: sound.mp4 "),
    (["--video", "features.pkl"], "features.pkl holds YouTube-8M features"),
    (["--video", "films.list"], "films.list is a text; if it is a list of clips, --filelist takes it"),
    (["--video", "p.pkl", "--window-sec=1"], "p.pkl is a pickle of frames, which does not say when they are shown"),
    (["--video", "frames", "--window-sec=1"], "frames is a folder of frames, which does not say when they are shown"),
    (["--video", "one.mp4", "--filelist=films.list"], "--video stands in place of a list; give --filelist or --video"),
    (["--video", "one.mp4", "--set=INFER.filelist=films.list"], "--video stands in place of a list"),
    (["--video"], "argument --video: expected at least one argument"),
    (["--video", ""], "argument --video: it is empty"),
    (["--video", "one.mp4", "--stride-sec=1"], "--stride-sec 1 is from one window to the next; give --window-sec too"),
    *[
        (["--video", "one.mp4", "--window-sec=1", f"--stride-sec={text}"], f"'{text}' is not a number above 0")
        for text in ("0", "-1", "nan", "inf")
    ],
    (
        ["--video", "one.mp4", "--window-sec=0.0001"],
        "windows of 0.0001 s every 0.0001 s: 0.001 s is the least for each",
    ),
]


@pytest.mark.parametrize(("flags", "message"), BAD, ids=[" ".join(flags) for flags, _ in BAD])
def test_a_wrong_call_ends_in_one_line(films, tmp_path, flags, message):
    folder = tmp_path / "films"
    folder.mkdir()
    for path in films.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "empty").mkdir()
    (folder / "text.mp4").write_text("no video, but long enough to be one\n" * 100)
    (folder / "features.pkl").write_bytes(pickle.dumps([make_record(np.random.default_rng(0), "x")]))
    write_sound(folder / "sound.mp4", "mp4", SOUNDS["mp4"])
    result = infer(folder, tmp_path / "out", *flags, check=False)
    assert result.returncode in (1, 2)
    assert message in result.stderr.splitlines()[-1]
    assert len(result.stderr.splitlines()) == 1


def test_models_of_features_have_no_windows(tiny):
    result = run_script("infer", "--window-sec=1", cwd=tiny, check=False)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line == "error: --window-sec: AttentionCluster looks at the features of a whole video, not at its frames"
