"""Files that are written whole or not at all."""

import os
import subprocess
import sys

import pytest

from tools.files.atomic import atomic_write, remove_unfinished, require_writable


def test_what_a_killed_run_was_writing_is_removed_and_nothing_else(tmp_path):
    nobody = 99_999_999
    of_others = {f".a.pkl.tmp-{os.getppid()}", ".b.pkl.tmp-mine", ".hidden", "c.tmp-3"}
    for name in (f".a.pkl.tmp-{nobody}", f".b.pkl.tmp-{nobody}", *of_others):
        (tmp_path / name).touch()
    require_writable(tmp_path / "a.pkl")
    assert {path.name for path in tmp_path.iterdir()} == {f".b.pkl.tmp-{nobody}", *of_others}
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == of_others


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


def test_what_a_process_was_writing_is_removed_although_nobody_has_asked_for_its_end(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        file = tmp_path / f".a.tmp-{process.pid}"
        file.touch()
        remove_unfinished(tmp_path)
        assert file.exists()  # it is at work
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # until it has ended, and leave it there
        remove_unfinished(tmp_path)
        assert not file.exists()
