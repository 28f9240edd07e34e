"""Files that are written whole or not at all."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tools.doctor.machine import refuses_writing
from tools.files.atomic import (
    atomic_folder,
    atomic_write,
    atomic_write_all,
    remove_unfinished,
    require_writable,
    temporary_path,
)

NOBODY = 99_999_999


@pytest.mark.parametrize("of_process", [lambda: NOBODY, os.getppid])
def test_what_a_killed_run_was_writing_is_removed_and_nothing_else(tmp_path, of_process):
    """Its number may be that of another process by now."""
    process = of_process()
    of_others = {".b.pkl.tmp-mine", ".hidden", "c.tmp-3", ".a.pkl.tmp-3-mine", ".a.pkl.tmp-3-0123456g", ".tmp-3"}
    of_b = {f".b.pkl.tmp-{process}", f".b.pkl.tmp-{process}-0123abcd"}  # earlier versions had no random part
    for name in (f".a.pkl.tmp-{process}", f".a.pkl.tmp-{process}-0123abcd", *of_b, *of_others):
        (tmp_path / name).touch()
    require_writable(tmp_path / "a.pkl")
    assert names_in(tmp_path) == of_b | of_others
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
        assert shown_in(tmp_path) == {f".a.tmp-{os.getpid()}-X", ".b.tmp-1"}
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
        require_writable(tmp_path / "a")
        remove_unfinished(tmp_path)
        assert shown_in(tmp_path) == {f".a.tmp-{process.pid}-X"}
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
    names = {f".a.tmp-{process}", f".a.tmp-{process}-0123abcd"}
    for name in names:
        (tmp_path / name).touch()
    with atomic_write(tmp_path / "a") as file:
        file.write(b"1")
    assert names_in(tmp_path) - {"a"} == (names if left else set())
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A stranger has guessed the first name of all that are asked for, and put a link there to a file of ours."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    folder = tmp_path / "shared"
    folder.mkdir()
    parts = iter(["00000000"] * 2 + [f"{number:08x}" for number in range(1, 100)])
    monkeypatch.setattr("secrets.token_hex", lambda size: next(parts))
    return precious, folder


@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to", "dangling", "folder"])
def test_a_name_that_is_taken_is_an_error_and_what_a_link_leads_to_is_as_it_was(planted, make):
    precious, folder = planted
    path = temporary_path(folder / "a")  # the second call gives the same
    if make == "folder":
        path.mkdir()
    elif make == "dangling":
        path.symlink_to(precious.with_name("new"))
    else:
        getattr(path, make)(precious)
    with pytest.raises(FileExistsError), atomic_write(folder / "a", among_many=True) as file:
        file.write(b"1")
    assert precious.read_bytes() == b"precious"
    assert names_in(precious.parent) == {"precious", "shared"}
    assert not (folder / "a").exists()


def test_no_two_names_are_the_same_and_none_can_be_guessed(tmp_path):
    names = {temporary_path(tmp_path / "a").name for _ in range(1000)}
    assert len(names) == 1000
    assert all(re.fullmatch(rf"\.a\.tmp-{os.getpid()}-[0-9a-f]{{8}}", name) for name in names)


def test_links_at_names_of_earlier_versions_lead_nothing_anywhere(tmp_path):
    """Those have the process number alone, which a stranger can guess: for all processes, here."""
    folder, ours = tmp_path / "shared", tmp_path / "ours"
    for path in (folder, ours):
        path.mkdir()
    (ours / "x").write_bytes(b"precious")
    links = {f".{name}.tmp-{number}" for name in ("a", "b", "probe") for number in range(os.getpid(), os.getpid() + 9)}
    for number, link in enumerate(sorted(links)):
        (folder / link).symlink_to([ours / "x", ours, tmp_path / "new"][number % 3])
    os.mkfifo(folder / ".a.tmp-1")  # nobody waits for one who writes to it
    require_writable(folder / "a")
    assert refuses_writing(folder) == ""
    with atomic_write(folder / "a") as file, atomic_folder(folder / "b"):
        file.write(b"1")
    remove_unfinished(folder)
    assert (folder / "a").read_bytes() == b"1"
    assert names_in(folder) == links | {"a", "b"}
    assert (ours / "x").read_bytes() == b"precious"
    assert names_in(tmp_path) == {"shared", "ours"}


@pytest.mark.parametrize("write", [atomic_write, atomic_folder])
@pytest.mark.parametrize("name", ["a" * 255, "猫" * 85], ids=["Latin", "Chinese"])
def test_the_longest_name_can_be_written_and_what_is_left_of_it_is_removed(tmp_path, write, name):
    left = temporary_path(tmp_path / name)
    left.touch()
    require_writable(tmp_path / name)
    assert names_in(tmp_path) == set()
    left.touch()
    with write(tmp_path / name):
        assert not left.exists()
    assert names_in(tmp_path) == {name}
    with pytest.raises(OSError, match="File name too long"):
        require_writable(tmp_path / f"{name}b")


def test_files_are_replaced_when_all_of_them_are_complete(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in "abc"]
    atomic_write_all(dict.fromkeys(paths, b"old"))
    replaced = []

    def hear(old, new):
        assert [path.read_bytes() for path in sorted(tmp_path.glob(".*.tmp-*"))] == [b"new"] * (3 - len(replaced))
        replaced.append(Path(new).name)
        replace(old, new)

    replace = os.replace
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", hear)
        atomic_write_all(dict.fromkeys(paths, b"new"))
    assert replaced == ["a", "b", "c"]

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write_all(dict.fromkeys(paths, b"newer"))
    paths[2].unlink()
    paths[2].mkdir()
    with pytest.raises(IsADirectoryError):
        atomic_write_all(dict.fromkeys(paths, b"newer"))
    assert [path.read_bytes() for path in paths[:2]] == [b"new"] * 2
    assert names_in(tmp_path) == {"a", "b", "c"}


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def shown_in(folder):
    """Names in a folder, with X for what is random in them."""
    return {re.sub("-[0-9a-f]{8}$", "-X", name) for name in names_in(folder)}
