"""Frameworks that are measured beside each other: each in a process of its own, and these work in turn."""

import multiprocessing
import os
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from operator import sub
from typing import Any, NamedTuple

from tools.errors import PeerError, ZooError
from tools.runtime.cpu import can_pin
from tools.runtime.log import start_log

PEERS = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime"}  # the module of each -> its title
Tasks = Mapping[str, Callable[[], object]]  # by name


class Spent(NamedTuple):
    """Seconds: of the processor, in all threads, and of a clock."""

    cpu: float
    wall: float

    @classmethod
    def now(cls) -> "Spent":
        return cls(time.process_time(), time.perf_counter())


class Worker:
    """A process with tasks: ``worker("name")()`` does one and gives the CPU seconds that it took there.

    title: whose process it is, in messages. opener: of the process, called with ``arguments``; gives its tasks, whose
    names ``tasks`` holds, and what ``answers`` shall be. cores: how many the process may use, None for all of its
    parent's, which it also may where the system pins no process.
    Raises ImportError and ZooError where the opener does, RuntimeError for its other errors, and PeerError where the
    process ends.
    """

    def __init__(self, title: str, opener: Callable[..., tuple[Tasks, Any]], *arguments, cores: int | None = None):
        self._title = title
        self._connection, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=serve, args=(theirs, opener, arguments, cores), daemon=True)
        self._process.start()
        theirs.close()
        self.tasks, self.answers = self._receive()

    def __call__(self, task: str) -> Callable[[], float]:
        return lambda: self.run(task).cpu

    def run(self, task: str) -> "Spent":
        with self._ending_told():
            _send(self._connection, task)
        return self._receive()

    def _receive(self) -> Any:
        with self._ending_told():
            answer = self._connection.recv()
        if isinstance(answer, Exception):
            self.close()
            raise answer
        return answer

    @contextmanager
    def _ending_told(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, ConnectionError):  # BrokenPipeError is one of these
            self._process.join()
            raise PeerError(
                f"the process that measures {self._title} ended with code {self._process.exitcode}; -9 mostly means "
                "that memory is short, for which a smaller --batch-size helps"
            ) from None

    def close(self) -> None:
        self._connection.close()
        self._process.join()


class Team:
    """Workers of different tasks that count as one. answers: of the first."""

    def __init__(self, *workers: Worker):
        self._by_task = {task: worker for worker in workers for task in worker.tasks}
        self._workers, self.tasks, self.answers = workers, frozenset(self._by_task), workers[0].answers

    def __call__(self, task: str) -> Callable[[], float]:
        return self._by_task[task](task)

    def run(self, task: str) -> Spent:
        return self._by_task[task].run(task)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()


def _send(connection: Connection, value) -> None:
    """As ``Connection.send``, whose error, of a process that has ended, holds what Python 3.13.0 cannot let go of."""
    connection.send_bytes(pickle.dumps(value))


def serve(connection: Connection, opener: Callable, arguments: tuple, cores: int | None) -> None:
    """The work of a process, until nobody asks."""
    start_log()
    if cores and can_pin():
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    try:
        tasks, answers = opener(*arguments)
        _send(connection, (frozenset(tasks), answers))
    except (ImportError, ZooError) as error:  # ImportError: the others are measured without this one
        _send(connection, error)
        return
    except Exception as error:
        _send(connection, RuntimeError(f"{type(error).__name__}: {error}"))  # not all can be sent as they are
        raise
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        began = Spent.now()
        tasks[task]()
        _send(connection, Spent(*map(sub, Spent.now(), began)))
