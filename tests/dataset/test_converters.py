"""What the converters share: processes, target folders, and that no interruption changes how they end."""

import contextlib
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from dataset.kinetics import make_demo
from dataset.output_folder import open_output_folder
from dataset.youtube8m import tf2pkl
from tests.conftest import PROJECT, TINY_CONFIG, clean_env, make_record, run_script
from tests.sequence_examples import write_shard
from tools.errors import DataError
from tools.files.atomic import remove_unfinished, require_writable
from tools.runtime.workers import map_in_processes

# Processes


def test_items_come_with_their_results_and_what_is_raised_is_raised_here():
    assert sorted(map_in_processes(int, ["1", "2", "3"], 2, str)) == [("1", 1), ("2", 2), ("3", 3)]
    with pytest.raises(ValueError, match="no number"):
        list(map_in_processes(int, ["1", "no number"], 2, str))


def test_an_item_that_crashes_its_process_is_told_apart_from_those_under_way():
    items = [0, int(signal.SIGSEGV), 0, 0]
    found = map_in_processes(signal.raise_signal, items, 1, lambda item: f"crashed by {item}")
    assert sorted(found, key=str) == [(0, None), (0, None), (0, None), (11, "crashed by 11")]


WAITING = """
import time
from tools.config.flags import run
from tools.runtime.workers import map_in_processes

def main():
    for item, _ in map_in_processes(time.sleep, [0.01, 0.01, {seconds}, {seconds}], 2, str):
        print("done", flush=True)

run(main)
"""


def start_waiting(seconds):
    """A program two of whose processes have come to work and now sleep."""
    command = [sys.executable, "-c", WAITING.format(seconds=seconds)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=PROJECT, env=clean_env(), start_new_session=True, **pipes)
    assert [process.stdout.readline() for _ in range(2)] == ["done\n"] * 2
    return process


def test_processes_end_with_a_program_that_is_killed():
    process = start_waiting(60)
    process.kill()
    process.communicate(timeout=20)  # until its processes have closed the pipes as well


def test_ctrl_c_is_heard_by_the_main_process_alone():
    process = start_waiting(1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (130, "", "stopped\n")


# Target folders


def test_two_runs_do_not_write_to_one_folder(tmp_path):
    with (
        open_output_folder(tmp_path / "out", {"--fps": 5}),
        pytest.raises(DataError, match=r"another run is writing to .*out; wait for it, or take another folder"),
        open_output_folder(tmp_path / "out", {"--fps": 5}),
    ):
        pass


def test_a_folder_takes_one_set_of_settings(tmp_path):
    with open_output_folder(tmp_path, {"--fps": None, "--class-names": ["a"] * 99}):
        pass
    with (
        pytest.raises(DataError, match=r"was made with --fps unset, not 5; give the same, or an empty folder"),
        open_output_folder(tmp_path, {"--fps": 5, "--class-names": ["a"] * 99}),
    ):
        pass
    with (
        pytest.raises(DataError, match=r"was made with --class-names \['a', .*\.\.\., not \['b'\]; give"),
        open_output_folder(tmp_path, {"--fps": None, "--class-names": ["b"]}),
    ):
        pass
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(DataError, match=r"settings\.json cannot be read"), open_output_folder(tmp_path, {}):
        pass
    (tmp_path / "settings.json").unlink()
    (tmp_path / "a.pkl").touch()
    with pytest.raises(DataError, match="holds pickles that were made otherwise"), open_output_folder(tmp_path, {}):
        pass


def test_a_folder_that_cannot_be_written_is_named_and_so_is_how_to_go_on(tmp_path, capsys):
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataError, match=r"file cannot be a folder to write to: .*exists"),
        open_output_folder(tmp_path / "file", {}),
    ):
        pass
    with (
        pytest.raises(DataError, match=r"out cannot be written: .*No space left on device; what is finished stays"),
        open_output_folder(tmp_path / "out", {}),
    ):
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyboardInterrupt), open_output_folder(tmp_path / "out", {}):
        raise KeyboardInterrupt
    assert "out: what is finished stays; run this again to resume" in capsys.readouterr().err


def test_what_a_killed_run_was_writing_is_removed_and_nothing_else(tmp_path):
    nobody = 99_999_999
    of_others = {f".a.pkl.tmp-{os.getppid()}", ".b.pkl.tmp-mine", ".hidden", "c.tmp-3"}
    for name in (f".a.pkl.tmp-{nobody}", f".b.pkl.tmp-{nobody}", *of_others):
        (tmp_path / name).touch()
    require_writable(tmp_path / "a.pkl")
    assert {path.name for path in tmp_path.iterdir()} == {f".b.pkl.tmp-{nobody}", *of_others}
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == of_others


# Interruptions


def small_record(rng, name):
    record = make_record(rng, name, frames=3)
    return record | {"feature": record["feature"][:, :7].copy(), "audio": record["audio"][:, :3].copy()}


def make_shards(folder, count, repeat=1):
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(count):
        path = folder / f"{i:02d}.tfrecord"
        write_shard(path, [small_record(rng, f"{i}_{j}") for j in range(3)])
        path.write_bytes(path.read_bytes() * repeat)


def make_videos(folder, count):
    """Videos of two classes, one broken in each, and their CSV."""
    lines = ["label,youtube_id"]
    for name in ("it's a", "打太极"):
        place = folder / "videos" / name
        place.mkdir(parents=True)
        for i in range(count):
            frames = make_demo.draw_clip("rising", np.random.default_rng(i))[:8]
            (place / f"{name[-1]} {i}.mp4").write_bytes(make_demo.encode_h264(frames))
            lines.append(f"{name},{name[-1]} {i}")
        (place / f"{name[-1]} broken.mp4").touch()
        lines.append(f"{name},{name[-1]} broken")
    (folder / "a.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_step_and_run_again_each_program_ends_with_the_same_bytes(tmp_path, every):
    make_shards(tmp_path / "shards", 2)
    make_videos(tmp_path, 2)
    csv, videos = str(tmp_path / "a.csv"), str(tmp_path / "videos")
    jobs = [
        ["dataset.youtube8m.tf2pkl", str(tmp_path / "shards"), "{}/out", "--workers=1"],
        ["dataset.kinetics.video2pkl", csv, videos, "{}/out"],
        ["dataset.kinetics.generate_label", csv, "{}/names.txt"],
        ["dataset.make_list", videos, "--output", "{}", "--split", "train=0.5", "val=0.5"],
    ]
    command = [sys.executable, str(PROJECT / "tests" / "killed_runs.py"), str(tmp_path / "runs"), str(every)]
    result = subprocess.run(command, input=json.dumps(jobs), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for (module, *_), (killed, different) in zip(jobs, json.loads(result.stdout), strict=True):
        assert killed >= 8 // every, module
        assert different == [], module


@pytest.mark.slow
@pytest.mark.parametrize("program", ["tf2pkl", "video2pkl"])
def test_killed_at_random_with_all_its_processes_it_ends_with_the_same_bytes(tmp_path, program):
    """With kill -9: of the program alone, whose processes must end with it, and of all of them at once."""
    if program == "tf2pkl":
        make_shards(tmp_path / "shards", 12, repeat=60)
        script, *sources = "youtube8m/tf2pkl.py", tmp_path / "shards"
        options = ["--workers=2"]
    else:
        make_videos(tmp_path, 12)
        script, *sources = "kinetics/video2pkl.py", tmp_path / "a.csv", tmp_path / "videos"
        options = ["2"]

    def command(target):
        return [sys.executable, PROJECT / "dataset" / script, *sources, tmp_path / target, *options]

    def contents(target):
        return {path.name: path.read_bytes() for path in (tmp_path / target).iterdir()}

    subprocess.run(command("calm"), check=True, env=clean_env(), capture_output=True)
    delays, finished = random.Random(1), []
    for attempt in range(6):
        process = subprocess.Popen(
            command("killed"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env(), start_new_session=True
        )
        while process.poll() is None and len(list((tmp_path / "killed").glob("*.pkl"))) <= attempt:
            time.sleep(0.002)
        time.sleep(delays.uniform(0, 0.03))
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if attempt % 2 else os.kill)(process.pid, signal.SIGKILL)
        process.communicate(timeout=20)  # ends when its processes have ended too
        finished.append(len(list((tmp_path / "killed").glob("*.pkl"))))
    assert finished == sorted(finished)
    assert 0 < finished[0] < 12
    subprocess.run(command("killed"), check=True, env=clean_env(), capture_output=True)
    assert contents("killed") == contents("calm")


# Training


def test_training_from_shards_and_from_both_kinds_of_pickles_gives_the_same_losses_and_weights(tmp_path):
    kinds = ["as shards", "as our pickles", "as python2's"]
    for kind in kinds:
        (tmp_path / kind / "data").mkdir(parents=True)
    lists = {kind: [] for kind in kinds}
    rng = np.random.default_rng(0)
    for i, size in enumerate([9, 5, 12]):
        records = [make_record(rng, f"{i}_{j}") for j in range(size)]
        write_shard(tmp_path / kinds[0] / f"data/z{9 - i}.tfrecord", records)  # names in another order
        old = [{key.encode(): value for key, value in r.items()} | {b"video": r["video"].encode()} for r in records]
        (tmp_path / kinds[2] / f"data/old{i}.pkl").write_bytes(pickle.dumps(old, protocol=2))
        lists[kinds[0]].append(f"z{9 - i}.tfrecord")
        lists[kinds[1]].append(f"pickles/z{9 - i}.pkl")
        lists[kinds[2]].append(f"old{i}.pkl")
    shards = tf2pkl.find_shards([tmp_path / kinds[0] / "data"])
    tf2pkl.convert(shards, tmp_path / kinds[1] / "data" / "pickles", tf2pkl.Options(), 1)
    for kind, names in lists.items():
        for name in ("train", "val"):
            (tmp_path / kind / f"data/{name}.list").write_text("\n".join(names) + "\n")
    (tmp_path / "tiny.txt").write_text(TINY_CONFIG)
    for kind in kinds:
        run_script("train", "--config=../tiny.txt", "--epoch=1", "--log-interval=1", cwd=tmp_path / kind)

    def left_by(kind):
        saved = tmp_path / kind / "checkpoints"
        events = [json.loads(line) for line in (saved / "AttentionCluster_train.jsonl").read_text().splitlines()]
        scores = [
            {key: value for key, value in event.items() if key != "time" and not key.endswith("_sec")}
            for event in events
            if event["event"] in ("train_step", "valid_epoch")
        ]
        files = [
            (saved / "AttentionCluster_epoch0" / name).read_bytes() for name in ("model.pdparams", "optimizer.pdopt")
        ]
        return scores, files

    scores, files = left_by(kinds[0])
    assert [event["event"] for event in scores] == ["train_step"] * 3 + ["valid_epoch"]
    assert len({event["loss"] for event in scores}) == 4
    for kind in kinds[1:]:
        assert left_by(kind) == (scores, files)
