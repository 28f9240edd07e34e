"""Strangers who call on every port of a run, before, during and after its start: it trains on, or ends and says why."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.conftest import start_script
from tests.test_train import wait_for
from tests.tools.distributed import strangers
from tests.tools.distributed.test_distributed_scripts import fill

PROGRAM = Path(strangers.__file__)


def start_strangers(kind, pid, folder, *host):
    folder.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, PROGRAM, kind, str(pid), folder, *host])


def await_end(process, seconds):
    """What a started script prints to its end, which comes within so many seconds."""
    ended = threading.Timer(seconds, process.send_signal, [signal.SIGKILL])
    ended.start()
    shown, _ = process.communicate()
    ended.cancel()
    assert process.returncode != -signal.SIGKILL, f"it did not end within {seconds} s:\n{shown}"
    return shown


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", strangers.KINDS)
def test_strangers_on_every_port_do_not_end_a_run_in_silence_and_nothing_of_theirs_is_unpickled(tmp_path, kind, when):
    fill(tmp_path)
    flags = ("--nproc=2", "--threads=1", "--epoch=3", "--valid-interval=0", "--log-interval=1")
    process = start_script("train", *flags, cwd=tmp_path)
    if when == "after":
        wait_for(process, "iter 1 ")
    callers = start_strangers(kind, process.pid, tmp_path / "called")
    try:
        shown = await_end(process, 120)
    finally:
        callers.kill()
        callers.wait()
    print(shown)
    print(sorted((p.name, p.read_text()) for p in (tmp_path/"called").iterdir()))
    assert not list((tmp_path / "called").glob("canary-*"))
    assert process.returncode == 0 or "error: " in shown, shown
    if when == "after":
        assert process.returncode == 0, shown
