"""What the converters share: no interruption changes how they end, and training is the same on what they make."""

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
from dataset.youtube8m import tf2pkl
from tests.conftest import PROJECT, TINY_CONFIG, clean_env, make_record, run_script
from tests.datareader.features.small_records import small_record
from tests.sequence_examples import write_shard


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
    tf2pkl.convert(shards, tmp_path / kinds[1] / "data" / "pickles", tf2pkl.Selection(), 1)
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
