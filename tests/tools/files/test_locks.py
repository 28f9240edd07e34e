"""Locks between threads, processes and forks, and what those who take them do where there can be none."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from datareader.features.index import build_index, index_records
from datareader.lists import load_list
from dataset.output_folder import open_output_folder
from tests.conftest import PROJECT
from tools.errors import CheckpointError, DataError
from tools.files.locks import HeldLock
from tools.training.checkpoint import CheckpointStore
from tools.weights.released import CacheEntry, find_released

# Holds the lock until it is killed or its standard input ends; with "fork", a child outlives it.
HOLD = """
import os, sys
from pathlib import Path
from tools.files.locks import HeldLock
lock = HeldLock(Path(sys.argv[1]))
if "fork" not in sys.argv or not os.fork():
    print(os.getpid(), flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holder(path, *arguments):
    """Another process that holds the lock; last_child: the process of its own or, after a fork, of its child."""
    command = [sys.executable, "-c", HOLD, str(path), *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=PROJECT, **pipes) as process:
        process.last_child = int(process.stdout.readline())
        try:
            yield process
        finally:
            process.kill()


def is_held(path):
    try:
        HeldLock(path).release()
    except BlockingIOError:
        return True
    return False


def without_locks(handle, operation):
    raise OSError(errno.ENOSYS, "Function not implemented")


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".x.lock"


def test_a_second_holder_in_the_same_process_is_refused_at_once_and_by_name(path):
    with HeldLock(path):
        started = time.monotonic()
        with pytest.raises(BlockingIOError, match=r"another run holds the lock: '.*\.x\.lock'"):
            HeldLock(path)
        assert time.monotonic() - started < 30  # it does not wait
    assert not is_held(path)


def test_a_holder_in_another_process_is_seen_until_it_ends(path):
    with holder(path) as process:
        assert is_held(path)
        process.communicate("")
        assert process.returncode == 0
        assert not is_held(path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_system_lets_go_for_a_process_that_is_killed(path, number):
    with holder(path) as process:
        process.send_signal(number)
        process.wait()
        assert not is_held(path)


def test_a_child_of_a_killed_holder_does_not_keep_the_lock(path):
    with holder(path, "fork") as process:
        assert is_held(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.kill(process.last_child, 0)  # at work
        assert not is_held(path)


def test_a_forked_child_that_ends_or_drops_its_copy_lets_go_of_nothing(path):
    lock = HeldLock(path)
    child = os.fork()
    if not child:
        try:
            lock.release()
            del lock
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert is_held(path)
    lock.release()
    assert not is_held(path)


def test_letting_go_works_from_another_thread_and_twice(path):
    lock = HeldLock(path)
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    assert not is_held(path)
    with HeldLock(path):
        lock.release()  # of the one before: it has nothing to let go of
        assert is_held(path)


def test_who_waits_comes_in_when_the_holder_of_another_process_has_gone(path):
    with holder(path) as process, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(HeldLock, path, wait=True)
        time.sleep(0.2)
        assert not waiting.done()
        process.kill()
        with waiting.result(timeout=20):
            assert is_held(path)


def test_of_threads_that_wait_one_at_a_time_comes_in(path):
    inside, most = [], []

    def enter(_):
        with HeldLock(path, wait=True):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.002)
            inside.pop()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(40)))
    assert most == [1] * 40


def test_a_thread_that_would_wait_for_itself_is_an_error(path):
    with HeldLock(path), pytest.raises(RuntimeError, match="already held"):
        HeldLock(path, wait=True)


def test_the_file_is_empty_stays_and_is_made_as_the_umask_says(tmp_path):
    before = os.umask(0o002)
    try:
        path = tmp_path / "new" / ".x.lock"
        with HeldLock(path):
            pass
    finally:
        os.umask(before)
    assert path.read_bytes() == b""
    assert path.stat().st_mode & 0o777 == 0o664


@pytest.mark.parametrize("wait", [False, True])
def test_where_there_can_be_no_lock_the_error_is_another_one(tmp_path, monkeypatch, wait):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / ".x.lock", tmp_path / "folder"):
        with pytest.raises(OSError, match=r"file|folder") as error:
            HeldLock(path, wait=wait)
        assert not isinstance(error.value, BlockingIOError)
    monkeypatch.setattr("fcntl.flock", without_locks)
    with pytest.raises(OSError, match="Function not implemented"):
        HeldLock(tmp_path / ".x.lock", wait=wait)


# Those who take them.


def test_a_store_is_one_at_a_time_and_close_lets_go(tmp_path):
    message = f"--save-dir {tmp_path} is in use by another run of TSN; name another folder"
    for _ in range(2):
        store = CheckpointStore(str(tmp_path), "TSN")
        with pytest.raises(CheckpointError) as error:
            CheckpointStore(str(tmp_path), "TSN")
        assert str(error.value) == message
        store.close()
    with holder(tmp_path / ".TSN.lock"):
        with pytest.raises(CheckpointError) as error:
            CheckpointStore(str(tmp_path), "TSN")
        assert str(error.value) == message
        CheckpointStore(str(tmp_path), "STNET").close()
    CheckpointStore(str(tmp_path), "TSN").close()


def test_without_locks_no_run_begins_in_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("fcntl.flock", without_locks)
    with pytest.raises(CheckpointError, match=r"cannot be written: \[Errno 38\]"):
        CheckpointStore(str(tmp_path), "TSN")
    with (
        pytest.raises(DataError, match=r"cannot be a folder to write to: \[Errno 38\]"),
        open_output_folder(tmp_path, {}),
    ):
        pass


def index_of(folder, scan):
    """The index of a list of one file."""
    list_path = folder / "a.list"
    if not list_path.exists():
        list_path.write_text("a.pkl\n")
        (folder / "a.pkl").touch()
    return build_index(str(list_path), load_list(str(list_path)), "any", scan, f"{list_path}.index.npz")[0]


def test_the_lock_of_an_index_lies_beside_it(tmp_path):
    lock = tmp_path / ".a.list.index.npz.lock"

    def scan(_):
        assert is_held(lock)
        return index_records([3], [[0]])

    index_of(tmp_path, scan)
    assert not is_held(lock)
    lock.unlink()
    index_of(tmp_path, scan=None)
    assert not lock.exists()  # nothing to scan, nothing to lock


@pytest.mark.parametrize("why", ["no locks", "no file"])
def test_an_index_is_made_without_a_lock_where_there_can_be_none(tmp_path, monkeypatch, why):
    if why == "no locks":
        monkeypatch.setattr("fcntl.flock", without_locks)
    else:
        (tmp_path / ".a.list.index.npz.lock").mkdir()
    (index,) = index_of(tmp_path, lambda path: index_records([3], [[0]]))
    assert index.num_frames.tolist() == [3]


@pytest.mark.parametrize("why", ["no locks", "no file", "held"])
def test_released_weights_that_are_here_need_no_lock(tmp_path, monkeypatch, why):
    entry = CacheEntry.of("TSN", str(tmp_path))
    entry.folder.mkdir()
    (entry.folder / "a").touch()
    entry.work.mkdir()  # left by a process that was stopped after it had finished
    with contextlib.ExitStack() as stack:
        if why == "no locks":
            monkeypatch.setattr("fcntl.flock", without_locks)
        elif why == "no file":
            entry.lock.mkdir()
        else:
            stack.enter_context(HeldLock(entry.lock))
        assert find_released("TSN", weights_dir=str(tmp_path)) == entry.folder
        assert entry.work.exists()
    if why == "held":
        find_released("TSN", weights_dir=str(tmp_path))
        assert not entry.work.exists()


# Leaves out what only Unix has, takes a lock and asks for it a second time.
WITHOUT_FCNTL = """
import sys
sys.modules["fcntl"] = None
from pathlib import Path
import train, test, infer
import dataset.output_folder, tools.training.checkpoint, tools.weights.released, tools.distributed.rendezvous
from tools.files.locks import HeldLock
with HeldLock(Path(sys.argv[1])):
    try:
        HeldLock(Path(sys.argv[1]))
    except BlockingIOError:
        print("refused")
"""


def test_the_project_can_be_imported_and_locks_where_there_is_no_fcntl(path):
    command = [sys.executable, "-c", WITHOUT_FCNTL, str(path)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "refused\n"
