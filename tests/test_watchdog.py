"""Whatever ends or stops a process of pytest: the run ends, with an error that names the test."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.conftest import PROJECT, clean_env, run_shell

KILLED = "import os, signal\ndef test_planted():\n    os.kill(os.getpid(), signal.{})\n"
SLEEPING = "import time\ndef test_planted():\n    time.sleep(1000)\n"
SOUND = "import time\nimport pytest\n@pytest.mark.parametrize('i', range(4))\ndef test_sound(i):\n    time.sleep(0.1)\n"


def run_pytest(folder, planted, *flags):
    """Run a planted test beside sound ones, with the project's settings and conftest.py; its limit is 40 seconds."""
    for name, text in (("planted", planted), ("sound", SOUND)):
        (folder / f"test_{name}.py").write_text(text)
    settings = ["-c", str(PROJECT / ".pytest.ini"), f"--rootdir={folder}", "-p", "tests.conftest", "--timeout=40"]
    command = [sys.executable, "-m", "pytest", *settings, "-p", "no:cacheprovider", *flags, str(folder)]
    env = {name: value for name, value in clean_env().items() if not name.startswith("PYTEST_")}
    env |= {"PYTHONPATH": str(PROJECT), "PYTHONFAULTHANDLER": "0"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("number", ["SIGKILL", pytest.param("SIGSEGV", marks=pytest.mark.slow)])
def test_a_killed_worker_ends_the_run_and_its_test_is_named(tmp_path, number):
    result = run_pytest(tmp_path, KILLED.format(number))
    assert result.returncode == 1
    assert "crashed while running 'test_planted.py::test_planted'" in result.stdout


@pytest.mark.slow
def test_a_stopped_worker_is_killed_and_its_test_is_named(tmp_path):
    result = run_pytest(tmp_path, KILLED.format("SIGSTOP"))
    assert result.returncode == 1
    assert "test_planted.py::test_planted: nothing was heard for 50 s; process " in result.stderr
    assert "crashed while running 'test_planted.py::test_planted'" in result.stdout


@pytest.mark.slow
def test_a_stopped_run_without_workers_is_killed_and_its_test_is_named(tmp_path):
    result = run_pytest(tmp_path, KILLED.format("SIGSTOP"), "-n0")
    assert result.returncode == -9
    assert "test_planted.py::test_planted: nothing was heard for 60 s; process " in result.stderr


@pytest.mark.slow
def test_the_process_that_gives_workers_their_tests_is_killed_too_where_it_is_stopped(tmp_path):
    result = run_pytest(tmp_path, "import os, signal\ndef test_planted():\n    os.kill(os.getppid(), signal.SIGSTOP)\n")
    assert result.returncode == -9
    assert "nothing was heard for 60 s; process " in result.stderr


@pytest.mark.slow
def test_a_test_that_sleeps_for_ever_fails_and_the_others_are_run(tmp_path):
    result = run_pytest(tmp_path, SLEEPING)
    assert result.returncode == 1
    assert "Failed: Timeout" in result.stdout
    assert "FAILED test_planted.py::test_planted" in result.stdout
    assert "1 failed, 4 passed" in result.stdout


def test_a_test_that_takes_too_long_leaves_nothing_at_work_that_its_shell_has_started(tmp_path):
    def stop(number, frame):
        raise TimeoutError

    before = signal.signal(signal.SIGUSR1, stop)
    timer = threading.Timer(1, signal.pthread_kill, [threading.main_thread().ident, signal.SIGUSR1])
    try:
        timer.start()
        with pytest.raises(TimeoutError):
            run_shell("sleep 100 & echo $! > child; wait", tmp_path)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    child, deadline = int((tmp_path / "child").read_text()), time.monotonic() + 10
    while is_at_work(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_at_work(process: int) -> bool:
    """Whether it is there, and no zombie whose parent has not asked for its end."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
