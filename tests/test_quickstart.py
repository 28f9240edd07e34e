"""The quickstart, run in a fresh copy of the project with the Python at hand."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from tests.conftest import PROJECT, run_shell, start_script
from tests.pages import commands_of
from tests.test_train import wait_for

COMMAND = "bash scripts/quickstart.sh --no-install"  # the tests need no network


@pytest.fixture(scope="module")
def quickstart(project_copy):
    """What the quickstart printed, run in the copy. Six of the config's ten epochs are enough."""
    config = project_copy / "configs/demo/attention_cluster.txt"
    text = config.read_text()
    assert "\nepoch = 10\n" in text
    config.write_text(text.replace("\nepoch = 10\n", "\nepoch = 6\n"))
    return run_shell(COMMAND, project_copy)


def test_the_quickstart_shows_its_commands_and_ends_with_scores_and_places(quickstart, project_copy):
    for command in ("dataset/youtube8m/make_demo.py", "train.py", "test.py", "infer.py"):
        assert re.search(rf"^\$ \S*python\S* {re.escape(command)}", quickstart, flags=re.MULTILINE)
    assert "(none)" in quickstart
    for name in ("best", "train.log", "train.jsonl", "config.txt", "infer_result.csv"):
        assert f"checkpoints/demo/AttentionCluster_{name}" in quickstart
        assert (project_copy / f"checkpoints/demo/AttentionCluster_{name}").exists()


def test_attention_earns_its_keep_on_the_demo(quickstart, project_copy):
    saved = project_copy / "checkpoints" / "demo"
    gap = json.loads((saved / "AttentionCluster_test.json").read_text())["scores"]["gap"]
    assert gap >= 0.90
    events = [json.loads(line) for line in (saved / "AttentionCluster_train.jsonl").read_text().splitlines()]
    assert next(event for event in events if event["event"] == "valid_epoch")["gap"] < 0.3


@pytest.mark.slow
def test_a_second_quickstart_uses_what_is_there(quickstart, project_copy):
    lists = project_copy / "dataset/youtube8m/demo"
    (lists / "val.list").write_text("val00.pkl\n")  # 100 of 300 videos do to see that it tests and infers
    again = run_shell(COMMAND, project_copy)
    assert "is there already" in again
    assert "nothing left to do" in again


PYTHON_STUB = f"""#!/bin/sh
[ "$1" = -c ] && exec {sys.executable} "$@"
case "$*" in *tools.extract*) [ ! -e of_other_weights ] || exit 1 ;; esac
"""


@pytest.fixture
def own_videos(tmp_path):
    """Runs the script in a folder where Python does nothing: (exit code, commands, errors)."""
    shutil.copytree(PROJECT / "scripts", tmp_path / "scripts")
    (tmp_path / "python").write_text(PYTHON_STUB)
    (tmp_path / "python").chmod(0o755)

    def run(*flags):
        env = {**os.environ, "PYTHON": "./python"}
        command = ["bash", "scripts/own_videos.sh", "--no-install", *flags]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        shown = [line.removeprefix("$ ./python ") for line in done.stdout.splitlines() if line.startswith("$ ")]
        return done.returncode, shown, done.stderr

    return run


@pytest.mark.parametrize("flags", [["--weights=B"], ["--weights", "B"]])
def test_own_videos_are_described_by_the_weights_that_are_given(own_videos, flags):
    code, shown, _ = own_videos(*flags)
    assert code == 0
    assert not any("--model-name=TSN" in line for line in shown)
    assert [line.split()[2] for line in shown if "tools.extract" in line] == ["--weights=B"] * 3


def test_features_of_other_weights_end_the_script_with_what_would_work(own_videos, tmp_path):
    (tmp_path / "of_other_weights").touch()
    code, shown, errors = own_videos("--weights=B")
    assert code == 1
    assert "tools.extract" in shown[-1]
    assert "remove checkpoints/demo/features and checkpoints/demo/own_videos" in errors


def test_what_has_learnt_from_features_that_are_gone_does_not_go_on(own_videos, tmp_path):
    saved, features = tmp_path / "checkpoints/demo/own_videos", tmp_path / "checkpoints/demo/features/train"
    saved.mkdir(parents=True)
    code, shown, errors = own_videos()
    assert (code, shown) == (1, [])
    assert errors == (
        "error: checkpoints/demo/own_videos has learnt from features that are gone; remove it too, to begin anew\n"
    )
    features.mkdir(parents=True)
    (features / "features.list").touch()
    assert own_videos()[0] == 0


def test_a_flag_without_its_value_is_told(own_videos):
    assert own_videos("--weights")[::2] == (1, "error: --weights needs a path\n")
    assert "usage: bash scripts/own_videos.sh" in own_videos("--wieghts=B")[2]


def train_on_clips(name: str, folder) -> float:
    """The top-1 accuracy in percent of a model that the quickstart has trained; the looks of frames it knows well."""
    run_shell(f"{COMMAND} --model {name.lower()}", folder)
    report = json.loads((folder / f"checkpoints/demo/{name}_test.json").read_text())
    by_class = {row["class_id"]: row["top1_acc"] for row in report["per_class"]}
    names = (folder / "dataset/kinetics/demo/class_names.txt").read_text().split()
    looks = [by_class[names.index(kind)] for kind in ("checkers", "stripes")]
    assert sum(looks) / len(looks) >= 90
    return report["scores"]["top1_acc"]


def stop_in_the_middle(name: str, saved: str, folder) -> None:
    """What takes long is done in two tests, each within its time; the next one goes on where this was stopped."""
    flags = f"--model-name={name}", f"--config=configs/demo/{name.lower()}.txt", "--save-dir=checkpoints/demo"
    process = start_script("train", *flags, "--valid-first", cwd=folder)
    wait_for(process, f"saved checkpoints/demo/{saved}")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130


@pytest.mark.slow
def test_tsn_stops_in_the_middle(project_copy):
    run_shell("python dataset/kinetics/make_demo.py", project_copy)
    stop_in_the_middle("TSN", "TSN_epoch4", project_copy)


@pytest.fixture(scope="module")
def accuracy_of_tsn(project_copy):
    return train_on_clips("TSN", project_copy)


@pytest.mark.slow
def test_tsn_does_not_see_the_order_of_frames(accuracy_of_tsn, project_copy):
    assert accuracy_of_tsn < 80  # without order there is 67 percent to see


@pytest.mark.slow
def test_a_model_on_features_names_what_looks_tell_apart(accuracy_of_tsn, project_copy):
    shown = run_shell("bash scripts/own_videos.sh --no-install", project_copy)
    assert re.search(r"checkers_01\.mp4.*checkers", shown)
    results = json.loads((project_copy / "checkpoints/demo/own_videos/AttentionLSTM_infer_result.json").read_text())
    assert len(results) == 1
    run_shell("python infer.py --weights=checkpoints/demo/own_videos/AttentionLSTM_best --save-dir=all", project_copy)
    answers = json.loads((project_copy / "all/AttentionLSTM_infer_result.json").read_text())
    right = [
        answer["classes"][0]["name"] in answer["id"]
        for answer in answers
        if re.search("checkers|stripes", answer["id"])
    ]
    assert len(right) == 20
    assert sum(right) / len(right) >= 0.85


@pytest.mark.slow
def test_stnet_stops_in_the_middle(accuracy_of_tsn, project_copy):
    stop_in_the_middle("STNET", "STNET_epoch5", project_copy)


@pytest.mark.slow
def test_stnet_sees_the_order_of_frames(accuracy_of_tsn, project_copy):
    accuracy = train_on_clips("STNET", project_copy)
    assert accuracy >= 85
    assert accuracy >= accuracy_of_tsn + 10
    naming = next(line for line in commands_of("README.md") if line.startswith("python infer.py "))
    shown = run_shell(naming, project_copy)  # the first answer that the page shows
    assert re.search(r"^dataset/kinetics/demo/val/growing_01\.mp4 +growing +\d+\.\d %$", shown, flags=re.MULTILINE)
