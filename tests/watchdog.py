"""Ends a pytest process that has stopped to tell of tests, and with it a run that would wait for ever.

pytest-timeout ends a test that takes too long from inside. What is stopped, or is where it hears no signal, cannot do
that. So every process of pytest, those of xdist and the one that gives them tests, has a watchdog of its own, tells it
of each test that begins, and is killed when no other begins for longer than a test may take. xdist then names the test.

python tests/watchdog.py PID SECONDS  < lines
"""

import atexit
import contextlib
import os
import select
import signal
import subprocess
import sys

OF_A_WORKER, OF_OTHERS = 1.25, 1.5  # times the limit of a test: xdist has to be there to say what became of its worker


class Watchdog:
    """Watches this process until it is closed, or to its very end. Its words go to where standard error leads now."""

    def __init__(self, limit_sec: float):
        command = [sys.executable, __file__, str(os.getpid()), str(limit_sec)]
        # In a session of its own, so that Ctrl-C leaves it to its end, which is that of its input.
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        self.watched = os.getpid()
        atexit.register(self.close)  # after the last thread

    def tell(self, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{text}\n".encode())
            self.process.stdin.flush()

    def close(self) -> None:
        if os.getpid() == self.watched and self.process.returncode is None:
            self.process.communicate()


def watch(process: int, limit_sec: float) -> None:
    last = "before the first test"
    while os.getppid() == process:
        if not select.select([sys.stdin], [], [], limit_sec)[0]:
            print(f"\n{last}: nothing was heard for {limit_sec:g} s; process {process} is killed", file=sys.stderr)
            os.kill(process, signal.SIGKILL)
            return
        told = os.read(sys.stdin.fileno(), 1 << 16)
        if not told:
            return
        last = told.decode(errors="replace").splitlines()[-1]


if __name__ == "__main__":
    watch(int(sys.argv[1]), float(sys.argv[2]))
