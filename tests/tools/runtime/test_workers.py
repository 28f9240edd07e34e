"""Processes that work for a program: their results, their crashes, and that they end with it."""

import gc
import os
import signal
import subprocess
import sys
import weakref

import pytest

from tests.conftest import PROJECT, clean_env
from tools.errors import DataError, PeerError
from tools.runtime.workers import call_in_process, map_in_order, map_in_processes


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
