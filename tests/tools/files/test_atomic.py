"""Files that are written whole or not at all."""

import os
import subprocess
import sys

import pytest

from tests.conftest import PROJECT
from tools.files.atomic import atomic_folder, atomic_write, remove_unfinished, require_writable

NOBODY = 99_999_999


@pytest.mark.parametrize("of_process", [lambda: NOBODY, os.getppid])
def test_what_a_killed_run_was_writing_is_removed_and_nothing_else(tmp_path, of_process):
    """Its number may be that of another process by now."""
    process = of_process()
    of_others = {".b.pkl.tmp-mine", ".hidden", "c.tmp-3"}
    for name in (f".a.pkl.tmp-{process}", f".b.pkl.tmp-{process}", *of_others):
        (tmp_path / name).touch()
    require_writable(tmp_path / "a.pkl")
    assert names_in(tmp_path) == {f".b.pkl.tmp-{process}", *of_others}
    remove_unfinished(tmp_path)
    assert names_in(tmp_path) == of_others


def test_asking_whether_a_file_can_be_written_makes_nothing_and_writing_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "deep" / "a.pkl"
    require_writable(path)
    assert not list(tmp_path.iterdir())
    with atomic_write(path) as file:
        file.write(b"x")
    assert path.read_bytes() == b"x"
    with pytest.raises(NotADirectoryError):
        require_writable(path / "below" / "b.pkl")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        require_writable(path.parent)


@pytest.mark.parametrize("write", [atomic_write, atomic_folder])
def test_who_writes_it_next_removes_what_was_left_of_it(tmp_path, write):
    (tmp_path / f".a.tmp-{NOBODY}").touch()
    (tmp_path / ".a.tmp-1").mkdir()
    (tmp_path / ".a.tmp-1" / "x").touch()
    (tmp_path / ".b.tmp-1").touch()
    with write(tmp_path / "a"):
        assert names_in(tmp_path) == {f".a.tmp-{os.getpid()}", ".b.tmp-1"}
    assert names_in(tmp_path) == {"a", ".b.tmp-1"}


WRITING = """
import os, pathlib, sys
from tools.files import atomic
with atomic.{write}(pathlib.Path(sys.argv[1])):
    print(flush=True)
    input()
"""


@pytest.mark.parametrize("write", ["atomic_write", "atomic_folder"])
def test_what_another_process_is_writing_stays_until_that_is_killed(tmp_path, write):
    command = [sys.executable, "-c", WRITING.format(write=write), str(tmp_path / "a")]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        left = {f".a.tmp-{process.pid}"}
        require_writable(tmp_path / "a")
        remove_unfinished(tmp_path)
        assert names_in(tmp_path) == left
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # nobody asks for its end, which leaves its number
        remove_unfinished(tmp_path)
        assert names_in(tmp_path) == set()


def test_what_is_written_here_stays(tmp_path):
    with atomic_write(tmp_path / "a") as file, atomic_folder(tmp_path / "b") as folder:
        remove_unfinished(tmp_path)
        file.write(b"1")
        (folder / "x").touch()
    assert (tmp_path / "a").read_bytes() == b"1"
    assert names_in(tmp_path / "b") == {"x"}


def test_a_file_that_another_process_removed_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    from tools.files import atomic

    lock, removed = atomic._lock, []

    def remove_and_lock(handle):
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].rmdir() if removed[0].is_dir() else removed[0].unlink()
        lock(handle)

    monkeypatch.setattr(atomic, "_lock", remove_and_lock)
    for write in (atomic_write, atomic_folder):
        removed.clear()
        with write(tmp_path / "a"):
            pass
        assert names_in(tmp_path) == {"a"}
        (tmp_path / "a").rmdir() if (tmp_path / "a").is_dir() else (tmp_path / "a").unlink()


@pytest.mark.parametrize(("of_process", "left"), [(lambda: NOBODY, False), (os.getppid, True), (os.getpid, False)])
def test_where_there_are_no_locks_the_process_number_decides(tmp_path, monkeypatch, of_process, left):
    process = of_process()

    def refuse(*arguments):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("tools.files.atomic.flock", refuse)
    (tmp_path / f".a.tmp-{process}").touch()
    with atomic_write(tmp_path / "a") as file:
        file.write(b"1")
    assert (tmp_path / f".a.tmp-{process}").exists() == left
    assert (tmp_path / "a").read_bytes() == b"1"


def names_in(folder):
    return {path.name for path in folder.iterdir()}
