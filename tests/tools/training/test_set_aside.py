"""A new run in the folder of an earlier one: what is moved, and that a kill at any moment loses nothing."""

import subprocess
import sys

import pytest

from tests.conftest import PROJECT
from tools.training.checkpoint import CheckpointStore, Progress

# The beginning of a run, which is killed at its N-th step with files.
RUN = """
import logging, os, sys
from tools.runtime.log import record_event, restart_files, start_log
from tools.training.checkpoint import CheckpointStore

folder, left = sys.argv[1], int(sys.argv[2])
def hear(event, details):
    global left
    if event in ("open", "os.rename", "os.mkdir", "os.truncate") and str(details[0]).startswith(folder):
        left -= 1
        if left < 0:
            os._exit(9)

store = CheckpointStore(folder, "TSN")
start_log(folder, "TSN_train", rank=0)
logging.getLogger("tools").info("line of the new run")
sys.addaudithook(hear)
store.set_aside()
restart_files()
record_event("begin")
"""


def begin_run(folder, steps):
    """Whether it was killed."""
    command = [sys.executable, "-c", RUN, str(folder), str(steps)]
    code = subprocess.run(command, cwd=PROJECT, stdout=subprocess.DEVNULL, check=False).returncode
    assert code in (0, 9)
    return code == 9


def leave_run(folder):
    """What a run of two processes leaves, each file with a text of its own."""
    store = CheckpointStore(str(folder), "TSN")
    path = store.save({}, {}, Progress(batch_size=8, seed=0, records=40, data=1, epoch=1))
    (path / "model.pdparams").write_text("weights")
    store.set_best(path)
    (folder / "logs").mkdir()
    texts = {"TSN_train.log": "log", "TSN_train.jsonl": "numbers", "TSN_config.txt": "settings"}
    texts |= {"TSN_report.html": "page", "TSN_valid.json": "validation"}
    for name, text in (texts | {"logs/rank0.log": "rank 0", "logs/rank1.log": "rank 1"}).items():
        (folder / name).write_text(f"{text} of the first\n")
    store.close()


def found_in(folder, text):
    """Where below a folder a text stands."""
    paths = sorted(folder.rglob("*"))
    return [str(path.relative_to(folder)) for path in paths if path.is_file() and text.encode() in path.read_bytes()]


def test_a_new_run_moves_all_that_is_there_and_logs_for_itself(tmp_path):
    leave_run(tmp_path)
    assert not begin_run(tmp_path, 1000)
    (moved,) = tmp_path.glob("TSN_before_*")
    names = ["TSN_config.txt", "TSN_report.html", "TSN_train.jsonl", "TSN_train.log", "TSN_valid.json"]
    names += ["logs/rank0.log", "logs/rank1.log"]
    assert found_in(tmp_path, "of the first\n") == [f"{moved.name}/{name}" for name in names]
    assert found_in(tmp_path, "line of the new run\n") == ["TSN_train.log", "logs/rank0.log"]
    assert sorted(path.name for path in moved.iterdir() if path.is_dir()) == ["TSN_best", "TSN_epoch0", "logs"]


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_killed_while_it_moved_another_aside_loses_nothing_and_the_next_moves_the_rest(tmp_path, every):
    for steps in range(0, 1000, every):
        folder = tmp_path / str(steps)
        folder.mkdir()
        leave_run(folder)
        was_killed = begin_run(folder, steps)
        texts = [
            f"{kind} of the first\n"
            for kind in ("log", "numbers", "settings", "page", "validation", "rank 0", "rank 1")
        ]
        assert [len(found_in(folder, text)) for text in texts] == [1] * 7
        assert len(found_in(folder, "weights")) == 2
        if not was_killed:
            break
        assert not begin_run(folder, 1000)
        for text in (*texts, "weights"):
            assert all(place.startswith("TSN_before_") for place in found_in(folder, text)), (steps, text)
    assert steps > 10


def test_the_log_of_a_start_that_failed_stays_and_so_do_those_that_another_model_may_write(tmp_path):
    store = CheckpointStore(str(tmp_path), "TSN")
    (tmp_path / "TSN_train.log").write_text("a data set that was not there\n")
    (tmp_path / "TSN_train.jsonl").touch()
    assert store.set_aside() is None
    store.close()

    leave_run(tmp_path)
    (tmp_path / "STNET_train.log").touch()
    moved = CheckpointStore(str(tmp_path), "TSN").set_aside()
    assert (moved / "TSN_train.log").exists()
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["rank0.log", "rank1.log"]


def test_a_run_that_goes_on_keeps_its_logs(tmp_path):
    leave_run(tmp_path)
    store = CheckpointStore(str(tmp_path), "TSN")
    assert store.set_aside((1, 0)) is None
    moved = store.set_aside((0, 3))
    assert sorted(path.name for path in moved.iterdir()) == ["TSN_best", "TSN_epoch0"]
