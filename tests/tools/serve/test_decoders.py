"""The processes that read uploads are bounded in time and memory, are replaced, and end with the server."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.tools.serve.readers import ObedientReader
from tests.tools.serve.servers import wait_until
from tools.serve.decoders import Decoders, Job
from tools.serve.options import Limits
from tools.serve.refusals import ClientGoneError, RefusalError
from tools.serve.wire import Task

LIMITS = Limits(queue=8, upload_bytes=1000, slow_sec=1, decode_processes=1, decode_bytes=200_000_000, decode_sec=2)


@pytest.fixture(scope="module")
def decoders():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.set_inheritable(True)  # even then
        with Decoders(ObedientReader(), LIMITS) as decoders:
            decoders.require_started()
            yield decoders


def do(decoders, command):
    """The parts that a task gives. Raises what it ends with."""
    parts = []
    job = Job(Task(command, None, 10, False), parts.append)
    decoders.submit(job)
    job.done.result(timeout=60)
    return parts


def refusal(decoders, command):
    with pytest.raises(RefusalError) as error:
        do(decoders, command)
    return error.value.status, error.value.text


def test_parts_come_in_order_as_they_were_made(decoders):
    parts = do(decoders, "give 3")
    assert [part.batch.ids for part in parts] == [["0"], ["1"], ["2"]]
    assert [part.batch.inputs[0].tolist() for part in parts] == [[[n] * 3] for n in range(3)]


def test_a_process_has_neither_paddle_nor_the_sockets_of_the_server(decoders):
    assert refusal(decoders, "paddle")[1] == "paddle False"
    assert refusal(decoders, "sockets")[1] == "1 sockets"  # the one that it is asked by


def test_a_refused_file_is_told_and_the_next_is_read(decoders):
    assert refusal(decoders, "refuse x") == (415, "refuse x is refused")
    assert len(do(decoders, "give 1")) == 1


def test_a_fault_of_the_program_is_500_and_in_the_log(decoders, log_lines):
    assert refusal(decoders, "fail") == (500, "the server failed to read the upload; its log says more")
    assert "a fault of the program" in log_lines[0]


@pytest.mark.parametrize("command", ["sleep 100", "spin"])
def test_what_takes_too_long_is_ended_and_the_process_replaced(decoders, command):
    assert refusal(decoders, command) == (
        422, "the upload takes more than 2 s to decode; send a shorter or smaller one"
    )  # fmt: skip
    assert len(do(decoders, "give 1")) == 1


def test_memory_is_bounded_for_a_file(decoders):
    assert refusal(decoders, "allocate 100") == (415, "100 MB are there")
    assert refusal(decoders, "allocate 300") == (
        422, "the upload takes more than 200 MB of memory to decode; send a smaller one"
    )  # fmt: skip
    assert len(do(decoders, "give 1")) == 1


def test_memory_that_opencv_lacks_is_told_as_any_other(decoders):
    assert refusal(decoders, "opencv")[1].startswith("the upload takes more than 200 MB of memory")
    assert len(do(decoders, "give 1")) == 1


def test_a_process_that_keeps_memory_is_replaced_and_the_next_file_has_all(decoders):
    before = process_of(decoders).pid
    assert do(decoders, "keep 150") == []
    assert refusal(decoders, "allocate 100") == (415, "100 MB are there")
    assert process_of(decoders).pid != before


def test_a_process_that_died_between_files_is_the_fault_of_none(decoders):
    process = process_of(decoders)
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    assert len(do(decoders, "give 1")) == 1


def test_a_process_that_stops_within_a_message_is_ended(decoders):
    number = do_find_descriptor(decoders)
    assert refusal(decoders, f"stop {number}")[1].startswith("the upload takes more than 2 s")
    assert len(do(decoders, "give 1")) == 1


def process_of(decoders):
    (process,) = decoders._processes.values()
    return process._process


def do_find_descriptor(decoders):
    """The number of the connection in the process that reads, which has no other socket."""
    folder = Path(f"/proc/{process_of(decoders).pid}/fd")
    (number,) = (path.name for path in folder.iterdir() if path.is_socket())
    return number


def test_a_process_that_dies_takes_one_file_with_it(decoders):
    status, text = refusal(decoders, "end 3")
    assert (status, text) == (
        422,
        "the upload ended the process that decodes it (exit code 3); convert it, or send another",
    )
    assert len(do(decoders, "give 1")) == 1


def test_a_job_whose_client_has_gone_is_dropped_waiting_or_under_way(decoders):
    jobs = [Job(Task(command, None, 10, False), lambda part: None) for command in ("sleep 50", "give 1")]
    for job in jobs:
        decoders.submit(job)
    began = time.monotonic()
    for job in reversed(jobs):
        decoders.give_up(job)
        with pytest.raises(ClientGoneError):
            job.done.result(timeout=60)
    assert time.monotonic() - began < 20
    assert len(do(decoders, "give 1")) == 1


def test_who_no_longer_waits_does_not_end_the_thread_that_reads(decoders):
    job = Job(Task("sleep 0.5", None, 10, False), lambda part: None)
    decoders.submit(job)

    async def wait_shortly():
        await asyncio.wait_for(asyncio.wrap_future(job.done), 0.01)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(wait_shortly())
    assert job.done.result(timeout=60) is None
    assert len(do(decoders, "give 1")) == 1


STARTER = """
import os, sys, time
from tests.tools.serve.readers import ObedientReader
from tests.tools.serve.test_decoders import LIMITS
from tools.serve.decoders import Decoders
if __name__ == "__main__":
    decoders = Decoders(ObedientReader(), LIMITS).__enter__()
    decoders.require_started()
    print(*[process._process.pid for process in decoders._processes.values()], flush=True)
    time.sleep(100)
"""


@pytest.mark.slow
def test_processes_end_when_the_server_is_killed(tmp_path):
    (tmp_path / "starter.py").write_text(STARTER)
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, str(tmp_path / "starter.py")]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as starter:
        pids = [int(pid) for pid in starter.stdout.readline().split()]
        starter.send_signal(signal.SIGKILL)
    assert pids
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/fd/0") for pid in pids), 30)  # noqa: PTH110
