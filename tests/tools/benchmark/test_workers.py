import multiprocessing
import os
import signal
import time

import pytest

from tools.benchmark import workers
from tools.errors import ConfigError, PeerError


def burn(sec: float) -> None:
    end = time.process_time() + sec
    while time.process_time() < end:
        pass


def open_tasks(answers):
    return {"burn": lambda: burn(0.2), "sleep": lambda: time.sleep(0.2), "cores": check_cores}, answers


def check_cores() -> None:
    assert len(os.sched_getaffinity(0)) == 1


def open_missing():
    raise ModuleNotFoundError("No module named 'torch'", name="torch")


def open_refusing():
    raise ConfigError("--against: no such network")


class UnsendableError(Exception):
    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def open_failing():
    raise UnsendableError("this", "that")


def open_dying():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_task_is_measured_in_the_cpu_time_of_its_process_and_by_a_clock():
    worker = workers.Worker("ours", open_tasks, [1, 2], cores=1)
    try:
        assert worker.answers == [1, 2]
        assert worker.tasks == {"burn", "sleep", "cores"}
        assert 0.2 <= worker("burn")() < 2
        assert worker("sleep")() < 0.1
        assert 0.2 <= worker.run("sleep").wall < 10
        worker("cores")()
    finally:
        worker.close()


@pytest.mark.parametrize(
    ("opener", "error", "text"),
    [
        (open_missing, ModuleNotFoundError, "No module named 'torch'"),
        (open_refusing, ConfigError, "--against: no such network"),
        (open_failing, RuntimeError, "UnsendableError: this and that"),
        (open_dying, PeerError, r"^the process that measures PyTorch ended with code -9; .* smaller --batch-size"),
    ],
)
def test_a_process_that_cannot_begin_says_why(opener, error, text):
    with pytest.raises(error, match=text):
        workers.Worker("PyTorch", opener)


def open_others():
    return {"other": lambda: burn(0.2)}, None


def test_workers_of_different_tasks_count_as_one():
    team = workers.Team(workers.Worker("ours", open_tasks, 7), workers.Worker("ours", open_others))
    try:
        assert team.answers == 7
        assert team.tasks == {"burn", "sleep", "cores", "other"}
        assert team("other")() >= 0.2
        assert team.run("sleep").wall >= 0.2
    finally:
        team.close()


def test_a_process_that_ends_between_tasks_is_named():
    worker = workers.Worker("ONNX Runtime", open_tasks, None)
    try:
        (process,) = multiprocessing.active_children()
        process.kill()
        process.join()
        with pytest.raises(PeerError, match=r"^the process that measures ONNX Runtime ended with code -9; "):
            worker("burn")()
    finally:
        worker.close()


def test_a_process_is_left_on_all_cores_where_the_system_pins_none(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity")
    monkeypatch.setattr(workers, "start_log", lambda: None)
    ours, theirs = multiprocessing.Pipe()
    workers.serve(theirs, open_missing, (), 1)
    assert ours.recv().name == "torch"


def test_a_process_without_its_framework_ends_without_a_traceback(monkeypatch):
    monkeypatch.setattr(workers, "start_log", lambda: None)
    ours, theirs = multiprocessing.Pipe()
    workers.serve(theirs, open_missing, (), None)
    assert ours.recv().name == "torch"


def test_what_ends_a_task_is_not_taken_for_the_end_of_work(monkeypatch):
    """As of a damaged video, whose end comes early."""
    monkeypatch.setattr(workers, "start_log", lambda: None)

    def end_early():
        raise EOFError

    ours, theirs = multiprocessing.Pipe()
    ours.send("whole")
    with pytest.raises(EOFError):
        workers.serve(theirs, lambda: ({"whole": end_early}, None), (), None)
