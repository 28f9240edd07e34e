"""Start one process for each GPU, or as many as asked for, of the program that runs; watch them to their end.

Does not import Paddle: where one process is enough, that is this one, whose CPU is still to be tuned.
"""

import math
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tools.distributed.secret import SECRET, make_secret
from tools.errors import ConfigError, PeerError
from tools.runtime.cpu import OF_PADDLE
from tools.runtime.entry import ERROR
from tools.runtime.memory import gpu_bytes
from tools.runtime.signals import heeded_signals
from tools.runtime.text import escape_controls

WATCHED = "PADDLE_VIDEO_LAUNCHER"  # the process number of the launcher, in the environment of those it started
_GRACE_SEC = 5  # for the other processes to end by themselves once one has failed
_LAST_WORDS_SEC = 1  # for all to end by themselves at a second signal
_TAIL_LINES = 20  # of a process's log, where it exited unexpectedly


@dataclass(frozen=True)
class Processes:
    """Those of this run. rank: which of them this one is. to_start: none is there yet, and this one starts them."""

    rank: int = 0
    world: int = 1
    on_this_machine: int = 1
    to_start: bool = False
    on_gpus: bool = False


def plan_processes(asked: int | None, use_gpu: bool) -> Processes:
    """What the environment says of a launcher, or else one process for each visible GPU, or one.

    asked: --nproc, if given. Raises ConfigError for more processes than GPUs, and for an environment that no launcher
    makes.
    """
    if "PADDLE_TRAINERS_NUM" in os.environ:
        rank, world, here = _read_environment()
        if asked and WATCHED not in os.environ:
            raise ConfigError(
                f"--nproc {asked}: this is one of {world} processes that a launcher started; its --nproc_per_node "
                "says how many there are"
            )
        return Processes(rank, world, here)
    gpus = len(gpu_bytes()) if use_gpu and asked != 1 else 0
    if gpus and asked and asked > gpus:
        raise ConfigError(
            f"--nproc {asked}: {gpus} GPU{'s are' if gpus > 1 else ' is'} visible; CUDA_VISIBLE_DEVICES says which, "
            "and --use-gpu false computes on the CPU"
        )
    count = asked or gpus or 1
    return Processes(world=count, on_this_machine=count, to_start=count > 1, on_gpus=gpus > 0)


def _read_environment() -> tuple[int, int, int]:
    """Rank, world and processes on this machine."""
    names = ("PADDLE_TRAINER_ID", "PADDLE_TRAINERS_NUM", "PADDLE_LOCAL_SIZE")
    texts = [os.environ.get(name, default) for name, default in zip(names, ("", "", "1"), strict=True)]
    if all(text.isascii() and text.isdigit() for text in texts):
        rank, world, here = map(int, texts)
        if rank < world and here > 0:
            return rank, world, here
    found = ", ".join(f"{name}={text}" for name, text in zip(names, texts, strict=True))
    raise ConfigError(
        f"the environment has {found}, which no launcher sets; without PADDLE_TRAINERS_NUM, --nproc starts processes"
    )


def launch(planned: Processes, log_folder: Path | None) -> int:
    """Run this program's command line again in as many processes as planned; return the exit code of all.

    The first process has this terminal. The errors of the others go to ``{folder}/rank{N}.log``; without a
    folder they are kept for as long as this takes. When one fails, the others are ended, and it is said which and
    why. Ctrl-C, SIGTERM and SIGHUP are passed on.
    """
    count = planned.world
    with tempfile.TemporaryDirectory() as temporary:
        folder = log_folder or Path(temporary)
        logs = [folder / f"rank{rank}.log" for rank in range(count)]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            before = [log.stat() if log.exists() else None for log in logs]
            processes = [_start(rank, env, logs[rank]) for rank, env in enumerate(_environments(planned))]
        except OSError as error:
            raise ConfigError(f"{count} processes cannot be started with logs in {folder}: {error}") from None
        heard = _pass_signals_on(processes)
        failed = _wait(processes, heard)
        codes = [process.returncode for process in processes]
        if failed is None and not any(codes):
            return 0
        if failed is None:  # none heard the signals
            print("stopped", file=sys.stderr)
            return 128 + heard[0]
        if heard and codes[failed] in (128 + heard[0], -heard[0], PeerError.exit_code):
            if codes[0] == -heard[0]:  # before or after it would have said so itself
                print("stopped", file=sys.stderr)
            return 128 + heard[0]
        code, log = codes[failed], logs[failed]
        if code < 0:
            reason = "; perhaps the memory ran out" if -code == signal.SIGKILL else ""
            print(f"{ERROR}rank {failed} of {count} was ended by {signal.Signals(-code).name}{reason}", file=sys.stderr)
        elif failed and codes[0] <= 0:  # or else the first process has told what it heard or found
            is_same = before[failed] and os.path.samestat(before[failed], log.stat())  # not one in place of it
            said = log.read_bytes()[before[failed].st_size if is_same else 0 :].decode(errors="replace")
            print(f"{_last_words(said)}rank {failed} of {count} ended with exit code {code}", file=sys.stderr)
        return code if code > 0 else 128 - code


def _environments(planned: Processes) -> list[dict[str, str]]:
    """What Paddle wants to find in the environment of each process."""
    count, on_gpus = planned.world, planned.on_gpus
    ports = _free_ports(count + 1)
    endpoints = [f"127.0.0.1:{port}" for port in ports[1:]]
    common = {
        **os.environ,
        WATCHED: str(os.getpid()),
        SECRET: make_secret(),
        "PADDLE_MASTER": f"127.0.0.1:{ports[0]}",
        "PADDLE_TRAINERS_NUM": str(count),
        "PADDLE_TRAINER_ENDPOINTS": ",".join(endpoints),
        "PADDLE_LOCAL_SIZE": str(count),
    }
    if not on_gpus and sys.platform == "linux":
        common.setdefault("GLOO_SOCKET_IFNAME", "lo")  # whatever this machine's name stands for
    return [
        {
            **common,
            "PADDLE_TRAINER_ID": str(rank),
            "PADDLE_LOCAL_RANK": str(rank),
            "PADDLE_CURRENT_ENDPOINT": endpoint,
            **({"FLAGS_selected_gpus": str(rank)} if on_gpus else {"PADDLE_DISTRI_BACKEND": "gloo"}),
        }
        for rank, endpoint in enumerate(endpoints)
    ]


def _free_ports(count: int) -> list[int]:
    handles = [socket.socket() for _ in range(count)]
    try:
        for handle in handles:
            handle.bind(("127.0.0.1", 0))
        return [handle.getsockname()[1] for handle in handles]
    finally:
        for handle in handles:
            handle.close()


def _start(rank: int, environment: dict[str, str], log_path: Path) -> subprocess.Popen:
    command = [sys.executable, *sys.orig_argv[1:]]
    # In sessions of their own, so that Ctrl-C reaches them once: through here.
    if rank == 0:
        return subprocess.Popen(command, env=environment, start_new_session=True)
    with open(log_path, "ab") as file:  # its lines go there too, by the log
        return subprocess.Popen(
            command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=file
        )


def _pass_signals_on(processes: list[subprocess.Popen]) -> list[int]:
    """From now on; gives a list that fills with the signals heard."""
    heard = []

    def pass_on(number: int, frame) -> None:
        heard.append(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    for number in heeded_signals():
        signal.signal(number, pass_on)
    return heard


def _wait(processes: list[subprocess.Popen], heard: list[int]) -> int | None:
    """Wait for all of them; once one has failed, end those that do not end by themselves. Gives the rank at fault.

    A process that ends because another did says so by its exit code, and is not the one at fault.
    heard: the signals so far. A second one ends those that are left: where Paddle (3.3.1) waits for the others of a
    run, a process hears nothing.
    """
    failed, deadline = [], math.inf
    while True:
        by_themselves = [process.poll() for process in processes]
        failed += [rank for rank, code in enumerate(by_themselves) if code and rank not in failed]
        if failed:
            deadline = min(deadline, time.monotonic() + _GRACE_SEC)
        if len(heard) > 1:
            deadline = min(deadline, time.monotonic() + _LAST_WORDS_SEC)
        if None not in by_themselves or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    for process in processes:
        if process.returncode is None:
            process.kill()
        process.wait()
    at_fault = sorted(rank for rank in failed if by_themselves[rank] != PeerError.exit_code)
    return next(iter([*at_fault, *failed]), None)


def _last_words(text: str) -> str:
    """The error in what a process printed, or its last lines."""
    lines = [escape_controls(line) for line in re.split("\r\n|\r|\n", text.rstrip("\r\n")) if text]
    errors = [line for line in lines if line.startswith(ERROR)]
    return "".join(f"{line}\n" for line in errors[-1:] or lines[-_TAIL_LINES:])


def follow_launcher() -> None:
    """End this process when its launcher, or that of Paddle, ends without saying so, as when it is killed."""
    launcher = os.environ.get(WATCHED) or (os.getppid() if OF_PADDLE in os.environ else 0)
    if not launcher:
        return

    def follow() -> None:
        while os.getppid() == int(launcher):
            time.sleep(1)
        print(f"{ERROR}the launcher of this process has ended", file=sys.stderr, flush=True)
        os._exit(PeerError.exit_code)

    threading.Thread(target=follow, name="launcher", daemon=True).start()
