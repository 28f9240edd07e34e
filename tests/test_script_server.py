"""The server of scripts, when a test does not wait for the answer."""

import os
import signal
import threading
import time

import pytest

from tests.conftest import clean_env
from tests.script_server import ScriptProcess, ScriptServer
from tests.tools.distributed.test_launcher import is_running


class GivenUpError(Exception):
    pass


@pytest.mark.slow
def test_a_test_that_gives_up_waiting_ends_its_script_and_the_next_one_runs(tmp_path):
    def give_up(number, frame):
        raise GivenUpError

    before = signal.signal(signal.SIGUSR1, give_up)
    (tmp_path / "sleeping.py").write_text("import time\ntime.sleep(1000)\n")
    (tmp_path / "short.py").write_text("raise SystemExit(3)\n")
    server = ScriptServer()

    def start(name):
        return ScriptProcess(server, server.start([str(tmp_path / name)], tmp_path, clean_env(), 1, 2))

    try:
        sleeping = start("sleeping.py")
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(GivenUpError):
            sleeping.wait()
        deadline = time.monotonic() + 10
        while is_running(sleeping.pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert start("short.py").wait() == 3
    finally:
        signal.signal(signal.SIGUSR1, before)
        server.close()
