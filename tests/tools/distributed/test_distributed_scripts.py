"""train.py, test.py and infer.py in several processes: the results of one, and how every interruption ends."""

import json
import os
import pickle
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import PROJECT, TINY_CONFIG, clean_env, run_script, start_script, write_pickles
from tests.datareader.clips.synthetic import make_frames, write_pickle
from tests.test_clip_scripts import CONFIG as CLIP_CONFIG
from tests.test_train import assert_same_bits, wait_for, weights_of
from tests.tools.distributed.test_launcher import is_running

TWO = ("--nproc=2", "--threads=1")


def processes_of(launcher):
    """Rank -> process number of those that a launcher has started."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            variables = dict(item.split("=", 1) for item in (place / "environ").read_text().split("\0") if "=" in item)
        except (OSError, UnicodeDecodeError):
            continue
        if variables.get("PADDLE_VIDEO_LAUNCHER") == str(launcher.pid) and is_running(place.name):
            found[int(variables["PADDLE_TRAINER_ID"])] = int(place.name)
    return found


def state_of(folder):
    return json.loads((folder / "state.json").read_text())


def fill(folder):
    """tiny.txt and its data, of counts that nothing divides: 43 training records, 23 others."""
    (folder / "data").mkdir(exist_ok=True)
    write_pickles(folder / "data", "train", [15, 5, 23])
    write_pickles(folder / "data", "val", [10, 13], seed=1)
    (folder / "tiny.txt").write_text(TINY_CONFIG)
    return folder


def test_a_killed_process_ends_the_run_with_a_message_and_resume_goes_on(tmp_path):
    fill(tmp_path)
    flags = (*TWO, "--save-every=1", "--valid-interval=0", "--log-interval=0")
    process = start_script("train", *flags, "--epoch=400", cwd=tmp_path)
    wait_for(process, "step2")
    ranks = processes_of(process)
    os.kill(ranks[1], signal.SIGKILL)
    began = time.monotonic()
    rest, _ = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert process.returncode == 137
    assert "error: rank 1 of 2 was ended by SIGKILL" in rest
    assert "Traceback" not in rest
    assert not any(map(is_running, ranks.values()))
    state = state_of(max((tmp_path / "checkpoints").glob("AttentionCluster_epoch0_step*")))
    assert (state["world"], state["epoch"]) == (2, 0)
    shutil.rmtree(tmp_path / "checkpoints" / "logs")
    flags = ("--threads=1", "--epoch=1", "--valid-interval=0", "--resume=auto")
    refused = run_script("train", *flags, cwd=tmp_path, check=False)
    changed = "the number of processes was 2 and is 1 now"
    assert refused.returncode == 1
    assert f"stands inside an epoch, where a run can resume only as it was, but {changed};" in refused.stderr
    shown = run_script("train", *flags, "--resume-changed", cwd=tmp_path).stdout
    assert f"next is epoch 0, iter {state['step']}" in shown
    assert f": {changed}\n" in shown
    assert "of this epoch's records some may come twice and others not at all" in shown
    state = state_of(tmp_path / "checkpoints/AttentionCluster_epoch0")
    assert (state["world"], state["steps_taken"]) == (1, 5)


def test_two_processes_give_the_scores_of_one_and_a_wrong_path_is_told_once(trained, tmp_path):
    flags = ("--weights=checkpoints/AttentionCluster_best", "--batch-size=5", "--threads=1")
    for world in (1, 2):
        run_script("test", *flags, f"--nproc={world}", f"--output={tmp_path}/{world}.json", cwd=trained)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    for script, section in (("train", "TRAIN"), ("test", "TEST"), ("infer", "INFER")):
        wrong = f"--set={section}.filelist=gone.list"
        result = run_script(script, "--nproc=2", wrong, cwd=trained, check=False)
        assert result.returncode == 1
        assert result.stderr == "error: file list gone.list does not exist; dataset/README.md says how to make one\n"
        assert not (trained / "logs").exists()  # nothing was started


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 5, 30])
def test_scores_and_results_are_the_same_bits_whatever_the_number_of_processes(trained, tmp_path, batch_size):
    flags = ("--weights=checkpoints/AttentionCluster_best", f"--batch-size={batch_size}", "--threads=1")
    places = [tmp_path / str(world) for world in (1, 2, 3)]
    for world, place in enumerate(places, start=1):
        run_script("test", *flags, f"--nproc={world}", f"--output={place}.json", cwd=trained)
        run_script("infer", *flags, f"--nproc={world}", f"--save-dir={place}", "--infer-topk=0", cwd=trained)
    assert len({Path(f"{place}.json").read_bytes() for place in places}) == 1
    for name in ("AttentionCluster_infer_result", "AttentionCluster_infer_result.csv"):
        assert len({(place / name).read_bytes() for place in places}) == 1
    results = pickle.loads((places[2] / "AttentionCluster_infer_result").read_bytes())
    assert [video for video, *_ in results] == [f"val0_{i}" for i in range(10)] + [f"val1_{i}" for i in range(11)]


EMA_FLAGS = (*TWO, "--epoch=3", "--save-every=1", "--log-interval=1", "--ema=0.9", "--accumulate=2", "--grad-clip=5")


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """A folder with an undisturbed run of two processes, to be read only."""
    folder = fill(tmp_path_factory.mktemp("calm"))
    run_script("train", *EMA_FLAGS, "--save-dir=calm", cwd=folder)
    return folder


def require_same_run(calm, other):
    """The epochs, the best of them and what is said of each are those of the undisturbed run."""
    names = sorted(path.name for path in (calm / "calm").glob("AttentionCluster_*") if path.is_dir())
    assert names == sorted(path.name for path in other.glob("AttentionCluster_*") if path.is_dir())
    assert "AttentionCluster_best" in names
    for name in names:
        assert_same_bits(calm / "calm" / name, other / name)
        assert (calm / "calm" / name / "averaged.pdparams").read_bytes() == (
            other / name / "averaged.pdparams"
        ).read_bytes()
        assert state_of(calm / "calm" / name) == state_of(other / name)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1, None])
def test_a_killed_run_of_two_processes_resumes_with_the_same_bits(calm, tmp_path, rank):
    process = start_script("train", *EMA_FLAGS, f"--save-dir={tmp_path}", cwd=calm)
    wait_for(process, "AttentionCluster_epoch1_step2")
    ranks = processes_of(process)
    os.kill(process.pid if rank is None else ranks[rank], signal.SIGKILL)
    process.communicate(timeout=30)
    assert abs(process.returncode) in (9, 137)
    time.sleep(2)  # for those whose launcher was killed
    assert not any(map(is_running, ranks.values()))
    run_script("train", *EMA_FLAGS, f"--save-dir={tmp_path}", "--resume=auto", cwd=calm)
    require_same_run(calm, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_stops_all_saves_and_resume_goes_on_with_the_same_bits(calm, tmp_path, number, code):
    flags = [flag for flag in EMA_FLAGS if flag != "--save-every=1"]
    process = start_script("train", *flags, f"--save-dir={tmp_path}", cwd=calm)
    wait_for(process, "Epoch 1, iter 1 ")
    ranks = processes_of(process)
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert rest.count(f"stopped by {number.name}; --resume auto resumes from here") == 1
    assert "error" not in rest
    assert not any(map(is_running, ranks.values()))
    assert re.search(r"saved \S+AttentionCluster_epoch1_step\d", rest)
    run_script("train", *EMA_FLAGS, f"--save-dir={tmp_path}", "--resume=auto", cwd=calm)
    require_same_run(calm, tmp_path)


@pytest.mark.slow
def test_averaged_weights_are_scored_saved_and_give_those_scores_in_a_test(calm, tmp_path):
    events = [json.loads(line) for line in (calm / "calm/AttentionCluster_train.jsonl").read_text().splitlines()]
    scores = {
        (event["epoch"], event.get("averaged", False)): event for event in events if event["event"] == "valid_epoch"
    }
    assert sorted(scores) == [(epoch, averaged) for epoch in range(3) for averaged in (False, True)]
    folder = calm / "calm/AttentionCluster_epoch2"
    assert state_of(folder)["best_score"] == max(scores[epoch, True]["gap"] for epoch in range(3))
    for name, averaged in (("model.pdparams", False), ("averaged.pdparams", True)):
        run_script("test", f"--weights={folder / name}", f"--output={tmp_path}/{name}.json", cwd=calm)
        found = json.loads((tmp_path / f"{name}.json").read_text())["scores"]
        assert found == pytest.approx({key: scores[2, averaged][key] for key in found}, abs=1e-5)
    assert scores[2, False]["loss"] != pytest.approx(scores[2, True]["loss"], abs=1e-3)


@pytest.mark.slow
def test_a_finished_epoch_is_gone_on_with_by_any_number_of_processes(calm, tmp_path):
    source = calm / "calm/AttentionCluster_epoch0"
    for world in (1, 2, 4):
        shutil.copytree(source, tmp_path / str(world) / source.name)
        flags = ("--resume=auto", "--epoch=2", "--ema=0.9", f"--nproc={world}", "--threads=1", "--valid-interval=0")
        shown = run_script("train", *flags, f"--save-dir={tmp_path}/{world}", cwd=calm).stdout
        assert "next is epoch 1, iter 0" in shown
        assert "may come twice" not in shown
        assert (f"the number of processes was 2 and is {world} now" in shown) == (world != 2)
        state = state_of(tmp_path / str(world) / "AttentionCluster_epoch1")
        assert (state["world"], state["steps_taken"]) == (world, 10)


@pytest.mark.slow
def test_a_full_disk_stops_all_processes_and_keeps_what_was_saved(calm, tmp_path):
    shutil.copytree(calm / "calm/AttentionCluster_epoch0", tmp_path / "AttentionCluster_epoch0")
    flags = (*TWO, "--resume=auto", f"--save-dir={tmp_path}")
    process = start_script("train", *flags, cwd=calm)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (20_000_000, 20_000_000))  # the weights have 27 MB
    shown, _ = process.communicate()
    assert process.returncode == 1
    assert "AttentionCluster_epoch1 could not be written" in shown
    assert shown.count("error: ") == 1
    assert "rank 0 of 2: checkpoint" in (tmp_path / "logs/rank1.log").read_text()
    weights_of(tmp_path / "AttentionCluster_epoch0")
    assert not list(tmp_path.glob("*epoch1*"))


@pytest.mark.slow
def test_a_folder_in_use_is_one_error_and_two_runs_in_folders_of_their_own_do_not_meet(calm, tmp_path):
    flags = ("--epoch=400", "--valid-interval=0", "--log-interval=1", f"--save-dir={tmp_path}/a")
    first = start_script("train", *TWO, *flags, cwd=calm)
    wait_for(first, "iter 1 ")
    result = run_script("train", *TWO, f"--save-dir={tmp_path}/a", cwd=calm, check=False)
    assert result.returncode == 1
    assert result.stderr == (
        f"error: --save-dir {tmp_path}/a is in use by another run of AttentionCluster; name another folder\n"
    )
    run_script("train", *TWO, f"--save-dir={tmp_path}/b", "--epoch=1", cwd=calm)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode == 130


@pytest.fixture
def clips(tmp_path):
    """Eight clips for TSN; the first that rank 1 of two reads in training is broken, where only decoding tells."""
    broken = int(np.random.default_rng([0, 0]).permutation(8)[4])
    for i in range(8):
        write_pickle(tmp_path / f"p{i}.pkl", make_frames(6 + i, seed=i), label=i % 6)
    path = tmp_path / f"p{broken}.pkl"
    name, label, (first, *between, last) = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps((name, label, [first, *(b"broken" for _ in between), last]), protocol=4))
    (tmp_path / "clips.list").write_text("".join(f"p{i}.pkl\n" for i in range(8)))
    (tmp_path / "tsn.txt").write_text(CLIP_CONFIG)
    return tmp_path, f"clips.list line {broken + 1}"


@pytest.mark.slow
def test_a_broken_clip_of_another_process_is_told_here_and_counted_where_it_may_be_left_out(clips):
    folder, where = clips
    flags = ("--model-name=TSN", "--config=tsn.txt", *TWO, "--valid-interval=0")
    result = run_script("train", *flags, cwd=folder, check=False)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: rank 1 of 2: {where}: ")
    shown = run_script("train", *flags, "--skip-broken=1", cwd=folder).stdout
    assert shown.count(f"[TRAIN] skipped: {where}") == 1
    flags = (
        "--model-name=TSN",
        "--config=tsn.txt",
        "--weights=checkpoints/TSN_epoch0",
        "--skip-broken=1",
        "--threads=1",
    )
    reports = []
    for world in (1, 2, 3):
        shown = run_script("test", *flags, f"--nproc={world}", "--output=out.json", cwd=folder).stdout
        assert "evaluated 7 of 8 records" in shown
        assert shown.count(f"[TEST] skipped: {where}") == 1
        reports.append((folder / "out.json").read_text())
    assert reports[0] == reports[1] == reports[2]
    assert where in reports[0]


@pytest.mark.slow
def test_the_demo_reaches_the_same_gap_with_one_process_and_with_two(tmp_path):
    make = [sys.executable, PROJECT / "dataset/youtube8m/make_demo.py", tmp_path / "dataset/youtube8m/demo"]
    subprocess.run(make, env=clean_env(), check=True)
    config = f"--config={PROJECT}/configs/demo/attention_cluster.txt"
    gaps = []
    for world in (1, 2):
        flags = (config, f"--nproc={world}", f"--save-dir={world}", "--valid-interval=10", "--log-interval=0")
        run_script("train", *flags, cwd=tmp_path)
        gaps.append(state_of(tmp_path / str(world) / "AttentionCluster_epoch9")["valid"]["gap"])
    assert gaps[0] > 0.9
    assert gaps[1] == pytest.approx(gaps[0], abs=0.005)


@pytest.mark.slow
def test_the_last_validation_tells_the_same_of_any_number_of_processes(tmp_path):
    fill(tmp_path)
    found = []
    for world in (1, 2):
        flags = (f"--nproc={world}", f"--save-dir={world}", "--learning-rate=0", "--epoch=1", "--threads=1")
        run_script("train", *flags, cwd=tmp_path)
        found.append(json.loads((tmp_path / f"{world}/AttentionCluster_valid.json").read_text()))
        assert (tmp_path / f"{world}/AttentionCluster_report.html").exists()
    assert [one["source"] for one in found[0]["mistakes"]] == [one["source"] for one in found[1]["mistakes"]]
    assert found[0]["report"]["per_class"] == found[1]["report"]["per_class"]


def test_a_process_without_a_batch_of_the_validation_trains_with_the_others(tiny):
    result = run_script("train", "--nproc=2", "--epoch=1", "--set", "VALID.batch_size=64", cwd=tiny)
    assert "[VALID] Epoch 0 done" in result.stdout
    assert "21 videos" in result.stdout
