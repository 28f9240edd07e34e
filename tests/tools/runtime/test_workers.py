"""Processes that work for a program: their results, their crashes, and that they end with it."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest

from tests.conftest import PROJECT, clean_env
from tools.errors import DataError, PeerError
from tools.runtime.workers import call_in_process, map_in_order, map_in_processes, read_ahead


def test_items_come_with_their_results_and_what_is_raised_is_raised_here():
    assert sorted(map_in_processes(int, ["1", "2", "3"], 2, str)) == [("1", 1), ("2", 2), ("3", 3)]
    with pytest.raises(ValueError, match="no number"):
        list(map_in_processes(int, ["1", "no number"], 2, str))


def test_an_item_that_crashes_its_process_is_told_apart_from_those_under_way():
    items = [0, int(signal.SIGSEGV), 0, 0]
    found = map_in_processes(signal.raise_signal, items, 1, lambda item: f"crashed by {item}")
    assert sorted(found, key=str) == [(0, None), (0, None), (0, None), (11, "crashed by 11")]


def test_a_process_of_its_own_gives_its_result_and_its_death_is_one_error():
    assert call_in_process(divmod, 7, 2) == (3, 1)
    with pytest.raises(PeerError, match="the process of raise_signal was ended from outside; perhaps the memory"):
        call_in_process(signal.raise_signal, int(signal.SIGKILL))


def refuse(item):
    raise DataError(f"{item} is broken")


def map_one_at_a_time(function, items):
    return map_in_processes(function, items, 1, str)


def map_in_threads(function, items):
    return map_in_order(function, items, 2)


@pytest.mark.parametrize("map_items", [map_one_at_a_time, map_in_threads])
def test_what_is_raised_is_gone_once_it_was_handled(map_items):
    """In a reference cycle it would keep the frames it went through, with all that they hold."""
    gc.disable()
    try:
        raised = None
        try:
            list(map_items(refuse, ["a clip"]))
        except DataError as error:
            raised = weakref.ref(error)
        assert raised() is None
    finally:
        gc.enable()


WAITING = """
import time
from tools.runtime.entry import run_program
from tools.runtime.workers import map_in_processes

def main():
    for item, _ in map_in_processes(time.sleep, [0.01, 0.01, {seconds}, {seconds}], 2, str):
        print("done", flush=True)

run_program(main)
"""


def start_waiting(seconds):
    """A program two of whose processes have come to work and now sleep."""
    command = [sys.executable, "-c", WAITING.format(seconds=seconds)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=PROJECT, env=clean_env(), start_new_session=True, **pipes)
    assert [process.stdout.readline() for _ in range(2)] == ["done\n"] * 2
    return process


def test_processes_end_with_a_program_that_is_killed():
    process = start_waiting(60)
    process.kill()
    process.communicate(timeout=20)  # until its processes have closed the pipes as well


def test_ctrl_c_is_heard_by_the_main_process_alone():
    process = start_waiting(1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (130, "", "stopped\n")


def count_up(stream, number):
    for item in range(number):
        yield stream, item


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_streams_are_read_one_after_another_however_many_threads_there_are(num_workers):
    lengths = [3, 0, 50, 1, 7]
    streams = [count_up(stream, number) for stream, number in enumerate(lengths)]
    wanted = [(stream, item) for stream, number in enumerate(lengths) for item in range(number)]
    assert list(read_ahead(streams, num_workers, 2)) == wanted


def test_as_many_streams_are_under_way_as_there_are_threads_and_no_item_more_than_was_said():
    begun, taken = [], []

    def endless(stream):
        begun.append(stream)
        for item in range(1000):
            taken.append((stream, item))
            yield stream, item

    items = read_ahead(map(endless, range(10)), 2, 3)
    assert next(items) == (0, 0)
    deadline = time.monotonic() + 10
    while len(taken) < 2 * 4 + 1 and time.monotonic() < deadline:  # 3 that wait, 1 in hand, and the one that was given
        time.sleep(0.01)
    time.sleep(0.1)
    assert sorted(begun) == [0, 1]
    assert len(taken) == 2 * 4 + 1
    items.close()
    deadline = time.monotonic() + 10
    while any(thread.name.startswith("reader") for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(thread.name.startswith("reader") for thread in threading.enumerate())


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_a_stream_raises_comes_in_its_place(num_workers):
    def fail():
        yield "first"
        raise DataError("the second is broken")

    items = read_ahead([fail(), count_up(1, 5)], num_workers, 2)
    assert next(items) == "first"
    with pytest.raises(DataError, match="the second is broken"):
        next(items)
