"""The project's scripts in processes that begin with Paddle imported, which is most of what a short run costs.

A server imports Paddle with one thread, computes nothing, and forks once a script. Each script is ``__main__`` in a
process of its own, with its own folder, environment, output and signals; only its ``import paddle`` finds what is
there. The README's commands, the quickstart and ``--help`` are tested in processes that start from nothing.
"""

import contextlib
import gc
import importlib.abc
import importlib.machinery
import importlib.metadata
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from tools.runtime.cpu import load_paddle, tune_cpu

PROJECT = Path(__file__).resolve().parents[1]
MESSAGE_BYTES = 1 << 20  # room for the environment


class ScriptProcess:
    """A script at work: the part of ``subprocess.Popen`` that tests need."""

    def __init__(self, server: "ScriptServer", pid: int, stdout=None):
        self.server, self.pid, self.stdout = server, pid, stdout
        self.returncode = None

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self) -> int:
        """The exit code, negative for a signal's number."""
        if self.returncode is None:
            self.returncode = self.server.ask({"wait": self.pid})
        return self.returncode

    def communicate(self, timeout: float = 120) -> tuple[str, None]:
        """The rest of the output, as soon as the script has ended; it is killed after ``timeout`` seconds."""
        timer = threading.Timer(timeout, self.kill)
        timer.start()
        try:
            rest = self.stdout.read() if self.stdout else ""
            self.wait()
        finally:
            timer.cancel()
            if self.stdout:
                self.stdout.close()
        return rest, None


class ScriptServer:
    """The process that forks, started when the first script is."""

    def __init__(self):
        self.process = self.connection = None

    def start(self, command: list[str], cwd, environment: dict[str, str], stdout: int, stderr: int) -> int:
        """Run a script with its arguments; return its process id. stdout, stderr: file descriptors."""
        if not self.process:
            self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                serve = [sys.executable, "-m", "tests.script_server", str(theirs.fileno())]
                pipes = {"pass_fds": [theirs.fileno()], "stdin": subprocess.DEVNULL}
                self.process = subprocess.Popen(serve, cwd=PROJECT, env=environment, **pipes)
        return self.ask({"command": command, "cwd": str(cwd), "environment": environment}, [stdout, stderr])

    def ask(self, request: dict, files=()) -> int:
        try:
            socket.send_fds(self.connection, [json.dumps(request).encode()], files)
            answer = self.connection.recv(MESSAGE_BYTES)
            assert answer, "the server of scripts has ended"
        except BaseException:  # an answer that comes too late would be taken for that to the next request
            self.close()
            raise
        return json.loads(answer)

    def close(self) -> None:
        """End the server and its scripts; the next script starts another."""
        if self.process:
            self.connection.close()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:  # stopped, or in the middle of the import of Paddle
                self.process.kill()
                self.process.wait()
            self.process = None


class AlreadyImported(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module that was imported before and then hidden, so that a script imports it at its own time."""

    def __init__(self, name: str):
        self.name, self.module = name, sys.modules.pop(name)

    def find_spec(self, fullname, path, target=None):
        if fullname != self.name:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        spec.submodule_search_locations = [*self.module.__path__]
        return spec

    def create_module(self, spec):
        return self.module

    def exec_module(self, module):
        pass  # it has been


def uses_cuda() -> bool:
    """Whether this is the Paddle for GPUs, which can be imported only after a fork."""
    try:
        importlib.metadata.version("paddlepaddle-gpu")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def become(request: dict, files: list[int], tuned: dict[str, str]) -> None:
    """Turn this process, just forked, into that of a script, and run it to its end."""
    for number, file in enumerate(files, start=1):
        os.dup2(file, number)
        os.close(file)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"] | tuned)
    sys.argv = request["command"]
    sys.orig_argv = [sys.executable, *sys.argv]  # what --nproc starts again
    if "paddle" in sys.modules:
        sys.meta_path.insert(0, AlreadyImported("paddle"))
    runpy.run_path(sys.argv[0], run_name="__main__")


def wait_for(pid: int, connection: socket.socket) -> int | None:
    """The exit code of a script; None once nobody waits for it any more."""
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if select.select([connection], [], [], 0.01)[0]:  # nobody asks for more before this is answered
            return None


def serve(connection: socket.socket) -> None:
    """Fork and wait as asked, until the tests end; what still runs then is killed."""
    before = dict(os.environ)
    tune_cpu(threads=1)
    tuned = {name: value for name, value in os.environ.items() if before.get(name) != value}
    if not uses_cuda():
        load_paddle()
        gc.freeze()  # or the forked processes would copy all of it to look for garbage
    running = set()
    while True:
        message, files, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, 2)
        if not message:
            break
        request = json.loads(message)
        if "wait" in request:
            answer = wait_for(request["wait"], connection)
            if answer is None:
                break
            running.discard(request["wait"])
        else:
            answer = os.fork()
            if not answer:
                connection.close()
                become(request, files, tuned)
                return
            running.add(answer)
        for file in files:
            os.close(file)
        connection.send(json.dumps(answer).encode())
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        serve(connection)
