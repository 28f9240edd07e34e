"""Folders that are complete or not there: what is in them, in which order it reaches the disk, and what kills leave."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import PROJECT
from tools.errors import CheckpointError
from tools.files.atomic import atomic_folder, require_writable
from tools.training.checkpoint import CheckpointStore, Progress, load_checkpoint
from tools.weights.fluid_files import read_folder, write_folder

WEIGHTS = {"fc.weight": np.ones((2, 3), np.float32)}
FULL = OSError(28, "No space left on device")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def save(store, epoch):
    return store.save(WEIGHTS, {"steps": epoch}, Progress(batch_size=8, seed=0, records=40, data=1, epoch=epoch))


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(str(tmp_path), "TSN")


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """What is brought to the disk and renamed, in order; temporary names end with 0 here."""
    seen = []
    own = re.compile(rf"\.tmp-{os.getpid()}-[0-9a-f]{{8}}")

    def shown(path):
        return own.sub(".tmp-0", os.path.relpath(path, tmp_path))

    fsync, rename = os.fsync, os.rename

    def hear_sync(handle):
        seen.append(f"sync {shown(Path(f'/proc/self/fd/{handle}').readlink())}")
        fsync(handle)

    def hear_rename(old, new, **options):
        seen.append(f"{shown(old)} -> {shown(new)}")
        rename(old, new, **options)

    monkeypatch.setattr(os, "fsync", hear_sync)
    monkeypatch.setattr(os, "rename", hear_rename)
    monkeypatch.setattr(os, "replace", hear_rename)
    monkeypatch.setattr(Path, "rename", hear_rename)  # which in Python 3.10 is another function than os.rename
    return seen


def test_a_folder_has_its_name_when_it_is_complete(tmp_path):
    with atomic_folder(tmp_path / "a") as folder:
        (folder / "x").write_bytes(b"1")
        assert names_in(tmp_path) == [folder.name]
        assert folder.name.startswith(f".a.tmp-{os.getpid()}-")
    assert names_in(tmp_path) == ["a"]
    assert (tmp_path / "a" / "x").read_bytes() == b"1"


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()], ids=["full disk", "Ctrl-C"])
def test_a_folder_that_is_not_completed_is_removed(tmp_path, error):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").touch()

    def fill(folder):
        (folder / "y").touch()
        raise error

    for options in ({}, {"aside": tmp_path / "b"}):
        with pytest.raises(type(error)), atomic_folder(tmp_path / "a", **options) as folder:
            fill(folder)
        assert names_in(tmp_path) == ["a"]
        assert names_in(tmp_path / "a") == ["x"]


def test_what_has_the_name_is_moved_aside_or_stays(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    with pytest.raises(OSError, match="not empty"), atomic_folder(tmp_path / "a") as folder:
        (folder / "new").touch()
    assert (names_in(tmp_path), names_in(tmp_path / "a")) == (["a"], ["old"])
    with atomic_folder(tmp_path / "a", aside=tmp_path / "b") as folder:
        (folder / "new").touch()
    assert (names_in(tmp_path / "a"), names_in(tmp_path / "b")) == (["new"], ["old"])


def test_names_reach_the_disk_before_the_folder_has_its_own(tmp_path, steps):
    with atomic_folder(tmp_path / "a"):
        assert steps == []
    assert steps == ["sync .a.tmp-0", ".a.tmp-0 -> a", "sync ."]
    with atomic_folder(tmp_path / "a", aside=tmp_path / "b"):
        steps.clear()
    assert steps == ["sync .a.tmp-0", "a -> b", ".a.tmp-0 -> a", "sync ."]


def test_each_file_of_a_checkpoint_is_on_the_disk_before_the_checkpoint_is_there(store, steps):
    save(store, 1)
    hidden = ".TSN_epoch0.tmp-0"
    expected = []
    for name in ("model.pdparams", "optimizer.pdopt", "state.json"):
        expected += [f"sync {hidden}/.{name}.tmp-0", f"{hidden}/.{name}.tmp-0 -> {hidden}/{name}", f"sync {hidden}"]
    assert steps == [*expected, f"sync {hidden}", f"{hidden} -> TSN_epoch0", "sync ."]


def test_each_variable_is_on_the_disk_before_the_folder_is_there(tmp_path, steps):
    write_folder(tmp_path / "w", {"a": np.zeros(2, np.float32), "b": np.ones(3, np.float32)})
    hidden = ".w.tmp-0"
    assert steps == [f"sync {hidden}/a", f"sync {hidden}/b", f"sync {hidden}", f"{hidden} -> w", "sync ."]


def test_where_the_best_cannot_share_files_it_has_copies_that_are_on_the_disk(store, steps, monkeypatch):
    path = save(store, 1)

    def refuse(*arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    steps.clear()
    best = store.set_best(path)
    for name in ("model.pdparams", "optimizer.pdopt", "state.json"):
        assert not (best / name).samefile(path / name)
        assert f"sync .TSN_best.tmp-0/.{name}.tmp-0" in steps
    assert steps[-3:] == ["sync .TSN_best.tmp-0", ".TSN_best.tmp-0 -> TSN_best", "sync ."]
    assert load_checkpoint(best, "TSN").progress.epoch == 1


def test_a_best_that_could_not_be_written_leaves_the_earlier_one_and_no_trace(store, tmp_path, monkeypatch):
    store.set_best(save(store, 1))
    second = save(store, 2)

    def full(*arguments):
        raise FULL

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        patch.setattr("shutil.copyfileobj", full)
        with pytest.raises(CheckpointError, match=r"TSN_best could not be written: \[Errno 28\]"):
            store.set_best(second)
    assert names_in(tmp_path) == ["TSN_best", "TSN_epoch0", "TSN_epoch1"]
    assert load_checkpoint(store.best_path, "TSN").progress.epoch == 1
    store.set_best(second)
    assert load_checkpoint(store.best_path, "TSN").progress.epoch == 2


def test_a_folder_of_variables_that_could_not_be_written_leaves_no_trace(tmp_path, monkeypatch):
    def full(handle):
        raise FULL

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_folder(tmp_path / "w", {"a": np.zeros(2, np.float32)})
    assert names_in(tmp_path) == []


# Kills.


def open_store(root):
    return CheckpointStore(str(root), "TSN")


def assert_whole(root, best_epochs):
    """The next run finds complete checkpoints and nothing else."""
    store = open_store(root)
    found = store.found()
    for path in found:
        load_checkpoint(path, "TSN")
    if best_epochs:
        assert load_checkpoint(store.best_path, "TSN").progress.epoch in best_epochs
        found.append(store.best_path)
    for path in found:
        assert names_in(path) == ["model.pdparams", "optimizer.pdopt", "state.json"]
    assert names_in(root) == sorted(path.name for path in found)
    assert root / "TSN_epoch0" in found
    store.close()


def prepare_best(root):
    store = open_store(root)
    store.set_best(save(store, 1))
    save(store, 2)
    store.close()


def prepare_save(root):
    store = open_store(root)
    save(store, 1)
    store.close()


def validated(epoch):
    """What is in a state after an epoch that was the best."""
    return {"validated": True, "best_score": float(epoch), "best_epoch": epoch - 1}


def validate(root):
    """As the trainer does it."""
    store = open_store(root)
    store.set_best(root / "TSN_epoch1", **validated(2))
    store.add_to_state(root / "TSN_epoch1", **validated(2))


def prepare_validated(root):
    prepare_best(root)
    store = open_store(root)
    for path in (store.best_path, root / "TSN_epoch0"):
        store.add_to_state(path, **validated(1))
    store.add_to_state(root / "TSN_epoch1", validated=False)
    store.close()


def assert_validated(root):
    """The best has its scores, whichever it is; an epoch that is said to be scored is the best, or will be scored."""
    assert_whole(root, (1, 2))
    best = load_checkpoint(root / "TSN_best", "TSN").progress
    assert (best.validated, best.best_score, best.best_epoch) == (True, best.epoch, best.epoch - 1)
    assert best.epoch == 2 or not load_checkpoint(root / "TSN_epoch1", "TSN").progress.validated


def prepare_four(root):
    store = open_store(root)
    for epoch in (1, 2, 3):
        save(store, epoch)
    store.save(WEIGHTS, {}, Progress(batch_size=8, seed=0, records=40, data=1, epoch=3, step=5))
    store.close()


def save_and_drop(root):
    save(CheckpointStore(str(root), "TSN", keep=2), 4)


def assert_dropped(root):
    """A run that resumes at the latest keeps what --keep says."""
    store = CheckpointStore(str(root), "TSN", keep=2)
    store.drop_old()
    store.close()
    names = names_in(root)
    assert names in (["TSN_epoch1", "TSN_epoch2", "TSN_epoch3_step5"], ["TSN_epoch2", "TSN_epoch3"])
    for name in names:
        load_checkpoint(root / name, "TSN")


def assert_variables(root):
    write_folder(root / "other", {})
    require_writable(root / "w") if not (root / "w").exists() else None
    assert set(names_in(root)) <= {"w", "other"}
    assert not (root / "w").exists() or sorted(read_folder(root / "w")[0]) == ["a", "b"]


# What is there before, what is killed, and what has to hold afterwards.
JOBS = {
    "save": (prepare_save, lambda root: save(open_store(root), 2), lambda root: assert_whole(root, ())),
    "best": (
        prepare_best,
        lambda root: open_store(root).set_best(root / "TSN_epoch1"),
        lambda root: assert_whole(root, (1, 2)),
    ),
    "validated": (prepare_validated, validate, assert_validated),
    "keep": (prepare_four, save_and_drop, assert_dropped),
    "variables": (
        Path.mkdir,
        lambda root: write_folder(root / "w", {name: np.zeros(2, np.float32) for name in "ab"}),
        assert_variables,
    ),
}


@pytest.mark.parametrize("job", JOBS)
def test_a_run_killed_at_any_file_operation_leaves_complete_folders_alone(tmp_path, job):
    command = [sys.executable, "-m", "tests.killed_forks", str(tmp_path), __name__, job]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 8
